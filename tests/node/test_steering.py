from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mapping
from federation.access import AccessHolder
from federation.exchange import DialectHolder
from federation.peers import Directory, TrustSnapshot
from node.config import read_config
from node.control import CommandRefused
from node.health import Health
from node.metrics import Metrics
from node.steering import Steering, read_access, read_dialect
from tests.node.config.samples import write_node_files
from tests.support.clock import NOON

DIALECT = Path(mapping.__file__).parent / "dialects" / "330000"


@pytest.fixture
def steering(tmp_path: Path) -> Steering:
    """The commands over a node's files; trust is not among them here."""
    path = write_node_files(tmp_path)
    shutil.copytree(DIALECT, tmp_path / "dialect", dirs_exist_ok=True)
    config = read_config(path)
    unused: Any = None
    return Steering(
        config=config,
        directory=Directory(TrustSnapshot(config.node.entity_id, config.node.province)),
        trust_sync=unused,
        access=AccessHolder(read_access(config)),
        dialect=DialectHolder(read_dialect(config)),
        health=Health(),
        metrics=Metrics(),
        tls_not_after=lambda: NOON,
    )


async def refusal_of(steering: Steering, command: str, **arguments: str) -> CommandRefused:
    with pytest.raises(CommandRefused) as refused:
        await steering.handlers()[command](arguments)
    return refused.value


async def test_a_dialect_with_faults_changes_nothing_and_all_faults_are_told(
    steering: Steering, tmp_path: Path
) -> None:
    before = steering.dialect.current
    for file in (tmp_path / "dialect").glob("*.toml"):
        file.write_text("nothing = 1\n")
    refused = await refusal_of(steering, "reload.maps")
    assert refused.code == "maps.faults"
    assert len(refused.faults) >= 1
    assert steering.dialect.current is before


async def test_rules_that_cannot_be_read_change_nothing(steering: Steering, tmp_path: Path) -> None:
    before = steering.access.current
    (tmp_path / "access.toml").write_bytes(b"\xff")
    assert (await refusal_of(steering, "reload.access")).code == "access.faults"
    (tmp_path / "access.toml").unlink()
    assert (await refusal_of(steering, "reload.access")).code == "access.faults"
    assert steering.access.current is before


async def test_new_rules_are_swapped_in_whole(steering: Steering, tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text('version = "2"\nasking = []\nanswering = []\n')
    assert (await steering.handlers()["reload.access"]({}))["version"] == "2"
    assert steering.access.current.version == "2"


@pytest.mark.parametrize("entity", ["", "sh.example", "http://sh.example", "http://127.0.0.1:8330"])
async def test_only_another_entity_can_be_denied(steering: Steering, entity: str) -> None:
    assert (await refusal_of(steering, "trust.deny", entity_id=entity)).code == "control.entity"


async def test_the_status_says_what_an_operator_looks_at_first(steering: Steering) -> None:
    state = await steering.handlers()["status"]({})
    assert state["ready"] is False
    assert [reason["code"] for reason in state["reasons"]] == ["starting"]
    assert state["access"]["version"] == "1"
    assert state["tls_not_after"] == NOON.isoformat()
