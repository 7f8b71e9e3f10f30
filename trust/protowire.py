"""Just enough of protobuf's wire format to read and write an envelope strictly, in one spelling.

Protobuf lets a message be spelled in many ways: fields in any order, twice, empty, with long varints, unknown
ones in between. A signed message is better off with one, so `Fields` takes only that. Encoding:
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence

from trust.errors import EnvelopeMalformed, TwoSignatures
from trust.merkle import HASH_BYTES, MAX_PATH

__all__ = ["Fields", "bytes_field", "hash_fields", "number_field"]

_MOST_VARINT_BYTES = 10


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def bytes_field(field: int, value: bytes) -> bytes:
    """A length-delimited field (number below 16); nothing at all when it is empty."""
    length = len(value)
    if not length:
        return b""
    if length < 0x80:
        return bytes((field << 3 | 2, length)) + value
    return b"%c%b%b" % (field << 3 | 2, _varint(length), value)


def number_field(field: int, value: int) -> bytes:
    """A varint field (number below 16); nothing at all when it is zero."""
    return b"%c%b" % (field << 3, _varint(value)) if value else b""


def hash_fields(field: int, hashes: Sequence[bytes]) -> bytes:
    """A repeated field (number below 16) of 32-byte hashes."""
    head = bytes((field << 3 | 2, HASH_BYTES))
    return head + head.join(hashes) if hashes else b""


class Fields:
    """Reads the fields of one message in the order of their numbers; the caller ends with `end`.

    Every method raises EnvelopeMalformed when the next field is the asked one and is not spelled as it must
    be. A field that is not asked for is found by `end`.
    """

    __slots__ = ("_at", "_data", "_length", "_name")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._at = 0
        self._length = len(data)
        self._name = name

    def _next_is(self, tag: int) -> bool:
        return self._at < self._length and self._data[self._at] == tag

    def _read_varint(self) -> int:
        data, at = self._data, self._at
        if at < self._length and data[at] < 0x80:
            self._at = at + 1
            return data[at]
        number = shift = 0
        for byte in data[at : at + _MOST_VARINT_BYTES]:
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if byte == 0 or number >> 64:
                    break
                self._at = at
                return number
        raise EnvelopeMalformed(f"the {self._name} has a number that is cut off or not in its shortest form")

    def optional_bytes(self, field: int) -> bytes:
        """A bytes field, or nothing when it is absent."""
        at, size = self._at, self._length
        if at >= size or self._data[at] != field << 3 | 2:
            return b""
        self._at = at + 1
        length = self._read_varint()
        start = self._at
        end = start + length
        if not length or end > size:
            raise EnvelopeMalformed(
                f"field {field} of the {self._name} is empty or longer than the {self._name}"
            )
        self._at = end
        return self._data[start:end]

    def required_bytes(self, field: int, name: str) -> bytes:
        """A bytes field that must be there."""
        value = self.optional_bytes(field)
        if not value:
            raise EnvelopeMalformed(f"the {self._name} has no {name} where it should be")
        return value

    def text(self, field: int, name: str, max_bytes: int) -> str:
        """A string field that must be there, in ASCII."""
        value = self.required_bytes(field, name)
        if len(value) > max_bytes or not value.isascii():
            raise EnvelopeMalformed(f"the {name} is not ASCII of at most {max_bytes} bytes")
        return value.decode("ascii")

    def number(self, field: int) -> int:
        """A varint field; absent is zero, and zero is absent."""
        if not self._next_is(field << 3):
            return 0
        self._at += 1
        value = self._read_varint()
        if value == 0:
            raise EnvelopeMalformed(f"field {field} of the {self._name} is spelled out although it is zero")
        return value

    def repeated_hashes(self, field: int) -> tuple[bytes, ...]:
        """All 32-byte hashes of a repeated field, at most MAX_PATH."""
        found: list[bytes] = []
        while value := self.optional_bytes(field):
            if len(value) != HASH_BYTES or len(found) == MAX_PATH:
                raise EnvelopeMalformed(
                    f"field {field} of the {self._name} is not a path of at most {MAX_PATH} hashes"
                )
            found.append(value)
        return tuple(found)

    def end(self, *, only_one: int = 0) -> None:
        """Nothing may be left. Raises TwoSignatures when what is left is another field `only_one`."""
        if self._at == self._length:
            return
        if only_one and self._next_is(only_one << 3 | 2):
            raise TwoSignatures("the envelope carries more than one signature")
        raise EnvelopeMalformed(
            f"the {self._name} has a field that is unknown, repeated, out of order or cut off"
        )
