"""Provinces with all that a login goes through, in this process: nodes, identity providers, portals, a browser.

Nodes are made by an operator's commands, each with a `[login]` section for its own identity provider, and a platform
`demo-portal` whose portal is served beside it. Nothing is wired past HTTP and gRPC.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from aiohttp import web

from node.clock import SystemClock
from node.config import read_config
from node.store.clients import ClientRows, LoginTerms
from node.store.database import open_database
from simulators.founding import access_toml, portal_client_arguments, register_node
from simulators.identity.accounts import Account, Accounts
from simulators.identity.client import ProviderClient
from simulators.identity.misbehaviour import Misdeed
from simulators.identity_provider import make_identity_provider
from simulators.layout import PLATFORM
from simulators.login_walk import finish_login
from simulators.population import Population
from simulators.portal import PortalSettings, make_portal
from simulators.registry import SHAPES
from tests.support.delta import add_settings
from tests.support.federation import (
    RunningNode,
    command,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.login_browser import LoginBrowser, Page
from tests.support.two_nodes import serving_registry

__all__ = [
    "POPULATION",
    "LoginCountry",
    "Province",
    "add_login_client",
    "at_work",
    "client_of",
    "found_login_country",
    "found_province",
    "running_login_country",
    "serving",
    "serving_around",
]

POPULATION = Population()
_NONE: Mapping[str, str] = MappingProxyType({})

_LIMITS = """
deadline_s = 60
"""
_LOGIN = """
[login]
begin_per_minute = 100000
begin_per_sender = 100000
"""


@dataclass(frozen=True, slots=True)
class Province:
    """One province's folder and addresses. `base` is the first of its ports, as in a demonstration."""

    province: str
    config: Path
    base: int

    @property
    def entity_id(self) -> str:
        """The node's."""
        return f"http://127.0.0.1:{self.base}"

    @property
    def identity_provider(self) -> str:
        """The identity provider's issuer."""
        return f"http://127.0.0.1:{self.base + 5}"

    @property
    def portal(self) -> str:
        """The portal's origin."""
        return f"http://127.0.0.1:{self.base + 6}"

    @property
    def client_file(self) -> Path:
        """The platform's client id and secret."""
        return self.config.with_name("client.json")

    @property
    def accounts(self) -> Accounts:
        """Who can log in at the identity provider."""
        return Accounts(self.province, POPULATION)


@dataclass(frozen=True, slots=True)
class LoginCountry:
    """Everything at work."""

    provinces: Mapping[str, Province]
    nodes: Mapping[str, RunningNode]
    http: aiohttp.ClientSession
    anchor: Path
    _anchor: AsyncExitStack

    async def stop_anchor(self) -> None:
        """The anchor is away from now on."""
        await self._anchor.aclose()

    def browser(self, language: str = "zh-CN,zh;q=0.9") -> LoginBrowser:
        """A new citizen's browser."""
        return LoginBrowser(self.http, language=language)

    def account(self, province: str, index: int = 0) -> Account:
        """An account of a province."""
        return self.provinces[province].accounts.account(index)

    async def begin(self, browser: LoginBrowser, visited: str, **wish: str) -> Page:
        """Press "log in" at a portal; `wish` are fields of its form."""
        await browser.open(f"{self.provinces[visited].portal}/")
        return await browser.submit("/login", wish)

    async def log_in(
        self, browser: LoginBrowser, visited: str, account: Account, *, decision: str = "agree", **wish: str
    ) -> Page:
        """From a portal back to it: chooser, identity provider, consent, whichever of them come."""
        await self.begin(browser, visited, **wish)
        return await finish_login(browser, account, decision=decision)

    async def misbehave(self, province: str, misdeed: Misdeed, **more: object) -> None:
        """Have an identity provider do something wrong."""
        url = f"{self.provinces[province].identity_provider}/_misbehave"
        async with self.http.post(url, json={"misdeed": misdeed, **more}) as answer:
            assert answer.status == 200

    async def portal_sessions(self, province: str) -> int:
        """How many are logged in at a portal."""
        async with self.http.get(f"{self.provinces[province].portal}/_sessions") as answer:
            return int((await answer.json())["sessions"])


async def found_province(
    anchor: Path,
    folder: Path,
    province: str,
    *more: str,
    issuer: str = "",
    settings: Mapping[str, str] = _NONE,
) -> Province:
    """Make a node with its access rules, its login and its platform's client. `issuer` is another identity provider
    than the simulated one; `settings` are lines for sections of node.toml by their names.
    """
    base = free_ports(7)
    registry, access = folder / f"{province}.registry.toml", folder / f"{province}.access.toml"
    registry.write_text(SHAPES[province].registry_toml(f"http://127.0.0.1:{base + 4}"), "utf-8")
    access.write_text(access_toml(province), "utf-8")
    config = await make_node(
        *(anchor, folder / province, province, "--base-port", str(base)),
        *("--registry", str(registry), "--access", str(access), *more),
    )
    one = Province(province, config, base)
    register_node(province, config, one.entity_id, issuer or one.identity_provider)
    for section, lines in {"limits": _LIMITS, "login": _LOGIN.partition("]")[2], **settings}.items():
        add_settings(config, section, lines)
    said = await command(
        *("client", "add", PLATFORM, "--title", f"{province} 门户", "--json", "--config", config),
        *portal_client_arguments(one.portal),
    )
    one.client_file.write_text(said, "utf-8")
    return one


async def add_login_client(
    config: Path, client_id: str, name: str, terms: LoginTerms, jwks: Mapping[str, Any] | None = None
) -> str:
    """Make a platform a client of its node; its secret, empty with keys of its own."""
    database = open_database(read_config(config).store.url)
    try:
        rows = ClientRows(database, SystemClock())
        if jwks is None:
            return await rows.add_with_secret(client_id, name, ("*",), terms)
        await rows.add_with_keys(client_id, name, ("*",), jwks, terms)
        return ""
    finally:
        await database.close()


@asynccontextmanager
async def serving(app: web.Application, url: str) -> AsyncIterator[None]:
    """An application at the port of a URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(url.rpartition(":")[2])).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving_around(one: Province) -> AsyncIterator[None]:
    """A province's registry, identity provider and portal."""
    client = ProviderClient.read(one.config.with_name("identity-client.json"))
    provider = make_identity_provider(one.province, POPULATION, one.identity_provider, client)
    settings = PortalSettings.read(
        one.province, one.portal, one.entity_id, f"http://127.0.0.1:{one.base + 1}", one.client_file
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_registry(one.province, one.base + 4))
        await stack.enter_async_context(serving(provider, one.identity_provider))
        await stack.enter_async_context(serving(make_portal(settings), one.portal))
        yield


async def found_login_country(
    folder: Path, provinces: Sequence[str], *, settings: Mapping[str, str] = _NONE
) -> Mapping[str, Province]:
    """Make the anchor in ``folder/anchor``, and these provinces."""
    anchor, _ = await make_anchor(folder / "anchor")
    return {
        province: await found_province(anchor, folder, province, settings=settings) for province in provinces
    }


@asynccontextmanager
async def at_work(folder: Path, made: Mapping[str, Province]) -> AsyncIterator[LoginCountry]:
    """Run provinces that were made in this folder, each node knowing the others."""
    async with AsyncExitStack() as stack:
        serving_it = await stack.enter_async_context(AsyncExitStack())
        await serving_it.enter_async_context(serving_anchor(folder / "anchor"))
        for one in made.values():
            await stack.enter_async_context(serving_around(one))
        nodes = await stack.enter_async_context(running(*(one.config for one in made.values())))
        jar = aiohttp.DummyCookieJar()
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        for node in nodes:
            await node.node.trust_sync.refresh_once()
        by_province = dict(zip(made, nodes, strict=True))
        yield LoginCountry(made, by_province, http, folder / "anchor", serving_it)


@asynccontextmanager
async def running_login_country(
    folder: Path, provinces: Sequence[str], *, settings: Mapping[str, str] = _NONE
) -> AsyncIterator[LoginCountry]:
    """Make these provinces and run them."""
    made = await found_login_country(folder, provinces, settings=settings)
    async with at_work(folder, made) as country:
        yield country


def client_of(one: Province) -> tuple[str, str]:
    """The platform's client id and secret."""
    said = json.loads(one.client_file.read_text("utf-8"))
    return said["client_id"], said["client_secret"]
