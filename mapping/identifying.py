"""Identifiers as values: carried whole, checked against their standards, or wrapped as one province's tokens."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Writing, is_encodable, text_of
from mapping.element import Relation
from mapping.errors import InvalidIdentifier, MappingError
from mapping.identifiers import (
    certificate_id_advice,
    check_citizen_number,
    check_service_item_code,
    check_uscc,
)
from mapping.notes import Note
from mapping.texts import write_text

__all__ = ["CHECKS", "build_identifier", "build_token"]

_LONGEST = 256
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_+/=", b"+/---")
"""Of the alphabet of tokens to that of base64; what is of the other one becomes what is of none."""


def _check_strict_certificate_id(value: str) -> None:
    advice = certificate_id_advice(value)
    if advice:
        raise InvalidIdentifier("advice", "; ".join(advice))


CHECKS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "citizen_number": check_citizen_number,
        "uscc": check_uscc,
        "certificate_id": _check_strict_certificate_id,
        "service_item_code": check_service_item_code,
    }
)
"""Element types that are identifiers, with what checks them; each raises InvalidIdentifier."""


def build_identifier(settings: Settings) -> Converter:
    """Carried as it is, in upper case; one that breaks its standard is INVALID, with the original carried.

    Blanks around it and small letters are not restored on the way back.
    """
    check = CHECKS.get(settings.element_type)
    if check is None:
        raise MappingError(
            f"{settings.element_type} 类要素没有标识标准 / "
            f"no identifier standard for an element of type {settings.element_type}"
        )

    def read(raw: Any, _on: str, note: Note | None = None) -> Reading:
        original = text_of(raw)
        value = original.strip().upper() if len(original) <= _LONGEST else ""
        if note and value != original:
            note("upper", value)
        return (value, Relation.EXACT) if _passes(check, value, note) else (original, Relation.INVALID)

    return Converter(f"{settings.element_type}@{settings.version}", read, write_text)


def _passes(check: Callable[[str], object], value: str, note: Note | None) -> bool:
    try:
        check(value)
    except InvalidIdentifier as broken:
        if note:
            note("broken", broken.detail)
        return False
    if note:
        note("proven", "")
    return True


def build_token(settings: Settings) -> Converter:
    """An opaque token, as one province hands out: base64url of the shared value, without padding.

    When what is in it breaks its standard, that is the value, and INVALID.
    """
    check = CHECKS.get(settings.element_type, len)

    def read(raw: Any, _on: str, note: Note | None = None) -> Reading:
        original = text_of(raw)
        value = _opened(original)
        if value is None:
            if note:
                note("no_token", "")
            return original, Relation.INVALID
        if note:
            note("decoded", value)
        return value, Relation.EXACT if _passes(check, value, note) else Relation.INVALID

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        if not is_encodable(value):
            return text_of(value), Relation.INVALID
        token = _as_token(value)
        if note:
            note("text", token)
        return token, Relation.EXACT

    return Converter(f"token@{settings.version}", read, write)


def _opened(token: str) -> str | None:
    """What is in a token; None when it is none, or not written in the one way that it could be."""
    try:
        padded = token.encode("ascii").translate(_PLAIN) + b"=" * (-len(token) % 4)
        value = binascii.a2b_base64(padded, strict_mode=True)
        canonical = binascii.b2a_base64(value, newline=False) == padded
        return value.decode() if canonical else None
    except ValueError:
        return None


def _as_token(value: str) -> str:
    encoded = binascii.b2a_base64(value.encode(), newline=False)
    return encoded.translate(_URL_SAFE).decode().rstrip("=")
