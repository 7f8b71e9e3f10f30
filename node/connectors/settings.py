"""How a province's registry is reached, as the `[registry]` part of node.toml says it.

Every registry is different, so everything that differs is data: method, path, the registry's names for our
parameters, where in its answer the documents are. `settings_reader.read_registry` makes these from the table.

Operations are named as in `federation.query.Operation`; an operation without an entry is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from federation.errors import RegistryNotOffered
from federation.query import PLATFORM_OPERATIONS, Operation

__all__ = [
    "PARAMETERS",
    "REGISTRY_OPERATIONS",
    "AnswerTest",
    "HttpOperation",
    "HttpRegistrySettings",
    "JsonPath",
    "RegistrySettings",
    "RegistrySettingsError",
    "SqlOperation",
    "SqlRegistrySettings",
    "entry_for",
    "value_text",
]

PARAMETERS = (
    "holder_id_type",
    "holder_id",
    "certificate_type",
    "certificate_id",
    "words",
    "item_code",
    "division",
    "page",
    "page_size",
)
"""Our names for what an operation asks with (`federation.ports.LocalRegistry`)."""

REGISTRY_OPERATIONS = tuple(
    operation.value for operation in PLATFORM_OPERATIONS if operation is not Operation.NODE_STATE
)
"""The operations that a registry may offer; a node tells its own state itself."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A dotted path into a JSON answer.

    A segment ``name|json`` means that the value there is JSON in a string. An empty path is the whole answer.
    """

    segments: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """The path that `text` writes. Raises ValueError when a segment is empty or has an unknown filter."""
        if not text:
            return cls(())
        segments = []
        for part in text.split("."):
            name, bar, filter_name = part.partition("|")
            if not name or (bar and filter_name != "json"):
                raise ValueError(f"segment {part!r} is not a name, nor a name followed by |json")
            segments.append((name, bool(bar)))
        return cls(tuple(segments))


@dataclass(frozen=True, slots=True)
class AnswerTest:
    """A test on the answer's body: the value at `path`, as text, is one of `values`."""

    path: JsonPath
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class HttpOperation:
    """One operation over HTTP.

    `parameters` is our name -> theirs, where theirs may be a dotted path into a JSON body; `path` may hold
    ``{our_name}`` and is then filled, percent-encoded. `carrier` is where parameters and `constants` go. `ok`
    must hold for an answer to be taken; where `empty` holds, or the status is in `empty_status`, nothing was
    found.
    """

    method: str
    path: str
    documents: JsonPath
    parameters: Mapping[str, str] = field(default_factory=_nothing)
    constants: Mapping[str, Any] = field(default_factory=_nothing)
    carrier: Literal["json", "query", "form"] = "json"
    total: JsonPath | None = None
    ok: AnswerTest | None = None
    empty: AnswerTest | None = None
    empty_status: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class HttpRegistrySettings:
    """A registry over HTTP and JSON. `headers` go with every request, as an access key does."""

    base_url: str
    operations: Mapping[str, HttpOperation]
    timeout_s: float = 3.0
    connections: int = 32
    answer_bytes: int = 4 * 1024 * 1024
    headers: Mapping[str, str] = field(default_factory=_nothing, repr=False)


@dataclass(frozen=True, slots=True)
class SqlOperation:
    """One operation over SQL.

    `sql` has our parameter names as bind parameters (``:holder_id``); one that is not asked with is NULL, and
    ``:offset`` follows from page and page_size. Each row is a document: its columns, or the JSON in
    `json_column`. `total_sql` counts when `sql` takes one page.
    """

    sql: str
    json_column: str = ""
    total_sql: str = ""


@dataclass(frozen=True, slots=True)
class SqlRegistrySettings:
    """A registry that is a database: sqlite:///path or postgresql://…; it is only read."""

    url: str = field(repr=False)
    operations: Mapping[str, SqlOperation]
    timeout_s: float = 3.0
    connections: int = 8


RegistrySettings = HttpRegistrySettings | SqlRegistrySettings


class RegistrySettingsError(Exception):
    """Everything that is wrong with the table: (dotted key path below ``registry``, message) each."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {message}" for key, message in faults))
        self.faults = tuple(faults)


def value_text(value: object) -> str:
    """A JSON scalar as text, so that 200, "200" and true can be compared with what the config says."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_Entry = TypeVar("_Entry")


def entry_for(entries: Mapping[str, _Entry], operation: Operation) -> _Entry:
    """The entry for an operation; to verify a certificate is to get it, unless it has an entry of its own.

    Raises RegistryNotOffered.
    """
    entry = entries.get(operation.value)
    if entry is None and operation is Operation.CERTIFICATES_VERIFY:
        entry = entries.get(Operation.CERTIFICATES_GET.value)
    if entry is None:
        raise RegistryNotOffered(f"this province's registry does not offer {operation.value}")
    return entry
