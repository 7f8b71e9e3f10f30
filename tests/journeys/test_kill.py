"""SIGKILL in the middle of load: what a client was given is in both logs, and both logs hold.

The client keeps a ledger of its own: the ids of the requests that it got an answer to. In each round the nodes are
killed at a random moment with many queries in flight, by turns both at once, the answering and the asking one, and
started again while the client goes on. At the end each node verifies its log, and the two compare what they have
of each other. `YRD_KILL_ROUNDS` sets how many rounds there are, `YRD_KILL` which nodes (``both``: both every time).
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from simulators.population import Population
from simulators.registry import make_registry
from tests.bench.chains import ANSWERING, ASKING, LIMITS, NodeChain, card_holders, questions
from tests.bench.processes import ended, yrd
from tests.support.federation import free_ports

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200), pytest.mark.xdist_group("processes")]

ROUNDS = int(os.environ.get("YRD_KILL_ROUNDS", "9"))
BOTH = (ANSWERING, ASKING)
TURNS = (BOTH,) if os.environ.get("YRD_KILL") == "both" else (BOTH, (ANSWERING,), (ASKING,))
WORKERS = 20
ACKNOWLEDGED = 1000
KINDS = {ASKING: (1, 2), ANSWERING: (3, 4)}
"""The records of an exchange, by node: the request, the answer."""


@dataclass
class Load:
    """Platforms that ask without a pause, each again after whatever went wrong."""

    http: aiohttp.ClientSession
    url: str
    bodies: Iterator[bytes]
    acknowledged: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    authorization: str = ""
    _marks: list[tuple[int, asyncio.Event]] = field(default_factory=list)
    _is_over: bool = False

    async def until_acknowledged(self, count: int) -> None:
        """Wait until so many requests got an answer."""
        event = asyncio.Event()
        self._marks.append((count, event))
        await event.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask while inside; what is open at the end is waited for."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
            yield
            self._is_over = True

    async def _work(self) -> None:
        while not self._is_over:
            self.in_flight += 1
            try:
                failure = await self._ask()
            except aiohttp.ClientError as error:
                failure = type(error).__name__
            finally:
                self.in_flight -= 1
            if failure:
                self.failures[failure] += 1
                await asyncio.sleep(0.05)

    async def _ask(self) -> str:
        """Ask once, and note what was answered; what went wrong, or nothing."""
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        async with self.http.post(self.url, data=next(self.bodies), headers=headers) as answer:
            body = orjson.loads(await answer.read())
            if answer.status != 200:
                return f"{answer.status} {body['code']}"
        self.acknowledged.append(str(body["request_id"]))
        for count, event in self._marks:
            if len(self.acknowledged) >= count:
                event.set()
        return ""


class Log:
    """A node's log, read from its store; each look takes up what was written since the last."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._next = 0
        self.records: dict[str, dict[int, list[bytes]]] = {}

    def read(self) -> None:
        with sqlite3.connect(f"file:{self._store}?mode=ro", uri=True) as connection:
            rows = connection.execute(
                "SELECT log_index, request_id, kind, identity FROM records WHERE log_index >= ?"
                " ORDER BY log_index",
                (self._next,),
            ).fetchall()
        for index, request_id, kind, identity in rows:
            assert index == self._next, "the log has a gap"
            self._next += 1
            self.records.setdefault(request_id, {}).setdefault(kind, []).append(bytes(identity))


def missing(acknowledged: list[str], logs: dict[str, Log]) -> list[tuple[str, str]]:
    """The acknowledged requests that are not once, and with the same messages, in both logs."""
    found = []
    for request_id in acknowledged:
        asked, answered = (
            [logs[node].records.get(request_id, {}).get(kind, []) for kind in KINDS[node]]
            for node in (ASKING, ANSWERING)
        )
        if asked != answered or [len(kept) for kept in asked] != [1, 1]:
            found.append((request_id, f"{asked} {answered}"))
    return found


async def kill_at_random(chain: NodeChain, load: Load, provinces: Sequence[str]) -> int:
    """Kill nodes somewhere in the middle of the round; how many queries were open then."""
    await load.until_acknowledged(random.randrange(ACKNOWLEDGED // 10, ACKNOWLEDGED * 9 // 10))
    await asyncio.sleep(random.uniform(0, 0.03))  # not just when an answer came
    in_flight = load.in_flight
    for province in provinces:
        chain.processes[province].kill()
    return in_flight


async def play_round(chain: NodeChain, load: Load, provinces: Sequence[str]) -> tuple[int, float]:
    """One round: load, kill, start again, and on until enough was acknowledged."""
    async with load.running():
        in_flight = await kill_at_random(chain, load, provinces)
        ready_s = sum([await asyncio.to_thread(chain.serve, province) for province in provinces])
        await load.until_acknowledged(ACKNOWLEDGED)
    return in_flight, ready_s


async def verify_log(chain: NodeChain, province: str) -> None:
    """A node reads its whole log again, and compares it with the other's. Raises RuntimeError."""
    config = chain.folder / province / "node.toml"
    peer = next(other for other in BOTH if other != province)
    for command in (("log", "verify"), ("evidence", "reconcile", "--peer", peer)):
        print(await asyncio.to_thread(yrd, *command, "--config", config))


@asynccontextmanager
async def serving_registry(population: Population) -> AsyncIterator[str]:
    runner = web.AppRunner(make_registry(ANSWERING, population), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_chain(folder: Path, origin: str) -> AsyncIterator[NodeChain]:
    """Anchor, registry and two nodes, as processes that operators' commands made."""
    # What a killed node had begun to answer is asked again until the deadline; no longer than by default.
    limits = LIMITS.replace("deadline_s = 30", "deadline_s = 5")
    chain = NodeChain(folder, free_ports(40), origin, limits=limits)
    with ended([]) as processes:
        await asyncio.to_thread(chain.make)
        try:
            await asyncio.to_thread(chain.start)
            yield chain
        finally:
            processes.extend(chain.processes.values())


async def test_what_a_client_was_given_is_in_both_logs_whichever_node_is_killed(tmp_path: Path) -> None:
    population, folder, acknowledged = Population(), tmp_path / "chain", 0
    logs = {province: Log(folder / province / "node.db") for province in KINDS}
    bodies = cycle(questions(card_holders(population, 64)))
    async with (
        serving_registry(population) as origin,
        running_chain(folder, origin) as chain,
        aiohttp.ClientSession() as http,
    ):
        for number in range(1, ROUNDS + 1):
            await asyncio.to_thread(chain.log_in)
            url = f"http://127.0.0.1:{chain.port}/v1/certificates/query"
            load = Load(http, url, bodies, authorization=chain.authorization)
            killed = TURNS[number % len(TURNS)]
            in_flight, ready_s = await play_round(chain, load, killed)
            for log in logs.values():
                log.read()
            acknowledged += len(load.acknowledged)
            print(
                f"round {number}: killed {' and '.join(killed)} with {in_flight} in flight, ready again after "
                f"{ready_s:.1f} s, {len(load.acknowledged)} acknowledged, failures {dict(load.failures)}"
            )
            assert in_flight >= 16
            assert len(load.acknowledged) >= ACKNOWLEDGED
            assert missing(load.acknowledged, logs) == []
        for province in BOTH:
            await verify_log(chain, province)
    print(f"{ROUNDS} rounds, {acknowledged} acknowledged, all of them in both logs")
