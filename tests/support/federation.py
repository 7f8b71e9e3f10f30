"""A small federation for journeys: anchor and nodes on loopback, made by the commands of an operator."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from federation.ports import Clock
from node.anchor import anchor_app
from node.api.app import CLIENTS
from node.cli import cli
from node.clock import SystemClock
from node.compose import Node
from node.config import read_config
from node.lifecycle import Addresses, running_node

__all__ = [
    "RunningNode",
    "allow_all",
    "free_ports",
    "make_anchor",
    "make_node",
    "running",
    "serving_anchor",
    "yrd",
]


_LOWEST_PORT, _SPAN, _WORKERS = 20_000, 3_000, 4
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# Not from `random`, which is seeded alike in each worker. Below the ports that a system gives out by itself.
_offsets = itertools.count(secrets.randbelow(_SPAN))


def free_ports(count: int) -> int:
    """The first of so many ports in a row that are free now.

    They are taken one after the other, out of a range of each worker's own, so that nobody is given a port that
    was given to another who does not listen on it yet.
    """
    for _ in range(_SPAN):
        offset = next(_offsets) % _SPAN
        if offset + count > _SPAN:
            continue
        base = _LOWEST_PORT + _SPAN * _worker + offset
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    listening = stack.enter_context(socket.socket())
                    listening.bind(("127.0.0.1", port))
            except OSError:
                continue
        for _ in range(count - 1):
            next(_offsets)
        return base
    raise RuntimeError("no free ports")


def yrd(*arguments: str | Path) -> Result:
    """Run a command in this process; what it does not tell itself is raised."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


async def command(*arguments: str | Path) -> str:
    """Run a command beside the loop; its output. It must succeed."""
    result = await asyncio.to_thread(yrd, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def make_anchor(folder: Path) -> tuple[Path, str]:
    """A new anchor in a folder; its public file and its entity id."""
    entity_id = f"http://127.0.0.1:{free_ports(1)}"
    await command("anchor", "init", "--dir", folder, "--entity-id", entity_id, "--allow-http-on-loopback")
    return folder / "anchor.public.json", entity_id


def allow_all(path: Path) -> None:
    """Access rules that let everything through, both ways."""
    every = (
        'operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], bases = ["*"]'
    )
    rules = [
        'version = "all"',
        f'asking = [{{ rule = "ask", platform = "*", province = "*", {every} }}]',
        f'answering = [{{ rule = "answer", asking = "*", platform = "*", {every} }}]',
    ]
    path.write_text("\n".join(rules) + "\n", encoding="utf-8")


async def make_node(anchor: Path, folder: Path, province: str, *more: str) -> Path:
    """A new node that the anchor has taken in; the path of its node.toml."""
    base = free_ports(6)
    await command(
        *("init", "--province", province, "--dir", folder, "--anchor", anchor, "--base-port", str(base)),
        *more,
    )
    await command(
        *("anchor", "enroll", "--dir", anchor.parent, folder / "enrolment.json"),
        *("--out", folder / "enrolled.json"),
    )
    return folder / "node.toml"


@asynccontextmanager
async def serving_anchor(folder: Path, clock: Clock | None = None) -> AsyncIterator[None]:
    """The anchor's statements are served while inside; it goes by `clock`, the machine's without."""
    facts = orjson.loads((folder / "anchor.public.json").read_bytes())
    runner = web.AppRunner(anchor_app(folder, clock or SystemClock()), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(facts["entity_id"].rpartition(":")[2])).start()
    try:
        yield
    finally:
        await runner.cleanup()


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that serves, where it listens, and a session to call it with."""

    config_path: Path
    node: Node
    at: Addresses
    http: aiohttp.ClientSession

    @property
    def platform(self) -> str:
        """The URL of the platform API."""
        return f"http://{self.at.platform}"

    async def refresh_clients(self) -> None:
        """Take the clients as they are in the store now, without waiting for the next look."""
        await self.node.platform[CLIENTS].refresh_once()

    async def get(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        """GET from the platform API: status and body."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.get(self.platform + path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def token(self, client: str, *rights: str) -> str:
        """Add a client by command, with more options of `yrd client add`, and get it an access token."""
        return await self.log_in(client, await self.add_client(client, *rights))

    async def add_client(self, client: str, *rights: str) -> str:
        """Add a client by command, with more options of `yrd client add`; its secret."""
        made = await command("client", "add", client, *rights, "--config", self.config_path, "--json")
        await self.refresh_clients()
        return str(orjson.loads(made)["client_secret"])

    async def log_in(self, client: str, secret: str) -> str:
        """An access token for a client."""
        async with self.http.post(
            f"{self.platform}/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": aiohttp.encode_basic_auth(client, secret)},
        ) as answer:
            body: dict[str, Any] = await answer.json()
        assert answer.status == 200, body
        return str(body["access_token"])


@asynccontextmanager
async def running(
    *config_paths: Path, clocks: Mapping[Path, Clock] | None = None
) -> AsyncIterator[Sequence[RunningNode]]:
    """Nodes in this process, each serving, all of them knowing each other; `clocks` are those that differ."""
    async with AsyncExitStack() as stack:
        # Commands run in this process and borrow its stdout; what the nodes log must not get in between.
        stack.enter_context(capture_logs())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        nodes = []
        for path in config_paths:
            config = await asyncio.to_thread(read_config, path)
            clock = (clocks or {}).get(path) or SystemClock()
            node, at = await stack.enter_async_context(running_node(config, clock))
            nodes.append(RunningNode(path, node, at, http))
        for running_one in nodes:
            await running_one.node.trust_sync.refresh_once()
        yield nodes


@contextlib.contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """A file with one part replaced while inside."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")
