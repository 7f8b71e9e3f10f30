"""Disk full, or a store that cannot be written: nothing is released that is not stored, and it recovers by itself.

The nodes are processes of their own, so that one of them can be told that its files may not grow (RLIMIT_FSIZE):
what SQLite then gets from the system is what it gets from a full disk, an error in the middle of a write.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from psycopg.sql import SQL, Identifier

from node.config import read_config
from tests.bench.processes import Process, ended, start, wait_until_ready
from tests.support.federation import command
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.relay import Relay
from tests.support.two_nodes import CLIENT, Country, found, good_question, records_of

pytestmark = pytest.mark.journey

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass(frozen=True, slots=True)
class Processes:
    """Both nodes as processes, and a platform of the asking one."""

    country: Country
    relay: Relay
    asking: Process
    answering: Process
    http: aiohttp.ClientSession
    token: str

    async def query(self) -> tuple[int, dict[str, Any]]:
        """Ask; status and body."""
        url = f"http://{read_config(self.country.asking).listen.platform}/v1/certificates/query"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.post(url, json=good_question(), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def evidence(self, request_id: str) -> dict[str, Any]:
        """GET /v1/evidence/{id}."""
        url = f"http://{read_config(self.country.asking).listen.platform}/v1/evidence/{request_id}"
        async with self.http.get(url, headers={"Authorization": f"Bearer {self.token}"}) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
            return body

    async def unready_reasons(self, config_path: Path) -> list[str]:
        """What /readyz gives as reasons."""
        async with self.http.get(f"http://{read_config(config_path).listen.operations}/readyz") as answer:
            return [reason["code"] for reason in (await answer.json()).get("reasons", [])]

    def asked(self) -> list[tuple[str, int, str]]:
        """The asking node's log."""
        return records_of(self.country.asking)

    def answered(self) -> list[tuple[str, int, str]]:
        """The answering node's log."""
        return records_of(self.country.answering)

    async def until_answered(self) -> None:
        """Ask until it is answered, as a platform does that gets a 502 or 503."""
        for _ in range(200):
            status, body = await self.query()
            if status == 200:
                return
            assert status in (502, 503), body
            await asyncio.sleep(0.05)
        raise AssertionError(body)


@contextmanager
def full_disk(process: Process) -> Iterator[None]:
    """No file of this process can be written while inside."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, UNLIMITED)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nobody else can write this store while inside."""
    with sqlite3.connect(store, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
    connection.close()


@asynccontextmanager
async def serving(country: Country) -> AsyncIterator[Processes]:
    made = orjson.loads(await command("client", "add", CLIENT, "--config", country.asking, "--json"))
    yrd = Path(sys.executable).with_name("yrd")
    with ended([]) as processes:
        async with country.around() as relay, aiohttp.ClientSession() as http:
            for path in (country.answering, country.asking):
                # What it logs goes nowhere: a log in a file would not grow on a full disk either.
                processes.append(start([yrd, "serve", "--config", path], Path("/dev/null")))
                url = f"http://{read_config(path).listen.operations}/readyz"
                await asyncio.to_thread(wait_until_ready, url, processes[-1])
            await command("trust", "refresh", "--config", country.answering)
            token = await access_token(http, country, made)
            yield Processes(country, relay, processes[1], processes[0], http, token)


async def access_token(http: aiohttp.ClientSession, country: Country, client: dict[str, str]) -> str:
    async with http.post(
        f"http://{read_config(country.asking).listen.platform}/oauth/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": aiohttp.encode_basic_auth(client["client_id"], client["client_secret"])},
    ) as answer:
        return str((await answer.json())["access_token"])


@pytest.mark.xdist_group("processes")
async def test_with_a_full_disk_nothing_is_released_and_it_recovers_by_itself(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with serving(country) as at:
        await at.until_answered()
        await asking_node_full(at)
        await answering_node_full(at)
        await full_when_the_answer_comes(at)
        await store_that_someone_holds(at)


async def asking_node_full(at: Processes) -> None:
    asked, answered = at.asked(), at.answered()
    with full_disk(at.asking):
        status, problem = await at.query()
        assert (status, problem["code"]) == (503, "own.store_unavailable")
        assert await at.unready_reasons(at.country.asking) == ["store_failing"]
        assert (at.asked(), at.answered()) == (asked, answered)
    await at.until_answered()
    assert await at.unready_reasons(at.country.asking) == []


async def answering_node_full(at: Processes) -> None:
    answered = at.answered()
    with full_disk(at.answering):
        status, problem = await at.query()
        assert (status, problem["code"]) == (502, "peer.busy")
        assert at.answered() == answered
        assert at.asked()[-1] == (problem["request_id"], 1, "")
    await at.until_answered()


async def full_when_the_answer_comes(at: Processes) -> None:
    """The peer has answered, but the answer cannot be stored here: the platform does not get it yet."""
    before = len(at.answered())
    at.relay.answers_pass.clear()
    call = asyncio.create_task(at.query())
    while len(at.answered()) == before:  # noqa: ASYNC110  another process tells by its log only
        await asyncio.sleep(0.01)
    with full_disk(at.asking):
        at.relay.answers_pass.set()
        status, problem = await call
        assert (status, problem["code"]) == (503, "own.store_unavailable")
        assert at.asked()[-1] == (problem["request_id"], 1, "")
    evidence = await at.evidence(problem["request_id"])
    assert (evidence["state"], evidence["answer"]["request_id"]) == ("answered", problem["request_id"])
    assert at.asked()[-1] == (problem["request_id"], 2, "answered")


async def store_that_someone_holds(at: Processes) -> None:
    asked, answered = at.asked(), at.answered()
    with locked(at.country.asking.with_name("node.db")):
        status, problem = await at.query()
        assert (status, problem["code"]) == (503, "own.store_unavailable")
        assert (at.asked(), at.answered()) == (asked, answered)
    await at.until_answered()


@contextmanager
def closed(server: PostgresServer, name: str) -> Iterator[None]:
    """A database that takes no connection, and has lost those it had, while inside."""
    server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
    server.execute(
        SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(name)
    )
    try:
        yield
    finally:
        server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))


@pytest.mark.xdist_group("postgres")
async def test_with_postgresql_away_nothing_is_released_and_it_recovers_by_itself(tmp_path: Path) -> None:
    with running_postgres() as server:
        server.execute(SQL("CREATE DATABASE node"))
        url = server.url.replace("/postgres?", "/node?")
        assert url != server.url
        country = await found(tmp_path, asking_store=url)
        async with country.running() as at:
            assert (await at.query())[0] == 200
            answered = at.answered()
            with closed(server, "node"):
                for _ in range(2):
                    status, problem = await at.query()
                    assert (status, problem["code"]) == (503, "own.store_unavailable")
                assert at.answered() == answered
            await at.query_until_answered()
