"""What a home node or an identity provider must not get away with, and what a browser must not: a row each.

After each of them nobody is logged in and nothing is answered to the platform.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from federation.login.refusals import PageRefusal
from federation.login.relying_party import ProviderRefused
from federation.login.steps import GoTo, Step
from tests.federation.login.test_home import at_consent, to_provider
from tests.federation.login.test_visited import to_home
from tests.support.login_flow import HOME_CLAIMS, IDP, JS, Scripted, Wayside, parameters_of
from trust.keys import SigningKey

Claims = dict[str, Any]
Spoil = Callable[[Claims], None]


def put(**claims: Any) -> Spoil:
    return lambda found: found.update(claims)


def without(name: str) -> Spoil:
    def spoil(found: Claims) -> None:
        del found[name]

    return spoil


def later(**seconds: int) -> Spoil:
    """Move times of the token."""

    def spoil(found: Claims) -> None:
        for name, by in seconds.items():
            found[name] += by

    return spoil


SPOILED_FOR_BOTH = {
    "another issuer": put(iss="https://node.zj.example"),
    "another audience": put(aud="https://node.zj.example"),
    "an audience beside us": put(aud=["https://node.ah.example", "node", "https://node.zj.example"]),
    "no audience": without("aud"),
    "another authorised party": put(azp="https://node.zj.example"),
    "another nonce": put(nonce="of-another-login"),
    "no nonce": without("nonce"),
    "expired": later(exp=-1200, iat=-1200),
    "no end": without("exp"),
    "an end that is no time": put(exp="tomorrow"),
    "from the future": later(iat=600, exp=600),
    "no time of issue": without("iat"),
    "no subject": without("sub"),
    "an endless subject": put(sub="x" * 256),
    "another access token": put(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "no time of login": without("auth_time"),
    "a login in the future": later(auth_time=600),
    "a time of login that is text": put(auth_time="now"),
    "methods that are no list": put(amr="pwd"),
}

SPOILED_BY_A_NODE = {
    "no origin": without("origin"),
    "an unknown level": put(acr="yrd.l9"),
    "no level": without("acr"),
    "claims above its level": put(acr="yrd.l1", **HOME_CLAIMS),
    "a number that breaks its standard": put(**{**HOME_CLAIMS, "citizen_number": "320522194108054465"}),
    "a name that is no text": put(name=["曾菊洁"]),
    "a face that is no object": put(face="曾菊洁"),
    "a face of a thousand fields": put(face={f"f{number}": "x" for number in range(1000)}),
    "a gender of its own": put(gender="f"),
    "a birthday that is no date": put(birthdate="1941-13-05"),
}


async def refused_at_visited(wayside: Wayside, answer: dict[str, str] | None = None) -> PageRefusal:
    with pytest.raises(PageRefusal) as caught:
        await wayside.back(wayside.home.answer() if answer is None else answer)
    assert wayside.sessions.began == 0
    assert not wayside.answers.granted
    return caught.value


@pytest.mark.parametrize("why", [*SPOILED_FOR_BOTH, *SPOILED_BY_A_NODE])
async def test_an_id_token_of_a_home_node_that_does_not_fit(why: str) -> None:
    wayside = Wayside()
    await to_home(wayside, claims=frozenset({*HOME_CLAIMS, "birthdate"}))
    wayside.home.change = {**SPOILED_FOR_BOTH, **SPOILED_BY_A_NODE}[why]
    refusal = await refused_at_visited(wayside)
    assert (refusal.code, refusal.turn) == ("login.peer_node_wrong", "peer_node")


@pytest.mark.parametrize("why", SPOILED_FOR_BOTH)
async def test_an_id_token_of_the_identity_provider_that_does_not_fit(why: str) -> None:
    wayside = Wayside()
    await to_provider(wayside)
    wayside.idp.change = SPOILED_FOR_BOTH[why]
    with pytest.raises(PageRefusal) as caught:
        await wayside.back(wayside.idp.answer())
    assert caught.value.code == "login.identity_provider_wrong"
    assert wayside.sessions.began == 0


class Forger(Scripted):
    """Has the home node's answers, and signs or spoils ID tokens in its own way."""

    forge: Callable[[str], str] = staticmethod(lambda token: token)

    def id_token(self) -> str:
        return self.forge(super().id_token())


def _header(token: str, **members: Any) -> str:
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(head + "=="))
    said.update(members)
    written = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return f"{written}.{body}.{signature}"


FORGED = {
    "signed by nobody": lambda token: _header(token, alg="none").rpartition(".")[0] + ".",
    "with a MAC": lambda token: _header(token, alg="HS256"),
    "with a key of its own": lambda token: _header(token, jwk={"kty": "EC"}),
    "with a key that it points to": lambda token: _header(token, jku="https://evil.example/jwks"),
    "of another type": lambda token: _header(token, typ="logout+jwt"),
    "altered": lambda token: token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB"),
    "no token": lambda _token: "id-token",
    "too long": lambda token: token + "A" * 70_000,
}


@pytest.mark.parametrize("why", FORGED)
async def test_a_forged_id_token(why: str) -> None:
    wayside = Wayside()
    forger = Forger(JS, wayside.clock, claims=wayside.home.claims)
    forger.forge = FORGED[why]
    wayside.call_instead_of_home(forger)
    await to_home(wayside)
    assert (await refused_at_visited(wayside)).code == "login.peer_node_wrong"


async def test_an_id_token_under_a_key_that_is_not_in_the_chain() -> None:
    wayside = Wayside()
    wayside.home.key = SigningKey.generate()
    await to_home(wayside)
    assert (await refused_at_visited(wayside)).code == "login.peer_node_wrong"


ANSWERS = {
    "from another home node": {"iss": "https://node.zj.example"},
    "an error from another home node": {"iss": "https://node.zj.example", "error": "access_denied"},
    "a code that is too long": {"code": "x" * 3000},
    "an empty code": {"code": ""},
}


@pytest.mark.parametrize("why", ANSWERS)
async def test_an_answer_that_was_mixed_up(why: str) -> None:
    wayside = Wayside()
    await to_home(wayside)
    refusal = await refused_at_visited(wayside, wayside.home.answer(**ANSWERS[why]))
    assert refusal.code == "login.peer_node_wrong"
    assert len(wayside.home.forms) == 1, "no code went anywhere"


@pytest.mark.parametrize("named", ["iss", "code"])
async def test_an_answer_in_which_something_is_missing(named: str) -> None:
    wayside = Wayside()
    await to_home(wayside)
    answer = wayside.home.answer()
    del answer[named]
    assert (await refused_at_visited(wayside, answer)).code == "login.peer_node_wrong"


@pytest.mark.parametrize("state", ["", "x", "{id}.", "{id}.another", "{id}"])
async def test_an_answer_with_another_state(state: str) -> None:
    wayside = Wayside()
    await to_home(wayside)
    interaction_id = wayside.home.asked["state"].partition(".")[0]
    refusal = await refused_at_visited(wayside, wayside.home.answer(state=state.format(id=interaction_id)))
    assert refusal.code == ("login.outdated" if "{id}" in state else "login.expired")


async def test_an_answer_in_another_browser() -> None:
    wayside = Wayside()
    await to_home(wayside)
    wayside.browser = type(wayside.browser)(browser="somebody-else's")
    assert (await refused_at_visited(wayside)).code == "login.expired"


async def test_the_answer_of_an_attempt_before_this_one() -> None:
    wayside = Wayside()
    await to_home(wayside)
    old = wayside.home.answer()
    page = GoTo(url=f"/login/i/{old['state'].partition('.')[0]}")
    again = await wayside.open(page)
    assert isinstance(again, GoTo)
    assert wayside.home.asked["state"] != old["state"]
    refusal = await refused_at_visited(wayside, old)
    assert (refusal.code, refusal.retry) == ("login.outdated", page.url)


async def test_a_code_that_came_twice_is_redeemed_once() -> None:
    wayside = Wayside()
    await to_home(wayside)
    answer = wayside.home.answer()
    assert parameters_of(await wayside.back(answer))["code"]
    with pytest.raises(PageRefusal) as caught:
        await wayside.back(answer)
    assert caught.value.code == "login.finished"
    assert len(wayside.answers.granted) == 1


async def test_a_code_that_the_home_node_does_not_take() -> None:
    wayside = Wayside()
    await to_home(wayside)
    wayside.home.failure = ProviderRefused("invalid_grant", "used before")
    refusal = await refused_at_visited(wayside)
    assert refusal.code == "login.peer_node_refused"
    wayside.home.failure = None
    assert isinstance(await wayside.open(GoTo(url=refusal.retry)), GoTo)


@pytest.mark.parametrize("asked", [{"max_age_s": 60}, {"prompt": frozenset({"login"})}])
async def test_a_login_that_is_older_than_was_asked(asked: dict[str, Any]) -> None:
    wayside = Wayside()
    await to_home(wayside, **asked)
    wayside.home.change = later(auth_time=-200)
    assert (await refused_at_visited(wayside)).code == "login.peer_node_wrong"


@pytest.mark.parametrize(
    "tokens",
    [{"id_token": None}, {"id_token": ""}, {"access_token": 7}, {"authorization_details": "all"}],
    ids=["no ID token", "an empty one", "a number", "details"],
)
async def test_a_token_response_that_lacks_something(tokens: dict[str, Any]) -> None:
    wayside = Wayside()
    wayside.home.tokens = tokens
    await to_home(wayside)
    assert (await refused_at_visited(wayside)).code == "login.peer_node_wrong"


# --- the browser ---------------------------------------------------------------------------------------------


async def test_a_login_ends_after_its_time() -> None:
    wayside = Wayside()
    await to_home(wayside)
    wayside.clock.advance(minutes=20)
    assert (await refused_at_visited(wayside)).code == "login.expired"


async def test_two_tabs_are_two_logins() -> None:
    wayside = Wayside()
    await to_home(wayside)
    first = wayside.home.answer(code="code-a")
    asked = dict(wayside.home.asked)
    await to_home(wayside)
    second = wayside.home.answer(code="code-b")
    assert parameters_of(await wayside.back(second))["code"]
    wayside.home.asked = asked
    assert parameters_of(await wayside.back(first))["code"]


async def test_a_form_that_is_sent_twice_is_taken_once() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    assert parameters_of(await wayside.act(page.url, decision="agree"))["code"]
    with pytest.raises(PageRefusal) as caught:
        await wayside.act(page.url, decision="agree")
    assert caught.value.code == "login.finished"
    assert len(wayside.answers.granted) == 1


async def test_of_two_steps_at_once_one_is_taken() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    raw, owner = wayside.rows.kept[page.url.rpartition("/")[2]]
    find = wayside.rows.find

    async def found_before(interaction_id: str, browser: str) -> Any:
        """The other step is taken between reading and writing."""
        found = await find(interaction_id, browser)
        assert found is not None
        wayside.rows.replaced(replace(found, version=found.version + 1))
        return found

    wayside.rows.find = found_before  # type: ignore[method-assign]
    with pytest.raises(PageRefusal) as caught:
        await wayside.act(page.url, decision="agree")
    assert caught.value.code == "login.outdated"
    assert (raw, owner) != wayside.rows.kept[page.url.rpartition("/")[2]], "the other step's stays"
    assert not wayside.answers.granted
    assert not wayside.agreements.held


async def test_a_form_without_its_token_is_refused() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    for form in ({}, {"csrf": "x"}, {"csrf": "中"}):
        with pytest.raises(PageRefusal) as caught:
            await wayside.flow.act(
                page.url.rpartition("/")[2], {**form, "decision": "agree"}, wayside.browser
            )
        assert (caught.value.code, caught.value.status) == ("login.csrf", 403)
    assert not wayside.answers.granted


@pytest.mark.parametrize("interaction_id", ["", "nothing", "x" * 100, "../me"])
async def test_a_login_that_is_not_there(interaction_id: str) -> None:
    with pytest.raises(PageRefusal) as caught:
        await Wayside().flow.show(interaction_id, Wayside().browser)
    assert caught.value.code == "login.expired"


async def test_a_login_that_was_begun_without_cookies_is_bound_to_who_comes_first() -> None:
    wayside = Wayside()
    browser, wayside.browser = wayside.browser, type(wayside.browser)()
    step: Step = await wayside.begin()
    assert isinstance(step, GoTo)
    wayside.browser = browser
    await wayside.open(step)
    wayside.browser = type(browser)(browser="another")
    with pytest.raises(PageRefusal):
        await wayside.open(step)


async def test_going_back_to_the_page_after_the_end_says_that_it_is_over() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    await wayside.act(page.url, decision="deny")
    with pytest.raises(PageRefusal) as caught:
        await wayside.open(page)
    assert caught.value.code == "login.finished"
    assert IDP not in caught.value.detail


async def test_reloading_the_answer_at_the_consent_shows_the_consent() -> None:
    wayside = Wayside()
    page = await at_consent(wayside)
    assert await wayside.back(wayside.idp.answer()) == GoTo(url=page.url)
