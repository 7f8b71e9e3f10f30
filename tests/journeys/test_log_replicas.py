"""Two processes of one node on one PostgreSQL, under load: one frozen in the middle of sequencing and woken later, one
killed, a backup restored.

Whoever asks the other process notices nothing of it; the log has neither gap nor fork; what was restored does not go
on under the old generation, whether its own machine remembers what it signed or only the witness does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from node.config import read_config
from simulators.population import Population
from tests.bench.chains import ANSWERING, ASKING, NodeChain, card_holders, questions
from tests.bench.processes import Process, ended, start, wait_until_ready, yrd
from tests.journeys.test_kill import WORKERS, Load, serving_registry
from tests.journeys.test_node_replicas import replica_of
from tests.support.federation import free_ports
from tests.support.postgres import running_postgres

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("postgres")]

ONE, TWO = "one", "two"
OTHER = {ONE: TWO, TWO: ONE}
WITHIN_S = 20.0
API_URL = "https://api.sh.example.cn"


@dataclass
class Replicas:
    """Shanghai as two processes on `store`, and Zhejiang, which answers and witnesses."""

    chain: NodeChain
    store: str
    http: aiohttp.ClientSession

    def config(self, name: str) -> Path:
        """The configuration of a process."""
        return self.chain.folder / ASKING / {ONE: "node.toml", TWO: "second.toml"}[name]

    def process(self, name: str) -> Process:
        """The process itself."""
        return self.chain.processes[{ONE: ASKING, TWO: TWO}[name]]

    def serve(self, name: str) -> str:
        """Start a process, also again; where its operations listener is."""
        config = self.config(name)
        arguments: list[str | Path] = [Path(sys.executable).with_name("yrd"), "serve", "--config", config]
        process = start(arguments, self.chain.folder / f"{name}.log")
        self.chain.processes[{ONE: ASKING, TWO: TWO}[name]] = process
        return f"http://{read_config(config).listen.operations}"

    async def serve_until_ready(self, name: str) -> None:
        """Start a process and wait until it takes work."""
        operations = self.serve(name)
        await asyncio.to_thread(wait_until_ready, f"{operations}/readyz", self.process(name))

    def load_on(self, name: str) -> Load:
        """Platforms that ask one of the processes."""
        url = f"http://{read_config(self.config(name)).listen.platform}/v1/certificates/query"
        bodies = cycle(questions(card_holders(Population(), 64)))
        return Load(self.http, url, bodies, authorization=self.chain.authorization)

    async def until(self, statement: str, *, on: str = "") -> list[tuple[object, ...]]:
        """What a query finds, as soon as it finds something."""
        async with (
            asyncio.timeout(WITHIN_S),
            await psycopg.AsyncConnection.connect(on or self.store, autocommit=True) as connection,
        ):
            while True:
                found = await (await connection.execute(statement.encode())).fetchall()
                if found:
                    return found
                await asyncio.sleep(0.02)

    async def until_not_ready(self, operations: str, reason: str) -> None:
        """Wait until /readyz refuses for that reason."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    async with self.http.get(f"{operations}/readyz") as answer:
                        if answer.status == 503 and reason in await answer.text():
                            return
                except aiohttp.ClientError:
                    pass  # it is starting
                await asyncio.sleep(0.05)

    async def ask(self, name: str) -> tuple[int, str]:
        """One query: its status and the code of its refusal."""
        load = self.load_on(name)
        failure = await load._ask()
        return (200, "") if not failure else (int(failure[:3]), failure[4:])

    def forks_at_witness(self) -> int:
        """How often Zhejiang saw two histories of this log. (An older checkpoint that comes late is no such thing.)"""
        with sqlite3.connect(
            f"file:{self.chain.folder / ANSWERING / 'node.db'}?mode=ro", uri=True
        ) as connection:
            return int(
                connection.execute("SELECT count(*) FROM log_conflicts WHERE kind = 'fork'").fetchone()[0]
            )


@asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[Replicas]:
    """Anchor, registry, Zhejiang, and Shanghai's two processes."""
    with running_postgres() as server, server.new_store() as store:
        async with serving_registry(Population()) as origin, aiohttp.ClientSession() as http:
            chain = NodeChain(
                folder / "chain",
                free_ports(40),
                origin,
                settings="\n[evidence]\ncheckpoint_s = 0.2\n",
                init=lambda province: (
                    ("--store", f"{store}&application_name={ONE}") if province == ASKING else ()
                ),
                quorum=1,
            )
            with ended([]) as processes:
                await asyncio.to_thread(chain.make)
                config = chain.folder / ASKING / "node.toml"
                text = config.read_text("utf-8").replace("[public]", f'[public]\nplatform = "{API_URL}"')
                config.write_text(text, "utf-8")
                second = replica_of(config)
                name = f"application_name={TWO}"
                second.write_text(second.read_text("utf-8").replace(f"application_name={ONE}", name), "utf-8")
                try:
                    await asyncio.to_thread(chain.start)
                    both = Replicas(chain, store, http)
                    await both.serve_until_ready(TWO)
                    yield both
                finally:
                    processes.extend(chain.processes.values())


async def freeze_in_the_middle(both: Replicas, table: str) -> str:
    """SIGSTOP a process that is in the middle of writing that table, under the lock of the log; which one it was."""
    waiting = (
        f"SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '{table}'"
    )
    async with await psycopg.AsyncConnection.connect(both.store) as connection:
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        name = str((await both.until(waiting))[0][0])
        os.kill(both.process(name).pid, signal.SIGSTOP)
    return name


@pytest.mark.parametrize("table", ["tiles", "records"])
async def test_a_frozen_and_a_killed_process_cost_no_query_of_the_other(tmp_path: Path, table: str) -> None:
    async with replicas(tmp_path) as both:
        loads = {name: both.load_on(name) for name in (ONE, TWO)}
        async with loads[ONE].running(), loads[TWO].running():
            for load in loads.values():
                await load.until_acknowledged(100)
            frozen = await freeze_in_the_middle(both, table)
            other = OTHER[frozen]
            size = (await both.until("SELECT coalesce(max(size), 0) FROM checkpoints"))[0][0]
            await loads[other].until_acknowledged(len(loads[other].acknowledged) + 150)
            await both.until(f"SELECT size FROM checkpoints WHERE size > {size} AND settled_at IS NOT NULL")
            os.kill(both.process(frozen).pid, signal.SIGCONT)
            await loads[frozen].until_acknowledged(len(loads[frozen].acknowledged) + 100)
            assert loads[other].failures.total() == 0
            assert loads[frozen].failures.total() <= WORKERS

            both.process(frozen).kill()
            await loads[other].until_acknowledged(len(loads[other].acknowledged) + 150)
            assert loads[other].failures.total() == 0
            await both.serve_until_ready(frozen)
            await loads[frozen].until_acknowledged(len(loads[frozen].acknowledged) + 100)
        assert await both.until("SELECT count(*) = max(log_index) + 1 FROM records") == [(True,)]
        for config in (both.config(ONE), both.chain.folder / ANSWERING / "node.toml"):
            await asyncio.to_thread(yrd, "log", "verify", "--config", config)
        assert both.forks_at_witness() == 0


@dataclass
class Backup:
    """The tables of a schema, kept in another."""

    store: str

    def take(self) -> None:
        """Copy all as it is now, at one moment."""
        with psycopg.connect(self.store) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("CREATE SCHEMA backup")
            for table in self._tables(connection):
                connection.execute(SQL("CREATE TABLE backup.{0} AS TABLE {0}").format(Identifier(table)))

    def restore(self) -> None:
        """Put all back as it was then."""
        with psycopg.connect(self.store) as connection:
            for table in self._tables(connection):
                connection.execute(SQL("TRUNCATE {}").format(Identifier(table)))
                connection.execute(SQL("INSERT INTO {0} SELECT * FROM backup.{0}").format(Identifier(table)))

    def _tables(self, connection: psycopg.Connection) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        return [str(name) for (name,) in connection.execute(query).fetchall()]


@pytest.mark.parametrize("remembers", [True, False], ids=["mark on its disk", "only the witness knows"])
async def test_a_restored_backup_does_not_go_on_under_the_old_generation(
    tmp_path: Path, remembers: bool
) -> None:
    async with replicas(tmp_path) as both:
        backup, load = Backup(both.store), both.load_on(ONE)
        async with load.running():
            await load.until_acknowledged(100)
            await asyncio.to_thread(backup.take)
            known = (await both.until("SELECT max(log_index) FROM records"))[0][0]
            await load.until_acknowledged(len(load.acknowledged) + 50)
            await both.until(f"SELECT size FROM checkpoints WHERE size > {known} AND settled_at IS NOT NULL")
        for name in (ONE, TWO):
            both.process(name).kill()
        await asyncio.to_thread(backup.restore)
        if not remembers:
            (both.config(ONE).parent / "log.mark").unlink()

        operations = both.serve(ONE)
        await both.until_not_ready(operations, "log_closed")
        assert await both.ask(ONE) == (503, "own.log_closed")

        said = ("--reason", "restored from a backup", "--config", both.config(ONE))
        await asyncio.to_thread(yrd, "log", "restart", *said)
        await asyncio.to_thread(wait_until_ready, f"{operations}/readyz", both.process(ONE))
        assert await both.ask(ONE) == (200, "")
        await both.until("SELECT size FROM checkpoints WHERE generation = 2 AND settled_at IS NOT NULL")
