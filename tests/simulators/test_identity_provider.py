"""The simulated identity provider over real HTTP: what a node relies on, and what it does wrong on demand."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from simulators.divisions import PROVINCES
from simulators.identity.accounts import ACR_VALUES, Account, Accounts, citizen_fields, field_names
from simulators.identity.client import ProviderClient
from simulators.identity.misbehaviour import Misdeed
from simulators.identity.tokens import LOGOUT_EVENT
from simulators.identity_provider import login_toml, make_identity_provider
from simulators.population import Population
from tests.support.federation import free_ports
from tests.support.login_browser import LoginBrowser, Page

JIANGSU = "320000"
POPULATION = Population(residents=100)
ACCOUNTS = Accounts(JIANGSU, POPULATION)
CITIZEN, UNVERIFIED = ACCOUNTS.account(0), ACCOUNTS.account(7)
LOWEST, VERIFIED, STRONGEST = ACR_VALUES[JIANGSU]
VERIFIER = "v" * 43


@dataclass
class Node:
    """What the identity provider knows of a node: its keys, its callback, where it is told of log-outs."""

    url: str
    key: ECKey
    told: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/oidc/jwks", self._jwks)
        app.router.add_get("/login/callback", self._arrive)
        app.router.add_get("/login/signed-out", self._arrive)
        app.router.add_post("/login/backchannel-logout", self._hear)
        return app

    async def _jwks(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def _arrive(self, request: web.Request) -> web.Response:
        return web.Response(text="back", content_type="text/html")

    async def _hear(self, request: web.Request) -> web.Response:
        self.told.append(str((await request.post())["logout_token"]))
        return web.Response()


@dataclass
class Scene:
    """A provider, a node, a citizen's browser."""

    issuer: str
    node: Node
    http: aiohttp.ClientSession
    browser: LoginBrowser
    client_id: str = "node"
    secret: str = ""

    def url(self, **changes: str) -> str:
        said = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": f"{self.node.url}/login/callback",
            "scope": "openid profile",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": create_s256_code_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.issuer}/authorize?{urlencode({k: v for k, v in said.items() if v})}"

    async def log_in(self, account: Account = CITIZEN, **changes: str) -> Page:
        """From the request to the callback, giving what is asked for."""
        page = await self.browser.open(self.url(**changes))
        if page.title.startswith("登录"):
            said = {"user_name": account.user_name, "password": account.password}
            page = await self.browser.submit("/login/", said)
        if page.title.startswith("短信"):
            code = page.html.split('<output id="shown">')[1][:6]
            page = await self.browser.submit("/code", {"code": code})
        return page

    def assertion(self, **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.issuer, "exp": now + 60}
        header = {"alg": "ES256", "typ": "client-authentication+jwt"}
        return jwt.encode(header, {**claims, "jti": secrets.token_hex(8), **changes}, self.node.key)

    async def redeem(self, page: Page, **changes: str) -> tuple[int, dict[str, Any]]:
        said = {
            "grant_type": "authorization_code",
            "code": answer_of(page).get("code", ""),
            "redirect_uri": f"{self.node.url}/login/callback",
            "code_verifier": VERIFIER,
        }
        headers = {}
        if self.secret:
            headers["Authorization"] = aiohttp.encode_basic_auth(self.client_id, self.secret)
        else:
            said["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            said["client_assertion"] = self.assertion()
        async with self.http.post(
            f"{self.issuer}/token", data={**said, **changes}, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def claims(self, page: Page) -> dict[str, Any]:
        """The ID token's, its signature checked."""
        status, said = await self.redeem(page)
        assert status == 200, said
        return await self.verified(said["id_token"])

    async def verified(self, token: str) -> dict[str, Any]:
        async with self.http.get(f"{self.issuer}/jwks") as answer:
            keys = KeySet.import_key_set(await answer.json())
        return dict(jwt.decode(token, keys).claims)

    async def userinfo(self, page: Page) -> dict[str, Any]:
        _, said = await self.redeem(page)
        headers = {"Authorization": f"Bearer {said['access_token']}"}
        async with self.http.get(f"{self.issuer}/userinfo", headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
            return body

    async def misbehave(self, misdeed: Misdeed, **more: Any) -> None:
        async with self.http.post(f"{self.issuer}/_misbehave", json={"misdeed": misdeed, **more}) as answer:
            assert answer.status == 200


def answer_of(page: Page) -> dict[str, str]:
    """The parameters that came back to the node."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_scene(province: str = JIANGSU, secret: str = "") -> AsyncIterator[Scene]:
    port = free_ports(2)
    issuer, node = f"http://127.0.0.1:{port}", Node(f"http://127.0.0.1:{port + 1}", ECKey.generate_key())
    client = ProviderClient.of_node(node.url, "node", secret)
    provider = make_identity_provider(province, POPULATION, issuer, client)
    async with (
        serving(node.app(), port + 1),
        serving(provider, port),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield Scene(issuer, node, http, LoginBrowser(http), secret=secret)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    async with running_scene() as one:
        yield one


async def test_a_password_is_worth_the_second_level(scene: Scene) -> None:
    page = await scene.log_in()
    assert answer_of(page).keys() == {"code", "iss", "state"}
    assert (answer_of(page)["iss"], answer_of(page)["state"]) == (scene.issuer, "the-state")
    claims = await scene.claims(page)
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (scene.issuer, "node", "the-nonce")
    assert (claims["acr"], claims["amr"], claims["sub"]) == (VERIFIED, ["pwd"], CITIZEN.subject)
    assert claims["sid"]
    assert time.time() - 60 < claims["auth_time"] <= time.time() < claims["exp"]


async def test_a_code_is_worth_the_third(scene: Scene) -> None:
    page = await scene.log_in(acr_values=f"{STRONGEST} {VERIFIED}")
    claims = await scene.claims(page)
    assert (claims["acr"], claims["amr"]) == (STRONGEST, ["pwd", "sms", "mfa"])


async def test_an_account_that_was_never_verified_reaches_the_first_alone_and_says_no_number(
    scene: Scene,
) -> None:
    page = await scene.log_in(UNVERIFIED, acr_values=STRONGEST)
    assert (await scene.claims(page))["acr"] == LOWEST
    again = await scene.log_in(UNVERIFIED)
    assert await scene.userinfo(again) == {"sub": UNVERIFIED.subject, "user_name": UNVERIFIED.user_name}


async def test_a_wrong_password_and_a_wrong_code_are_said_to_be_so(scene: Scene) -> None:
    await scene.browser.open(scene.url(acr_values=STRONGEST))
    page = await scene.browser.submit("/login/", {"user_name": CITIZEN.user_name, "password": "no"})
    assert page.status == 422
    assert "That account or password is not right" in page.text
    page = await scene.browser.submit(
        "/login/", {"user_name": CITIZEN.resident.citizen_number, "password": CITIZEN.password}
    )
    assert page.status == 200
    page = await scene.browser.submit("/code", {"code": "none"})
    assert page.status == 422
    assert "That code is not right" in page.text


async def test_the_citizen_may_cancel(scene: Scene) -> None:
    await scene.browser.open(scene.url())
    page = await scene.browser.submit("/login/", button="cancel")
    assert answer_of(page)["error"] == "access_denied"
    assert answer_of(page)["iss"] == scene.issuer


async def test_a_session_answers_at_once_until_more_is_asked(scene: Scene) -> None:
    first = await scene.claims(await scene.log_in())
    page = await scene.browser.open(scene.url(prompt="none"))
    assert (await scene.claims(page))["sid"] == first["sid"]
    for more in (
        {"prompt": "login"},
        {"prompt": "select_account"},
        {"max_age": "0"},
        {"acr_values": STRONGEST},
    ):
        page = await scene.browser.open(scene.url(**more))
        assert page.url.startswith(f"{scene.issuer}/login/")
    assert page.title.startswith("短信"), "a step up asks for the code alone"


async def test_without_a_session_prompt_none_is_refused(scene: Scene) -> None:
    page = await scene.browser.open(scene.url(prompt="none"))
    assert answer_of(page)["error"] == "login_required"


async def test_a_step_belongs_to_the_browser_that_began(scene: Scene) -> None:
    page = await scene.browser.open(scene.url())
    other = LoginBrowser(scene.http)
    said = {"user_name": CITIZEN.user_name, "password": CITIZEN.password}
    assert (await other.submit("/login/", said, page=page)).status == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request_uri": "urn:x"}, "request_not_supported"),
    ],
)
async def test_a_bad_request_goes_back_to_the_node(scene: Scene, changes: dict[str, str], error: str) -> None:
    page = await scene.browser.open(scene.url(**changes))
    assert (answer_of(page)["error"], answer_of(page)["state"]) == (error, "the-state")


@pytest.mark.parametrize(
    "changes", [{"client_id": "other"}, {"redirect_uri": "https://elsewhere.example/callback"}]
)
async def test_nobody_is_sent_where_it_is_not_registered(scene: Scene, changes: dict[str, str]) -> None:
    page = await scene.browser.open(scene.url(**changes))
    assert (page.status, page.origin) == (400, scene.issuer)


async def test_a_code_is_good_once_and_with_its_verifier(scene: Scene) -> None:
    page = await scene.log_in()
    assert (await scene.redeem(page))[0] == 200
    assert (await scene.redeem(page))[1]["error"] == "invalid_grant"
    page = await scene.log_in()
    assert (await scene.redeem(page, code_verifier="w" * 43))[1]["error"] == "invalid_grant"


async def test_assertions_are_checked(scene: Scene) -> None:
    page, used = await scene.log_in(), scene.assertion()
    for wrong in (
        scene.assertion(aud="https://elsewhere.example"),
        scene.assertion(exp=int(time.time()) - 1),
        scene.assertion(sub="other"),
        jwt.encode({"alg": "ES256"}, {"iss": "node"}, ECKey.generate_key()),
    ):
        status, said = await scene.redeem(page, client_assertion=wrong)
        assert (status, said["error"]) == (401, "invalid_client")
    assert (await scene.redeem(page, client_assertion=used))[0] == 200
    page = await scene.log_in()
    assert (await scene.redeem(page, client_assertion=used))[1]["error"] == "invalid_client"


async def test_a_node_with_a_secret_says_it_in_basic() -> None:
    async with running_scene(secret="s3cret:%") as scene:
        page = await scene.log_in()
        assert (await scene.redeem(page))[0] == 200
        scene.secret = "other"
        assert (await scene.redeem(await scene.log_in()))[1]["error"] == "invalid_client"


@pytest.mark.parametrize("province", PROVINCES)
async def test_userinfo_speaks_the_provinces_own_words(province: str) -> None:
    account = Accounts(province, POPULATION).account(0)
    async with running_scene(province, secret="secret") as scene:
        said = await scene.userinfo(await scene.log_in(account))
    assert said == {
        "sub": account.subject,
        "user_name": account.user_name,
        **citizen_fields(account.resident),
    }
    assert set(field_names(province)) <= said.keys()
    assert f'"{field_names(province)[0]}"' in login_toml(province, "http://127.0.0.1:1", "node")


async def test_log_out_tells_the_node_and_comes_back(scene: Scene) -> None:
    page = await scene.log_in()
    _, said = await scene.redeem(page)
    claims = await scene.verified(said["id_token"])
    target = {
        "id_token_hint": said["id_token"],
        "post_logout_redirect_uri": f"{scene.node.url}/login/signed-out",
        "state": "s",
    }
    page = await scene.browser.open(f"{scene.issuer}/logout?{urlencode(target)}")
    assert page.url == f"{scene.node.url}/login/signed-out?state=s"
    told = await heard(scene)
    assert told["sub"] == CITIZEN.subject
    assert told["sid"] == claims["sid"]
    assert told["events"] == {LOGOUT_EVENT: {}}
    assert "nonce" not in told
    page = await scene.browser.open(scene.url(prompt="none"))
    assert answer_of(page)["error"] == "login_required"


async def test_log_out_without_a_hint_asks_first(scene: Scene) -> None:
    await scene.log_in()
    page = await scene.browser.open(f"{scene.issuer}/logout")
    assert "退出登录" in page.text
    page = await scene.browser.submit("/logout")
    assert "You are logged out" in page.text
    await heard(scene)


async def test_log_out_leads_nowhere_else(scene: Scene) -> None:
    _, said = await scene.redeem(await scene.log_in())
    target = {
        "id_token_hint": said["id_token"],
        "post_logout_redirect_uri": "https://elsewhere.example/",
    }
    page = await scene.browser.open(f"{scene.issuer}/logout?{urlencode(target)}")
    assert page.status == 400


async def test_a_session_that_ends_elsewhere_is_told_too(scene: Scene) -> None:
    await scene.log_in()
    async with scene.http.post(
        f"{scene.issuer}/_sessions/end", json={"user_name": CITIZEN.user_name}
    ) as answer:
        assert await answer.json() == {"ended": 1}
    assert (await heard(scene))["sub"] == CITIZEN.subject


async def heard(scene: Scene) -> dict[str, Any]:
    """The logout token that the node was told, soon after the answer."""
    for _ in range(1000):
        if scene.node.told:
            return await scene.verified(scene.node.told[0])
        async with scene.http.get(f"{scene.issuer}/_about"):
            pass
    raise AssertionError("the node was told nothing")


async def test_each_misdeed_shows_in_the_id_token_as_often_as_it_was_asked_for(scene: Scene) -> None:
    right = await scene.claims(await scene.log_in())
    for misdeed, claim in (
        (Misdeed.WRONG_NONCE, "nonce"),
        (Misdeed.WRONG_AUDIENCE, "aud"),
        (Misdeed.MORE_AUDIENCES, "aud"),
        (Misdeed.OTHER_ISSUER, "iss"),
        (Misdeed.LOWER_ACR, "acr"),
        (Misdeed.UNKNOWN_ACR, "acr"),
        (Misdeed.OLD_AUTHENTICATION, "auth_time"),
    ):
        await scene.misbehave(misdeed, count=1)
        bent = await scene.claims(await scene.log_in())
        assert {name for name in right if bent[name] != right[name]} - {"iat", "exp"} == {claim}, misdeed
    await scene.misbehave(Misdeed.OLD_TOKEN, count=1)
    assert (await scene.claims(await scene.log_in()))["exp"] < time.time()
    assert (await scene.claims(await scene.log_in()))["exp"] > time.time()


@pytest.mark.parametrize(
    ("misdeed", "algorithm"),
    [(Misdeed.NO_ALGORITHM, "none"), (Misdeed.MAC_WITH_PUBLIC_KEY, "HS256"), (Misdeed.OTHER_KEY, "ES256")],
)
async def test_each_misdeed_of_signing_shows_in_the_header(
    scene: Scene, misdeed: Misdeed, algorithm: str
) -> None:
    await scene.misbehave(misdeed)
    _, said = await scene.redeem(await scene.log_in())
    header = said["id_token"].split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(f"{header}=="))["alg"] == algorithm


async def test_misdeeds_of_userinfo_and_of_the_answer(scene: Scene) -> None:
    number = CITIZEN.resident.citizen_number
    for misdeed, said in (
        (Misdeed.NO_NUMBER, None),
        (Misdeed.SEVERAL_NUMBERS, [number, ACCOUNTS.account(1).resident.citizen_number]),
        (Misdeed.BAD_NUMBER, number[:-1] + ("1" if number[-1] == "0" else "0")),
    ):
        await scene.misbehave(misdeed, count=1)
        assert (await scene.userinfo(await scene.log_in())).get("id_no") == said
    await scene.misbehave(Misdeed.OTHER_SUBJECT, count=1)
    assert (await scene.userinfo(await scene.log_in()))["sub"] != CITIZEN.subject
    await scene.misbehave(Misdeed.OTHER_ANSWERING_ISSUER, count=1)
    assert answer_of(await scene.log_in())["iss"] != scene.issuer
    await scene.misbehave(Misdeed.NO_ANSWERING_ISSUER, count=1)
    assert "iss" not in answer_of(await scene.log_in())
    await scene.misbehave(Misdeed.OTHER_STATE, count=1)
    assert answer_of(await scene.log_in())["state"] != "the-state"
    await scene.misbehave(Misdeed.SLOW, delay_s=0, count=1)
    await scene.misbehave(Misdeed.SERVER_ERROR, count=1)
    async with scene.http.post(f"{scene.issuer}/token") as answer:
        assert answer.status == 500
    await scene.misbehave(Misdeed.AWAY)
    with pytest.raises(aiohttp.ClientError):
        await scene.http.get(f"{scene.issuer}/jwks")


async def test_what_is_no_misdeed_is_refused(scene: Scene) -> None:
    wrong: list[Any] = [
        {"misdeed": "unheard_of"},
        {"misdeed": "slow", "delay_s": -1},
        {"misdeed": "slow", "count": 0},
        [],
    ]
    for said in wrong:
        async with scene.http.post(f"{scene.issuer}/_misbehave", json=said) as answer:
            assert answer.status == 400


async def test_people_who_test_are_told_an_account(scene: Scene) -> None:
    async with scene.http.get(f"{scene.issuer}/_people?index=3") as answer:
        said = await answer.json()
    assert ACCOUNTS.find(said["user_name"]) == ACCOUNTS.find(said["citizen_number"]) == ACCOUNTS.account(3)
    assert ACCOUNTS.find("js100000") is ACCOUNTS.find("zj3") is ACCOUNTS.find("") is None
    assert ACCOUNTS.find(UNVERIFIED.resident.citizen_number) is None
    async with scene.http.get(f"{scene.issuer}/_people?index=100000") as answer:
        assert answer.status == 400
