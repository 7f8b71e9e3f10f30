"""A node's word that a citizen is logged in there now: what another node needs before it tells who asked about them.

A DSSE envelope of `AUTHENTICATION_TYPE` over canonical JSON, signed with the home node's envelope key. In this order:

1. the key is one of the home node's; signature; type
2. every member is there, of its kind, and no other
3. it is for this node (`aud`), and about the holder in question
4. it is for this one request (`jti` is the request's id): request ids are claimed once, so it is used once
5. it is fresh: issued within the skew of now, lives at most `MOST_LIFE_S`, has not expired, and the login behind it is
   not older than `MOST_LOGIN_AGE_S`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from trust.envelope import Sealed, parse, seal, unseal
from trust.errors import AuthenticationRejected
from trust.evidence import canonical_json
from trust.keys import Signer, VerificationKey

__all__ = [
    "AUTHENTICATION_TYPE",
    "MOST_LIFE_S",
    "MOST_LOGIN_AGE_S",
    "Authentication",
    "open_authentication",
    "seal_authentication",
]

AUTHENTICATION_TYPE: Final = "application/vnd.yrd.authentication.v1+json"
MOST_LIFE_S: Final = 300
MOST_LOGIN_AGE_S: Final = 3600
_MOST_BYTES: Final = 8192
_TEXTS: Final = ("holder_id_type", "holder_id", "acr", "aud", "jti")
_TIMES: Final = ("auth_time", "iat", "exp")


class Authentication(Struct, frozen=True):
    """Who is logged in at the signing node, how and since when, and for whom and which request that is said.

    `acr` is the assurance level; times are whole seconds.
    """

    holder_id_type: str
    holder_id: str
    acr: str
    auth_time: datetime
    aud: str
    iat: datetime
    exp: datetime
    jti: str


def seal_authentication(said: Authentication, signer: Signer) -> Sealed:
    """The statement, signed with an envelope key of the home node."""
    claims: dict[str, Any] = {name: getattr(said, name) for name in _TEXTS}
    claims |= {name: int(getattr(said, name).timestamp()) for name in _TIMES}
    return seal(AUTHENTICATION_TYPE, canonical_json(claims), signer)


def open_authentication(
    envelope: bytes,
    *,
    keys: Mapping[str, VerificationKey],
    audience: str,
    holder: tuple[str, str],
    request_id: str,
    now: datetime,
    skew_s: float,
) -> Authentication:
    """The statement in these bytes, after checks 1 to 5; `keys` are those of the node that must have signed it.

    Raises EnvelopeMalformed, ForeignKey, BadSignature and such of the envelope, AuthenticationRejected of all else.
    """
    opened = unseal(parse(envelope, max_bytes=_MOST_BYTES), keys=keys)  # 1
    if opened.payload_type != AUTHENTICATION_TYPE:
        raise AuthenticationRejected(f"it is of type {opened.payload_type[:120]}")
    said = _read(opened.payload)  # 2
    if said.aud != audience:  # 3
        raise AuthenticationRejected(f"it is for {said.aud[:200]}; this is {audience}")
    if (said.holder_id_type, said.holder_id) != holder:
        raise AuthenticationRejected("it is of another holder than the one asked about")
    if said.jti != request_id:  # 4
        raise AuthenticationRejected(f"it is for request {said.jti[:40]}, not for {request_id}")
    _check_fresh(said, now, timedelta(seconds=skew_s))  # 5
    return said


def _read(payload: bytes) -> Authentication:
    try:
        claims = json.loads(payload)
        whole = canonical_json(claims) == payload and set(claims) == {*_TEXTS, *_TIMES}
        if not whole or not all(isinstance(claims[name], str) and claims[name] for name in _TEXTS):
            raise ValueError
        if not all(type(claims[name]) is int for name in _TIMES):
            raise ValueError
        claims |= {name: datetime.fromtimestamp(claims[name], UTC) for name in _TIMES}
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise AuthenticationRejected("it does not say what such a statement says") from None
    return Authentication(**claims)


def _check_fresh(said: Authentication, now: datetime, skew: timedelta) -> None:
    clocks = (
        f"iat is {said.iat.isoformat()}, exp {said.exp.isoformat()}, the clock here says {now.isoformat()}"
    )
    if said.iat > now + skew:
        raise AuthenticationRejected(f"it is from the future: {clocks}")
    if not said.iat < said.exp <= said.iat + timedelta(seconds=MOST_LIFE_S):
        raise AuthenticationRejected(f"it must live at most {MOST_LIFE_S} s: {clocks}")
    if said.exp < now - skew:
        raise AuthenticationRejected(f"it has expired: {clocks}")
    if not said.iat - timedelta(seconds=MOST_LOGIN_AGE_S) <= said.auth_time <= said.iat + skew:
        raise AuthenticationRejected(
            f"auth_time is {said.auth_time.isoformat()}; it must be of the last {MOST_LOGIN_AGE_S} s: log in again"
        )
