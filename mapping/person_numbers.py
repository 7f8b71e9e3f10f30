"""Numbers of people: what each says, and whether it is right.

| number | form | check character |
|---|---|---|
| citizen number since 1999 (GB 11643-1999) | 18 | ISO 7064 MOD 11-2 |
| residence permit of residents of Hong Kong, Macau, Taiwan | 18, begins with 81, 82, 83 | the same |
| foreign permanent resident identity card of 2023 | 18, begins with 9 | the same |
| citizen number before (GB 11643-1989) | 15 digits | none |
| foreign permanent resident card until 2023 | 3 letters, 12 digits | weights 7 3 1, modulus 10 |

The division in a citizen number is advisory: people were born in divisions that are gone, and whoever was born
before there were numbers has the division of the day on which the number was given. `division_of` reads it.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from operator import mul

from msgspec import Struct

from mapping.divisions import Division, Divisions
from mapping.errors import InvalidIdentifier
from mapping.forms import CAPITALS, DIGITS, DIGITS_36, Form, require_check

__all__ = [
    "CitizenNumber",
    "ForeignCardNumber",
    "IdentityKind",
    "check_citizen_number",
    "division_of",
    "make_citizen_number",
    "make_foreign_card_number",
    "parse_citizen_number",
    "parse_foreign_card_number",
    "parse_old_citizen_number",
]


class IdentityKind(StrEnum):
    """Whose number it is; they share one form."""

    CITIZEN = "居民身份证"
    HONG_KONG = "香港居民居住证"
    MACAU = "澳门居民居住证"
    TAIWAN = "台湾居民居住证"
    FOREIGN = "外国人永久居留身份证"


_PERMITS = {
    "810000": IdentityKind.HONG_KONG,
    "820000": IdentityKind.MACAU,
    "830000": IdentityKind.TAIWAN,
}
_CITIZEN = Form(
    "a citizen number", "17 digits and a digit or X", (1, "123456789"), (16, DIGITS), (1, DIGITS + "X")
)
_OLD_CITIZEN = Form("an old citizen number", "15 digits", (1, "123456789"), (14, DIGITS))
_WEIGHTS_11 = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # 2^(17-i) mod 11
_OFFSET_11 = 48 * sum(_WEIGHTS_11)
_CHECKS_11 = "10X98765432"  # indexed by the weighted sum mod 11
_CENTENARIANS = range(996, 1000)


class CitizenNumber(Struct, frozen=True):
    """What an 18-character number says.

    FOREIGN has a `nationality` (ISO 3166 numeric) and the first two digits of the province that `accepted` the
    application, and no `division`.
    """

    number: str
    kind: IdentityKind
    division: str
    nationality: str
    born_on: date
    sequence: int
    accepted: str = ""

    @property
    def sex(self) -> str:
        """GB/T 2261.1: ``1`` male, ``2`` female; the parity of the sequence (GB 11643, 4.3)."""
        return "1" if self.sequence % 2 else "2"


def parse_citizen_number(number: str) -> CitizenNumber:
    """What the number contains. Raises InvalidIdentifier: `form`, `date` (no such day) or `check`."""
    born_on = _checked_birthday(number)
    kind = _PERMITS.get(number[:6], IdentityKind.FOREIGN if number[0] == "9" else IdentityKind.CITIZEN)
    foreign = kind is IdentityKind.FOREIGN
    return CitizenNumber(
        number=number,
        kind=kind,
        division="" if foreign else number[:6],
        nationality=number[3:6] if foreign else "",
        born_on=born_on,
        sequence=int(number[14:17]),
        accepted=number[1:3] if foreign else "",
    )


def check_citizen_number(number: str) -> None:
    """Return when form, date and check character are right. Raises as `parse_citizen_number`."""
    _checked_birthday(number)


def parse_old_citizen_number(number: str) -> CitizenNumber:
    """What a 15-digit number contains; `number` of the result is the one of 18 that replaced it.

    It has no check character, so nothing but form and date can be wrong with it. The year is 19yy, for the
    sequences 996 to 999, which were kept for people over a hundred, 18yy (GB 11643-1999, the note on older
    numbers). Raises InvalidIdentifier: `form` or `date`.
    """
    _OLD_CITIZEN.require(number)
    century = "18" if int(number[12:]) in _CENTENARIANS else "19"
    _day(century + number[6:12], 7, "the old citizen number")
    longer = number[:6] + century + number[6:]
    return parse_citizen_number(longer + _check_11(longer))


def make_citizen_number(division: str, born_on: date, sequence: int) -> str:
    """The number with its check character. Raises InvalidIdentifier when the parts do not fit."""
    number = f"{division}{born_on:%Y%m%d}{sequence:03d}"
    if not _CITIZEN.fits(number + "0"):
        raise InvalidIdentifier("form", "a division has six digits, a sequence at most three")
    return number + _check_11(number)


def _checked_birthday(number: str) -> date:
    _CITIZEN.require(number)
    born_on = _day(number[6:14], 7, "the citizen number")
    require_check("citizen number", 18, _check_11(number), number[17])
    return born_on


def _day(text: str, position: int, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidIdentifier(
            "date", f"the birth date of {name} is none", position=position, expected="a day"
        ) from None


def _check_11(number: str) -> str:
    # Bytes are the digits plus 48; what that adds to the weighted sum is taken off again.
    return _CHECKS_11[(sum(map(mul, number.encode(), _WEIGHTS_11)) - _OFFSET_11) % 11]


# --- the division in a number -------------------------------------------------------------------------

_NUMBERS_BEGIN = date(1984, 12, 31)
"""The end of the year in which identity cards began (居民身份证试行条例, April 1984)."""
_NUMBERS_AT_BIRTH = date(1999, 10, 1)
"""Since then every citizen is given one number for life (国发〔1999〕15号)."""


def division_of(number: CitizenNumber, divisions: Divisions) -> Division | None:
    """What the division in a number named when the number was given; None when there is none, or no such.

    Whoever was born before numbers began was given one on an unknown day until 1999: then every name of the
    code in these years is possible. It says nothing of whether the number is right.
    """
    if number.born_on > _NUMBERS_BEGIN:
        return divisions.at(number.division, number.born_on)
    names = tuple(
        name
        for name in divisions.history(number.division)
        if name.begins.earliest <= _NUMBERS_AT_BIRTH and name.ends.latest >= _NUMBERS_BEGIN
    )
    if not names:
        return None
    certain = len(names) == 1 and names[0].sure(_NUMBERS_BEGIN)
    return Division(number.division, number.born_on, names, certain)


# --- foreign permanent resident card, until 2023 ------------------------------------------------------

_FOREIGN = Form(
    "the number of a foreign permanent resident card",
    "three letters and twelve digits",
    (3, CAPITALS),
    (12, DIGITS),
)
_WEIGHTS_731 = (7, 3, 1, 7, 3, 1, 7, 3, 1, 7, 3, 1, 7, 3)
_VALUE_36 = {character: value for value, character in enumerate(DIGITS_36)}


class ForeignCardNumber(Struct, frozen=True):
    """What the 15 characters say: nationality (ISO 3166, three letters) and the place that accepted.

    The year of birth has two digits, so `born_on` has every day that is meant: of the 20th and the 21st
    century, unless it is none of one. `accepted` is the first four digits of a division.
    """

    number: str
    nationality: str
    accepted: str
    born_on: tuple[date, ...]
    sequence: int


def parse_foreign_card_number(number: str) -> ForeignCardNumber:
    """What the number contains. Raises InvalidIdentifier: `form`, `date` or `check`."""
    _FOREIGN.require(number)
    days = []
    for century in ("19", "20"):
        try:
            days.append(_day(century + number[7:13], 8, "the foreign permanent resident card"))
        except InvalidIdentifier as refused:
            wrong = refused
    if not days:
        raise wrong
    require_check("foreign permanent resident card", 15, _check_731(number), number[14])
    return ForeignCardNumber(number, number[:3], number[3:7], tuple(days), int(number[13]))


def make_foreign_card_number(nationality: str, accepted: str, born_on: date, sequence: int) -> str:
    """The number with its check character. Raises InvalidIdentifier when the parts do not fit."""
    number = f"{nationality}{accepted}{born_on:%y%m%d}{sequence}"
    _FOREIGN.require(number + "0")
    return number + _check_731(number)


def _check_731(number: str) -> str:
    """As in the machine-readable zone of a passport (ICAO 9303-3, 4.9)."""
    return str(sum(map(mul, map(_VALUE_36.__getitem__, number), _WEIGHTS_731)) % 10)
