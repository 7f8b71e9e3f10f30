from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mapping
from federation.access import AccessHolder
from federation.exchange import DialectHolder
from federation.peers import Directory, TrustSnapshot
from federation.translation_counts import TranslationCounts
from federation.translator import Translator
from node.config import read_config
from node.control import CommandRefused
from node.health import Health
from node.metrics import Metrics
from node.steering import Steering, read_access, read_dialect
from tests.node.config.samples import write_node_files
from tests.support.clock import NOON, FixedClock

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
        translations=TranslationCounts(),
        clock=FixedClock(),
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


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


async def test_a_new_dialect_is_swapped_in_whole_and_what_was_before_is_told(
    steering: Steering, tmp_path: Path
) -> None:
    before = steering.dialect.current
    said = await steering.handlers()["reload.maps"]({})
    assert said["digest"] == said["before"]["digest"]
    assert steering.dialect.current is before
    assert steering.dialect.since is None
    edit(tmp_path / "dialect" / "dialect.toml", 'version = "2026.2"\n', 'version = "2026.3"\n')
    said = await steering.handlers()["reload.maps"]({})
    assert (said["version"], said["before"]["version"]) == ("330000@2026.3", "330000@2026.2")
    assert steering.dialect.current.digest.hex() == said["digest"] != said["before"]["digest"]
    assert steering.dialect.since == NOON


async def test_a_dialect_of_another_province_changes_nothing(steering: Steering, tmp_path: Path) -> None:
    shutil.copytree(DIALECT.with_name("320000"), tmp_path / "dialect", dirs_exist_ok=True)
    refused = await refusal_of(steering, "reload.maps")
    assert "province is 320000" in refused.faults[0]
    assert steering.dialect.current.province == "330000"


async def test_a_dialect_that_map_check_refuses_changes_nothing(
    steering: Steering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `yrd map check` says beyond the form of the files counts here too."""
    monkeypatch.setattr("node.steering.coverage_faults", lambda _found: ["sex: 9 has no row"])
    refused = await refusal_of(steering, "reload.maps")
    assert refused.faults == ("sex: 9 has no row",)


async def test_the_status_tells_what_was_translated(steering: Steering) -> None:
    words = Translator(steering.dialect.current)
    words.code_to_shared("holder_id_type", "111")
    words.code_to_shared("holder_id_type", "99")
    steering.translations.add(words, FixedClock())
    dialect = (await steering.handlers()["status"]({}))["dialect"]
    assert dialect["translations"] == {"to_shared": {"exact": 1, "unmapped": 1}, "to_local": {}}
    assert dialect["unmapped_codes"] == 1
