"""The container of an evidence file: a ZIP (PKWARE APPNOTE 6.3, §4.3.7, §4.3.12, §4.3.16) with exactly one
spelling.

Stored entries in a fixed order, fixed date and flags, no comments, no extra fields, no ZIP64. A reader compares
every byte that is not content with the one that this format has there, so nothing can be changed, hidden or added
without being noticed. Any ZIP tool can open it. The names, in their order:

 - ``manifest.envelope``, ``index.json``
 - ``exchanges/NNNNNN/request.envelope`` and ``exchanges/NNNNNN/answer.envelope``, exchange by exchange
 - ``checkpoints/NNNNNN.note``, ``statements/NNNNNN.jwt``, ``former-keys/NNNNNN.jwt``
 - ``status.jwt``, ``roll-overs.json``

Numbers have six digits and count from 1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from msgspec import Struct

from trust.errors import EvidenceBroken

__all__ = [
    "CONTAINER",
    "INDEX",
    "MANIFEST",
    "MAX_FILE_BYTES",
    "MAX_NUMBER",
    "MAX_PARTS",
    "ROLL_OVERS",
    "STATUS",
    "Container",
    "ContainerReader",
    "Tail",
    "answer_part",
    "checkpoint_part",
    "former_keys_part",
    "is_part",
    "read_container",
    "request_part",
    "statement_part",
    "write_container",
]

CONTAINER: Final = "container"
"""What an error names when the file's frame is wrong, rather than one part in it."""
MANIFEST: Final = "manifest.envelope"
INDEX: Final = "index.json"
STATUS: Final = "status.jwt"
ROLL_OVERS: Final = "roll-overs.json"

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_PARTS: Final = 65_535
"""What a ZIP without ZIP64 can count."""
MAX_NUMBER: Final = 999_999


@lru_cache(maxsize=1024)
def request_part(number: int) -> str:
    """The name of the request of an exchange."""
    return f"exchanges/{number:06d}/request.envelope"


@lru_cache(maxsize=1024)
def answer_part(number: int) -> str:
    """The name of the answer of an exchange."""
    return f"exchanges/{number:06d}/answer.envelope"


@lru_cache(maxsize=1024)
def checkpoint_part(number: int) -> str:
    """The name of a checkpoint with its signatures."""
    return f"checkpoints/{number:06d}.note"


@lru_cache(maxsize=1024)
def statement_part(number: int) -> str:
    """The name of a statement that chains are made of."""
    return f"statements/{number:06d}.jwt"


@lru_cache(maxsize=1024)
def former_keys_part(number: int) -> str:
    """The name of a node's word on the keys that it used before."""
    return f"former-keys/{number:06d}.jwt"


_NUMBERED: Final = re.compile(
    r"exchanges/([0-9]{6})/(request|answer)\.envelope"
    r"|checkpoints/([0-9]{6})\.note|statements/([0-9]{6})\.jwt|former-keys/([0-9]{6})\.jwt"
)
_SINGLE: Final = {MANIFEST: (0, 0, 0), INDEX: (1, 0, 0), STATUS: (6, 0, 0), ROLL_OVERS: (7, 0, 0)}
_ROOMS: Final = {3: 3, 4: 4, 5: 5}
Place = tuple[int, int, int]


@lru_cache(maxsize=4096)
def _place(name: str) -> Place | None:
    """Where a part stands among the others; None for a name that is none of this format."""
    single = _SINGLE.get(name)
    if single is not None:
        return single
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    group = match.lastindex or 0
    if group == 2:  # an exchange: its number and which of the two
        place = (2, int(match[1]), 1 if match[2] == "answer" else 0)
    else:
        place = (_ROOMS[group], int(match[group]), 0)
    return place if place[1] else None


def is_part(name: str) -> bool:
    """Whether a part may have this name."""
    return _place(name) is not None


_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_VERSION: Final = 20
_DOS_DATE: Final = (1 << 5) | 1  # 1980-01-01, the first day that ZIP knows; the time is midnight
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
_ENTRY: Final = b"PK\x03\x04"
_OFFSET_AT: Final = _CENTRAL.size - 4
"""Where an entry of the directory says where its part begins: the last of the fixed fields."""


def _local(name: bytes, size: int, checksum: int) -> bytes:
    return _LOCAL.pack(_ENTRY, _VERSION, 0, 0, 0, _DOS_DATE, checksum, size, size, len(name), 0) + name


def _central(name: bytes, size: int, checksum: int, offset: int) -> bytes:
    return (
        _CENTRAL.pack(
            b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, 0, 0, _DOS_DATE, checksum, size, size, len(name),
            0, 0, 0, 0, _MODE, offset,
        )
        + name
    )  # fmt: skip


def _end(parts: int, directory_bytes: int, offset: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, parts, parts, directory_bytes, offset, 0)


def write_container(parts: Mapping[str, bytes]) -> bytes:
    """The one container of these parts, in the fixed order whatever order they come in.

    Raises EvidenceBroken for an unknown name, and when it would be too large or have too many parts.
    """
    places: dict[str, Place] = {}
    for name in parts:
        place = _place(name)
        if place is None:
            raise EvidenceBroken(CONTAINER, f"{name!r} is not a part of this format")
        places[name] = place
    if len(parts) > MAX_PARTS:
        raise EvidenceBroken(CONTAINER, f"it would have more than {MAX_PARTS} parts")
    body, directory = bytearray(), bytearray()
    for name in sorted(parts, key=places.__getitem__):
        content, raw, offset = parts[name], name.encode("ascii"), len(body)
        checksum = crc32(content)
        body += _local(raw, len(content), checksum) + content
        directory += _central(raw, len(content), checksum, offset)
        if len(body) + len(directory) > MAX_FILE_BYTES:
            raise _too_large()
    end = _end(len(parts), len(directory), len(body))
    if len(body) + len(directory) + len(end) > MAX_FILE_BYTES:
        raise _too_large()
    return bytes(body + directory + end)


def _too_large() -> EvidenceBroken:
    return EvidenceBroken(CONTAINER, f"it would be larger than {MAX_FILE_BYTES} bytes")


def read_container(data: bytes) -> dict[str, bytes]:
    """The parts of a container. Raises EvidenceBroken: too large, cut off, altered, spelled in any other
    way.
    """
    return ContainerReader().read(data).parts


TAILS_REMEMBERED: Final = 8
MOST_TAIL_BYTES: Final = 1024 * 1024
"""A longer tail is not remembered."""
_HEADS: Final = (b"exchanges/", MANIFEST.encode("ascii"), INDEX.encode("ascii"))
"""What the names of parts before the tail begin with, and those of no others."""
_Entry = tuple[bytes, int, int, int]
"""Of a part: name, size, checksum, and where it begins."""


class Directory:
    """The directory of a tail, for wherever the tail begins: one addition for all its entries.

    It is taken as one number, little endian as its fields are; adding to the offset of each entry where the tail begins
    carries nothing into another field, since offsets stay below `MAX_FILE_BYTES`.
    """

    def __init__(self, entries: Sequence[_Entry]) -> None:
        """`entries` count from the beginning of the tail."""
        lines = [_central(*entry) for entry in entries]
        ones = [bytes(_OFFSET_AT) + b"\x01" + bytes(len(line) - _OFFSET_AT - 1) for line in lines]
        self.entries = len(lines)
        self._bytes = sum(map(len, lines))
        self._lines = int.from_bytes(b"".join(lines), "little")
        self._ones = int.from_bytes(b"".join(ones), "little")

    def at(self, begins: int) -> bytes:
        """The directory when the tail begins there."""
        return (self._lines + begins * self._ones).to_bytes(self._bytes, "little")


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """What comes after the exchanges: checkpoints, statements, lists, status, roll-overs.

    The many files of one export have the same. `noted` is for what readers find out about these very bytes, by the
    name of the part; it is forgotten with them. `is_remembered`: whether another file with it gives this very object.
    """

    raw: bytes
    parts: Mapping[str, bytes]
    directory: Directory
    is_remembered: bool = False
    noted: dict[str, Any] = field(default_factory=dict)


class Container(Struct, frozen=True):
    """What `ContainerReader` reads. `parts` are all of them, those of the tail as well."""

    parts: dict[str, bytes]
    tail: Tail


class ContainerReader:
    """Reads containers. A tail that was read before is known by its very bytes and not taken apart again.

    Remembers `TAILS_REMEMBERED` tails of at most `MOST_TAIL_BYTES`. Not for several threads.
    """

    def __init__(self) -> None:
        self._tails: list[Tail] = []

    def read(self, data: bytes) -> Container:
        """See `read_container`."""
        if len(data) > MAX_FILE_BYTES:
            raise EvidenceBroken(
                CONTAINER, f"the file is larger than {MAX_FILE_BYTES} bytes; it was not read"
            )
        reading = _Reading(data)
        reading.read_while(lambda at: data.startswith(_HEADS, at + _LOCAL.size))
        at = reading.position
        listed = reading.listed()
        tail = self._known(data, at)
        if tail is None:
            head = len(reading.entries)
            reading.read_while(lambda _: True)
            tail = self._remember(reading, reading.entries[head:], at)
        else:
            reading.take(tail)
        listed += tail.directory.at(at)
        end = reading.position
        _compare(data, end, listed + _end(reading.count, len(listed), end))
        return Container(reading.parts, tail)

    def _known(self, data: bytes, at: int) -> Tail | None:
        for place, tail in enumerate(self._tails):
            if data.startswith(tail.raw, at) and not data.startswith(_ENTRY, at + len(tail.raw)):
                if place:
                    self._tails.insert(0, self._tails.pop(place))
                return tail
        return None

    def _remember(self, reading: _Reading, entries: Sequence[_Entry], at: int) -> Tail:
        directory = Directory([(name, size, checksum, place - at) for name, size, checksum, place in entries])
        if not entries or reading.position - at > MOST_TAIL_BYTES:
            return Tail(b"", reading.parts, directory)
        names = [name.decode("ascii") for name, _, _, _ in entries]
        parts = {name: reading.parts[name] for name in names}
        tail = Tail(reading.data[at : reading.position], parts, directory, is_remembered=True)
        self._tails.insert(0, tail)
        del self._tails[TAILS_REMEMBERED:]
        return tail


class _Reading:
    """A container that is read from its beginning on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts: dict[str, bytes] = {}
        self.entries: list[_Entry] = []
        self.count = 0
        self.position = 0
        self._before: Place = (-1, 0, 0)

    def read_while(self, wanted: Callable[[int], bool]) -> None:
        """Take entries as long as there is one at `position`, and it is wanted."""
        while self.data.startswith(_ENTRY, self.position) and wanted(self.position):
            self._count(1)
            name, content, place, entry = _read_entry(self.data, self.position, self._before)
            self.parts[name] = content
            self.entries.append(entry)
            self.position += _LOCAL.size + len(entry[0]) + len(content)
            self._before = place

    def take(self, tail: Tail) -> None:
        """Take a tail that is known to be at `position`."""
        self._count(tail.directory.entries)
        self.parts.update(tail.parts)
        self.position += len(tail.raw)

    def listed(self) -> bytes:
        """What the directory says of the entries up to here."""
        return b"".join([_central(*entry) for entry in self.entries])

    def _count(self, more: int) -> None:
        self.count += more
        if self.count > MAX_PARTS:
            raise EvidenceBroken(CONTAINER, f"it has more than {MAX_PARTS} parts")


def _read_entry(data: bytes, position: int, before: Place) -> tuple[str, bytes, Place, _Entry]:
    """One entry: name, content, place, and what the directory says of it."""
    if position + _LOCAL.size > len(data):
        raise EvidenceBroken(CONTAINER, f"the file is cut off after {len(data)} bytes")
    fields = _LOCAL.unpack_from(data, position)
    checksum, size, name_size = fields[6], fields[7], fields[9]
    start = position + _LOCAL.size + name_size
    raw = data[position + _LOCAL.size : start]
    name = raw.decode("latin-1")
    place = _place(name)
    if place is None or place <= before:
        raise EvidenceBroken(CONTAINER, f"at byte {position} there is no part that belongs there")
    content = data[start : start + size]
    if len(content) != size:
        raise EvidenceBroken(name, f"it should have {size} bytes; the file ends after {len(content)} of them")
    if crc32(content) != checksum:
        raise EvidenceBroken(name, "its content is not what its checksum says: it was altered")
    if fields != (_ENTRY, _VERSION, 0, 0, 0, _DOS_DATE, checksum, size, size, name_size, 0):
        _compare(data[:start], position, _local(raw, size, checksum), part=name)
    return name, content, place, (raw, size, checksum, position)


def _compare(data: bytes, position: int, expected: bytes, *, part: str = CONTAINER) -> None:
    """Return when the data go on with just this and end. Raises EvidenceBroken, naming the byte."""
    found = data[position:]
    if found == expected:
        return
    shortest = min(len(found), len(expected))
    at = next((place for place in range(shortest) if found[place] != expected[place]), shortest)
    raise EvidenceBroken(
        part, f"byte {position + at} of the file is not what this format has there: it was altered"
    )
