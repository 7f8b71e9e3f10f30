"""Reads `node.toml`: TOML first, then each section, then what must fit together; everything that is wrong at
once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from node.config.checks import FILE_CHECKS, SETTING_CHECKS, Finding, Sections
from node.config.faults import ConfigFaults, Fault, message_of
from node.config.lines import key_lines, nearest_line
from node.config.model import Config, Section, resolve_sqlite
from node.connectors.settings import RegistrySettings, RegistrySettingsError
from node.connectors.settings_reader import read_registry

__all__ = ["read_config"]


def read_config(path: Path, *, check_files: bool = True) -> Config:
    """The configuration in a file; proven on return: every setting is known, typed, in range and fits the
    others.

    With `check_files` the files that it names are there and readable by the owner only where they hold a
    secret; commands that work before the node is enrolled leave it out. Raises ConfigFaults with every fault
    and its line.
    """
    path = path.absolute()
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        fault = Fault(str(path), 0, "", f"无法读取（{reason}）", f"cannot be read ({reason})")
        raise ConfigFaults([fault]) from None
    return _Reading(path, text).config(check_files=check_files)


class _Reading:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._table = self._parse(text)
        self._lines = key_lines(text)
        self._findings: list[Finding] = []

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"\(at line (\d+)", str(error))
            line = int(found.group(1)) if found else text.count("\n") + 1
            fault = Fault(str(self._path), line, "", f"不是合法的 TOML：{error}", f"not valid TOML: {error}")
            raise ConfigFaults([fault]) from None

    def config(self, *, check_files: bool) -> Config:
        sections = self._sections()
        registry = self._registry()
        for check in (*SETTING_CHECKS, *(FILE_CHECKS if check_files else ())):
            self._findings.extend(check(sections))
        if self._findings or registry is None:
            raise ConfigFaults(self._located(finding) for finding in self._findings)
        return Config.model_construct(None, **sections, registry=registry, path=self._path)

    def _sections(self) -> Sections:
        kinds = {
            name: kind
            for name, field in Config.model_fields.items()
            if (kind := _section_kind(field.annotation)) is not None
        }
        for name in self._table.keys() - kinds.keys() - {"registry"}:
            self._findings.append(Finding(name, *message_of("extra_forbidden", {}, "")))
        sections: Sections = {}
        for name, kind in kinds.items():
            if name not in self._table and Config.model_fields[name].is_required():
                self._findings.append(Finding(name, f"缺少 [{name}]", f"the table [{name}] is missing"))
                continue
            if name not in self._table and Config.model_fields[name].default is None:
                continue
            try:
                sections[name] = kind.model_validate(
                    self._table.get(name, {}), context={"folder": self._path.parent}
                )
            except ValidationError as error:
                self._findings.extend(_findings_of(name, error))
        return sections

    def _registry(self) -> RegistrySettings | None:
        table = self._table.get("registry")
        if not isinstance(table, Mapping):
            self._findings.append(Finding("registry", "缺少 [registry]", "the table [registry] is missing"))
            return None
        if isinstance(table.get("url"), str):
            table = {**table, "url": resolve_sqlite(table["url"], self._path.parent)}
        try:
            return read_registry(table)
        except RegistrySettingsError as error:
            self._findings.extend(
                Finding(f"registry.{key}", message, message) for key, message in error.faults
            )
            return None

    def _located(self, finding: Finding) -> Fault:
        line = nearest_line(self._lines, finding.key)
        return Fault(str(self._path), line, finding.key, finding.zh, finding.en)


def _section_kind(annotation: Any) -> type[Section] | None:
    """The section that a field holds, also where the file may leave it out; None for a field that is none."""
    for kind in get_args(annotation) or (annotation,):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _findings_of(section: str, error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_url=False):
        key = ".".join(str(part) for part in (section, *one["loc"]))
        yield Finding(key, *message_of(one["type"], one.get("ctx", {}), one["msg"]))
