"""The whole delta in this process: anchor, four registries, four nodes made by commands, a platform at each.

Real gRPC, mutual TLS, HTTP and stores; only the processes are one. An anchor can be stopped and started again, and
each node is reached by its peers through a relay, so that connections can be counted and cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

from federation.peers import Peer
from federation.statements import StoredStatement
from mapping.translate import load_dialect
from node.config import read_config
from node.store.database import open_database
from node.store.trust import TrustRows
from simulators.founding import access_toml
from simulators.layout import PLATFORM
from simulators.population import Population
from simulators.registry import SHAPES
from simulators.walk import BASIS
from tests.support.federation import (
    RunningNode,
    command,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.load import Load, Pair
from tests.support.relay import Relay, relaying
from tests.support.two_nodes import serving_registry

__all__ = [
    "ANHUI",
    "JIANGSU",
    "PROVINCES",
    "SHANGHAI",
    "ZHEJIANG",
    "Delta",
    "RunningDelta",
    "add_settings",
    "found_delta",
]

SHANGHAI, JIANGSU, ZHEJIANG, ANHUI = PROVINCES = ("310000", "320000", "330000", "340000")
_POPULATION = Population()
_CITIZEN = "111"

# A busy machine is slow, and slow is no failure here; the quotas are not what is tested.
_LIMITS = """
[limits]
deadline_s = 60
peer_quota_per_s = 1000000
peer_quota_burst = 1000000
platform_quota_per_s = 1000000
platform_quota_burst = 1000000
"""


@dataclass(frozen=True, slots=True)
class Delta:
    """Four enrolled nodes in a folder."""

    folder: Path
    configs: Mapping[str, Path]
    registry_ports: Mapping[str, int]
    relay_ports: Mapping[str, int]
    secrets: dict[str, str] = field(default_factory=dict)
    """Each platform's, from the first time that all is at work."""

    @property
    def anchor(self) -> Path:
        """The anchor's folder."""
        return self.folder / "anchor"

    @property
    def anchor_public(self) -> Path:
        """What nodes and verifiers are given of it."""
        return self.anchor / "anchor.public.json"

    @property
    def anchor_id(self) -> str:
        """Its entity id."""
        return read_config(self.configs[SHANGHAI]).trust.anchor

    def entity(self, province: str) -> str:
        """The entity id of a province's node."""
        return read_config(self.configs[province]).node.entity_id

    @asynccontextmanager
    async def running(self, *, with_anchor: bool = True) -> AsyncIterator[RunningDelta]:
        """Everything at work, each node knowing the other three: from before, when there is no anchor."""
        async with AsyncExitStack() as stack:
            anchor = await stack.enter_async_context(AsyncExitStack())
            if with_anchor:
                await anchor.enter_async_context(serving_anchor(self.anchor))
            relays = {}
            for province, config in self.configs.items():
                await stack.enter_async_context(serving_registry(province, self.registry_ports[province]))
                port = read_config(config).listen.grpc.port
                relaying_it = relaying(self.relay_ports[province], port)
                relays[province] = await stack.enter_async_context(relaying_it)
            nodes = await stack.enter_async_context(running(*self.configs.values()))
            by_province = dict(zip(self.configs, nodes, strict=True))
            delta = RunningDelta(self, by_province, relays, anchor)
            await delta.refresh()
            for province in by_province:
                await delta.open_platform(province)
            yield delta


@dataclass(slots=True)
class RunningDelta:
    """The four nodes at work."""

    delta: Delta
    nodes: Mapping[str, RunningNode]
    relays: Mapping[str, Relay]
    _anchor: AsyncExitStack
    _tokens: dict[str, str] = field(default_factory=dict)

    async def ask(self, pair: Pair) -> tuple[int, dict[str, Any]]:
        """A platform of the first province asks for the papers of a citizen of the second."""
        asking, answering = pair
        node = self.nodes[asking]
        headers = {"Authorization": f"Bearer {self._tokens[asking]}"}
        url = f"{node.platform}/v1/certificates/query"
        async with node.http.post(url, json=_question(asking, answering), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def open_platform(self, province: str) -> None:
        """Make the province's platform a client of its node, unless it is one, and log it in."""
        if province not in self.delta.secrets:
            self.delta.secrets[province] = await self.nodes[province].add_client(PLATFORM)
        await self.log_in(province)

    async def log_in(self, province: str) -> None:
        """Have a province's platform take a new access token, for all that it asks from now on."""
        self._tokens[province] = await self.nodes[province].log_in(PLATFORM, self.delta.secrets[province])

    def load(self, pairs: Iterable[Pair] = ()) -> Load:
        """32 queries in flight over these pairs; all twelve without."""
        return Load(self.ask, tuple(pairs) or tuple(permutations(self.nodes, 2)))

    def seen(self, by: str, province: str) -> Peer:
        """A province's node as another knows it now."""
        return self.nodes[by].node.asker.peers().peer_in(province)

    async def trust_rows(self, province: str) -> Sequence[StoredStatement]:
        """What a node has verified and stored of the federation."""
        database = await asyncio.to_thread(open_database, read_config(self.delta.configs[province]).store.url)
        try:
            return await TrustRows(database).load_statements()
        finally:
            await database.close()

    async def refresh(self, *provinces: str) -> None:
        """Have these nodes fetch trust anew; all without."""
        wanted: Sequence[str] = provinces or tuple(self.nodes)
        await asyncio.gather(*(self.nodes[name].node.trust_sync.refresh_once() for name in wanted))

    async def stop_anchor(self) -> None:
        """The anchor is away from now on."""
        await self._anchor.aclose()

    async def start_anchor(self) -> None:
        """It is back."""
        await self._anchor.enter_async_context(serving_anchor(self.delta.anchor))

    async def anchor(self, name: str, *arguments: str | Path) -> str:
        """A command of the anchor's operator; its output. It must succeed."""
        return await command("anchor", name, "--dir", self.delta.anchor, *arguments)

    async def yrd(self, province: str, *arguments: str | Path) -> str:
        """A command of a province's operator, with its configuration; its output. It must succeed."""
        return await command(*arguments, "--config", self.delta.configs[province])


async def found_delta(folder: Path, settings: Mapping[str, str] | None = None) -> Delta:
    """Make the anchor and the four nodes. `settings` are lines for a section of every node.toml, by its name."""
    anchor, _ = await make_anchor(folder / "anchor")
    configs, registries, relays = {}, {}, {}
    for province in PROVINCES:
        base = free_ports(6)
        registries[province], relays[province] = base + 4, base + 5
        configs[province] = await _make_node(anchor, folder, province, base)
        for section, lines in {"limits": _LIMITS.partition("]")[2], **(settings or {})}.items():
            add_settings(configs[province], section, lines)
    return Delta(folder, configs, registries, relays)


def add_settings(path: Path, section: str, lines: str) -> None:
    """Put lines at the head of a section of node.toml, which is made when it is not there."""
    text, head = path.read_text("utf-8"), f"[{section}]\n"
    text = text if head in text else f"{text}\n{head}"
    path.write_text(text.replace(head, f"{head}{lines.strip()}\n", 1), "utf-8")


async def _make_node(anchor: Path, folder: Path, province: str, base: int) -> Path:
    registry, access = folder / f"{province}.registry.toml", folder / f"{province}.access.toml"
    registry.write_text(SHAPES[province].registry_toml(f"http://127.0.0.1:{base + 4}"), "utf-8")
    access.write_text(access_toml(province), "utf-8")
    return await make_node(
        *(anchor, folder / province, province, "--base-port", str(base)),
        *("--grpc-public", f"127.0.0.1:{base + 5}", "--registry", str(registry), "--access", str(access)),
    )


@cache
def _question(asking: str, answering: str) -> dict[str, Any]:
    id_type = load_dialect(asking).code_to_local("holder_id_type", _CITIZEN).value
    return {
        "province": answering,
        "holder": {"id_type": id_type, "id": _POPULATION.resident(answering, 0).citizen_number},
        "basis": BASIS,
        "officer": "演示经办人",
    }
