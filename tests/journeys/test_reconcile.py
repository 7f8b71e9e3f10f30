"""Two running nodes compare their logs: what a timeout leaves is explained, what was edited in a store is found."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from federation.holder_record import Login
from federation.query import Outcome
from node.config import read_config
from tests.bench.chains import ANSWERING, ASKING
from tests.support.federation import yrd
from tests.support.two_nodes import CLIENT, TwoNodes, found

pytestmark = pytest.mark.journey

LATER_S = 200.0
"""After so long nothing that was asked is still on its way."""


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    """Shanghai and Zhejiang at work."""
    country = await found(tmp_path, limits="deadline_s = 1.0")
    async with country.running() as both:
        yield both


def later(nodes: TwoNodes) -> None:
    """Move both clocks."""
    nodes.own_clock.ahead_s = nodes.peers_clock.ahead_s = LATER_S


async def reconcile(config: Path, peer: str) -> tuple[int, dict[str, set[tuple[str, str]]]]:
    """The exit code, and kind and place by request id."""
    arguments = ("evidence", "reconcile", "--peer", peer, "--json", "--config", config)
    done = await asyncio.to_thread(yrd, *arguments)
    found_by_id: dict[str, set[tuple[str, str]]] = {}
    for hour in orjson.loads(done.output)["hours"]:
        for one in hour["findings"]:
            if one["kind"] == "late":  # what was under way when the clocks were moved
                continue
            found_by_id.setdefault(one["request_id"], set()).add((one["kind"], one["place"]))
    return done.exit_code, found_by_id


@contextmanager
def store_of(config: Path) -> Iterator[sqlite3.Connection]:
    """A node's database, behind its back."""
    path = config.with_name(Path(read_config(config).store.url.removeprefix("sqlite:///")).name)
    with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        yield connection


def delete(config: Path, request_id: str) -> None:
    """Take an exchange out."""
    with store_of(config) as store:
        of_it = "SELECT log_index FROM records WHERE request_id = ?"
        store.execute(f"DELETE FROM bodies WHERE log_index IN ({of_it})", (request_id,))
        store.execute("DELETE FROM records WHERE request_id = ?", (request_id,))


def alter(config: Path, request_id: str) -> None:
    """Change a byte of the last body of an exchange."""
    with store_of(config) as store:
        query = "SELECT max(log_index) FROM records WHERE request_id = ?"
        (index,) = store.execute(query, (request_id,)).fetchone()
        (sealed,) = store.execute("SELECT sealed FROM bodies WHERE log_index = ?", (index,)).fetchone()
        changed = sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:]
        store.execute("UPDATE bodies SET sealed = ? WHERE log_index = ?", (changed, index))


def insert(config: Path, like: str) -> str:
    """Put in an exchange that never was, made of one that was; its request id."""
    invented = like[:-4] + "beef"
    with store_of(config) as store:
        store.row_factory = sqlite3.Row
        rows = store.execute(
            "SELECT * FROM records WHERE request_id = ? ORDER BY log_index", (like,)
        ).fetchall()
        (last,) = store.execute("SELECT max(log_index) FROM records").fetchone()
        for number, row in enumerate(rows, 1):
            values: dict[str, Any] = {**dict(row), "log_index": last + number, "request_id": invented}
            names, marks = ", ".join(values), ", ".join("?" for _ in values)
            store.execute(f"INSERT INTO records ({names}) VALUES ({marks})", tuple(values.values()))
            copy = "INSERT INTO bodies SELECT ?, sealed FROM bodies WHERE log_index = ?"
            store.execute(copy, (last + number, row["log_index"]))
    return invented


async def sequenced(config: Path, request_id: str) -> None:
    """Until the log's tree holds an exchange: what vanishes before is missed by the sequencer, which stops the log."""
    for _ in range(200):
        with store_of(config) as store:
            query = "SELECT max(log_index) FROM records WHERE request_id = ?"
            (index,) = store.execute(query, (request_id,)).fetchone()
            (size,) = store.execute("SELECT coalesce(max(size), 0) FROM checkpoints").fetchone()
        if size > index:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(size)


async def asked(nodes: TwoNodes) -> str:
    """One query that is answered; its request id."""
    return str((await nodes.query_until_answered())["request_id"])


async def test_after_timeouts_and_lost_answers_nothing_is_left_unexplained(nodes: TwoNodes) -> None:
    await asked(nodes)
    await nodes.break_registry("slow", delay_s=2)
    late = await asyncio.gather(*(nodes.query() for _ in range(3)))
    await nodes.break_registry("none")
    assert {status for status, _ in late} != {200}
    later(nodes)
    code, ours = await reconcile(nodes.country.asking, ANSWERING)
    assert code == 0
    assert {kind for kinds in ours.values() for kind, _ in kinds} <= {"one_sided", "unfetched"}
    code, theirs = await reconcile(nodes.country.answering, ASKING)
    assert code == 0
    assert {kind for kinds in theirs.values() for kind, _ in kinds} <= {"one_sided", "unfetched"}


async def test_what_was_edited_in_a_store_is_found_by_the_peer(nodes: TwoNodes) -> None:
    kept, deleted, altered = [await asked(nodes) for _ in range(3)]
    await sequenced(nodes.country.answering, altered)
    delete(nodes.country.answering, deleted)
    alter(nodes.country.answering, altered)
    invented = insert(nodes.country.answering, kept)
    later(nodes)
    code, ours = await reconcile(nodes.country.asking, ANSWERING)
    assert code == 1
    edited = {
        deleted: {("missing_there", "there")},
        altered: {("altered", "there")},
        invented: {("missing_here", "here")},
    }
    assert {request_id: ours.get(request_id) for request_id in edited} == edited
    others = [kind for request_id in ours.keys() - edited.keys() for kind, _ in ours[request_id]]
    assert set(others) <= {"one_sided"}, "what was on its way when the clock was moved is explained"
    code, theirs = await reconcile(nodes.country.answering, nodes.asking.node.config.node.entity_id)
    assert code == 1
    assert theirs[deleted] == {("missing_here", "here")}
    assert theirs[altered] == {("altered", "here")}
    async with nodes.asking.http.get(f"http://{nodes.asking.at.operations}/evidence") as page:
        text = await page.text()
    for request_id in (deleted, altered, invented):
        assert request_id in text
    metrics = await nodes.metrics(nodes.asking)
    assert f'yrd_reconcile_findings{{kind="missing_there",province="{ANSWERING}"}} 1.0' in metrics


async def test_the_background_finds_a_changed_body_without_being_told_to(nodes: TwoNodes) -> None:
    altered = await asked(nodes)
    alter(nodes.country.answering, altered)
    later(nodes)
    await asked(nodes)
    for _ in range(200):
        with store_of(nodes.country.asking) as store:
            kept = store.execute("SELECT kind, entity_id FROM log_conflicts").fetchall()
        if kept:
            break
        await asyncio.sleep(0.1)
    assert kept == [("record_altered", nodes.answering.node.config.node.entity_id)]
    with store_of(nodes.country.asking) as store:
        rows = store.execute("SELECT findings FROM reconciliations WHERE state = 'alarm'").fetchall()
    assert altered in rows[0][0]


async def test_a_holder_sees_from_either_province_who_asked(nodes: TwoNodes) -> None:
    request_id = await asked(nodes)
    number = nodes.question()["holder"]["id"]
    for own in (nodes.asking, nodes.answering):
        login = Login("111", number, "high", datetime.now(UTC) - timedelta(minutes=1))
        record = await own.node.holders.gather(login)
        (use,) = [one for one in record.uses if one.operation == "certificates.query"]
        assert (use.request_id, use.platform, use.outcome) == (request_id, CLIENT, Outcome.ANSWERED)
        assert (use.asking, use.answering) == tuple(
            one.node.config.node.entity_id for one in (nodes.asking, nodes.answering)
        )
        assert use.certificate_types
        assert record.missing == ()
