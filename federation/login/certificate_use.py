"""`authorization_details` of the type ``certificate_use`` (RFC 9396): the leave that a platform asks a citizen for.

A JSON list of objects, each with these members and no other:

| member | |
|---|---|
| `type` | ``certificate_use`` |
| `answering` | the provinces that may answer: six digits, or the own dialect's word |
| `certificate_types` | in the own dialect or in shared words |
| `fields` | likewise; left out: every field |
| `service_item_code`, `service_item_name`, `case_number`, `purpose` | texts |
| `basis` | ``holders_consent`` (as when it is left out) or ``delegated_consent`` |
| `uses` | how many queries each province answers by it; 1 when it is left out |
| `valid_s` | for how many seconds; a day when it is left out |

What is read comes out in shared words, six digits and with every member written down: that is what passes between
nodes, and reading it again changes nothing. What a value says is never quoted in a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import asdict

from federation.login.refusals import OAuthRefusal
from federation.query import BasisKind
from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.element import Relation
from mapping.errors import InvalidIdentifier, MappingError
from mapping.identifiers import check_service_item_code
from mapping.translate import Dialect

__all__ = ["CERTIFICATE_USE", "CertificateUse", "PaperLimits", "read_details", "written"]

CERTIFICATE_USE: Final = "certificate_use"
_DAY_S: Final = 86400
_MOST_BYTES: Final = 16384
_MOST_ENTRIES: Final = 16
_MOST_FIELDS: Final = 64
_MOST_TEXT: Final = 200
_BASIS: Final = frozenset({"service_item_code", "service_item_name", "case_number", "purpose"})
_NEEDED: Final = frozenset({"type", "answering", "certificate_types"}) | _BASIS
_OPTIONAL: Final = frozenset({"fields", "basis", "uses", "valid_s"})
_BASES: Final = (BasisKind.HOLDERS_CONSENT.word, BasisKind.DELEGATED_CONSENT.word)


class PaperLimits(Struct, frozen=True):
    """How much one login may ask for, and one consent may cover (``[login] paper_*``)."""

    life_s: int = 30 * _DAY_S
    uses: int = 20
    per_login: int = 5


class CertificateUse(Struct, frozen=True, kw_only=True):
    """One object of the list, read. `fields` empty: every field."""

    answering: tuple[str, ...]
    certificate_types: tuple[str, ...]
    fields: tuple[str, ...]
    service_item_name: str
    service_item_code: str
    case_number: str
    purpose: str
    basis: str
    uses: int
    valid_s: int


def read_details(text: str, dialect: Dialect, limits: PaperLimits) -> tuple[CertificateUse, ...]:
    """The list, checked. `dialect` is this node's own. Raises OAuthRefusal (invalid_authorization_details)."""
    if len(text) > _MOST_BYTES:
        raise _refusal(f"authorization_details has at most {_MOST_BYTES} characters")
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _refusal("authorization_details is not JSON") from None
    if not isinstance(entries, list) or not 0 < len(entries) <= limits.per_login:
        raise _refusal(f"authorization_details is a list of 1 to {limits.per_login} objects")
    return tuple([_read(entry, dialect, limits) for entry in entries])


def written(uses: Sequence[CertificateUse]) -> list[dict[str, Any]]:
    """The list as it is written between nodes."""
    return [_written(use) for use in uses]


def _written(use: CertificateUse) -> dict[str, Any]:
    said = asdict(use) | {"type": CERTIFICATE_USE}
    return {name: said[name] for name in sorted(said) if name != "fields" or use.fields}


def _read(entry: object, dialect: Dialect, limits: PaperLimits) -> CertificateUse:
    if not isinstance(entry, dict) or entry.get("type") != CERTIFICATE_USE:
        raise _refusal(f"every object of authorization_details is of type {CERTIFICATE_USE}")
    if not _NEEDED <= entry.keys() <= _NEEDED | _OPTIONAL:
        missing = ", ".join(sorted(_NEEDED - entry.keys())) or "none"
        raise _refusal(
            f"members of {CERTIFICATE_USE}: missing are {missing}; others than the known are not taken"
        )
    types = tuple([_type(dialect, word) for word in _texts(entry, "certificate_types", _MOST_ENTRIES)])
    basis = entry.get("basis", _BASES[0])
    if basis not in _BASES:
        raise _refusal(f"basis is one of {', '.join(_BASES)}")
    return CertificateUse(
        answering=_answering(dialect, entry),
        certificate_types=_once("certificate_types", types),
        fields=_fields(dialect, types, entry),
        service_item_name=_text(entry["service_item_name"], "service_item_name", _MOST_TEXT),
        service_item_code=_item_code(entry["service_item_code"]),
        case_number=_text(entry["case_number"], "case_number", 64),
        purpose=_text(entry["purpose"], "purpose", _MOST_TEXT),
        basis=basis,
        uses=_number(entry, "uses", 1, limits.uses),
        valid_s=_number(entry, "valid_s", min(_DAY_S, limits.life_s), limits.life_s),
    )


def _item_code(said: object) -> str:
    code = _text(said, "service_item_code", 64)
    try:
        check_service_item_code(code)
    except InvalidIdentifier:
        raise _refusal("service_item_code is not a service item code of GB/T 39554") from None
    return code


def _answering(dialect: Dialect, entry: Mapping[str, Any]) -> tuple[str, ...]:
    words = _texts(entry, "answering", _MOST_ENTRIES)
    return _once("answering", [_province(dialect, word) for word in words])


def _province(dialect: Dialect, word: str) -> str:
    code = word if len(word) == 6 and word.isascii() and word.isdigit() else _code(dialect, "province", word)
    if code is None:
        raise _refusal("answering has a word that is no province here")
    return code


def _type(dialect: Dialect, word: str) -> str:
    if word in code_lists().kinds and word != SERVICE_ITEM:
        return word
    code = _code(dialect, "certificate_type", word)
    if code is None:
        raise _refusal("certificate_types has a type that is not in the list of this province")
    return code


def _fields(dialect: Dialect, types: Sequence[str], entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Shared names: each is a field of one of the types, by its shared or its local name."""
    if "fields" not in entry:
        return ()
    return _once("fields", [_field(dialect, types, word) for word in _texts(entry, "fields", _MOST_FIELDS)])


def _field(dialect: Dialect, types: Sequence[str], word: str) -> str:
    known = {code: elements for code, _, elements in dialect.certificate_types if code in types}
    for code, elements in known.items():
        if word in elements:
            return word
        shared = dialect.element_name(code, word)
        if shared in elements:
            return shared
    if any(code not in known for code in types):  # of a type that only the answering province has
        return word
    raise _refusal("fields has one that none of the certificate types has")


def _code(dialect: Dialect, list_name: str, word: str) -> str | None:
    try:
        element = dialect.code_to_shared(list_name, word)
    except MappingError:
        return None
    return None if element.relation in (Relation.UNMAPPED, Relation.INVALID) else element.value


def _texts(entry: Mapping[str, Any], name: str, most: int) -> list[str]:
    values = entry[name]
    if not isinstance(values, list) or not 0 < len(values) <= most:
        raise _refusal(f"{name} is a list of 1 to {most} texts")
    return [_text(value, name, 64) for value in values]


def _text(value: object, name: str, most: int) -> str:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= most
        or not value.isprintable()
        or value != value.strip()
    ):
        raise _refusal(f"{name} is a text of 1 to {most} printable characters without spaces around it")
    return value


def _once(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise _refusal(f"{name} names something twice")
    return tuple(values)


def _number(entry: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = entry.get(name, default)
    if type(value) is not int or not 0 < value <= most:
        raise _refusal(f"{name} is a whole number of 1 to {most}")
    return value


def _refusal(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_authorization_details", description)
