"""A consent: leave that a holder gave at the home node to fetch certificates, as a token that the home node signed.

A JWS of type ``consent+jwt`` by the home node's provider key:

- `iss` the home node, `jti`, `iat`, `exp` (at most `MOST_LIFE_S` later), `aud` the nodes that may answer
- `asking` the node that may ask, `platform` for which of its platforms
- `basis` (the holder's consent or a delegated one), `service_item` {name, code}, `case_number`, `purpose`
- `certificate_types` and `fields` (absent: every field), in shared words
- `uses`: how many queries each answering node answers by it
- `holders`: whose certificates, encrypted to each answering node (`trust.recipient_keys`): nobody else reads it
- `status.status_list` {uri, idx}: its place in the home node's list (`trust.status_list`)

Checks that need nothing but the token, in the order of `federation.consents`: form (1), signature (3), time (4), and
what it is bound to (5, 6, 8, 9, 10). A claim that is not listed here is refused: what is not understood binds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from msgspec import Struct

from trust.entity import LATEST_TIME
from trust.errors import (
    ConsentExpired,
    ConsentMismatch,
    ConsentRejected,
    ForeignKey,
    StatementRejected,
    TrustError,
)
from trust.keys import Signer, VerificationKey
from trust.recipient_keys import MAX_ENCRYPTED_BYTES, RecipientKey, encrypt_to
from trust.tokens import UnverifiedToken, quoted, read_token, sign_token, verify_token

__all__ = [
    "CONSENT_TYPE",
    "MAX_CONSENT_BYTES",
    "MOST_LIFE_S",
    "Asking",
    "Consent",
    "UnverifiedConsent",
    "check_bindings",
    "check_time",
    "holder_for",
    "read_consent",
    "read_holder",
    "sign_consent",
    "verify_consent",
]

CONSENT_TYPE: Final = "consent+jwt"
MAX_CONSENT_BYTES: Final = 16384
MOST_LIFE_S: Final = 30 * 86400
_MOST_USES: Final = 1000
_MOST_ENTRIES: Final = 64
_MOST_TEXT: Final = 512
_BASES: Final = ("holders_consent", "delegated_consent")
_TEXTS: Final = ("iss", "jti", "asking", "platform", "basis", "case_number", "purpose")
_NUMBERS: Final = ("iat", "exp", "uses")
_LISTS: Final = ("aud", "certificate_types")
_OBJECTS: Final = ("service_item", "holders", "status")


class Consent(Struct, frozen=True, kw_only=True):
    """What a consent says. `fields` None: every field of these types."""

    iss: str
    jti: str
    issued_at: datetime
    expires_at: datetime
    answering: tuple[str, ...]
    asking: str
    platform: str
    basis: str
    service_item_name: str
    service_item_code: str
    case_number: str
    purpose: str
    certificate_types: tuple[str, ...]
    fields: tuple[str, ...] | None
    uses: int
    holders: Mapping[str, str]
    status_uri: str
    status_index: int


class UnverifiedConsent(Struct, frozen=True):
    """A token in form (1). Nothing in it is proven; `iss` serves to find the key."""

    token: UnverifiedToken
    consent: Consent

    @property
    def iss(self) -> str:
        """Who it says made it."""
        return self.consent.iss


class Asking(Struct, frozen=True, kw_only=True):
    """What is asked on a consent, and by whom: what a consent must be bound to.

    `certificate_type` is empty for certificates of all types: the answer is then cut to those of the consent.
    """

    answering: str
    asking: str
    platform: str
    basis: str
    service_item_name: str
    service_item_code: str
    case_number: str
    purpose: str
    certificate_type: str = ""


def sign_consent(consent: Consent, signer: Signer) -> str:
    """The token. Raises ConsentRejected for what `read_consent` would refuse, KeyRejected."""
    claims: dict[str, Any] = {
        "iss": consent.iss,
        "jti": consent.jti,
        "iat": int(consent.issued_at.timestamp()),
        "exp": int(consent.expires_at.timestamp()),
        "aud": list(consent.answering),
        "asking": consent.asking,
        "platform": consent.platform,
        "basis": consent.basis,
        "service_item": {"name": consent.service_item_name, "code": consent.service_item_code},
        "case_number": consent.case_number,
        "purpose": consent.purpose,
        "certificate_types": list(consent.certificate_types),
        "uses": consent.uses,
        "holders": dict(consent.holders),
        "status": {"status_list": {"uri": consent.status_uri, "idx": consent.status_index}},
    }
    if consent.fields is not None:
        claims["fields"] = list(consent.fields)
    token = sign_token(claims, signer, typ=CONSENT_TYPE)
    read_consent(token)
    return token


def read_consent(token: str) -> UnverifiedConsent:
    """Check 1: a JWS within its size, with every claim there, of its kind, and no other. Raises ConsentRejected."""
    try:
        read = read_token(token, max_bytes=MAX_CONSENT_BYTES)
    except StatementRejected as error:
        raise ConsentRejected(error.detail) from None
    if read.header.get("typ") != CONSENT_TYPE:
        raise ConsentRejected(f"the token is of type {quoted(read.header.get('typ'))}, not a consent")
    return UnverifiedConsent(read, _read(read.claims))


def verify_consent(unverified: UnverifiedConsent, *, keys: Mapping[str, VerificationKey]) -> Consent:
    """Check 3: signed with one of the issuer's `keys`. Raises ForeignKey, ConsentRejected."""
    try:
        verify_token(unverified.token, keys=keys, typ=CONSENT_TYPE)
    except ForeignKey:
        raise
    except TrustError as error:
        raise ConsentRejected(error.detail) from None
    return unverified.consent


def check_time(consent: Consent, now: datetime, *, skew_s: float) -> None:
    """Check 4. Raises ConsentRejected: from the future, or for longer than any may be; ConsentExpired."""
    if consent.issued_at > now + timedelta(seconds=skew_s):
        raise ConsentRejected(
            f"the consent is from the future: issued at {consent.issued_at.isoformat()}, "
            f"the clock here says {now.isoformat()}"
        )
    if not timedelta() < consent.expires_at - consent.issued_at <= timedelta(seconds=MOST_LIFE_S):
        raise ConsentRejected(f"a consent lives at most {MOST_LIFE_S // 86400} days")
    if now >= consent.expires_at:
        raise ConsentExpired(
            f"the consent ended at {consent.expires_at.isoformat()}, the clock here says {now.isoformat()}: "
            "ask the holder again"
        )


def check_bindings(consent: Consent, asked: Asking) -> None:
    """Checks 5, 6, 8, 9 and 10: it is for exactly this. Raises ConsentMismatch, which names what it is not for."""
    if asked.answering not in consent.answering:  # 5
        raise ConsentMismatch(f"the consent is not for {asked.answering} to answer by")
    for name in ("asking", "platform", "basis", "case_number", "purpose"):  # 6, 8, 9
        if getattr(consent, name) != getattr(asked, name):
            raise ConsentMismatch(f"the consent is for another {_WORDS.get(name, name)}")
    for name in ("service_item_code", "service_item_name"):
        if getattr(consent, name) != getattr(asked, name):
            raise ConsentMismatch("the consent is for another service item")
    if asked.certificate_type and asked.certificate_type not in consent.certificate_types:  # 10
        raise ConsentMismatch(f"the consent is not for certificates of type {asked.certificate_type[:40]}")


_WORDS: Final = {"asking": "asking node", "case_number": "case"}


# --- whose it is ------------------------------------------------------------------------------------------------


def holder_for(key: RecipientKey, id_type: str, number: str) -> str:
    """The holder, encrypted to an answering node."""
    return encrypt_to(key, orjson.dumps({"holder_id_type": id_type, "holder_id": number}))


def read_holder(plain: bytes) -> tuple[str, str]:
    """Id type and number from what was decrypted. Raises ConsentRejected."""
    try:
        said = orjson.loads(plain)
        id_type, number = said["holder_id_type"], said["holder_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ConsentRejected("the consent does not say whose certificates it is for") from None
    if not isinstance(id_type, str) or not isinstance(number, str) or not id_type or not number:
        raise ConsentRejected("the consent does not say whose certificates it is for")
    return id_type, number


# --- form -------------------------------------------------------------------------------------------------------


def _read(claims: Mapping[str, Any]) -> Consent:
    _check_claims(claims)
    item = _texts_of(claims["service_item"], "service_item", ("name", "code"))
    uri, index = _status(claims["status"])
    for name, values in (("aud", claims["aud"]), ("certificate_types", claims["certificate_types"])):
        _check_list(name, values)
    if "fields" in claims:
        _check_list("fields", claims["fields"])
    return Consent(
        iss=claims["iss"],
        jti=claims["jti"],
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        answering=tuple(claims["aud"]),
        asking=claims["asking"],
        platform=claims["platform"],
        basis=claims["basis"],
        service_item_name=item["name"],
        service_item_code=item["code"],
        case_number=claims["case_number"],
        purpose=claims["purpose"],
        certificate_types=tuple(claims["certificate_types"]),
        fields=tuple(claims["fields"]) if "fields" in claims else None,
        uses=claims["uses"],
        holders=_holders(claims["holders"], claims["aud"]),
        status_uri=uri,
        status_index=index,
    )


def _check_claims(claims: Mapping[str, Any]) -> None:
    needed = {*_TEXTS, *_NUMBERS, *_LISTS, *_OBJECTS}
    if not needed <= set(claims) <= needed | {"fields"}:
        odd = sorted(needed ^ set(claims) - {"fields"})
        raise ConsentRejected(f"a claim of the consent is missing or not known: {', '.join(odd)[:200]}")
    for name in _TEXTS:
        if not isinstance(claims[name], str) or not 0 < len(claims[name]) <= _MOST_TEXT:
            raise ConsentRejected(f"{name} of the consent is not a text of 1 to {_MOST_TEXT} characters")
    for name in _NUMBERS:
        if type(claims[name]) is not int or not 0 < claims[name] <= LATEST_TIME:
            raise ConsentRejected(f"{name} of the consent is not a whole number from 1 on")
    if claims["uses"] > _MOST_USES:
        raise ConsentRejected(f"a consent has at most {_MOST_USES} uses")
    if claims["basis"] not in _BASES:
        raise ConsentRejected(f"the basis of the consent is none of {', '.join(_BASES)}")


def _check_list(name: str, values: object) -> None:
    if not isinstance(values, list) or not 0 < len(values) <= _MOST_ENTRIES:
        raise ConsentRejected(f"{name} of the consent is not a list of 1 to {_MOST_ENTRIES}")
    if not all(isinstance(value, str) and 0 < len(value) <= _MOST_TEXT for value in values):
        raise ConsentRejected(f"{name} of the consent has something else than texts")
    if len(set(values)) != len(values):
        raise ConsentRejected(f"{name} of the consent names something twice")


def _texts_of(said: object, what: str, names: Sequence[str]) -> dict[str, str]:
    if not isinstance(said, dict) or set(said) != set(names):
        raise ConsentRejected(f"{what} of the consent has {' and '.join(names)}, nothing else")
    if not all(isinstance(value, str) and len(value) <= _MOST_TEXT for value in said.values()):
        raise ConsentRejected(f"{what} of the consent has something else than texts")
    return said


def _status(said: object) -> tuple[str, int]:
    place = said.get("status_list") if isinstance(said, dict) and set(said) == {"status_list"} else None
    if not isinstance(place, dict) or set(place) != {"uri", "idx"}:
        raise ConsentRejected("status of the consent has a status_list with uri and idx, nothing else")
    uri, index = place["uri"], place["idx"]
    if not isinstance(uri, str) or type(index) is not int or index < 0:
        raise ConsentRejected("status of the consent names no place in a list")
    return uri, index


def _holders(said: object, answering: Sequence[str]) -> Mapping[str, str]:
    if not isinstance(said, dict) or set(said) != set(answering):
        raise ConsentRejected("holders of the consent has one entry for each answering node")
    if not all(isinstance(text, str) and len(text) <= MAX_ENCRYPTED_BYTES for text in said.values()):
        raise ConsentRejected("holders of the consent has something else than texts")
    return said
