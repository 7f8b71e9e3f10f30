"""What is said about a citizen in a login: names, where values come from, and how they are written for whom.

| claim | scope | value |
|---|---|---|
| `name`, `gender`, `birthdate` | profile | OpenID Connect Core §5.1: text, ``male`` or ``female``, ISO 8601 date |
| `citizen_number` | identity | GB 11643 |
| `holder_id_type` | identity | code of GB/T 36903; in the province's own codes towards its platforms |
| `face` | identity | the fields of an identity card, name by name |

At home an account's claims are fields of the province's identity card and are translated like one (居民身份证): shared
words between nodes, the visited province's own fields and codes towards its platforms. What was not translated exactly
says so in `face_relations`, field by field; nothing is dropped. `citizen_number` and `face` are only for logins of
`VERIFIED_LEVEL` and above.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final

from federation.translator import Translator
from mapping.element import Element, Relation
from mapping.errors import InvalidIdentifier, MappingError
from mapping.identifiers import check_holder_id

__all__ = [
    "CITIZEN_CARD",
    "CLAIMS",
    "SCOPE_CLAIMS",
    "VERIFIED_CLAIMS",
    "VERIFIED_LEVEL",
    "ClaimsUnusable",
    "account_claims",
    "claims_of_scopes",
    "minimised",
    "peer_claims",
    "platform_claims",
]

CITIZEN_CARD: Final = "11100000000013127D001"
"""The certificate type of 居民身份证 (GB/T 36904)."""

SCOPE_CLAIMS: Final[Mapping[str, frozenset[str]]] = {
    "profile": frozenset({"name", "gender", "birthdate"}),
    "identity": frozenset({"citizen_number", "holder_id_type", "face"}),
}
CLAIMS: Final = frozenset().union(*SCOPE_CLAIMS.values())
VERIFIED_CLAIMS: Final = frozenset({"citizen_number", "face"})
VERIFIED_LEVEL: Final = "yrd.l2"

_RELATIONS = "face_relations"
_MOST_TEXT = 512
_MOST_FIELDS = 64
_CITIZEN = "111"
"""公民身份号码 in the list of holder id types."""
_GENDER = {"1": "male", "2": "female"}
_NAME, _SEX, _BORN, _NUMBER = "姓名", "性别", "出生日期", "公民身份号码"
_HOLDER, _HOLDER_TYPE = "持证主体代码", "持证主体代码类型代码"
_BEYOND_FACE = frozenset({_HOLDER, _HOLDER_TYPE})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class ClaimsUnusable(Exception):
    """What an identity provider or a home node says about a citizen cannot be used; the text has no value of it."""


def claims_of_scopes(scopes: Collection[str]) -> frozenset[str]:
    """The claims that scopes ask for."""
    return frozenset().union(*(SCOPE_CLAIMS.get(scope, frozenset()) for scope in scopes))


def minimised(claims: Mapping[str, Any], asked: Collection[str]) -> dict[str, Any]:
    """Of the claims those that were asked for."""
    found = {name: claims[name] for name in sorted(asked) if name in CLAIMS and name in claims}
    if "face" in found and _RELATIONS in claims:
        found[_RELATIONS] = claims[_RELATIONS]
    return found


# --- at home: from the identity provider's words -----------------------------------------------------------


def account_claims(words: Translator, fields: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, Any]:
    """An account in shared words. `fields` says which claim of the identity provider holds which field of an identity
    card in the own dialect; `said` are its claims.

    A claim that is missing or empty is left out. Raises ClaimsUnusable: a value that is neither text nor number (as
    several values are), a name, number or kind of number that breaks its standard.
    """
    local = {field: _text(claim, said[claim]) for field, claim in fields.items() if claim in said}
    elements = _shared(words, {field: value for field, value in local.items() if value})
    exact = {one.name: one.value for one in elements if one.relation is Relation.EXACT}
    claims = _identity(elements, exact) | _profile(exact)
    face = {one.name: one.value for one in elements if one.name not in _BEYOND_FACE}
    if face:
        claims["face"] = face
    return claims | _relations_of([one for one in elements if one.name in face])


def _text(claim: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ClaimsUnusable(f"the claim {claim[:40]!a} is not one value")
    if len(str(value)) > _MOST_TEXT:
        raise ClaimsUnusable(f"the claim {claim[:40]!a} has more than {_MOST_TEXT} characters")
    return str(value)


def _shared(words: Translator, local: Mapping[str, str]) -> list[Element]:
    """The fields read as the registry's document would be; what the dialect adds by itself was not said."""
    dialect = words.dialect
    try:
        carried = [
            Element(dialect.element_name(CITIZEN_CARD, field), value, relation=Relation.UNMAPPED)
            for field, value in local.items()
        ]
        read = dialect.to_shared(CITIZEN_CARD, dialect.render_local(CITIZEN_CARD, carried))
    except MappingError as error:
        raise ClaimsUnusable(f"the dialect has no identity card: {error.detail}") from None
    names = {one.name for one in carried}
    elements = [one for one in read if one.name in names and one.relation is not Relation.DEFAULTED]
    words.saw_read(elements)
    return elements


def _identity(elements: Collection[Element], exact: Mapping[str, str]) -> dict[str, Any]:
    """The number and its kind, which must be right: a login with a wrong one is of somebody else."""
    if not {_NUMBER, _HOLDER, _HOLDER_TYPE} & {one.name for one in elements}:
        return {}
    number = exact.get(_NUMBER) or exact.get(_HOLDER, "")
    kind = _CITIZEN if _NUMBER in exact else exact.get(_HOLDER_TYPE, _CITIZEN)
    if exact.get(_HOLDER, number) != number:
        raise ClaimsUnusable("the account has two numbers that differ")
    _check_number(kind, number)
    return {"citizen_number": number, "holder_id_type": kind}


def _check_number(kind: str, number: str) -> None:
    try:
        check_holder_id(kind, number)
    except InvalidIdentifier:
        raise ClaimsUnusable("the account's number breaks its standard") from None


def _profile(exact: Mapping[str, str]) -> dict[str, Any]:
    said = {
        "name": exact.get(_NAME, ""),
        "gender": _GENDER.get(exact.get(_SEX, ""), ""),
        "birthdate": exact.get(_BORN, ""),
    }
    return {name: value for name, value in said.items() if value}


def _relations_of(elements: Collection[Element]) -> dict[str, Any]:
    odd = {one.name: one.relation.word for one in elements if one.relation is not Relation.EXACT}
    return {_RELATIONS: odd} if odd else {}


# --- at the visited node: what a home node says ------------------------------------------------------------


def peer_claims(said: Mapping[str, Any], asked: Collection[str]) -> dict[str, Any]:
    """What a home node's ID token says about a citizen, in shared words: of it what was asked for, checked.

    Raises ClaimsUnusable: a value of another form than its claim has.
    """
    claims = minimised(said, asked)
    for name, value in claims.items():
        if name in ("face", _RELATIONS):
            _check_fields(name, value)
        elif not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT:
            raise ClaimsUnusable(f"{name} is not a text of 1 to {_MOST_TEXT} characters")
    if claims.get("gender", "male") not in _GENDER.values():
        raise ClaimsUnusable("gender is neither male nor female")
    if "birthdate" in claims:
        _check_date(claims["birthdate"])
    if "citizen_number" in claims:
        _check_number(str(said.get("holder_id_type", _CITIZEN)), claims["citizen_number"])
    return claims


def _check_fields(name: str, value: object) -> None:
    fields = value.items() if isinstance(value, Mapping) and len(value) <= _MOST_FIELDS else [(name, None)]
    for field, text in fields:
        if not isinstance(text, str) or max(len(field), len(text)) > _MOST_TEXT:
            raise ClaimsUnusable(f"{name} is not an object of at most {_MOST_FIELDS} texts")


def _check_date(value: str) -> None:
    try:
        if _DATE.fullmatch(value) is None:
            raise ValueError
        date.fromisoformat(value)
    except ValueError:
        raise ClaimsUnusable("birthdate is not a date of ISO 8601") from None


def platform_claims(words: Translator, claims: Mapping[str, Any]) -> dict[str, Any]:
    """Claims in shared words for a platform of this province: fields and codes in its own dialect.

    A value that the province has no word for is carried as it is, and `face_relations` says so.
    """
    own = dict(claims)
    if "holder_id_type" in claims:
        own["holder_id_type"] = _local_code(words, claims["holder_id_type"])
    if "face" in claims:
        own.pop(_RELATIONS, None)
        own |= _local_face(words, claims["face"], claims.get(_RELATIONS, {}))
    return own


def _local_code(words: Translator, code: str) -> str:
    try:
        return words.code_to_local("holder_id_type", code).value
    except MappingError:
        return code


def _local_face(words: Translator, face: Mapping[str, str], relations: Mapping[str, str]) -> dict[str, Any]:
    shared = [Element(name, value, relation=_relation(relations.get(name))) for name, value in face.items()]
    try:
        local = words.to_local(CITIZEN_CARD, shared)
    except MappingError:
        return {"face": dict(face), _RELATIONS: dict.fromkeys(face, Relation.UNMAPPED.word)}
    worse = {
        after.name: max(before.relation, after.relation) for before, after in zip(shared, local, strict=True)
    }
    odd = {name: relation.word for name, relation in worse.items() if relation is not Relation.EXACT}
    return {"face": {one.name: one.value for one in local}, **({_RELATIONS: odd} if odd else {})}


def _relation(word: str | None) -> Relation:
    """How the home node's step went; a word that is not known is the worst of them."""
    if word is None:
        return Relation.EXACT
    return next((one for one in Relation if one.word == word), Relation.INVALID)
