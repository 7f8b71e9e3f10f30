"""What is particular to a registry that is a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from federation.errors import RegistryBadAnswer, RegistryUnreachable
from federation.query import Operation
from node.connectors.settings import SqlOperation, SqlRegistrySettings
from node.connectors.sql_registry import SqlRegistry


def settings(path: Path, sql: str, **more: Any) -> SqlRegistrySettings:
    return SqlRegistrySettings(f"sqlite:///{path}", {"certificates.get": SqlOperation(sql, **more)})


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "registry.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table t (a text, n integer, raw blob)")
        connection.execute("insert into t values ('x', 1, x'00')")
    connection.close()
    return path


async def look_up(path: Path, sql: str, **more: Any) -> Any:
    async with SqlRegistry(settings(path, sql, **more)) as registry:
        return await registry.look_up(Operation.CERTIFICATES_GET, {"certificate_id": "x"}, timeout_s=3)


async def test_columns_are_a_document(database: Path) -> None:
    answer = await look_up(database, "select a, n, null as empty from t where a = :certificate_id")
    assert answer.documents == ({"a": "x", "n": 1, "empty": None},)


@pytest.mark.parametrize(
    ("sql", "more"),
    [
        ("select raw from t", {}),
        ("select a from t", {"json_column": "a"}),
        ("select a from t", {"json_column": "b"}),
        ("select '[]' as a", {"json_column": "a"}),
        ("select nothing from t", {}),
        ("select a from nowhere", {}),
        (
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) select i from n",
            {},
        ),
    ],
)
async def test_an_answer_that_cannot_be_used(database: Path, sql: str, more: dict[str, str]) -> None:
    with pytest.raises(RegistryBadAnswer):
        await look_up(database, sql, **more)


async def test_the_registry_cannot_be_written_whatever_the_config_says(database: Path) -> None:
    with pytest.raises(RegistryBadAnswer):
        await look_up(database, "insert into t (a) values ('y') returning a")
    connection = sqlite3.connect(database)
    assert connection.execute("select count(*) from t").fetchone() == (1,)
    connection.close()


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(RegistryUnreachable):
        await look_up(path, "select 1")
    assert not path.exists()
