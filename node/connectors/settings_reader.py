"""Reads the `[registry]` table of node.toml and reports all of its faults together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from node.connectors.settings import (
    PARAMETERS,
    REGISTRY_OPERATIONS,
    AnswerTest,
    HttpOperation,
    HttpRegistrySettings,
    JsonPath,
    RegistrySettings,
    RegistrySettingsError,
    SqlOperation,
    SqlRegistrySettings,
    value_text,
)

__all__ = ["read_registry"]


def read_registry(table: Mapping[str, Any]) -> RegistrySettings:
    """The settings that the `[registry]` table writes. Raises RegistrySettingsError with every fault."""
    reader = _Reader(table)
    kind = reader.text("kind", choices=("http", "sql"))
    settings = reader.sql_settings() if kind == "sql" else reader.http_settings()
    if reader.faults:
        raise RegistrySettingsError(reader.faults)
    return settings


class _Reader:
    """Takes values out of one table and notes faults instead of raising; what is left over is unknown."""

    def __init__(
        self, table: Mapping[str, Any], prefix: str = "", faults: list[tuple[str, str]] | None = None
    ) -> None:
        self._rest = dict(table)
        self._prefix = prefix
        self.faults: list[tuple[str, str]] = [] if faults is None else faults

    def fault(self, key: str, message: str) -> None:
        self.faults.append((f"{self._prefix}{key}", message))

    def text(self, key: str, default: str | None = None, choices: tuple[str, ...] = ()) -> str:
        value = self._rest.pop(key, default)
        if value is None:
            self.fault(key, "is missing")
            return choices[0] if choices else ""
        if not isinstance(value, str):
            self.fault(key, "must be a string")
            return default or ""
        if choices and value not in choices:
            self.fault(key, f"must be one of {', '.join(choices)}")
        return value

    def number(self, key: str, default: float, low: float, high: float, *, whole: bool = False) -> float:
        value = self._rest.pop(key, default)
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            self.fault(key, f"must be {'a whole' if whole else 'a'} number from {low:g} to {high:g}")
            return default
        return value

    def table(self, key: str, values: type | None = None) -> Mapping[str, Any]:
        value = self._rest.pop(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a table")
            return MappingProxyType({})
        for name, item in value.items():
            if values is not None and not isinstance(item, values):
                self.fault(f"{key}.{name}", f"must be a {'table' if values is dict else 'string'}")
        return MappingProxyType(value)

    def path(self, key: str, default: str | None = None) -> JsonPath:
        text = self.text(key, default)
        try:
            return JsonPath.parse(text)
        except ValueError as error:
            self.fault(key, str(error))
            return JsonPath(())

    def answer_test(self, key: str) -> AnswerTest | None:
        if key not in self._rest:
            return None
        inner = _Reader(self.table(key), f"{self._prefix}{key}.", self.faults)
        path = inner.path("path")
        values = inner._rest.pop("values", None)
        if not isinstance(values, list) or not values:
            inner.fault("values", "must be a list of values")
            values = []
        inner.close()
        return AnswerTest(path, frozenset(value_text(value) for value in values))

    def statuses(self, key: str) -> frozenset[int]:
        value = self._rest.pop(key, [])
        if not isinstance(value, list) or not all(type(item) is int and 100 <= item <= 599 for item in value):
            self.fault(key, "must be a list of HTTP status codes")
            return frozenset()
        return frozenset(value)

    def close(self) -> None:
        for key in self._rest:
            self.fault(key, "is not a known setting")

    def operations(self) -> list[tuple[str, _Reader]]:
        readers = []
        for name, inner in self.table("operations", dict).items():
            if name not in REGISTRY_OPERATIONS:
                self.fault(f"operations.{name}", f"is not one of {', '.join(REGISTRY_OPERATIONS)}")
            elif isinstance(inner, dict):
                readers.append((name, _Reader(inner, f"{self._prefix}operations.{name}.", self.faults)))
        return readers

    def http_settings(self) -> HttpRegistrySettings:
        base_url = self.text("base_url")
        if base_url and (urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).netloc):
            self.fault("base_url", "must be an http:// or https:// URL")
        settings = HttpRegistrySettings(
            base_url=base_url.rstrip("/"),
            operations=MappingProxyType({name: inner.http_operation() for name, inner in self.operations()}),
            timeout_s=self.number("timeout_s", 3.0, 0.01, 60),
            connections=int(self.number("connections", 32, 1, 4096, whole=True)),
            answer_bytes=int(self.number("answer_bytes", 4 * 1024 * 1024, 1024, 1 << 28, whole=True)),
            headers=self.table("headers", str),
        )
        self.close()
        return settings

    def http_operation(self) -> HttpOperation:
        path = self.text("path")
        if path and not path.startswith("/"):
            self.fault("path", "must start with /")
        for name in re.findall(r"\{([^}]*)\}", path):
            if name not in PARAMETERS:
                self.fault("path", f"{{{name}}} is not one of {', '.join(PARAMETERS)}")
        parameters = self.table("parameters", str)
        for name in parameters:
            if name not in PARAMETERS:
                self.fault(f"parameters.{name}", f"is not one of {', '.join(PARAMETERS)}")
        carriers = ("json", "query", "form")
        operation = HttpOperation(
            method=self.text("method", "POST", choices=("GET", "POST", "PUT")),
            path=path,
            documents=self.path("documents"),
            parameters=parameters,
            constants=self.table("constants"),
            carrier=cast("Literal['json', 'query', 'form']", self.text("in", "json", choices=carriers)),
            total=self.path("total") if "total" in self._rest else None,
            ok=self.answer_test("ok"),
            empty=self.answer_test("empty"),
            empty_status=self.statuses("empty_status"),
        )
        self.close()
        return operation

    def sql_settings(self) -> SqlRegistrySettings:
        url = self.text("url")
        if url and urlsplit(url).scheme not in ("sqlite", "postgresql"):
            self.fault("url", "must be sqlite:///path or postgresql://…")
        settings = SqlRegistrySettings(
            url=url,
            operations=MappingProxyType({name: inner.sql_operation() for name, inner in self.operations()}),
            timeout_s=self.number("timeout_s", 3.0, 0.01, 60),
            connections=int(self.number("connections", 8, 1, 4096, whole=True)),
        )
        self.close()
        return settings

    def sql_operation(self) -> SqlOperation:
        operation = SqlOperation(
            sql=self.statement("sql"),
            json_column=self.text("json_column", ""),
            total_sql=self.statement("total_sql", ""),
        )
        self.close()
        return operation

    def statement(self, key: str, default: str | None = None) -> str:
        """One SELECT; the connection is read-only besides, this is only so that a mistake is seen early."""
        text = self.text(key, default).strip().rstrip(";")
        if text and (not re.match(r"(?i)(select|with)\b", text) or ";" in text):
            self.fault(key, "must be one SELECT statement")
        for name in re.findall(r"(?<![:\w]):(\w+)", text):
            if name not in (*PARAMETERS, "offset"):
                self.fault(key, f":{name} is not one of {', '.join(PARAMETERS)}, offset")
        return text
