"""What an operator sees of conflicts, and that taking note needs a reason and leaves an audit row."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from federation.log_conflicts import ConflictKind, conflict_of
from node.cli.log_conflicts import conflicts
from node.store.database import open_database
from node.store.witness import ConflictRows
from tests.node.cli.conftest import Yrd
from tests.support.clock import NOON
from tests.support.logs import MadeUpLog

PEER = "https://node.js.example"
HONEST = MadeUpLog(PEER)
FORKED = MadeUpLog(PEER, key=HONEST.key, history="other ")


def run(node: Path, *arguments: str) -> Result:
    return CliRunner().invoke(conflicts, [*arguments, "--config", str(node)], catch_exceptions=False)


@pytest.fixture
def forked(node: Path) -> Path:
    """A node whose store holds a fork of Jiangsu's log."""

    async def keep() -> None:
        database = open_database(f"sqlite:///{node.with_name('node.db')}")
        notes = {"known": HONEST.note(8), "offered": FORKED.note(8)}
        fork = conflict_of(
            ConflictKind.FORK, PEER, HONEST.origin, NOON, **notes, detail="two roots for size 8"
        )
        assert await ConflictRows(database).keep(fork)
        await database.close()

    asyncio.run(keep())
    return node


def test_no_conflicts_is_said(node: Path, yrd: Yrd) -> None:
    assert run(node).output == "没有冲突 / no conflicts\n"
    assert yrd("log", "conflicts", "--config", node).out == "没有冲突 / no conflicts\n"


def test_a_conflict_is_shown_with_what_was_signed(forked: Path) -> None:
    said = run(forked).output
    assert "fork" in said
    assert "two roots for size 8" in said
    (told,) = json.loads(run(forked, "--json").output)
    assert (told["known"], told["offered"]) == (HONEST.note(8), FORKED.note(8))
    assert (told["number"], told["acknowledged_at"]) == (1, None)


def test_taking_note_ends_the_alarm_and_is_audited(forked: Path, yrd: Yrd) -> None:
    done = run(forked, "--acknowledge", "1", "--reason", "restored by mistake; they began anew")
    assert done.exit_code == 0
    assert "没有冲突" in run(forked).output
    (told,) = json.loads(run(forked, "--all", "--json").output)
    assert told["acknowledged_at"]
    assert "restored by mistake" in yrd("audit", "--config", forked).out


@pytest.mark.parametrize("reason", [(), ("--reason", " "), ("--reason", "x" * 201)])
def test_taking_note_needs_a_reason(forked: Path, reason: tuple[str, ...]) -> None:
    assert run(forked, "--acknowledge", "1", *reason).exit_code == 2
    assert "fork" in run(forked).output


def test_a_number_that_is_none(node: Path) -> None:
    assert run(node, "--acknowledge", "7", "--reason", "why").exit_code == 1


def test_taking_note_of_all_of_one_kind(forked: Path, yrd: Yrd) -> None:
    why = ("--reason", "their disk was lost")
    assert "0" in run(forked, "--acknowledge-all", "--kind", "shrunk", *why).output
    assert "fork" in run(forked).output, "of that kind alone"
    assert "1 of kind fork" in run(forked, "--acknowledge-all", "--kind", "fork", *why).output
    assert "没有冲突" in run(forked).output
    assert "their disk was lost" in yrd("audit", "--config", forked).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--acknowledge-all", "--reason", "why"),
        ("--acknowledge-all", "--kind", "fork"),
        ("--acknowledge-all", "--kind", "spoon", "--reason", "why"),
        ("--acknowledge-all", "--kind", "fork", "--acknowledge", "1", "--reason", "why"),
        ("--kind", "fork"),
    ],
)
def test_taking_note_of_all_needs_one_kind_and_a_reason(forked: Path, arguments: tuple[str, ...]) -> None:
    assert run(forked, *arguments).exit_code == 2
    assert "fork" in run(forked).output
