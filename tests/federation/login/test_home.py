"""The home side: the identity provider, the consent, and what is answered for the citizen."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from federation.login.model import OnBehalf
from federation.login.refusals import PageRefusal
from federation.login.relying_party import ProviderAway
from federation.login.steps import ConsentView, GoTo, Respond, Show, Step
from tests.support.login_flow import IDP, JS, Wayside, parameters_of, platform_request

PEER: dict[str, Any] = {
    "client_id": JS,
    "client_name": "江苏省节点",
    "is_peer": True,
    "sector": JS,
    "redirect_uri": f"{JS}/login/callback",
    "on_behalf": OnBehalf("js-portal", "江苏政务服务网"),
}
IDENTITY = frozenset({"name", "citizen_number", "face"})


async def to_provider(wayside: Wayside, **asked: Any) -> GoTo:
    """Anhui's node sends the citizen to Anhui's identity provider."""
    step = await wayside.begin(platform_request(**{**PEER, **asked}))
    assert isinstance(step, GoTo)
    assert step.url.startswith(f"{IDP}/authorize?"), step.url
    wayside.idp.came(step.url)
    return step


async def at_consent(wayside: Wayside, **asked: Any) -> GoTo:
    """The citizen logged in, and is to be asked."""
    await to_provider(wayside, **asked)
    step = await wayside.back(wayside.idp.answer())
    assert isinstance(step, GoTo), step
    return step


def consent_of(step: Step) -> ConsentView:
    assert isinstance(step, Show)
    assert isinstance(step.view, ConsentView)
    return step.view


async def test_a_peers_citizen_logs_in_agrees_and_is_answered_for() -> None:
    wayside = Wayside()
    page = await at_consent(wayside, claims=IDENTITY)
    view = consent_of(await wayside.open(page))
    assert (view.recipient, view.recipient_name, view.recipient_province) == (JS, "江苏省节点", "320000")
    assert view.platform == OnBehalf("js-portal", "江苏政务服务网")
    assert view.account_name == "袁波东"
    assert set(view.claims) == IDENTITY
    assert view.claims["face"]["性别"] == "1"
    step = await wayside.act(page.url, decision="agree")
    assert parameters_of(step)["code"] == "the-code"
    (agreed,) = wayside.answers.granted
    assert agreed.claims == view.claims, "what was shown is what goes"
    assert (agreed.identity.acr, agreed.identity.origin) == ("yrd.l2", IDP)


async def test_what_the_identity_provider_is_asked() -> None:
    wayside = Wayside()
    await to_provider(wayside, claims=IDENTITY, ui_locales=("en",), login_hint="somebody", max_age_s=60)
    asked = wayside.idp.asked
    assert (asked["scope"], asked["acr_values"]) == ("openid profile", "verified strong")
    assert (asked["max_age"], asked["ui_locales"], asked["login_hint"]) == ("60", "en", "somebody")
    assert asked["code_challenge_method"] == "S256"
    assert "prompt" not in asked


async def test_an_own_platform_gets_its_own_words() -> None:
    wayside = Wayside()
    request = platform_request(province="340000", claims=IDENTITY | {"holder_id_type"})
    step = await wayside.begin(request)
    assert isinstance(step, GoTo)
    wayside.idp.came(step.url)
    page = await wayside.back(wayside.idp.answer())
    view = consent_of(await wayside.open(page))
    assert (view.recipient, view.recipient_province) == ("https://node.ah.example", "340000")
    assert isinstance(page, GoTo)
    await wayside.act(page.url, decision="agree")
    (agreed,) = wayside.answers.granted
    assert agreed.claims["face"]["xb"] == "男性"
    assert agreed.claims["holder_id_type"] == "SFZ"


async def test_what_was_agreed_to_is_not_asked_again_and_more_is() -> None:
    wayside = Wayside()
    page = await at_consent(wayside, claims=frozenset({"name"}))
    await wayside.act(page.url, decision="agree")
    again = await wayside.begin(platform_request(**PEER, claims=frozenset({"name"})))
    assert isinstance(again, Respond), "logged in already, and agreed already"
    more = await wayside.begin(platform_request(**PEER, claims=frozenset({"name", "gender"})))
    assert set(consent_of(await wayside.open(more)).claims) == {"name", "gender"}
    other = {**PEER, "on_behalf": OnBehalf("other", "另一平台")}
    elsewhere = await wayside.begin(platform_request(**other, claims=frozenset({"name"})))
    assert isinstance(elsewhere, GoTo), "another platform of the same node asks for itself"


async def test_to_stay_logged_in_is_agreed_to_like_a_claim() -> None:
    wayside = Wayside()
    page = await at_consent(wayside, claims=frozenset({"name"}))
    assert consent_of(await wayside.open(page)).platform.offline_days == 0
    await wayside.act(page.url, decision="agree")
    stays = {**PEER, "claims": frozenset({"name"}), "on_behalf": OnBehalf("js-portal", "江苏政务服务网", 30)}
    silent = await wayside.begin(platform_request(**stays, prompt=frozenset({"none"})))
    assert parameters_of(silent)["error"] == "consent_required"
    again = await wayside.begin(platform_request(**stays))
    assert isinstance(again, GoTo), "agreed to without it: asked again"
    assert consent_of(await wayside.open(again)).platform.offline_days == 30
    await wayside.act(again.url, decision="agree")
    assert isinstance(await wayside.begin(platform_request(**stays, prompt=frozenset({"none"}))), Respond)


async def test_an_own_platform_that_wants_to_stay_is_shown_as_such() -> None:
    wayside = Wayside()
    await at_consent(wayside)
    asked = {"province": "340000", "scopes": frozenset({"openid", "offline_access"})}
    silent = await wayside.begin(platform_request(**asked, prompt=frozenset({"none"})))
    assert parameters_of(silent)["error"] == "consent_required"
    page = await wayside.begin(platform_request(**asked))
    assert isinstance(page, GoTo)
    assert consent_of(await wayside.open(page)).platform.offline_days == 30
    await wayside.act(page.url, decision="agree")
    (agreement,) = wayside.agreements.held.values()
    assert agreement.claims == {"offline_access"}


@pytest.mark.parametrize("asked", [{"prompt": frozenset({"consent"})}, {"authorization_details": "[]"}])
async def test_where_it_must_be_asked_each_time_it_is(asked: dict[str, Any]) -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    await wayside.act(page.url, decision="agree")
    assert isinstance(await wayside.begin(platform_request(**PEER, **asked)), GoTo)


async def test_a_citizen_who_does_not_agree_gives_nothing() -> None:
    wayside = Wayside()
    page = await at_consent(wayside, claims=IDENTITY)
    assert parameters_of(await wayside.act(page.url, decision="deny"))["error"] == "access_denied"
    assert not wayside.answers.granted
    assert not wayside.agreements.held


async def test_the_session_gets_a_new_token_with_each_login() -> None:
    wayside = Wayside()
    wayside.browser = replace(wayside.browser, session="planted-by-somebody")
    await at_consent(wayside)
    assert wayside.browser.session == "token-1"
    wayside.clock.advance(seconds=1)
    await to_provider(wayside, prompt=frozenset({"login"}))
    await wayside.back(wayside.idp.answer(code="code-2"))
    assert wayside.browser.session == "token-2"
    assert "token-1" not in wayside.sessions.by_token


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": frozenset({"login"})}, {"prompt": "login"}),
        ({"max_age_s": 0}, {"prompt": "login"}),
        ({"max_age_s": 30}, {"max_age": "30"}),
        ({"acr_values": ("yrd.l3",)}, {"acr_values": "strong"}),
        ({"id_token_hint_sub": "somebody else"}, {"prompt": "login"}),
    ],
    ids=["prompt", "no age", "too old", "higher level", "somebody else"],
)
async def test_a_session_that_does_not_meet_the_request_is_not_used(
    asked: dict[str, Any], said: dict[str, str]
) -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    await wayside.act(page.url, decision="agree")
    wayside.clock.advance(seconds=60)
    await to_provider(wayside, **asked)
    assert said.items() <= wayside.idp.asked.items()


@pytest.mark.parametrize("logged_in", [False, True], ids=["nobody", "not agreed"])
async def test_without_pages_the_client_is_told_what_is_missing(logged_in: bool) -> None:
    wayside = Wayside()
    if logged_in:
        await at_consent(wayside)
    step = await wayside.begin(platform_request(**PEER, prompt=frozenset({"none"})))
    assert parameters_of(step)["error"] == ("consent_required" if logged_in else "login_required")


@pytest.mark.parametrize(
    ("claims", "asked"),
    [
        ({"acr": "plain"}, {"claims": IDENTITY}),
        ({"acr": "plain"}, {"authorization_details": "[]"}),
        ({"acr": "verified"}, {"acr_values": ("yrd.l3", "yrd.l4")}),
        ({"acr": "unheard of"}, {}),
        ({"acr": None}, {}),
    ],
    ids=["number", "papers", "level", "unknown", "none"],
)
async def test_a_level_that_was_not_reached_is_refused(claims: dict[str, Any], asked: dict[str, Any]) -> None:
    wayside = Wayside()
    wayside.idp.claims |= claims
    await to_provider(wayside, **asked)
    step = await wayside.back(wayside.idp.answer())
    assert parameters_of(step)["error"] == "unmet_authentication_requirements"
    assert wayside.sessions.began == 0


async def test_a_level_that_the_provider_does_not_have_is_refused_at_once() -> None:
    wayside = Wayside()
    step = await wayside.begin(platform_request(**PEER, acr_values=("yrd.l4",)))
    assert parameters_of(step)["error"] == "unmet_authentication_requirements"


async def test_a_higher_level_satisfies() -> None:
    wayside = Wayside()
    wayside.idp.claims |= {"acr": "strong"}
    page = await at_consent(wayside, acr_values=("yrd.l2",))
    await wayside.act(page.url, decision="agree")
    assert wayside.answers.granted[0].identity.acr == "yrd.l3"


async def test_an_account_without_a_number_is_nobody_whose_number_could_be_given() -> None:
    wayside = Wayside()
    wayside.idp.userinfo_claims = {"sub": "citizen-1", "xm": "袁波东"}
    await to_provider(wayside, claims=IDENTITY)
    assert parameters_of(await wayside.back(wayside.idp.answer()))["error"] == (
        "unmet_authentication_requirements"
    )


@pytest.mark.parametrize(
    "told",
    [
        {"sub": "somebody-else"},
        {"sfzh": "340224198706046199"},
        {"sfzh": ["340224198706046198", "340224198706046198"]},
        {"xm": {"first": "波东"}},
    ],
    ids=["another subject", "a number that breaks its standard", "two numbers", "no text"],
)
async def test_what_the_identity_provider_says_must_be_usable(told: dict[str, Any]) -> None:
    wayside = Wayside()
    wayside.idp.userinfo_claims |= told
    await to_provider(wayside, claims=IDENTITY)
    with pytest.raises(PageRefusal) as caught:
        await wayside.back(wayside.idp.answer())
    assert (caught.value.code, caught.value.turn) == ("login.identity_provider_wrong", "identity_provider")
    assert "3402" not in caught.value.detail
    assert wayside.sessions.began == 0


async def test_an_identity_provider_that_is_away_can_be_tried_again() -> None:
    wayside = Wayside()
    wayside.idp_is_away = ProviderAway("refused")
    with pytest.raises(PageRefusal) as caught:
        await wayside.begin(platform_request(**PEER))
    assert (caught.value.code, caught.value.status) == ("login.identity_provider_away", 503)
    wayside.idp_is_away = None
    again = await wayside.open(GoTo(url=caught.value.retry))
    assert isinstance(again, GoTo)
    assert again.url.startswith(IDP)


async def test_how_a_login_ends_that_something_came_between_is_told() -> None:
    wayside = Wayside()
    page = await at_consent(wayside, claims=frozenset({"name"}))
    wayside.answers.meanwhile = "login_required"
    assert parameters_of(await wayside.act(page.url, decision="agree"))["error"] == "login_required"
    assert wayside.ended == [("home", "340000", "login_required")]


async def test_who_logs_out_meanwhile_cannot_agree_any_more() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    wayside.sessions.by_token.clear()
    with pytest.raises(PageRefusal) as caught:
        await wayside.act(page.url, decision="agree")
    assert (caught.value.code, caught.value.status) == ("login.session_ended", 403)
    assert not wayside.answers.granted
    assert await wayside.act(page.url, decision="agree") == GoTo(url=page.url), "nor by pressing once more"
    again = await wayside.open(GoTo(url=caught.value.retry))
    assert isinstance(again, GoTo)
    wayside.idp.came(again.url)
    asked = await wayside.back(wayside.idp.answer(code="code-2"))
    assert isinstance(asked, GoTo)
    assert consent_of(await wayside.open(asked)).platform.client_id == "js-portal"
    assert parameters_of(await wayside.act(asked.url, decision="agree"))["code"] == "the-code"


async def test_somebody_elses_session_cannot_agree() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    other = replace(wayside.sessions.by_token[wayside.browser.session], session_id="another")
    wayside.sessions.by_token[wayside.browser.session] = other
    with pytest.raises(PageRefusal) as caught:
        await wayside.open(page)
    again = await wayside.open(GoTo(url=caught.value.retry))
    assert isinstance(again, GoTo)
    assert consent_of(await wayside.open(again)).account_name, "that one is asked in turn"
    assert not wayside.answers.granted


async def test_an_own_page_gets_a_session_and_no_answer() -> None:
    wayside = Wayside()
    request = platform_request(own_page="https://node.ah.example/me", redirect_uri="", client_id="own")
    step = await wayside.begin(request)
    assert isinstance(step, GoTo)
    wayside.idp.came(step.url)
    done = await wayside.back(wayside.idp.answer())
    assert done == GoTo(url="https://node.ah.example/me", session="token-1")
    assert not wayside.answers.granted


async def test_an_own_page_that_is_refused_is_a_page() -> None:
    wayside = Wayside()
    request = platform_request(own_page="https://node.ah.example/me", redirect_uri="", client_id="own")
    step = await wayside.begin(request)
    assert isinstance(step, GoTo)
    wayside.idp.came(step.url)
    with pytest.raises(PageRefusal) as caught:
        await wayside.back({"error": "access_denied", "state": wayside.idp.asked["state"], "iss": IDP})
    assert caught.value.code == "login.access_denied"
