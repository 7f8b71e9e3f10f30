"""Logout tokens (OpenID Connect Back-Channel Logout 1.0): how one node tells others that a login has ended.

A provider tells its relying parties, as the standard has it (§2.4). Between nodes they go the other way as well: a
visited node tells the home node, with the session id that it had from there, so that a log-out at a platform ends the
login at home even when the citizen's browser never gets there.

A citizen who withdraws at home what was agreed to has the visited node told by a logout token as well: about the person
(`sub`) and no session, with a second event (`WITHDRAWN`), which says that what outlives sessions ends too.

Checks of one that arrives (§2.6), in this order; the code carries the same numbers. The signature was verified before.

 1. the issuer is the one whose keys were used
 2. it is for this node, and for nobody else
 3. it was made just now, and has not expired
 4. it says which session or whose
 5. it is about a log-out
 6. it is no ID token (no nonce)
 7. it has an id, which is used once: the caller's to check, since that is a row
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from federation.login.sessions import Party

__all__ = [
    "EVENT",
    "LOGOUT_TYP",
    "TOKEN_LIFE_S",
    "WITHDRAWN",
    "LogoutSaid",
    "LogoutTokenRejected",
    "check_said",
    "logout_claims",
]

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
WITHDRAWN: Final = "urn:yrd:event:agreement-withdrawn"
LOGOUT_TYP: Final = "logout+jwt"
TOKEN_LIFE_S: Final = 120
"""As §2.4 recommends at most."""

_OLDEST_S: Final = 600
"""Others' tokens may live longer than ours; one that was made before that is not taken any more."""
_MOST_TEXT: Final = 255


class LogoutTokenRejected(Exception):
    """A logout token does not verify. The text says which check failed, and nothing of the citizen."""


class LogoutSaid(Struct, frozen=True, kw_only=True):
    """What a logout token says, checked. One of `sid` and `subject` is there; with both, both must fit."""

    issuer: str
    jti: str
    expires_at: datetime
    sid: str = ""
    subject: str = ""
    is_withdrawn: bool = False
    """Whether grants with offline_access of that person's end as well."""


def logout_claims(issuer: str, party: Party, now: datetime) -> dict[str, Any]:
    """The claims of a logout token for one party (§2.4); without a session of its own, about what was withdrawn. Each
    has an id of its own, also when one is told again.
    """
    at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": party.client_id,
        "iat": at,
        "exp": at + TOKEN_LIFE_S,
        "jti": secrets.token_urlsafe(16),
        "events": {EVENT: {}} if party.sid else {EVENT: {}, WITHDRAWN: {}},
    }
    if party.sid:
        claims["sid"] = party.sid
    if party.subject:
        claims["sub"] = party.subject
    return claims


def check_said(
    claims: Mapping[str, Any], *, issuer: str, audience: str, now: datetime, skew_s: float
) -> LogoutSaid:
    """Checks 1 to 6. Raises LogoutTokenRejected."""
    if claims.get("iss") != issuer:  # 1
        raise LogoutTokenRejected("iss is not whose key signed it")
    if claims.get("aud") not in (audience, [audience]):  # 2
        raise LogoutTokenRejected("aud is not this node alone")
    expires_at = _check_times(claims, now, skew_s)  # 3
    sid, subject = _text(claims, "sid"), _text(claims, "sub")  # 4
    if not sid and not subject:
        raise LogoutTokenRejected("it has neither sid nor sub")
    events = claims.get("events")  # 5
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LogoutTokenRejected("events does not say that it is about a log-out")
    if "nonce" in claims:  # 6
        raise LogoutTokenRejected("it has a nonce, as an ID token has")
    jti = _text(claims, "jti")  # 7
    if not jti:
        raise LogoutTokenRejected("it has no jti")
    return LogoutSaid(
        issuer=issuer,
        jti=jti,
        expires_at=expires_at,
        sid=sid,
        subject=subject,
        is_withdrawn=not sid and WITHDRAWN in events,
    )


def _check_times(claims: Mapping[str, Any], now: datetime, skew_s: float) -> datetime:
    made, at = _time(claims, "iat"), now.timestamp()
    if made > at + skew_s:
        raise LogoutTokenRejected("iat is in the future")
    if made + _OLDEST_S + skew_s < at:
        raise LogoutTokenRejected(f"iat is more than {_OLDEST_S} s ago")
    # The drafts had no exp; a provider of that time sends none.
    ends = _time(claims, "exp") if "exp" in claims else made + _OLDEST_S
    if ends + skew_s <= at:
        raise LogoutTokenRejected("it has expired")
    return datetime.fromtimestamp(min(ends, at + _OLDEST_S) + skew_s, UTC)


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise LogoutTokenRejected(f"{name} is not a time")
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise LogoutTokenRejected(f"{name} is not a short text that can be printed")
    return value
