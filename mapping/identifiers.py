"""Identifiers that carry their own proof: what each contains, whether it is well formed, and how to make one.

| identifier | standard | check character |
|---|---|---|
| citizen number, residence permits, foreign permanent resident card of 2023 | GB 11643 | ISO 7064 MOD 11-2 |
| unified social credit code | GB 32100 | MOD 31, weights 3^i mod 31 |
| organisation code | GB 11714 | MOD 11, weights 3 7 9 10 5 8 4 2 |
| certificate type, certificate id | GB/T 36904 | ISO 7064 MOD 37,36 |
| service item code | GB/T 39554.1 | that of the credit code in it |

Check characters are strict. Division codes inside an identifier are taken as they are: people were born in,
and authorities registered in, divisions that are gone (`codelists.Divisions` says which). Letters are upper
case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from operator import mul

from mapping.errors import InvalidIdentifier

__all__ = [
    "CERTIFICATE_ID_ROOT",
    "CertificateId",
    "CertificateType",
    "CitizenNumber",
    "IdentityKind",
    "ServiceItemCode",
    "UnifiedCreditCode",
    "check_certificate_id",
    "check_certificate_type",
    "check_citizen_number",
    "check_holder_id",
    "check_organisation_code",
    "check_service_item_code",
    "check_uscc",
    "make_certificate_id",
    "make_citizen_number",
    "make_organisation_code",
    "make_service_item_code",
    "make_uscc",
    "parse_certificate_id",
    "parse_certificate_type",
    "parse_citizen_number",
    "parse_service_item_code",
    "parse_uscc",
]

_DIGITS_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE_36 = {character: value for value, character in enumerate(_DIGITS_36)}

# --- citizen number, GB 11643 ---------------------------------------------------------------------

_CITIZEN = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # 2^(17-i) mod 11
_CITIZEN_OFFSET = 48 * sum(_CITIZEN_WEIGHTS)
_CITIZEN_CHECKS = "10X98765432"  # indexed by the weighted sum mod 11


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


@dataclass(frozen=True, slots=True)
class CitizenNumber:
    """What an 18-character number says. FOREIGN has a `nationality` (ISO 3166 numeric) and no `division`."""

    number: str
    kind: IdentityKind
    division: str
    nationality: str
    born_on: date
    sequence: int

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
    )


def check_citizen_number(number: str) -> None:
    """Return when form, date and check character are right. Raises as `parse_citizen_number`."""
    _checked_birthday(number)


def _checked_birthday(number: str) -> date:
    if not _CITIZEN.fullmatch(number):
        raise InvalidIdentifier("form", "a citizen number is 17 digits and a digit or X")
    try:
        born_on = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise InvalidIdentifier("date", "characters 7 to 14 of the citizen number are not a day") from None
    if _citizen_check(number) != number[17]:
        raise InvalidIdentifier("check", "the check character of the citizen number is wrong")
    return born_on


def make_citizen_number(division: str, born_on: date, sequence: int) -> str:
    """The number with its check character. Raises InvalidIdentifier when the parts do not fit."""
    number = f"{division}{born_on:%Y%m%d}{sequence:03d}"
    if not _CITIZEN.fullmatch(number + "0"):
        raise InvalidIdentifier("form", "a division has six digits, a sequence at most three")
    return number + _citizen_check(number)


def _citizen_check(number: str) -> str:
    # Bytes are the digits plus 48; what that adds to the weighted sum is taken off again.
    return _CITIZEN_CHECKS[(sum(map(mul, number.encode(), _CITIZEN_WEIGHTS)) - _CITIZEN_OFFSET) % 11]


# --- organisation code, GB 11714 ------------------------------------------------------------------

_ORGANISATION = re.compile(r"[0-9A-Z]{8}[0-9X]", re.ASCII)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def check_organisation_code(code: str) -> None:
    """Return when the 9 characters (no hyphen) are right. Raises InvalidIdentifier: `form` or `check`."""
    if not _ORGANISATION.fullmatch(code):
        raise InvalidIdentifier(
            "form", "an organisation code is eight digits or capitals and a check character"
        )
    if _organisation_check(code) != code[8]:
        raise InvalidIdentifier("check", "the check character of the organisation code is wrong")


def make_organisation_code(body: str) -> str:
    """The 9-character code of an 8-character body. Raises InvalidIdentifier when the body does not fit."""
    if not _ORGANISATION.fullmatch(body + "0"):
        raise InvalidIdentifier("form", "the body of an organisation code is eight digits or capitals")
    return body + _organisation_check(body)


def _organisation_check(code: str) -> str:
    total = sum(map(mul, map(_VALUE_36.__getitem__, code), _ORGANISATION_WEIGHTS))
    return "0123456789X0"[11 - total % 11]


# --- unified social credit code, GB 32100 ---------------------------------------------------------

_ALPHABET_31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE_31 = {character: value for value, character in enumerate(_ALPHABET_31)}
_WEIGHTS_31 = tuple(pow(3, i, 31) for i in range(17))
_USCC = re.compile(rf"[{_ALPHABET_31}]{{2}}[0-9]{{6}}[{_ALPHABET_31}]{{10}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UnifiedCreditCode:
    """What the code says: registering department, category, division of registration, organisation code."""

    code: str
    department: str
    category: str
    division: str
    organisation: str


def parse_uscc(code: str) -> UnifiedCreditCode:
    """What the code contains. Raises InvalidIdentifier: `form`, `check`, `organisation` (GB 11714 inside)."""
    check_uscc(code)
    return UnifiedCreditCode(code, code[0], code[1], code[2:8], code[8:17])


@lru_cache(maxsize=8192)
def check_uscc(code: str) -> None:
    """Return when the code is right; the same authorities come again and again. Raises as `parse_uscc`."""
    if not _USCC.fullmatch(code):
        raise InvalidIdentifier(
            "form", "a unified social credit code is 18 characters of the GB 32100 alphabet"
        )
    if _uscc_check(code) != code[17]:
        raise InvalidIdentifier("check", "the check character of the unified social credit code is wrong")
    if _organisation_check(code[8:16]) != code[16]:
        raise InvalidIdentifier(
            "organisation", "the organisation code in the unified social credit code is wrong"
        )


def make_uscc(department: str, category: str, division: str, body: str) -> str:
    """The code with both check characters. Raises InvalidIdentifier when the parts do not fit."""
    code = f"{department}{category}{division}{make_organisation_code(body)}"
    if not _USCC.fullmatch(code + "0"):
        raise InvalidIdentifier(
            "form", "the parts of a unified social credit code have 1, 1, 6 and 8 characters"
        )
    return code + _uscc_check(code)


def _uscc_check(code: str) -> str:
    return _ALPHABET_31[-sum(map(mul, map(_VALUE_31.__getitem__, code), _WEIGHTS_31)) % 31]


# --- certificate type and certificate id, GB/T 36904 ----------------------------------------------

CERTIFICATE_ID_ROOT = "1.2.156.3005.2."
"""The object identifier under which all certificate ids stand."""

_STEP_37 = tuple((total % 36 or 36) * 2 % 37 for total in range(37 + 36))
_CERTIFICATE_ID = re.compile(
    r"1\.2\.156\.3005\.2\."
    r"(?P<type>[0-9A-Z]{21})\.(?P<issuer>[0-9A-Z]{18}|[0-9]{6})\.(?P<serial>[0-9A-Z]{1,64})\.(?P<version>[0-9]{3})\."
    r"(?P<check>[0-9A-Z])",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class CertificateType:
    """A certificate type: the credit code of the authority that defined it, and that authority's serial."""

    code: str
    authority: str
    serial: str


@dataclass(frozen=True, slots=True)
class CertificateId:
    """The parts of a certificate id. `advice` names what is unusual but occurs in real certificates."""

    value: str
    certificate_type: str
    authority: str
    serial: str
    version: str
    advice: tuple[str, ...] = ()


def parse_certificate_type(code: str) -> CertificateType:
    """The parts of a type code. Raises InvalidIdentifier: `form`, or the rule that the credit code breaks."""
    if len(code) != 21 or not (code[18:].isascii() and code[18:].isdigit()):
        raise InvalidIdentifier("form", "a certificate type is a unified social credit code and three digits")
    parse_uscc(code[:18])
    return CertificateType(code, code[:18], code[18:])


def check_certificate_type(code: str) -> None:
    """Return when the type code is right. Raises as `parse_certificate_type`."""
    parse_certificate_type(code)


def parse_certificate_id(value: str) -> CertificateId:
    """The parts of a certificate id. Raises InvalidIdentifier: `form` or `check`.

    A six-digit division where the issuing authority's credit code belongs, and credit codes that do not
    check, occur in real certificates: they are in `advice`.
    """
    found = _CERTIFICATE_ID.fullmatch(value)
    if found is None:
        raise InvalidIdentifier(
            "form", f"a certificate id is {CERTIFICATE_ID_ROOT}TYPE.AUTHORITY.SERIAL.VERSION.CHECK"
        )
    kind, authority, serial, version, check = found.groups()
    if _check_37_36(kind + authority + serial + version) != check:
        raise InvalidIdentifier("check", "the check character of the certificate id is wrong")
    return CertificateId(value, kind, authority, serial, version, _id_advice(kind, authority))


def check_certificate_id(value: str) -> None:
    """Return when form and check character are right. Raises as `parse_certificate_id`."""
    parse_certificate_id(value)


def make_certificate_id(certificate_type: str, authority: str, serial: str, version: str = "001") -> str:
    """The certificate id with its check character. Raises InvalidIdentifier when the parts do not fit."""
    value = f"{CERTIFICATE_ID_ROOT}{certificate_type}.{authority}.{serial}.{version}."
    if not _CERTIFICATE_ID.fullmatch(value + "0"):
        raise InvalidIdentifier("form", "the parts of a certificate id have 21, 18, 1 to 64 and 3 characters")
    return value + _check_37_36(certificate_type + authority + serial + version)


@lru_cache(maxsize=4096)
def _id_advice(kind: str, authority: str) -> tuple[str, ...]:
    advice = []
    if _refusal(parse_certificate_type, kind):
        advice.append("type: the credit code of the defining authority does not check")
    if len(authority) == 6:
        advice.append("authority: a division code in place of a unified social credit code")
    elif _refusal(parse_uscc, authority):
        advice.append("authority: the credit code of the issuing authority does not check")
    return tuple(advice)


def _refusal(parse: Callable[[str], object], value: str) -> str:
    try:
        parse(value)
    except InvalidIdentifier as refused:
        return refused.rule
    return ""


def _check_37_36(body: str) -> str:
    """ISO/IEC 7064 hybrid system MOD 37,36."""
    product = 36
    for value in map(_VALUE_36.__getitem__, body):
        product = _STEP_37[product + value]
    return _DIGITS_36[(37 - product) % 36]


# --- service item code, GB/T 39554.1 --------------------------------------------------------------

_SERVICE_ITEM = re.compile(r"[0-9A-Z]{18}[0-9][0-9]{12}(?:[0-9]{2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServiceItemCode:
    """The parts of an item code: authority, level (1 state … 6 village), base code, handling item if any."""

    code: str
    authority: str
    level: str
    area: str
    item_type: str
    main: str
    sub: str
    handling: str


def parse_service_item_code(code: str) -> ServiceItemCode:
    """The parts of a code of 31 or 33. Raises InvalidIdentifier: `form`, or the rule of the credit code."""
    if not _SERVICE_ITEM.fullmatch(code):
        raise InvalidIdentifier(
            "form", "a service item code is a unified social credit code and 13 or 15 digits"
        )
    parse_uscc(code[:18])
    return ServiceItemCode(
        code, code[:18], code[18], code[19:21], code[21:23], code[23:28], code[28:31], code[31:]
    )


def check_service_item_code(code: str) -> None:
    """Return when the item code is right. Raises as `parse_service_item_code`."""
    parse_service_item_code(code)


def make_service_item_code(authority: str, level: str, base: str, handling: str = "") -> str:
    """The item code of its parts (18, 1, 12 and 0 or 2 characters). Raises as `parse_service_item_code`."""
    return parse_service_item_code(f"{authority}{level}{base}{handling}").code


# --- by GB/T 36903 holder code type ---------------------------------------------------------------

_HOLDER_CHECKS: dict[str, Callable[[str], object]] = {"001": check_uscc, "111": check_citizen_number}


def check_holder_id(holder_id_type: str, holder_id: str) -> None:
    """Return when a number fits its shared holder id type. Raises InvalidIdentifier.

    A type without a published rule takes any number that is not empty.
    """
    check = _HOLDER_CHECKS.get(holder_id_type)
    if check is not None:
        check(holder_id)
    elif not holder_id.strip():
        raise InvalidIdentifier("form", "a holder's number is not empty")
