"""Whole logins across two provinces against one provider of another maker (`make bench-login`).

**node**: a citizen of Jiangsu logs in at a platform of Anhui. Both legs: the platform's code flow with PKCE at its own
node; chooser; pushed request, private_key_jwt, PKCE and DPoP between the nodes; Jiangsu's identity provider; consent;
tokens of both nodes; SQLite, synchronous FULL. **oidc-provider**: npm's, a single provider with its own development
pages and all in memory: pushed request, login, consent, tokens bound by DPoP. In turns, in one run, on one machine. CPU
is that of the two nodes' processes, and of the provider's; identity provider, browser and platform are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
from aiohttp import web

from node.store.clients import LoginTerms
from simulators.browser import LoginBrowser
from simulators.login_walk import finish_login
from tests.bench.login_party import BenchParty
from tests.bench.processes import Process, ended, start, wait_until_ready
from tests.interop.identity_provider import running_node_provider, settings_for
from tests.support.delta import ANHUI, JIANGSU
from tests.support.federation import free_ports
from tests.support.login_country import (
    Province,
    add_login_client,
    found_login_country,
    serving,
    serving_around,
)

_YRD = Path(sys.executable).with_name("yrd")
_SETTINGS = {
    "login": "begin_per_minute = 100000\nbegin_per_sender = 100000",
    "limits": "peer_quota_per_s = 100000\npeer_quota_burst = 100000",
}
_PARTY = "bench"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Contender:
    """Whom logins are done at: by `log_in`, with CPU counted in `processes`."""

    name: str
    processes: Sequence[psutil.Process]
    log_in: Callable[[int], Awaitable[None]]

    def cpu_s(self) -> list[float]:
        """What each process has spent."""
        return [sum(process.cpu_times()[:2]) for process in self.processes]


@dataclass(frozen=True)
class Row:
    """What a round came to."""

    name: str
    in_flight: int
    latencies: Sequence[float]
    wall_s: float
    cpu_ms: Sequence[float]
    failures: int

    @property
    def total_ms(self) -> float:
        """CPU of one login."""
        return sum(self.cpu_ms)


async def _round(contender: Contender, in_flight: int, total: int, first: int) -> Row:
    """So many logins, never more than `in_flight` at once, by citizens counted from `first`."""
    latencies: list[float] = []
    failures: list[str] = []
    turns = iter(range(first, first + total))

    async def one_after_the_other() -> None:
        for turn in turns:
            began = time.perf_counter()
            try:
                await contender.log_in(turn)
            except (AssertionError, aiohttp.ClientError) as error:
                failures.append(f"{type(error).__name__}: {error}"[:500])
            else:
                latencies.append(time.perf_counter() - began)

    before, began = contender.cpu_s(), time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    wall_s = time.perf_counter() - began
    spent = [after - then for after, then in zip(contender.cpu_s(), before, strict=True)]
    for failure in failures[:3]:
        _say(f"    {contender.name}: {failure}")
    cpu_ms = [1e3 * one / max(1, len(latencies)) for one in spent]
    return Row(contender.name, in_flight, sorted(latencies), wall_s, cpu_ms, len(failures))


def _print_table(rows: Sequence[Row]) -> None:
    head = f"\n{'in flight':<10}{'':<16}{'logins/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}"
    _say(f"{head}  {'of which':<22}{'CPU ×':>6}")
    floors = {row.in_flight: row.total_ms for row in rows if row.name == "oidc-provider"}
    for row in rows:
        count = len(row.latencies)
        p50, p99 = (row.latencies[min(count - 1, int(share * count))] * 1e3 for share in (0.5, 0.99))
        parts = " + ".join(f"{one:.1f}" for one in row.cpu_ms) if len(row.cpu_ms) > 1 else ""
        _say(
            f"{row.in_flight:<10}{row.name:<16}{count / row.wall_s:>9.1f}{p50:>8.0f}{p99:>8.0f}{row.total_ms:>8.1f}"
            f"  {parts:<22}{row.total_ms / floors[row.in_flight]:>6.2f}"
            + (f"  {row.failures} failed" if row.failures else "")
        )


async def _landing(request: web.Request) -> web.Response:
    return web.Response(text="", content_type="text/html")


async def _metadata(http: aiohttp.ClientSession, issuer: str) -> dict[str, Any]:
    async with http.get(f"{issuer}/.well-known/openid-configuration") as answer:
        said: dict[str, Any] = await answer.json()
        return said


async def _nodes(
    stack: AsyncExitStack, folder: Path, origin: str, processes: list[Process]
) -> tuple[Province, Province, list[Process], Callable[[Any], Awaitable[None]]]:
    made = await found_login_country(folder, (JIANGSU, ANHUI), settings=_SETTINGS)
    home, visited = made[JIANGSU], made[ANHUI]
    processes.append(start([_YRD, "anchor", "serve", "--dir", folder / "anchor"], folder / "anchor.log"))
    nodes = []
    for one in (home, visited):
        await stack.enter_async_context(serving_around(one))
        node = start([_YRD, "serve", "--config", one.config], folder / f"{one.province}.log")
        processes.append(node)
        nodes.append(node)
    for one, node in zip((home, visited), nodes, strict=True):
        ready = f"http://127.0.0.1:{one.base + 2}/readyz"
        await asyncio.to_thread(wait_until_ready, ready, node)

    async def add(jwks: Any) -> None:
        terms = LoginTerms(
            redirect_uris=(f"{origin}/callback",), scopes=frozenset({"openid", "profile", "identity"})
        )
        await add_login_client(visited.config, _PARTY, "测试平台", terms, jwks)

    return home, visited, nodes, add


async def _node_contender(
    stack: AsyncExitStack, folder: Path, origin: str, http: aiohttp.ClientSession, processes: list[Process]
) -> Contender:
    home, visited, nodes, add = await _nodes(stack, folder, origin, processes)
    party = BenchParty(
        _PARTY,
        f"{origin}/callback",
        await _metadata(http, visited.entity_id),
        http,
        parameters={"scope": "openid profile identity", "acr_values": "yrd.l2"},
    )
    await add(party.jwks)

    async def log_in(turn: int) -> None:
        begun, browser = await party.begin(), LoginBrowser(http)
        await browser.open(begun.url)
        await finish_login(browser, home.accounts.account(_verified(turn)))
        await party.finish(begun, browser)

    await _until_known(log_in)
    return Contender("node", [psutil.Process(node.pid) for node in nodes], log_in)


def _verified(turn: int) -> int:
    """A citizen whose account is verified, another one each turn."""
    index = turn % 1000
    return index + 1 if index % 10 == 7 else index


async def _until_known(log_in: Callable[[int], Awaitable[None]]) -> None:
    """The nodes find each other by themselves, soon after they have started."""
    for last in (*[False] * 60, True):
        try:
            await log_in(999)
            break
        except AssertionError:
            if last:
                raise
            await asyncio.sleep(0.5)


async def _provider_contender(
    stack: AsyncExitStack, origin: str, http: aiohttp.ClientSession, home: Province
) -> Contender:
    issuer = f"http://127.0.0.1:{free_ports(1)}"
    party = BenchParty(_PARTY, f"{origin}/callback", {}, http, pushes=True, proves=True)
    party.parameters = {"scope": "openid profile", "prompt": "consent"}
    client = {
        "client_id": _PARTY,
        "redirect_uris": [f"{origin}/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "id_token_signed_response_alg": "ES256",
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "jwks": party.jwks,
    }
    features = {"dPoP": {"enabled": True}, "pushedAuthorizationRequests": {"enabled": True}}
    settings = settings_for(issuer, [client], home.accounts.account(0).resident, features)
    process = await stack.enter_async_context(running_node_provider(settings))
    party.metadata = await _metadata(http, issuer)

    async def log_in(turn: int) -> None:
        begun, browser = await party.begin(), LoginBrowser(http)
        await browser.open(begun.url)
        await browser.submit("", {"login": f"citizen-{turn}", "password": "any"})
        await browser.submit("")
        await party.finish(begun, browser)

    return Contender("oidc-provider", [psutil.Process(process.pid)], log_in)


async def _run(share: float) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yrd-bench-")))
        processes = stack.enter_context(ended([]))
        origin = f"http://127.0.0.1:{free_ports(1)}"
        landing = web.Application()
        landing.router.add_get("/callback", _landing)
        await stack.enter_async_context(serving(landing, origin))
        jar = aiohttp.DummyCookieJar()
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        _say("starting two nodes, their identity providers, and oidc-provider …")
        node = await _node_contender(stack, folder, origin, http, processes)
        provider = await _provider_contender(stack, origin, http, _home_of(folder))
        contenders = (provider, node)
        rows: list[Row] = []
        for contender in contenders:
            await _round(contender, 4, int(40 * share), 0)  # warm
        _say("measuring …")
        first = 100
        for in_flight, total in ((1, 100), (8, 300)):
            rows += [await _round(one, in_flight, int(total * share), first) for one in contenders]
            first += int(total * share)
        _print_table(rows)


def _home_of(folder: Path) -> Province:
    return Province(JIANGSU, folder / JIANGSU / "node.toml", 0)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="tests.bench.login", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the load")
    options = parser.parse_args()
    uvloop.run(_run(0.2 if options.quick else 1.0))


if __name__ == "__main__":
    main()
