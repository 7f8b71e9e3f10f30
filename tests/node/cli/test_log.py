"""`yrd log` where no node runs: the commands work on the store."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from node.store.log_mark import LogMark
from tests.node.cli.conftest import Yrd


def status(yrd: Yrd, node: Path) -> dict[str, Any]:
    said = yrd("log", "status", "--json", "--config", node)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_new_log(yrd: Yrd, node: Path) -> None:
    found = status(yrd, node)
    assert (found["generation"], found["records"], found["closed"], found["signed"]) == (1, 0, "", None)
    assert "第 1 代" in yrd("log", "status", "--config", node).out
    said = yrd("log", "verify", "--config", node)
    assert said.code == 0, said.err
    assert "0 records" in said.out


def test_a_restart_is_audited_and_says_why(yrd: Yrd, node: Path) -> None:
    said = yrd("log", "restart", "--reason", "the backup of Monday", "--config", node)
    assert said.code == 0, said.err
    assert "generation 2 begins with record 0" in said.out
    first, second = status(yrd, node)["generations"]
    assert (first["closed_size"], second["reason"]) == (0, "the backup of Monday")
    assert "log.restart" in yrd("audit", "--config", node).out
    assert "the backup of Monday" in yrd("log", "status", "--config", node).out


def test_a_restart_needs_a_reason(yrd: Yrd, node: Path) -> None:
    assert yrd("log", "restart", "--config", node).code == 2
    for reason in (" ", "x" * 201):
        said = yrd("log", "restart", "--reason", reason, "--config", node)
        assert (said.code, "say why" in said.err) == (1, True)
    assert len(status(yrd, node)["generations"]) == 1


def test_a_closed_log_is_told_with_what_to_do(yrd: Yrd, node: Path) -> None:
    mark = node.with_name("log.mark")
    mark.write_bytes(b'{"generation":1,"size":5,"root":"' + b"A" * 43 + b'="}')
    said = yrd("log", "status", "--config", node)
    assert "restored from an older copy" in said.out
    assert "yrd log restart" in said.out
    assert yrd("log", "restart", "--reason", "restored", "--config", node).code == 0
    assert status(yrd, node)["closed"] == ""
    assert LogMark.__struct_fields__ == ("generation", "size", "root")
    assert mark.stat().st_mode & 0o777 == 0o600


def test_what_was_edited_gives_exit_code_1_and_is_named(yrd: Yrd, node: Path) -> None:
    yrd("log", "status", "--config", node)
    with sqlite3.connect(next(node.parent.glob("*.db"))) as database:
        database.execute("INSERT INTO checkpoints (generation, size, root, made_at) VALUES (1, 1, x'00', 0)")
    database.close()
    said = yrd("log", "verify", "--config", node)
    assert said.code == 1
    assert "record 0: missing" in said.err
