"""Between an index and the numbers that a holder is known by. No table: each way is a computation.

A citizen number is (division, birth day, sequence): its ordinal among all possible ones is the image of the
index under a keyed permutation. A credit code's organisation part is the image likewise, in GB 32100's
alphabet. The serial of a certificate id carries home province and index in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mapping.errors import InvalidIdentifier
from mapping.identifiers import make_citizen_number, make_uscc, parse_citizen_number, parse_uscc
from simulators.divisions import PROVINCES, BirthPlaces, birth_places, counties
from simulators.permutation import Draws, Permutation

__all__ = ["Numbers", "SubjectKind"]

_SEQUENCES = 999  # 001 … 999
_ALPHABET_31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANISATION_BODIES = 31**6
_SERIAL_BOUND = 10**10


class SubjectKind:
    """Which index a serial carries: that of a person or that of an organisation."""

    PERSON = "1"
    ORGANISATION = "2"


@dataclass(frozen=True)
class Numbers:
    """The numbers of one province's people and organisations for one seed."""

    seed: int
    province: str

    @cached_property
    def _places(self) -> BirthPlaces:
        return birth_places(self.province)

    @cached_property
    def _people(self) -> Permutation:
        return Permutation(self._places.count * _SEQUENCES, (self.seed, self.province, "people"))

    @cached_property
    def _organisations(self) -> Permutation:
        return Permutation(_ORGANISATION_BODIES, (self.seed, self.province, "organisations"))

    @cached_property
    def _serials(self) -> Permutation:
        return Permutation(_SERIAL_BOUND, (self.seed, self.province, "serials"))

    def citizen_number(self, index: int) -> str:
        """The citizen number of resident `index`."""
        place, sequence = divmod(self._people.image(index), _SEQUENCES)
        born_on, division = self._places.place(place)
        return make_citizen_number(division, born_on, sequence + 1)

    def resident_index(self, citizen_number: str) -> int | None:
        """The index of a citizen number of this province; None when no index has that number."""
        try:
            parsed = parse_citizen_number(citizen_number)
        except InvalidIdentifier:
            return None
        place = self._places.number(parsed.born_on, parsed.division)
        if place is None or parsed.sequence == 0:
            return None
        return self._people.index(place * _SEQUENCES + parsed.sequence - 1)

    def credit_code(self, index: int) -> str:
        """The unified social credit code of organisation `index`: an enterprise (9, 1), registered in a
        county.
        """
        division = Draws(self.seed, self.province, "registered", index).pick(
            "division", counties(self.province)
        )
        return make_uscc("9", "1", division, "MA" + _to_31(self._organisations.image(index)))

    def organisation_index(self, credit_code: str) -> int | None:
        """The index of a credit code of this province; None when no index has that code."""
        try:
            body = parse_uscc(credit_code).organisation
        except InvalidIdentifier:
            return None
        if not body.startswith("MA"):
            return None
        index = self._organisations.index(_from_31(body[2:8]))
        return index if self.credit_code(index) == credit_code else None

    def serial(self, kind: str, index: int) -> str:
        """The serial of `index` in certificate ids: kind, home province, permuted index; 13 digits."""
        return f"{kind}{self.province[:2]}{self._serials.image(index):010d}"

    def serial_index(self, serial: str) -> int:
        """The index in a serial that begins with this province."""
        return self._serials.index(int(serial[3:]))


def home_of_serial(serial: str) -> str | None:
    """The home province in a serial, or None when it is not one of ours."""
    if len(serial) != 13 or not (serial.isascii() and serial.isdigit()):
        return None
    province = serial[1:3] + "0000"
    return province if province in PROVINCES else None


def _to_31(value: int) -> str:
    characters = []
    for _ in range(6):
        value, digit = divmod(value, 31)
        characters.append(_ALPHABET_31[digit])
    return "".join(reversed(characters))


def _from_31(text: str) -> int:
    value = 0
    for character in text:
        value = value * 31 + _ALPHABET_31.index(character)
    return value
