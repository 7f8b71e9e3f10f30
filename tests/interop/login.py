"""Relying parties and a provider of other makers log people in through nodes (`make interop`).

A citizen of Jiangsu logs in at Anhui: through npm's openid-client in three profiles, through Apache's
mod_auth_openidc, and with npm's oidc-provider standing in for Jiangsu's identity provider. None of them knows this
project; each is set up as its own documentation says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from joserfc.jwk import ECKey

from node.store.clients import LoginTerms
from simulators.browser import LoginBrowser, Page
from simulators.login_walk import finish_login
from tests.interop.apache import running_apache
from tests.interop.identity_provider import running_provider
from tests.interop.node_js import run_script
from tests.support.delta import ANHUI, JIANGSU
from tests.support.federation import free_ports, make_anchor
from tests.support.login_country import (
    LoginCountry,
    Province,
    add_login_client,
    at_work,
    found_login_country,
    found_province,
    serving,
)

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

EVERYTHING = frozenset({"openid", "profile", "identity", "offline_access"})
SCOPE = " ".join(sorted(EVERYTHING))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Province]]:
    """Two provinces, made once; each test has a client of its own."""
    folder = tmp_path_factory.mktemp("login")
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: asyncio.run(found_login_country(folder, (JIANGSU, ANHUI))))
        return folder, found.result()


@pytest_asyncio.fixture
async def country(made: tuple[Path, Mapping[str, Province]]) -> AsyncIterator[LoginCountry]:
    async with at_work(*made) as country:
        yield country


def terms_for(origin: str, **more: Any) -> LoginTerms:
    """A relying party at that origin."""
    return LoginTerms(
        redirect_uris=(f"{origin}/callback",),
        post_logout_redirect_uris=(f"{origin}/bye",),
        scopes=EVERYTHING,
        **more,
    )


async def _arrived(request: web.Request) -> web.Response:
    return web.Response(text="<title>back</title>", content_type="text/html")


def landing() -> web.Application:
    """Where a relying party gets its citizens back."""
    app = web.Application()
    app.router.add_get("/callback", _arrived)
    app.router.add_get("/bye", _arrived)
    return app


@pytest.mark.parametrize(
    ("name", "profile"),
    [("plain", {}), ("par", {"par": True}), ("fapi", {"par": True, "dpop": True, "keys": True})],
)
async def test_npm_openid_client_logs_in(country: LoginCountry, name: str, profile: dict[str, bool]) -> None:
    """Plain; with pushed requests; and with pushed requests, DPoP and private_key_jwt at a ``fapi2`` client."""
    at, origin = country.provinces[ANHUI], f"http://127.0.0.1:{free_ports(1)}"
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "rp"})
    jwks = {"keys": [key.as_dict(private=False)]} if profile.get("keys") else None
    secret = await add_login_client(
        at.config, f"js-{name}", name, terms_for(origin, profile="fapi2" if jwks else "basic"), jwks
    )
    question: dict[str, Any] = {
        "issuer": at.entity_id,
        "clientId": f"js-{name}",
        "secret": secret,
        "key": key.as_dict(private=True) if jwks else None,
        "redirectUri": f"{origin}/callback",
        "postLogoutRedirectUri": f"{origin}/bye",
        "par": profile.get("par", False),
        "dpop": profile.get("dpop", False),
        "parameters": {"scope": SCOPE, "prompt": "consent", "acr_values": "yrd.l2"},
    }
    browser, account = country.browser(), country.account(JIANGSU)
    async with serving(landing(), origin):
        begun = await run_script("login_client.mjs", {**question, "phase": "begin"})
        await browser.open(begun["url"])
        page = await finish_login(browser, account)
        assert page.url.startswith(f"{origin}/callback?"), page.text
        said = await run_script(
            "login_client.mjs", {**question, "phase": "finish", "url": page.url, "kept": begun["kept"]}
        )
        assert said["claims"]["acr"] == "yrd.l2"
        assert said["claims"]["origin"] == country.provinces[JIANGSU].identity_provider
        assert said["userinfo"]["name"] == account.resident.name
        assert said["tokenType"].lower() == ("dpop" if question["dpop"] else "bearer")
        assert (said["active"], said["activeAfterwards"]) == (True, False)
        assert said["refreshed"]["tokenType"].lower() == said["tokenType"].lower()
        await logs_out(browser, said["logoutUrl"], origin)


async def logs_out(browser: LoginBrowser, url: str, origin: str) -> None:
    """Follow a relying party's log-out to its end, agreeing where one is asked."""
    page = await browser.open(url)
    if page.origin != origin:
        page = await browser.submit()
    while page.origin != origin and page.links:
        page = await browser.follow(origin)
    assert page.url.startswith(f"{origin}/bye")


async def test_apache_mod_auth_openidc_logs_in(country: LoginCountry) -> None:
    at, origin = country.provinces[ANHUI], f"http://127.0.0.1:{free_ports(1)}"
    terms = LoginTerms(
        redirect_uris=(f"{origin}/private/callback",),
        post_logout_redirect_uris=(f"{origin}/bye",),
        backchannel_logout_uri=f"{origin}/private/callback?logout=backchannel",
        scopes=EVERYTHING,
    )
    secret = await add_login_client(at.config, "apache", "Apache", terms)
    browser, account = country.browser(), country.account(JIANGSU, 1)
    async with running_apache(origin, at.entity_id, "apache", secret):
        await browser.open(f"{origin}/private/")
        page = await finish_login(browser, account)
        assert page.url == f"{origin}/private/", page.text
        assert told(page)["name"] == account.resident.name
        assert told(page)["acr"] == "yrd.l2"
        assert told(page)["iss"] == at.entity_id


def told(page: Page) -> dict[str, str]:
    """The claims that Apache hands on, as this site shows them: in headers of its answer, in UTF-8."""
    return {
        name.removeprefix("X-Claim-").lower(): value.encode("utf-8", "surrogateescape").decode()
        for name, value in page.headers.items()
        if name.startswith("X-Claim-")
    }


async def test_npm_oidc_provider_stands_in_for_an_identity_provider(tmp_path: Path) -> None:
    """The node finds it by discovery; its words are mapped by node.toml, and it tells no `acr`."""
    anchor, _ = await make_anchor(tmp_path / "anchor")
    issuer = f"http://127.0.0.1:{free_ports(1)}"
    settings = {"login.identity_provider": 'acr_when_absent = "yrd.l2"'}
    home = await found_province(anchor, tmp_path, JIANGSU, issuer=issuer, settings=settings)
    visited = await found_province(anchor, tmp_path, ANHUI)
    async with (
        running_provider(home, issuer),
        at_work(tmp_path, {JIANGSU: home, ANHUI: visited}) as country,
    ):
        browser, account = country.browser(), country.account(JIANGSU, 2)
        await country.begin(browser, ANHUI, province=JIANGSU)
        assert browser.page.origin == issuer
        await browser.submit("", {"login": account.subject, "password": "any"})
        await browser.submit("")
        page = await finish_login(browser, account)
        facts = dict(page.facts)
        assert facts["citizen_number"] == account.resident.citizen_number, page.text
        assert (facts["acr"], facts["origin"]) == ("yrd.l2", issuer)
