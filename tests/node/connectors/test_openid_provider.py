"""An identity provider that is found by discovery, and one that misbehaves: over real sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from federation.login.relying_party import (
    OpenedIdToken,
    Provider,
    ProviderAway,
    ProviderRefused,
    ProviderWrong,
)
from node.connectors.openid_provider import (
    AWAY_S,
    KEYS_AGAIN_S,
    MOST_BYTES,
    DiscoveredProvider,
    HttpProviderCalls,
    ProviderSettings,
    SecretAuthentication,
)
from tests.support.clock import FixedClock


def ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@dataclass
class Site:
    """What an identity provider serves. `plan` are answers of ``/endpoint``."""

    url: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    keys: list[Any] = field(default_factory=lambda: [ec_key("one")])
    asked: list[str] = field(default_factory=list)
    plan: web.Response | None = None
    is_away: bool = False

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.is_away:
            return web.Response(status=503)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self.described() | self.document)
        if request.path == "/jwks":
            return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})
        if request.path == "/slow":
            await asyncio.sleep(5)
        assert self.plan is not None
        return self.plan

    def described(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/endpoint",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
        }


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.serve)
    async with TestServer(app) as server:
        site.url = str(server.make_url("")).rstrip("/")
        yield site


@pytest.fixture
async def calls() -> AsyncIterator[HttpProviderCalls]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield HttpProviderCalls(session, 0.5, allow_http_on_loopback=True)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def discovered(
    site: Site, calls: HttpProviderCalls, clock: FixedClock, alg: str = "ES256"
) -> DiscoveredProvider:
    settings = ProviderSettings(site.url, "node", id_token_alg=alg)
    return DiscoveredProvider(settings, calls, SecretAuthentication("node", lambda: "s"), clock)


async def test_it_is_found_and_asked_once(site: Site, calls: HttpProviderCalls, clock: FixedClock) -> None:
    own = discovered(site, calls, clock)
    found = await asyncio.gather(*(own.current() for _ in range(5)))
    assert len(site.asked) == 1
    provider = found[0]
    assert (provider.issuer, provider.client_id) == (site.url, "node")
    assert provider.token_endpoint == f"{site.url}/endpoint"
    assert (provider.end_session_endpoint, provider.is_node, provider.sends_iss) == ("", False, False)


async def test_whether_it_sends_iss_is_its_word(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    site.document = {"authorization_response_iss_parameter_supported": True, "end_session_endpoint": "x"}
    provider = await discovered(site, calls, clock).current()
    assert (provider.sends_iss, provider.end_session_endpoint) == (True, "x")


async def test_it_is_asked_again_hourly_and_what_was_known_stays_while_it_is_away(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    own = discovered(site, calls, clock)
    first = await own.current()
    clock.advance(minutes=59)
    assert await own.current() is first
    clock.advance(minutes=1)
    site.document = {"token_endpoint": f"{site.url}/moved"}
    assert (await own.current()).token_endpoint.endswith("/moved")
    clock.advance(hours=2)
    site.is_away = True
    assert (await own.current()).token_endpoint.endswith("/moved")


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
        {"authorization_endpoint": ""},
    ],
    ids=["another issuer", "no token endpoint", "a number", "an empty one"],
)
async def test_a_document_that_does_not_fit_is_none(
    site: Site, calls: HttpProviderCalls, clock: FixedClock, document: dict[str, Any]
) -> None:
    site.document = document
    with pytest.raises(ProviderAway):
        await discovered(site, calls, clock).current()


async def test_one_that_was_never_reached_is_away_until_it_comes(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    own = discovered(site, calls, clock)
    site.is_away = True
    with pytest.raises(ProviderAway):
        await own.current()
    asked = len(site.asked)
    site.is_away = False
    with pytest.raises(ProviderAway):
        await own.current()
    assert len(site.asked) == asked, "nobody waits again for what was away a moment ago"
    clock.advance(seconds=AWAY_S)
    assert (await own.current()).issuer == site.url


# --- its tokens --------------------------------------------------------------------------------------------


def signed(key: Any, alg: str = "ES256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": key.kid, **header}, {"iss": "i"}, key)


async def opened(provider: Provider, token: str) -> OpenedIdToken:
    return await provider.keys.open(token)


async def test_its_tokens_are_opened_with_its_keys(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    provider = await discovered(site, calls, clock).current()
    assert (await opened(provider, signed(site.keys[0]))).claims == {"iss": "i"}
    assert site.asked.count("/jwks") == 1


async def test_a_new_key_is_fetched_when_a_token_names_it_and_not_each_time(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    provider = await discovered(site, calls, clock).current()
    await opened(provider, signed(site.keys[0]))
    site.keys.append(ec_key("two"))
    with pytest.raises(ProviderWrong):
        await opened(provider, signed(site.keys[1]))
    assert site.asked.count("/jwks") == 1, "somebody could have us ask each second"
    clock.advance(seconds=KEYS_AGAIN_S)
    await opened(provider, signed(site.keys[1]))
    clock.advance(seconds=KEYS_AGAIN_S)
    site.is_away = True
    await opened(provider, signed(site.keys[0]))


async def test_keys_that_cannot_be_had_are_no_keys(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    provider = await discovered(site, calls, clock).current()
    site.is_away = True
    with pytest.raises(ProviderAway):
        await opened(provider, signed(site.keys[0]))


async def test_another_algorithm_than_the_configured_one_is_refused(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
    site.keys.append(rsa)
    provider = await discovered(site, calls, clock).current()
    with pytest.raises(ProviderWrong):
        await opened(provider, signed(rsa, "RS256"))
    by_rsa = await discovered(site, calls, clock, "RS256").current()
    assert (await opened(by_rsa, signed(rsa, "RS256"))).claims == {"iss": "i"}


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "中.文.字", "e30.e30."])
async def test_what_is_no_token_is_refused(
    site: Site, calls: HttpProviderCalls, clock: FixedClock, token: str
) -> None:
    provider = await discovered(site, calls, clock).current()
    with pytest.raises(ProviderWrong):
        await opened(provider, token)


async def test_a_token_signed_by_nobody_or_with_the_public_key_is_refused(
    site: Site, calls: HttpProviderCalls, clock: FixedClock
) -> None:
    provider = await discovered(site, calls, clock).current()
    head, body, _ = signed(site.keys[0]).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    for token in (f"{none}.{body}.", f"{head}.{body}."):
        with pytest.raises(ProviderWrong):
            await opened(provider, token)


# --- its answers -------------------------------------------------------------------------------------------


async def answer(site: Site, calls: HttpProviderCalls, plan: web.Response) -> Any:
    site.plan = plan
    return await calls.post(f"{site.url}/endpoint", {"a": "b"}, {})


async def test_an_object_is_an_answer(site: Site, calls: HttpProviderCalls) -> None:
    assert await answer(site, calls, web.json_response({"x": 1}, status=201)) == {"x": 1}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_is_being_away(site: Site, calls: HttpProviderCalls, status: int) -> None:
    with pytest.raises(ProviderAway):
        await answer(site, calls, web.json_response({"error": "x"}, status=status))


async def test_an_oauth_error_is_a_refusal_fit_for_a_log(site: Site, calls: HttpProviderCalls) -> None:
    said = {"error": "invalid_grant\n", "error_description": 'a "b" \\ 中 c' + "x" * 500}
    with pytest.raises(ProviderRefused) as caught:
        await answer(site, calls, web.json_response(said, status=400))
    assert caught.value.error == "invalid_grant"
    assert caught.value.description.startswith("a b   cx")
    assert len(caught.value.description) == 200


@pytest.mark.parametrize(
    "plan",
    [
        {"text": "[]"},
        {"text": "<html>"},
        {"text": "{}", "status": 400},
        {"text": '{"error":7}', "status": 401},
        {"status": 302, "headers": {"Location": "/jwks"}},
        {"text": "{" + " " * MOST_BYTES + "}"},
    ],
    ids=["a list", "a page", "no code", "a number", "a redirect", "too much"],
)
async def test_anything_else_is_wrong(site: Site, calls: HttpProviderCalls, plan: dict[str, Any]) -> None:
    with pytest.raises(ProviderWrong):
        await answer(site, calls, web.Response(**plan))


async def test_nobody_waits_for_ever(site: Site, calls: HttpProviderCalls) -> None:
    with pytest.raises(ProviderAway):
        await HttpProviderCalls(calls.session, 0.05, allow_http_on_loopback=True).get(f"{site.url}/slow")


async def test_plain_http_is_for_loopback_only(site: Site, calls: HttpProviderCalls) -> None:
    with pytest.raises(ProviderWrong):
        await HttpProviderCalls(calls.session).get(f"{site.url}/jwks")
    with pytest.raises(ProviderWrong):
        await calls.get("http://10.0.0.1/jwks")
    assert not site.asked


async def test_a_closed_port_is_away(calls: HttpProviderCalls) -> None:
    with pytest.raises(ProviderAway):
        await calls.get("http://127.0.0.1:1/jwks")


async def test_a_secret_goes_into_the_header_as_the_standard_writes_it() -> None:
    headers: dict[str, str] = {}
    await SecretAuthentication("node a", lambda: "ö:/").authenticate({}, headers)
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"node+a:%C3%B6%3A%2F"


async def test_a_secret_that_cannot_be_read_says_so_without_its_path() -> None:
    def missing() -> str:
        raise FileNotFoundError("/etc/secret")

    with pytest.raises(ProviderWrong) as caught:
        await SecretAuthentication("node", missing).authenticate({}, {})
    assert "/etc" not in str(caught.value)
