"""The container of an evidence file: a ZIP (PKWARE APPNOTE 6.3, §4.3.7, §4.3.12, §4.3.16) with exactly one
spelling.

Stored entries in a fixed order, fixed date and flags, no comments, no extra fields. A reader writes the
container anew from what it read and compares every byte, so nothing can be changed, hidden or added without
being noticed. Any ZIP tool can open it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

from trust.errors import EvidenceBroken

__all__ = [
    "ANSWER",
    "CHAIN_LENGTHS",
    "CONTAINER",
    "MANIFEST",
    "MAX_FILE_BYTES",
    "PLACES",
    "RECORDS",
    "REQUEST",
    "ROLES",
    "ROLL_OVERS",
    "STATUS",
    "chain_part",
    "read_container",
    "write_container",
]

CONTAINER: Final = "container"
"""What an error names when the file's frame is wrong, rather than one part in it."""
MANIFEST: Final = "manifest.envelope"
REQUEST: Final = "request.envelope"
ANSWER: Final = "answer.envelope"
RECORDS: Final = "records.json"
STATUS: Final = "status.jwt"
ROLL_OVERS: Final = "roll-overs.json"
ROLES: Final = ("asking", "answering", "exporting")

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
CHAIN_LENGTHS: Final = range(5)


def chain_part(role: str, position: int) -> str:
    """The name of one statement of a chain."""
    return f"{role}/{position}.jwt"


_NAMES: Final = (
    MANIFEST,
    REQUEST,
    ANSWER,
    RECORDS,
    *(chain_part(role, position) for role in ROLES for position in CHAIN_LENGTHS),
    STATUS,
    ROLL_OVERS,
)
PLACES: Final = {name: place for place, name in enumerate(_NAMES)}

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_VERSION: Final = 20
_DOS_DATE: Final = (1 << 5) | 1  # 1980-01-01, the first day that ZIP knows; the time is midnight
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16


def write_container(parts: Mapping[str, bytes]) -> bytes:
    """The one container of these parts, in the fixed order whatever order they come in.

    Raises EvidenceBroken for an unknown name and when it would be too large.
    """
    for name in parts:
        if name not in PLACES:
            raise EvidenceBroken(CONTAINER, f"{name!r} is not a part of this format")
    body, directory = bytearray(), bytearray()
    for name in sorted(parts, key=PLACES.__getitem__):
        content, raw, offset = parts[name], name.encode("ascii"), len(body)
        common = (_VERSION, 0, 0, 0, _DOS_DATE, crc32(content), len(content), len(content), len(raw), 0)
        body += _LOCAL.pack(b"PK\x03\x04", *common) + raw + content
        directory += _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, *common, 0, 0, 0, _MODE, offset) + raw
    end = _END.pack(b"PK\x05\x06", 0, 0, len(parts), len(parts), len(directory), len(body), 0)
    if len(body) + len(directory) + len(end) > MAX_FILE_BYTES:
        raise EvidenceBroken(CONTAINER, f"it would be larger than {MAX_FILE_BYTES} bytes")
    return bytes(body + directory + end)


def read_container(data: bytes) -> dict[str, bytes]:
    """The parts of a container. Raises EvidenceBroken: too large, cut off, altered, spelled in any other
    way.
    """
    if len(data) > MAX_FILE_BYTES:
        raise EvidenceBroken(CONTAINER, f"the file is larger than {MAX_FILE_BYTES} bytes; it was not read")
    parts: dict[str, bytes] = {}
    ends: list[tuple[int, str]] = []
    position = 0
    while data[position : position + 4] == b"PK\x03\x04":
        name, content, position = _read_entry(data, position, after=ends[-1][1] if ends else "")
        parts[name] = content
        ends.append((position, name))
    _compare(data, write_container(parts), ends)
    return parts


def _read_entry(data: bytes, position: int, *, after: str) -> tuple[str, bytes, int]:
    if position + _LOCAL.size > len(data):
        raise EvidenceBroken(CONTAINER, f"the file is cut off after {len(data)} bytes")
    fields = _LOCAL.unpack_from(data, position)
    checksum, size, name_size = fields[6], fields[7], fields[9]
    start = position + _LOCAL.size + name_size
    name = data[position + _LOCAL.size : start].decode("latin-1")
    if name not in PLACES or (after and PLACES[name] <= PLACES[after]):
        raise EvidenceBroken(CONTAINER, f"at byte {position} there is no part that belongs there")
    content = data[start : start + size]
    if len(content) != size:
        raise EvidenceBroken(name, f"it should have {size} bytes; the file ends after {len(content)} of them")
    if crc32(content) != checksum:
        raise EvidenceBroken(name, "its content is not what its checksum says: it was altered")
    return name, content, start + size


def _compare(data: bytes, rebuilt: bytes, ends: Sequence[tuple[int, str]]) -> None:
    if data == rebuilt:
        return
    shortest = min(len(data), len(rebuilt))
    at = next((place for place in range(shortest) if data[place] != rebuilt[place]), shortest)
    part = next((name for end, name in ends if at < end), CONTAINER)
    raise EvidenceBroken(part, f"byte {at} of the file is not what this format has there: it was altered")
