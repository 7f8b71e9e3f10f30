"""A node that signs with SM2 and one that signs with ES256, over real gRPC: both ways round, alone and at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench.chains import ANSWERING, ASKING
from tests.support.federation import command
from tests.support.two_nodes import TwoNodes, found
from trust.container import answer_part, read_container, request_part
from trust.envelope import parse

pytestmark = pytest.mark.journey

AT_ONCE = 32
PUBLISH_S = 1


@pytest.fixture(params=[("SM2", "ES256"), ("ES256", "SM2"), ("SM2", "SM2")], ids="-asks-".join)
async def suites(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[TwoNodes, str, str]]:
    """Shanghai and Zhejiang, and the algorithm of each one's envelope key."""
    asks, answers = request.param
    init = {ASKING: ["--envelope-algorithm", asks], ANSWERING: ["--envelope-algorithm", answers]}
    country = await found(tmp_path, init=init)
    async with country.running() as nodes:
        yield nodes, asks, answers


async def test_they_answer_each_other_and_the_evidence_holds_offline(
    suites: tuple[TwoNodes, str, str], tmp_path: Path
) -> None:
    nodes, asks, answers = suites
    body = await nodes.query_until_answered()
    for exporting in (nodes.country.asking, nodes.country.answering):
        file = tmp_path / f"{exporting.parent.name}.zip"
        await command("evidence", "export", body["request_id"], "--config", exporting, "--out", file)
        said = await command("verify", file, "--anchor", nodes.country.anchor / "anchor.public.json")
        assert "The evidence holds" in said
        parts = read_container(file.read_bytes())
        assert signed_with(parts[request_part(1)], nodes.country.asking) == asks
        assert signed_with(parts[answer_part(1)], nodes.country.answering) == answers


async def test_many_at_once_share_signatures(suites: tuple[TwoNodes, str, str]) -> None:
    nodes, _, _ = suites
    await nodes.query_until_answered()
    answers = await asyncio.gather(*(nodes.query() for _ in range(AT_ONCE)))
    assert [status for status, _ in answers] == [200] * AT_ONCE


async def test_a_node_goes_over_to_sm2_while_it_runs(tmp_path: Path) -> None:
    country = await found(tmp_path)
    text = country.answering.read_text("utf-8")
    country.answering.write_text(
        text.replace("[keys]\n", f"[keys]\npublish_s = {PUBLISH_S}\npoll_s = 0.4\n"), "utf-8"
    )
    async with country.running() as nodes:
        await nodes.query_until_answered()
        rotate = ("keys", "rotate", "envelope", "--alg", "SM2", "--config", country.answering)
        await command(*rotate)
        for clock in nodes.clocks.values():
            clock.ahead_s += PUBLISH_S + 1
        await nodes.refresh()
        body = await nodes.query_until_answered()
        file = tmp_path / "case.zip"
        export = ("evidence", "export", body["request_id"], "--config", country.asking, "--out", file)
        await command(*export)
        assert "The evidence holds" in await command(
            "verify", file, "--anchor", country.anchor / "anchor.public.json"
        )
        parts = read_container(file.read_bytes())
        assert signed_with(parts[request_part(1)], country.asking) == "ES256"
        assert signed_with(parts[answer_part(1)], country.answering) == "SM2"


def signed_with(envelope: bytes, config_path: Path) -> str:
    """The algorithm of the node's envelope key that an envelope names."""
    with closing(sqlite3.connect(config_path.with_name("node.db"))) as connection:
        keys = dict(connection.execute("SELECT kid, alg FROM keys WHERE purpose = 'envelope'").fetchall())
    return str(keys[parse(envelope, max_bytes=len(envelope)).kid])
