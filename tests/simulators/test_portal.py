"""The simulated portal as a relying party, over real HTTP: of the simulated identity provider in a node's place.

That provider does wrong on demand, which a node never does; what it does right is all that a portal needs of a node.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Accounts
from simulators.identity.client import ProviderClient
from simulators.identity.misbehaviour import Misdeed
from simulators.identity_provider import make_identity_provider
from simulators.login_walk import finish_login
from simulators.population import Population
from simulators.portal import PortalSettings, make_portal
from tests.journeys.rotations import until_async
from tests.support.federation import free_ports
from tests.support.login_country import serving

ZHEJIANG = "330000"
POPULATION = Population(residents=100)
CITIZEN = Accounts(ZHEJIANG, POPULATION).account(0)


@dataclass
class Scene:
    """A portal, its provider, a browser."""

    issuer: str
    portal: str
    http: aiohttp.ClientSession
    browser: LoginBrowser

    async def log_in(self) -> Page:
        await self.browser.open(f"{self.portal}/")
        await self.browser.submit("/login")
        return await finish_login(self.browser, CITIZEN)

    async def misbehave(self, misdeed: Misdeed) -> None:
        async with self.http.post(
            f"{self.issuer}/_misbehave", json={"misdeed": misdeed, "count": 1}
        ) as answer:
            assert answer.status == 200

    async def sessions(self) -> int:
        async with self.http.get(f"{self.portal}/_sessions") as answer:
            return int((await answer.json())["sessions"])

    @property
    def cookie(self) -> str:
        return self.browser.cookies(self.portal)[f"sim-portal-{ZHEJIANG}"]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    base = free_ports(2)
    issuer, portal = f"http://127.0.0.1:{base}", f"http://127.0.0.1:{base + 1}"
    client = ProviderClient(
        client_id="hall",
        client_secret="secret",
        redirect_uris=(f"{portal}/callback",),
        post_logout_redirect_uris=(f"{portal}/logged-out",),
        backchannel_logout_uri=f"{portal}/backchannel-logout",
        jwks_uri="",
    )
    provider = make_identity_provider(ZHEJIANG, POPULATION, issuer, client)
    app = make_portal(PortalSettings(ZHEJIANG, portal, issuer, "http://127.0.0.1:1", "hall", "secret"))
    async with (
        serving(provider, issuer),
        serving(app, portal),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield Scene(issuer, portal, http, LoginBrowser(http))


async def test_it_shows_what_it_was_told_under_a_new_cookie(scene: Scene) -> None:
    await scene.browser.open(f"{scene.portal}/")
    planted = scene.cookie
    page = await scene.log_in()
    assert dict(page.facts)["GMSFHM"] == CITIZEN.resident.citizen_number
    assert scene.cookie != planted
    stranger = LoginBrowser(scene.http)
    stranger.set_cookie(scene.portal, f"sim-portal-{ZHEJIANG}", planted)
    assert "您已登录" not in (await stranger.open(f"{scene.portal}/")).text


@pytest.mark.parametrize(
    ("misdeed", "code"),
    [
        (Misdeed.WRONG_NONCE, "portal.id_token"),
        (Misdeed.WRONG_AUDIENCE, "portal.id_token"),
        (Misdeed.OTHER_ISSUER, "portal.id_token"),
        (Misdeed.OLD_TOKEN, "portal.times"),
        (Misdeed.NO_ALGORITHM, "portal.signature"),
        (Misdeed.MAC_WITH_PUBLIC_KEY, "portal.signature"),
        (Misdeed.OTHER_KEY, "portal.signature"),
        (Misdeed.OTHER_SUBJECT, "portal.sub"),
        (Misdeed.OTHER_STATE, "portal.state"),
        (Misdeed.OTHER_ANSWERING_ISSUER, "portal.iss"),
        (Misdeed.NO_ANSWERING_ISSUER, "portal.iss"),
        (Misdeed.SERVER_ERROR, "portal.node_away"),
    ],
)
async def test_what_is_wrong_with_an_answer_is_refused(scene: Scene, misdeed: Misdeed, code: str) -> None:
    await scene.misbehave(misdeed)
    page = await scene.log_in()
    assert (page.status, page.origin) == (400, scene.portal)
    assert code in page.text
    assert await scene.sessions() == 0


async def test_an_answer_in_another_browser_is_nobodys(scene: Scene) -> None:
    await scene.browser.open(f"{scene.portal}/")
    page = await scene.browser.submit("/login")
    await scene.browser.submit(
        "/login/", {"user_name": CITIZEN.user_name, "password": "wrong"}, button="log_in"
    )
    page = await finish_login(scene.browser, CITIZEN)
    answer = next(url for url in page.visited if urlsplit(url).path == "/callback")
    other = LoginBrowser(scene.http)
    assert "portal.state" in (await other.open(answer)).text


async def test_a_form_without_its_page_is_refused(scene: Scene) -> None:
    await scene.log_in()
    for path in ("/login", "/ask", "/fetch", "/logout"):
        async with scene.http.post(f"{scene.portal}{path}", data={"csrf": "guessed"}) as answer:
            assert answer.status == 400
    assert await scene.sessions() == 1


async def test_log_out_ends_it_here_and_there(scene: Scene) -> None:
    await scene.log_in()
    page = await scene.browser.submit("/logout")
    assert page.url.startswith(f"{scene.portal}/logged-out?state=")
    await scene.browser.open(f"{scene.portal}/")
    page = await scene.browser.submit("/login")
    assert page.origin == scene.issuer, "it asks for the password again"


async def test_a_logout_token_ends_the_session(scene: Scene) -> None:
    await scene.log_in()
    async with scene.http.post(
        f"{scene.issuer}/_sessions/end", json={"user_name": CITIZEN.user_name}
    ) as answer:
        assert answer.status == 200

    async def is_over() -> bool:
        return await scene.sessions() == 0

    await until_async(is_over)


async def test_what_is_no_logout_token_ends_nothing(scene: Scene) -> None:
    await scene.log_in()
    for token in ("", "a.b.c", "eyJhbGciOiJub25lIn0.e30."):
        async with scene.http.post(
            f"{scene.portal}/backchannel-logout", data={"logout_token": token}
        ) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"] == "invalid_request"
    assert await scene.sessions() == 1


async def test_a_node_that_is_away_is_said_to_be(scene: Scene) -> None:
    app = make_portal(
        PortalSettings(ZHEJIANG, "http://127.0.0.1:2", "http://127.0.0.1:1", "http://127.0.0.1:1", "a", "b")
    )
    origin = f"http://127.0.0.1:{free_ports(1)}"
    async with serving(app, origin):
        await scene.browser.open(f"{origin}/")
        page = await scene.browser.submit("/login")
        assert "portal.node_away" in page.text
