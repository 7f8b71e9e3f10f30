"""Shanghai asks Zhejiang: two nodes made by commands, Zhejiang's simulated registry, and a relay between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from aiohttp import web

from node.config import read_config
from simulators.population import Population
from simulators.registry import SHAPES, make_registry
from tests.bench.chains import ANSWERING, ASKING, card_holders, questions
from tests.support.federation import (
    RunningNode,
    command,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.relay import Relay, relaying

__all__ = [
    "CLIENT",
    "Country",
    "ShiftedClock",
    "TwoNodes",
    "found",
    "good_question",
    "pair_rules",
    "records_of",
    "serving_registry",
]

CLIENT = "hall"
_POPULATION = Population()


class ShiftedClock:
    """The machine's time and so much more; a test moves it while the node runs."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """The time that this clock shows."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)


@dataclass(frozen=True, slots=True)
class Country:
    """Two enrolled nodes in a folder. The relay's port is the one at which Zhejiang is known."""

    folder: Path
    asking: Path
    answering: Path
    relay_port: int
    registry_port: int

    @property
    def anchor(self) -> Path:
        """The anchor's folder."""
        return self.folder / "anchor"

    @property
    def grpc_port(self) -> int:
        """Where Zhejiang's node really listens for peers."""
        return read_config(self.answering).listen.grpc.port

    @asynccontextmanager
    async def around(self) -> AsyncIterator[Relay]:
        """Everything but the nodes: anchor, registry, relay."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serving_anchor(self.anchor))
            await stack.enter_async_context(serving_registry(ANSWERING, self.registry_port))
            yield await stack.enter_async_context(relaying(self.relay_port, self.grpc_port))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TwoNodes]:
        """Both nodes in this process, knowing each other, with a token for the platform."""
        clocks = {self.asking: ShiftedClock(), self.answering: ShiftedClock()}
        async with self.around() as relay, running(self.asking, self.answering, clocks=clocks) as nodes:
            asking, answering = nodes
            token = await asking.token(CLIENT)
            try:
                yield TwoNodes(self, relay, asking, answering, clocks, token)
            finally:
                await command("client", "remove", CLIENT, "--config", self.asking)


def pair_rules(asking: str, answering: str) -> tuple[str, str]:
    """access.toml of the two nodes: one line for the pair on each side."""
    every = 'operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"]'
    ask = f'  {{ rule = "ask", platform = "{CLIENT}", province = "{answering}", {every}, bases = ["official_duty"] }},'
    answer = (
        f'  {{ rule = "answer", asking = "{asking}", platform = "*", {every}, bases = ["official_duty"] }},'
    )
    return (
        f'version = "1"\nasking = [\n{ask}\n]\nanswering = []\n',
        f'version = "1"\nasking = []\nanswering = [\n{answer}\n]\n',
    )


async def found(
    folder: Path,
    *,
    limits: str = "",
    registry_timeout_s: float = 3.0,
    asking_store: str = "sqlite:///node.db",
    init: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Country:
    """Make the anchor and both nodes; `limits` are lines of [limits] for both, `init` more arguments of yrd init by
    province.
    """
    anchor, _ = await make_anchor(folder / "anchor")
    base = free_ports(16)
    asking_port, answering_port, registry_port, relay_port = base, base + 6, base + 10, base + 15
    registry = folder / "registry.toml"
    text = SHAPES[ANSWERING].registry_toml(f"http://127.0.0.1:{registry_port}")
    assert "timeout_s = 3.0" in text
    registry.write_text(text.replace("timeout_s = 3.0", f"timeout_s = {registry_timeout_s}"), "utf-8")
    asking = await make_node(
        *(anchor, folder / ASKING, ASKING, "--store", asking_store),
        *("--base-port", str(asking_port), *init.get(ASKING, ())),
    )
    answering = await make_node(
        *(anchor, folder / ANSWERING, ANSWERING, "--registry", str(registry)),
        *("--base-port", str(answering_port), "--grpc-public", f"127.0.0.1:{relay_port}"),
        *init.get(ANSWERING, ()),
    )
    for path, rules in zip((asking, answering), pair_rules(ASKING, ANSWERING), strict=True):
        path.with_name("access.toml").write_text(rules, "utf-8")
        path.write_text(f"{path.read_text('utf-8')}\n[limits]\n{limits}\n", "utf-8")
    return Country(folder, asking, answering, relay_port, registry_port)


@asynccontextmanager
async def serving_registry(province: str, port: int) -> AsyncIterator[None]:
    """The simulated registry of a province."""
    runner = web.AppRunner(make_registry(province, _POPULATION), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@cache
def _question() -> bytes:
    return questions(card_holders(_POPULATION, 1))[0]


def good_question() -> dict[str, Any]:
    """A POST /v1/certificates/query of Shanghai's platform that is answered."""
    body: dict[str, Any] = orjson.loads(_question())
    return body


@dataclass(frozen=True, slots=True)
class TwoNodes:
    """Both nodes at work, and what a test may turn."""

    country: Country
    relay: Relay
    asking: RunningNode
    answering: RunningNode
    clocks: Mapping[Path, ShiftedClock]
    token: str

    @property
    def own_clock(self) -> ShiftedClock:
        """The asking node's clock."""
        return self.clocks[self.country.asking]

    @property
    def peers_clock(self) -> ShiftedClock:
        """The answering node's clock."""
        return self.clocks[self.country.answering]

    def question(self, **changes: Any) -> dict[str, Any]:
        """A good question, with changes."""
        return {**good_question(), **changes}

    async def query(self, body: Any = None, /, **headers: str) -> tuple[int, dict[str, Any]]:
        """Ask; status and body. `headers` replace or add, with underscores for hyphens."""
        data = body if isinstance(body, bytes) else orjson.dumps(body or self.question())
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.asking.platform}/v1/certificates/query"
        async with self.asking.http.post(url, data=data, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def query_until_answered(self) -> dict[str, Any]:
        """Ask again until it is answered: gRPC connects anew within a second, and the store is tried again."""
        for _ in range(200):
            status, body = await self.query()
            if status == 200:
                return body
            await asyncio.sleep(0.05)
        raise AssertionError(body)

    async def evidence(self, request_id: str) -> tuple[int, dict[str, Any]]:
        """GET /v1/evidence/{id}."""
        return await self.asking.get(f"/v1/evidence/{request_id}", self.token)

    async def break_registry(self, mode: str, **more: Any) -> None:
        """Set a fault of the simulated registry; ``none`` takes it back."""
        url = f"http://127.0.0.1:{self.country.registry_port}/_faults"
        async with self.asking.http.post(url, json={"mode": mode, **more}) as answer:
            assert answer.status == 200

    async def metrics(self, node: RunningNode) -> str:
        """What a node tells Prometheus."""
        async with node.http.get(f"http://{node.at.operations}/metrics") as answer:
            return await answer.text()

    async def refresh(self) -> None:
        """Both nodes fetch trust anew."""
        await asyncio.gather(*(node.node.trust_sync.refresh_once() for node in (self.asking, self.answering)))

    async def pause_refreshes(self) -> None:
        """End the loops that follow trust, in both nodes: what is asked from now on is asked by queries."""
        loops = [task for task in asyncio.all_tasks() if task.get_name() == "trust"]
        assert len(loops) == 2
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)

    def asked(self) -> list[tuple[str, int, str]]:
        """The asking node's log: request id, kind, outcome."""
        return records_of(self.country.asking)

    def answered(self) -> list[tuple[str, int, str]]:
        """The answering node's log."""
        return records_of(self.country.answering)


def records_of(config_path: Path) -> list[tuple[str, int, str]]:
    """What platforms asked and were answered, read from a node's store: request id, kind, outcome."""
    with sqlite3.connect(f"file:{config_path.with_name('node.db')}?mode=ro", uri=True) as connection:
        rows: Sequence[Any] = connection.execute(
            "SELECT r.request_id, r.kind, l.outcome FROM records r JOIN labels l USING (label)"
            " WHERE l.operation NOT LIKE 'evidence.%' ORDER BY r.log_index"
        ).fetchall()
    return [(request_id, kind, outcome) for request_id, kind, outcome in rows]
