"""The visited side: from the platform's request through the chooser to a home node, and back with an identity."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from federation.errors import OwnBusy
from federation.login.refusals import PageRefusal
from federation.login.relying_party import ProviderAway, ProviderRefused
from federation.login.steps import ChooserView, GoTo, Respond, Show, Step, Visitor
from tests.support.clock import FixedClock
from tests.support.consents import USE
from tests.support.login_flow import (
    AH,
    HOME_CLAIMS,
    JS,
    Wayside,
    claims_parameter,
    parameters_of,
    platform_request,
)
from trust.consent import Consent, sign_consent
from trust.keys import SigningKey

IDENTITY = frozenset({"name", "citizen_number", "holder_id_type", "face"})


async def to_home(wayside: Wayside, **asked: Any) -> Step:
    """Anhui's node sends the citizen to Jiangsu's."""
    request = platform_request(**{"province": "320000", **asked})
    step = await wayside.begin(request)
    assert isinstance(step, GoTo)
    wayside.home.came(step.url)
    return step


async def test_a_login_asks_for_the_province_and_comes_back_with_an_identity() -> None:
    wayside = Wayside()
    step = await wayside.begin()
    page = await wayside.open(step)
    assert isinstance(page, Show)
    assert isinstance(page.view, ChooserView)
    assert [(one.code, one.is_away) for one in page.view.provinces] == [("320000", False), ("340000", False)]
    assert page.view.platform_name == "安徽政务服务网"
    assert isinstance(step, GoTo)
    sent = await wayside.act(step.url, province="320000")
    assert isinstance(sent, GoTo)
    assert sent.url.startswith(f"{JS}/oidc/authorize?client_id=https%3A%2F%2Fnode.ah.example&request_uri=urn")
    assert not sent.province
    done = await wayside.back(wayside.home.answer())
    assert parameters_of(done) == {"code": "the-code", "state": "the-platform's-state"}
    (agreed,) = wayside.answers.granted
    identity = agreed.identity
    assert (identity.issuer, identity.subject, identity.acr) == (JS, "citizen-1", "yrd.l2")
    assert (identity.origin, identity.upstream_sid) == ("https://id.js.example", "session-1")
    assert wayside.browser.session == "token-1"


async def test_what_is_pushed_to_the_home_node_is_what_fapi_asks_for() -> None:
    wayside = Wayside()
    await to_home(
        wayside,
        claims=IDENTITY,
        max_age_s=60,
        prompt=frozenset({"login", "consent"}),
        acr_values=("yrd.l3",),
        ui_locales=("en",),
        authorization_details="[]",
    )
    ((url, form, headers),) = wayside.home.forms
    assert url == f"{JS}/oidc/par"
    assert form["client_assertion_type"].endswith("jwt-bearer")
    assert (form["response_type"], form["code_challenge_method"], form["scope"]) == ("code", "S256", "openid")
    assert len(form["dpop_jkt"]) == 43
    assert len(form["nonce"]) == 43
    assert "DPoP" not in headers
    assert (form["prompt"], form["max_age"], form["acr_values"]) == ("consent login", "60", "yrd.l3 yrd.l4")
    assert (form["ui_locales"], form["authorization_details"]) == ("en", "[]")
    assert (form["yrd_platform"], form["yrd_platform_name"]) == ("portal", "安徽政务服务网")
    assert "yrd_offline_days" not in form
    assert claims_parameter(form) == {"id_token": dict.fromkeys(sorted(IDENTITY))}


async def test_the_home_node_is_told_that_the_platform_wants_to_stay() -> None:
    wayside = Wayside()
    await to_home(wayside, scopes=frozenset({"openid", "offline_access"}))
    ((_, form, _headers),) = wayside.home.forms
    assert (form["scope"], form["yrd_offline_days"]) == ("openid", "30"), "no refresh token between nodes"


async def test_the_code_is_redeemed_with_the_key_and_the_verifier() -> None:
    wayside = Wayside()
    await to_home(wayside)
    await wayside.back(wayside.home.answer())
    _, (url, form, headers) = wayside.home.forms
    assert url == f"{JS}/oidc/token"
    assert form["grant_type"] == "authorization_code"
    assert form["redirect_uri"] == "https://node.ah.example/login/callback"
    assert headers["DPoP"].count(".") == 2


async def test_claims_reach_the_platform_in_its_own_words() -> None:
    wayside = Wayside()
    wayside.home.claims |= HOME_CLAIMS
    await to_home(wayside, claims=IDENTITY)
    await wayside.back(wayside.home.answer())
    (agreed,) = wayside.answers.granted
    assert agreed.claims["face"] == {"xm": "曾菊洁", "xb": "女性"}
    assert agreed.claims["citizen_number"] == "320522194108054464"
    assert agreed.claims["holder_id_type"] == "SFZ"
    assert "gender" not in agreed.claims, "nobody asked for it"
    assert agreed.identity.claims == {}


def paper(clock: FixedClock, **changes: Any) -> str:
    """A consent of Jiangsu's that Anhui's portal may show."""
    said: dict[str, Any] = {
        "iss": JS,
        "jti": "jti-1",
        "issued_at": clock.now(),
        "expires_at": clock.now() + timedelta(hours=1),
        "answering": ("https://node.zj.example",),
        "asking": AH,
        "platform": "portal",
        "basis": "holders_consent",
        "service_item_name": USE["service_item_name"],
        "service_item_code": USE["service_item_code"],
        "case_number": "C-1",
        "purpose": USE["purpose"],
        "certificate_types": tuple(USE["certificate_types"]),
        "fields": tuple(USE["fields"]),
        "uses": 2,
        "holders": {"https://node.zj.example": "a.b.c.d.e"},
        "status_uri": f"{JS}/oidc/status-list",
        "status_index": 1,
    }
    return sign_consent(Consent(**{**said, **changes}), SigningKey.generate())


async def test_consents_come_through_as_the_home_node_granted_them() -> None:
    wayside = Wayside()
    token = paper(wayside.clock)
    wayside.home.tokens = {"authorization_details": [{**USE, "consent": token, "expires_at": 9}]}
    await to_home(wayside, authorization_details=json.dumps([USE]))
    await wayside.back(wayside.home.answer())
    expires_at = int(wayside.clock.now().timestamp()) + 3600
    (given,) = wayside.answers.granted[0].authorization_details
    assert given == {**USE, "consent": token, "expires_at": expires_at}


async def test_consents_that_nobody_asked_for_go_no_further() -> None:
    wayside = Wayside()
    wayside.home.tokens = {"authorization_details": [{**USE, "consent": paper(wayside.clock)}]}
    await to_home(wayside)
    await wayside.back(wayside.home.answer())
    assert wayside.answers.granted[0].authorization_details == ()


@pytest.mark.parametrize(
    ("members", "consent", "times"),
    [
        ({"type": "account_access"}, {}, 1),
        ({"more": "x" * 100_000}, {}, 1),
        ({"uses": 20}, {}, 1),
        ({"consent": None}, {}, 1),
        ({"consent": "a.b.c"}, {}, 1),
        ({"consent": "x" * 100_000}, {}, 1),
        ({}, {"iss": "https://node.zj.example"}, 1),
        ({}, {"asking": "https://node.zj.example"}, 1),
        ({}, {"platform": "hall"}, 1),
        ({}, {}, 2),
    ],
    ids=[
        "another type",
        "a further member",
        "another use",
        "no consent",
        "no token",
        "too long",
        "another issuer",
        "for another node",
        "for another platform",
        "more than were asked for",
    ],
)
async def test_consents_that_do_not_fit_end_the_login(
    members: dict[str, Any], consent: dict[str, Any], times: int
) -> None:
    wayside = Wayside()
    entry = {**USE, "consent": paper(wayside.clock, **consent), **members}
    wayside.home.tokens = {"authorization_details": [entry] * times}
    await to_home(wayside, authorization_details=json.dumps([USE]))
    with pytest.raises(PageRefusal) as caught:
        await wayside.back(wayside.home.answer())
    assert page_of(caught) == ("login.peer_node_wrong", "peer_node")
    assert wayside.sessions.began == 0
    assert not wayside.answers.granted


async def test_a_remembered_province_is_not_asked_for_again() -> None:
    wayside = Wayside()
    step = await wayside.begin()
    assert isinstance(step, GoTo)
    sent = await wayside.act(step.url, province="320000", remember="1")
    assert isinstance(sent, GoTo)
    assert sent.province == "320000"
    again = await wayside.begin()
    assert isinstance(again, GoTo)
    assert again.url.startswith(f"{JS}/oidc/authorize")
    other = await wayside.begin(platform_request(prompt=frozenset({"select_account"})))
    assert isinstance(await wayside.open(other), Show)


@pytest.mark.parametrize("named", [{"province": "320000"}, {"login_hint": "320000"}])
async def test_the_platform_may_name_the_province(named: dict[str, str]) -> None:
    wayside = Wayside()
    step = await wayside.begin(platform_request(**named))
    assert isinstance(step, GoTo)
    assert step.url.startswith(JS)
    assert "login_hint" not in wayside.home.forms[0][1]


async def test_a_province_without_a_node_is_the_platforms_mistake() -> None:
    step = await Wayside().begin(platform_request(province="110000"))
    assert parameters_of(step)["error"] == "invalid_request"


async def test_without_pages_there_is_no_chooser() -> None:
    wayside = Wayside()
    step = await wayside.begin(platform_request(prompt=frozenset({"none"})))
    assert parameters_of(step)["error"] == "account_selection_required"
    assert wayside.rows.writes == 0


async def test_who_goes_back_from_the_home_node_can_choose_another_province() -> None:
    wayside = Wayside()
    step = await wayside.begin()
    assert isinstance(step, GoTo)
    await wayside.act(step.url, province="320000")
    assert isinstance(await wayside.open(step), Show)
    to_own = await wayside.act(step.url, province="340000")
    assert isinstance(to_own, GoTo)
    assert to_own.url.startswith("https://id.ah.example/authorize?")


async def test_a_citizen_may_leave_at_the_chooser() -> None:
    wayside = Wayside()
    step = await wayside.begin()
    assert isinstance(step, GoTo)
    assert parameters_of(await wayside.act(step.url, decision="cancel"))["error"] == "access_denied"


@pytest.mark.parametrize(
    "error",
    [
        "access_denied",
        "consent_required",
        "interaction_required",
        "login_required",
        "unmet_authentication_requirements",
    ],
)
async def test_what_is_about_the_citizen_is_told_to_the_platform(error: str) -> None:
    wayside = Wayside()
    await to_home(wayside)
    answer = {"error": error, "state": wayside.home.asked["state"], "iss": JS}
    step = await wayside.back({**answer, "error_description": "account 13800000000 is locked"})
    assert parameters_of(step)["error"] == error
    assert "13800000000" not in parameters_of(step)["error_description"], "that is for this node's log"
    assert wayside.sessions.began == 0


def page_of(caught: pytest.ExceptionInfo[PageRefusal]) -> tuple[str, str]:
    return caught.value.code, caught.value.turn


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ProviderAway("refused"), "login.peer_node_away"),
        (ProviderRefused("server_error"), "login.peer_node_away"),
        (ProviderRefused("invalid_request", "no"), "login.peer_node_refused"),
    ],
    ids=["unreachable", "in trouble", "refuses"],
)
async def test_a_home_node_that_is_away_can_be_tried_again(failure: Exception, code: str) -> None:
    wayside = Wayside()
    wayside.home.failure = failure
    with pytest.raises(PageRefusal) as caught:
        await to_home(wayside)
    assert page_of(caught) == (code, "peer_node")
    assert caught.value.peer_name == "江苏省节点"
    assert caught.value.browser == "browser-1"
    assert len(caught.value.number) == 8
    wayside.home.failure = None
    again = await wayside.open(GoTo(url=caught.value.retry))
    assert isinstance(again, GoTo)
    assert again.url.startswith(JS)


async def test_without_pages_a_home_node_that_is_away_is_told_to_the_platform() -> None:
    wayside = Wayside()
    wayside.home.failure = ProviderAway("refused")
    request = platform_request(province="320000", prompt=frozenset({"none"}))
    assert parameters_of(await wayside.begin(request))["error"] == "temporarily_unavailable"


@pytest.mark.parametrize(
    "change",
    [
        {"standing": "revoked", "reason": "lost keys"},
        {"standing": "denied"},
        {"openid": None},
        {"expires_at": "now"},
    ],
    ids=["revoked", "denied", "no logins", "expired"],
)
@pytest.mark.parametrize("when", ["before", "in the middle"])
async def test_a_home_node_that_is_not_trusted_logs_nobody_in(change: dict[str, Any], when: str) -> None:
    wayside = Wayside()
    change = {**change, **({"expires_at": wayside.clock.now()} if "expires_at" in change else {})}
    following = to_home(wayside)
    if when == "in the middle":
        await following
        following = wayside.back(wayside.home.answer())
    wayside.trust(wayside.peer(**change))
    with pytest.raises(PageRefusal) as caught:
        await following
    code = "login.peer_node_wrong" if "openid" in change else "login.peer_node_no_trust"
    assert page_of(caught) == (code, "peer_node")
    assert wayside.sessions.began == 0
    assert not wayside.answers.granted


async def test_a_home_node_that_is_away_stands_greyed_in_the_chooser() -> None:
    wayside = Wayside()
    wayside.trust(wayside.peer(standing="denied"))
    page = await wayside.open(await wayside.begin())
    assert isinstance(page, Show)
    assert isinstance(page.view, ChooserView)
    assert [one.is_away for one in page.view.provinces] == [True, False]


async def test_a_level_that_was_not_reached_is_refused_and_never_lowered() -> None:
    wayside = Wayside()
    await to_home(wayside, acr_values=("yrd.l3",))
    step = await wayside.back(wayside.home.answer())
    assert parameters_of(step)["error"] == "unmet_authentication_requirements"
    assert wayside.sessions.began == 0


async def test_levels_that_nobody_knows_are_refused_before_anything_leaves() -> None:
    wayside = Wayside()
    step = await wayside.begin(platform_request(province="320000", acr_values=("urn:gold",)))
    assert parameters_of(step)["error"] == "unmet_authentication_requirements"
    assert not wayside.home.forms


async def test_somebody_else_than_expected_is_refused() -> None:
    wayside = Wayside()
    await to_home(wayside, id_token_hint_sub="somebody else")
    assert parameters_of(await wayside.back(wayside.home.answer()))["error"] == "login_required"


async def test_a_client_that_begins_too_many_logins_is_told_to_wait() -> None:
    wayside = Wayside(begun_per_minute=2)
    for _ in range(2):
        await wayside.begin()
    step = await wayside.begin()
    assert isinstance(step, Respond)
    assert parameters_of(step)["error"] == "temporarily_unavailable"
    assert wayside.rows.writes == 2


async def test_how_logins_end_is_told() -> None:
    wayside = Wayside()
    await to_home(wayside)
    await wayside.back(wayside.home.answer())
    await wayside.begin(platform_request(prompt=frozenset({"none"})))
    await wayside.begin(platform_request(is_peer=True, client_id=JS, prompt=frozenset({"none"})))
    assert wayside.ended == [
        ("visited", "320000", "granted"),
        ("visited", "unknown", "account_selection_required"),
        ("home", "340000", "login_required"),
    ]


async def test_a_login_that_something_came_between_at_its_end_is_not_told_as_granted() -> None:
    wayside = Wayside()
    wayside.answers.meanwhile = "unauthorized_client"
    await to_home(wayside)
    assert parameters_of(await wayside.back(wayside.home.answer()))["error"] == "unauthorized_client"
    assert wayside.ended == [("visited", "320000", "unauthorized_client")]


async def test_who_floods_shuts_out_nobody_else() -> None:
    wayside = Wayside(begun_per_minute=9, per_sender=5)
    flooding = Visitor(sender="192.0.2.1")
    for _ in range(5):
        await wayside.flow.begin(platform_request(), flooding)
    for request in (platform_request(), platform_request(province="320000", prompt=frozenset({"none"}))):
        with pytest.raises(PageRefusal) as caught:
            await wayside.flow.begin(request, flooding)
        assert (*page_of(caught), caught.value.status) == ("login.too_often", "citizen", 429)
    assert wayside.rows.writes == 5, "nothing is kept of what is refused"
    assert not wayside.home.forms
    await to_home(wayside)
    wayside.clock.advance(seconds=60)
    await wayside.flow.begin(platform_request(), flooding)


async def test_who_has_begun_a_login_cannot_have_a_home_node_flooded_by_it() -> None:
    wayside = Wayside(per_sender=3)
    step = await wayside.begin()
    assert isinstance(step, GoTo)
    for _ in range(2):
        await wayside.act(step.url, province="320000")
    with pytest.raises(PageRefusal) as caught:
        await wayside.act(step.url, province="320000")
    assert page_of(caught) == ("login.too_often", "citizen")
    assert caught.value.retry == step.url
    assert len(wayside.home.forms) == 2


@pytest.mark.parametrize("asked", [{}, {"province": "320000"}], ids=["the chooser", "a home node"])
async def test_without_room_for_a_login_the_node_is_busy(asked: dict[str, str]) -> None:
    wayside = Wayside()

    async def create(_interaction: object, _browser: str) -> None:
        raise OwnBusy("no room")

    wayside.rows.create = create  # type: ignore[assignment,method-assign]
    with pytest.raises(OwnBusy):
        await wayside.begin(platform_request(**asked))
