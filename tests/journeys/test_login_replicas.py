"""Logins at a node of two processes on one PostgreSQL, each request at whichever is next; one is killed on the way.

Jiangsu's node is the one of two: home node of who logs in at Anhui, and visited node of who comes from there. Every
connection of the browsers, the portals and the other node goes to the next process, so no two requests of a login meet
the same one but by chance.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from node.config import read_config
from simulators.browser import LoginBrowser
from simulators.login_walk import finish_login
from tests.bench.processes import Process, ended, start, wait_until_ready
from tests.journeys.test_node_replicas import replica_of
from tests.support.delta import ANHUI, JIANGSU
from tests.support.federation import make_anchor, serving_anchor
from tests.support.login_country import Province, found_province, serving_around
from tests.support.postgres import running_postgres
from tests.support.round_robin import RoundRobin, round_robin

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("postgres"), pytest.mark.timeout(300)]

_YRD = Path(sys.executable).with_name("yrd")
_PATIENCE, _PAUSE_S = 60, 0.5
LOGINS, AT_ONCE, KILLED_AFTER = 100, 8, 40
"""As many as the demand says; one process goes while the rest of them are on their way."""


class Watched(LoginBrowser):
    """A browser that knows when its last request began."""

    asked_at: float = 0.0
    asked_url: str = ""

    async def request(
        self, method: str, url: str, fields: Mapping[str, str], initiator: str
    ) -> tuple[int, Mapping[str, str], str]:
        self.asked_at, self.asked_url = time.monotonic(), url
        return await super().request(method, url, fields, initiator)


@dataclass
class Replicas:
    """The scene: two provinces, and the two processes of the first."""

    jiangsu: Province
    anhui: Province
    processes: list[Process]
    balancer: RoundRobin
    http: aiohttp.ClientSession
    killed_at: float | None = None
    done: list[int] = field(default_factory=list)
    in_flight_when_killed: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def log_in(self, turn: int) -> None:
        """One login from portal to portal, in a browser of its own; every other one the other way round.

        One whose last request was on its way when the process was killed is done again, by the same citizen.
        """
        browser = Watched(self.http)
        try:
            await self._walk(browser, turn)
        except (AssertionError, aiohttp.ClientError) as error:
            if self.killed_at is None or browser.asked_at > self.killed_at:
                self.failed.append(f"{turn}: {type(error).__name__}: {error}")
                return
            self.in_flight_when_killed.append(turn)
            again = Watched(self.http)
            try:
                await self._walk(again, turn)
            except (AssertionError, aiohttp.ClientError) as second:
                where = f"{again.asked_url} {again.asked_at - self.killed_at:.3f} s after"
                self.failed.append(f"{turn} again: {type(second).__name__}: {second} at {where}")
                return
        self.done.append(turn)

    async def _walk(self, browser: LoginBrowser, turn: int) -> None:
        home, visited = (self.jiangsu, self.anhui) if turn % 2 else (self.anhui, self.jiangsu)
        account = home.accounts.account(turn - 1 if turn % 10 == 7 else turn)
        await browser.open(f"{visited.portal}/")
        await browser.submit("/login", {"province": home.province})
        page = await finish_login(browser, account)
        assert dict(page.facts).get("name") == account.resident.name, f"{page.url}: {page.text[:600]}"

    def kill(self) -> None:
        """The first process goes, as if its machine lost its power."""
        self.killed_at = time.monotonic()
        self.processes[0].kill()


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_postgres() as server, server.new_store() as url:
        yield url


@asynccontextmanager
async def replicas(folder: Path, store: str) -> AsyncIterator[Replicas]:
    anchor, _ = await make_anchor(folder / "anchor")
    jiangsu = await found_province(anchor, folder, JIANGSU, "--store", store)
    anhui = await found_province(anchor, folder, ANHUI)
    pair = [replica_of(jiangsu.config, name) for name in ("one", "two")]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_anchor(anchor.parent))
        ports = [read_config(path).listen.public.port for path in pair]
        balancer = await stack.enter_async_context(round_robin(jiangsu.base, ports))
        for one in (jiangsu, anhui):
            await stack.enter_async_context(serving_around(one))
        processes = stack.enter_context(ended([]))
        for path in (*pair, anhui.config):
            processes.append(start([_YRD, "serve", "--config", path], path.with_suffix(".log")))
            ready = f"http://{read_config(path).listen.operations}/readyz"
            await asyncio.to_thread(wait_until_ready, ready, processes[-1])
        # No connection is used twice: what comes next goes to the next process.
        connector = aiohttp.TCPConnector(force_close=True)
        jar = aiohttp.DummyCookieJar()
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, cookie_jar=jar))
        scene = Replicas(jiangsu, anhui, processes, balancer, http)
        await until_all_know_all(scene)
        yield scene


async def until_all_know_all(scene: Replicas) -> None:
    """Nodes find each other by themselves, soon after they have started; each process for itself."""
    for _ in range(_PATIENCE):
        try:
            for turn in (LOGINS + 1, LOGINS + 2, LOGINS + 3, LOGINS + 4):
                await scene._walk(LoginBrowser(scene.http), turn)
            return
        except AssertionError:
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError("the nodes do not know each other")


async def test_a_hundred_logins_hop_between_two_processes_and_outlive_one(tmp_path: Path, store: str) -> None:
    async with replicas(tmp_path, store) as scene:
        before = scene.balancer.taken.copy()
        turns = iter(range(LOGINS))

        async def one_after_the_other() -> None:
            for turn in turns:
                if len(scene.done) >= KILLED_AFTER and scene.killed_at is None:
                    scene.kill()
                await scene.log_in(turn)

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))

        assert not scene.failed, (len(scene.failed), "\n".join(scene.failed[:4]))
        assert sorted(scene.done) == list(range(LOGINS))
        assert len(scene.in_flight_when_killed) < AT_ONCE
        taken = scene.balancer.taken - before
        assert all(count > KILLED_AFTER for count in taken.values()), "both took part, turn by turn"
