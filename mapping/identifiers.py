"""Identifiers that carry their own proof: what each contains, whether it is well formed, and how to make one.

| identifier | standard | check character |
|---|---|---|
| numbers of people | see `person_numbers` | |
| unified social credit code | GB 32100 | MOD 31, weights 3^i mod 31 |
| organisation code | GB 11714 | MOD 11, weights 3 7 9 10 5 8 4 2 |
| certificate type, certificate id | GB/T 36904 | ISO 7064 MOD 37,36 |
| service item code | GB/T 39554.1 | that of the credit code in it |

Check characters are strict; what refuses an identifier says at which character, what was expected and what was
found. Division codes inside an identifier are taken as they are: authorities were registered in divisions that
are gone (`divisions.Divisions` says which). Letters are upper case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from operator import mul

from msgspec import Struct

from mapping.errors import InvalidIdentifier
from mapping.forms import ALPHABET_31, DIGITS, DIGITS_36, Form, require_check
from mapping.person_numbers import (
    CitizenNumber,
    ForeignCardNumber,
    IdentityKind,
    check_citizen_number,
    division_of,
    make_citizen_number,
    make_foreign_card_number,
    parse_citizen_number,
    parse_foreign_card_number,
    parse_old_citizen_number,
)

__all__ = [
    "CERTIFICATE_ID_ROOT",
    "CertificateId",
    "CertificateType",
    "CitizenNumber",
    "ForeignCardNumber",
    "IdentityKind",
    "ServiceItemCode",
    "UnifiedCreditCode",
    "certificate_id_advice",
    "check_certificate_id",
    "check_certificate_type",
    "check_citizen_number",
    "check_holder_id",
    "check_organisation_code",
    "check_service_item_code",
    "check_uscc",
    "division_of",
    "make_certificate_id",
    "make_citizen_number",
    "make_foreign_card_number",
    "make_organisation_code",
    "make_service_item_code",
    "make_uscc",
    "parse_certificate_id",
    "parse_certificate_type",
    "parse_citizen_number",
    "parse_foreign_card_number",
    "parse_old_citizen_number",
    "parse_service_item_code",
    "parse_uscc",
]

_VALUE_36 = {character: value for value, character in enumerate(DIGITS_36)}

# --- organisation code, GB 11714 ------------------------------------------------------------------

_ORGANISATION = Form(
    "an organisation code",
    "eight digits or capitals and a check character",
    (8, DIGITS_36),
    (1, DIGITS + "X"),
)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def check_organisation_code(code: str) -> None:
    """Return when the 9 characters (no hyphen) are right. Raises InvalidIdentifier: `form` or `check`."""
    _ORGANISATION.require(code)
    require_check("organisation code", 9, _organisation_check(code), code[8])


def make_organisation_code(body: str) -> str:
    """The 9-character code of an 8-character body. Raises InvalidIdentifier when the body does not fit."""
    if not _ORGANISATION.fits(body + "0"):
        raise InvalidIdentifier("form", "the body of an organisation code is eight digits or capitals")
    return body + _organisation_check(body)


def _organisation_check(code: str) -> str:
    total = sum(map(mul, map(_VALUE_36.__getitem__, code), _ORGANISATION_WEIGHTS))
    return "0123456789X0"[11 - total % 11]


# --- unified social credit code, GB 32100 ---------------------------------------------------------

_VALUE_31 = {character: value for value, character in enumerate(ALPHABET_31)}
_WEIGHTS_31 = tuple(pow(3, i, 31) for i in range(17))
_USCC = Form(
    "a unified social credit code",
    "18 characters of the GB 32100 alphabet",
    (2, ALPHABET_31),
    (6, DIGITS),
    (10, ALPHABET_31),
)


class UnifiedCreditCode(Struct, frozen=True):
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
    _USCC.require(code)
    require_check("unified social credit code", 18, _uscc_check(code), code[17])
    require_check("organisation code", 17, _organisation_check(code[8:16]), code[16], "organisation")


def make_uscc(department: str, category: str, division: str, body: str) -> str:
    """The code with both check characters. Raises InvalidIdentifier when the parts do not fit."""
    code = f"{department}{category}{division}{make_organisation_code(body)}"
    if not _USCC.fits(code + "0"):
        raise InvalidIdentifier(
            "form", "the parts of a unified social credit code have 1, 1, 6 and 8 characters"
        )
    return code + _uscc_check(code)


def _uscc_check(code: str) -> str:
    return ALPHABET_31[-sum(map(mul, map(_VALUE_31.__getitem__, code), _WEIGHTS_31)) % 31]


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


class CertificateType(Struct, frozen=True):
    """A certificate type: the credit code of the authority that defined it, and that authority's serial."""

    code: str
    authority: str
    serial: str


class CertificateId(Struct, frozen=True):
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
    kind, authority, serial, version = _certificate_id_parts(value)
    return CertificateId(value, kind, authority, serial, version, _id_advice(kind, authority))


def _certificate_id_parts(value: str) -> tuple[str, str, str, str]:
    found = _CERTIFICATE_ID.fullmatch(value)
    if found is None:
        raise _broken_certificate_id(value)
    kind, authority, serial, version, check = found.groups()
    # The certificates of a type that an authority issued begin alike.
    expected = _character_37_36(_product_37_36(serial + version, _begun_37_36(kind + authority)))
    if check != expected:
        require_check("certificate id", len(value), expected, check)
    return kind, authority, serial, version


def certificate_id_advice(value: str) -> tuple[str, ...]:
    """What is unusual in a certificate id, as in `CertificateId.advice`. Raises as `parse_certificate_id`."""
    kind, authority, _, _ = _certificate_id_parts(value)
    return _id_advice(kind, authority)


def check_certificate_id(value: str) -> None:
    """Return when form and check character are right. Raises as `parse_certificate_id`."""
    parse_certificate_id(value)


def make_certificate_id(certificate_type: str, authority: str, serial: str, version: str = "001") -> str:
    """The certificate id with its check character. Raises InvalidIdentifier when the parts do not fit."""
    value = f"{CERTIFICATE_ID_ROOT}{certificate_type}.{authority}.{serial}.{version}."
    if not _CERTIFICATE_ID.fullmatch(value + "0"):
        raise InvalidIdentifier("form", "the parts of a certificate id have 21, 18, 1 to 64 and 3 characters")
    return value + _check_37_36(certificate_type + authority + serial + version)


_ID_PARTS = (
    (re.compile("[0-9A-Z]{21}", re.ASCII), "a type of 21 characters"),
    (re.compile("[0-9A-Z]{18}|[0-9]{6}", re.ASCII), "an authority of 18 characters"),
    (re.compile("[0-9A-Z]{1,64}", re.ASCII), "a serial of 1 to 64 characters"),
    (re.compile("[0-9]{3}", re.ASCII), "a version of three digits"),
    (re.compile("[0-9A-Z]", re.ASCII), "a check character"),
)


def _broken_certificate_id(value: str) -> InvalidIdentifier:
    """Which of the parts is the first that does not fit."""
    detail = f"a certificate id is {CERTIFICATE_ID_ROOT}TYPE.AUTHORITY.SERIAL.VERSION.CHECK"
    if not value.startswith(CERTIFICATE_ID_ROOT):
        return InvalidIdentifier("form", detail, position=1, expected=CERTIFICATE_ID_ROOT)
    start, parts = len(CERTIFICATE_ID_ROOT), value[len(CERTIFICATE_ID_ROOT) :].split(".")
    for (pattern, expected), part in zip(_ID_PARTS, parts, strict=False):
        if not pattern.fullmatch(part):
            return InvalidIdentifier("form", detail, position=start + 1, expected=expected)
        start += len(part) + 1
    return InvalidIdentifier("form", detail, expected="five parts", found=f"{len(parts)} parts")


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
    return _character_37_36(_product_37_36(body))


def _product_37_36(body: str, product: int = 36) -> int:
    for value in map(_VALUE_36.__getitem__, body):
        product = _STEP_37[product + value]
    return product


_begun_37_36 = lru_cache(maxsize=4096)(_product_37_36)


def _character_37_36(product: int) -> str:
    return DIGITS_36[(37 - product) % 36]


# --- service item code, GB/T 39554.1 --------------------------------------------------------------

_WORDS = "a unified social credit code and 13 or 15 digits"
_SERVICE_ITEM = Form("a service item code", _WORDS, (18, DIGITS_36), (13, DIGITS))
_HANDLING_ITEM = Form("a service item code", _WORDS, (18, DIGITS_36), (15, DIGITS))


class ServiceItemCode(Struct, frozen=True):
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
    (_HANDLING_ITEM if len(code) == 33 else _SERVICE_ITEM).require(code)
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
