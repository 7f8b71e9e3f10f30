"""What a logout token must say (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6)."""

from __future__ import annotations

from typing import Any

import pytest

from federation.login.logout_tokens import EVENT, WITHDRAWN, LogoutTokenRejected, check_said, logout_claims
from federation.login.sessions import Party
from tests.support.clock import FixedClock
from tests.support.login_people import HOME, VISITED
from tests.support.logout import logout_of

CLOCK = FixedClock()
NOW_S = int(CLOCK.now().timestamp())


def said(**changes: Any) -> Any:
    claims = logout_of(CLOCK, **changes)
    return check_said(claims, issuer=VISITED, audience=HOME, now=CLOCK.now(), skew_s=60)


def test_what_this_node_says_is_what_it_takes() -> None:
    party = Party(client_id=HOME, sid="sid-1", subject="subject-1")
    claims = logout_claims(VISITED, party, CLOCK.now())
    taken = check_said(claims, issuer=VISITED, audience=HOME, now=CLOCK.now(), skew_s=60)
    assert (taken.sid, taken.subject, taken.issuer) == ("sid-1", "subject-1", VISITED)
    assert (taken.expires_at - CLOCK.now()).total_seconds() == 120 + 60
    assert claims["events"] == {EVENT: {}}
    assert claims["jti"] != logout_claims(VISITED, party, CLOCK.now())["jti"]
    assert "sub" not in logout_claims(VISITED, Party(client_id=HOME, sid="s", subject=""), CLOCK.now())


def test_what_was_withdrawn_is_about_a_person_and_no_session() -> None:
    claims = logout_claims(VISITED, Party(client_id=HOME, sid="", subject="subject-1"), CLOCK.now())
    assert "sid" not in claims
    taken = check_said(claims, issuer=VISITED, audience=HOME, now=CLOCK.now(), skew_s=60)
    assert (taken.sid, taken.subject, taken.is_withdrawn) == ("", "subject-1", True)
    assert not said(sid=None, sub="subject-1").is_withdrawn, "a log-out alone takes nothing back"
    assert not said(sub="subject-1", events={EVENT: {}, WITHDRAWN: {}}).is_withdrawn, (
        "with a session it is its end"
    )
    with pytest.raises(LogoutTokenRejected, match="events"):
        said(sid=None, sub="subject-1", events={WITHDRAWN: {}})


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "subject-1"},
        {"sid": None, "sub": "subject-1"},
        {"aud": [HOME]},
        {"iat": NOW_S + 60},
        {"iat": NOW_S - 600, "exp": NOW_S - 59},
        {"exp": None},
        {"events": {EVENT: {}, "urn:other": {}}},
    ],
)
def test_these_are_taken(changes: dict[str, Any]) -> None:
    assert said(**changes).jti


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": HOME}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": VISITED}, "aud"),
        ({"aud": [HOME, VISITED]}, "aud"),
        ({"aud": None}, "aud"),
        ({"iat": NOW_S + 61}, "iat is in the future"),
        ({"iat": NOW_S - 661, "exp": NOW_S + 60}, "ago"),
        ({"iat": None}, "iat is not a time"),
        ({"iat": True}, "iat is not a time"),
        ({"iat": 1e300}, "iat is not a time"),
        ({"exp": NOW_S - 60}, "expired"),
        ({"exp": "soon"}, "exp is not a time"),
        ({"sid": None}, "neither sid nor sub"),
        ({"sid": ""}, "neither sid nor sub"),
        ({"sid": ["a"]}, "sid"),
        ({"sid": "s" * 256}, "sid"),
        ({"sub": 7}, "sub"),
        ({"sub": "s\0"}, "sub"),
        ({"sid": "s\n"}, "sid"),
        ({"jti": "\0"}, "jti"),
        ({"events": None}, "events"),
        ({"events": [EVENT]}, "events"),
        ({"events": {EVENT: "yes"}}, "events"),
        ({"events": {"urn:other": {}}}, "events"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"jti": None}, "jti"),
        ({"jti": "j" * 256}, "jti"),
    ],
)
def test_these_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(LogoutTokenRejected, match=why):
        said(**changes)
