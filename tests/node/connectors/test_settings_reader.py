"""The `[registry]` table: what it means, and that all of its faults are said at once."""

from __future__ import annotations

import contextlib
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.connectors.settings import (
    REGISTRY_OPERATIONS,
    HttpRegistrySettings,
    JsonPath,
    RegistrySettingsError,
    SqlRegistrySettings,
)
from node.connectors.settings_reader import read_registry

HTTP = """
kind = "http"
base_url = "http://127.0.0.1:8334/"
[operations."certificates.query"]
path = "/query"
parameters = { holder_id = "data.idNo" }
constants = { version = 2 }
documents = "custom.list|json"
total = "data.total"
ok = { path = "status.code", values = [200, "200", true] }
empty_status = [404]
"""


def test_an_http_registry() -> None:
    settings = read_registry(tomllib.loads(HTTP))
    assert isinstance(settings, HttpRegistrySettings)
    operation = settings.operations["certificates.query"]
    assert settings.base_url == "http://127.0.0.1:8334"
    assert (operation.method, operation.carrier) == ("POST", "json")
    assert operation.documents.segments == (("custom", False), ("list", True))
    assert operation.ok is not None
    assert operation.ok.values == {"200", "true"}
    assert operation.empty_status == {404}


def test_an_sql_registry_does_not_show_its_url() -> None:
    settings = read_registry(
        {
            "kind": "sql",
            "url": "postgresql://u:secret@h/d",
            "operations": {"services.get": {"sql": "select 1;"}},
        }
    )
    assert isinstance(settings, SqlRegistrySettings)
    assert settings.operations["services.get"].sql == "select 1"
    assert "secret" not in repr(settings)


def faults(table: Any) -> dict[str, str]:
    with pytest.raises(RegistrySettingsError) as raised:
        read_registry(table)
    return dict(raised.value.faults)


def test_all_faults_are_said_together() -> None:
    table = tomllib.loads(
        """
kind = "http"
base_url = "ftp://x"
timeout_s = 0
connections = 1.5
headers = { a = 1 }
speed = 9
[operations.unknown]
[operations."services.get"]
method = "DELETE"
path = "x/{holder}"
parameters = { who = "a" }
documents = "a..b"
ok = { path = "a|xml", values = [], else = 1 }
in = "body"
empty_status = [9]
"""
    )
    operation = "operations.services.get."
    assert set(faults(table)) == {
        "base_url",
        "timeout_s",
        "connections",
        "headers.a",
        "speed",
        "operations.unknown",
        operation + "method",
        operation + "path",
        operation + "parameters.who",
        operation + "documents",
        operation + "ok.path",
        operation + "ok.values",
        operation + "ok.else",
        operation + "in",
        operation + "empty_status",
    }


@pytest.mark.parametrize(
    "sql", ["delete from t", "select 1; delete from t", "select :who", "update t set a = 1", "selector"]
)
def test_sql_is_one_select_with_known_parameters(sql: str) -> None:
    table = {"kind": "sql", "url": "sqlite:///x", "operations": {"services.get": {"sql": sql}}}
    assert set(faults(table)) == {"operations.services.get.sql"}


def test_a_cast_in_sql_is_no_parameter() -> None:
    sql = "select document::text from t where id = :certificate_id"
    read_registry({"kind": "sql", "url": "sqlite:///x", "operations": {"certificates.get": {"sql": sql}}})


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["kind", "base_url", "url", "operations", "headers", "timeout_s", "connections", "x"])
TABLES = st.dictionaries(KEYS, VALUES) | st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["http", "sql"]),
        "operations": st.dictionaries(
            st.sampled_from(["services.get", "x"]),
            st.dictionaries(st.sampled_from(["path", "sql", "ok", "parameters", "documents"]), VALUES),
        ),
    }
)


@given(TABLES)
def test_any_table_is_settings_or_faults(table: dict[str, Any]) -> None:
    with contextlib.suppress(RegistrySettingsError):
        assert read_registry(table).operations.keys() <= set(REGISTRY_OPERATIONS)


@given(st.text(alphabet="ab.|json", max_size=20))
def test_any_path_is_read_or_refused(text: str) -> None:
    try:
        path = JsonPath.parse(text)
    except ValueError:
        return
    assert ".".join(f"{name}|json" if parse else name for name, parse in path.segments) == text
