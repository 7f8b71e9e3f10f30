"""A dialect as data: what its files say.

Files of `dialects/<province>/`:

- ``dialect.toml``: province, name, version, the version of the shared code lists it was written against,
  `[maps]` (code map → shared list, optionally the list's own column that holds the local codes, and the list's
  own version) and
  `[parameters]` (request parameter → converter).
- ``fields.csv``: one row per field: kind, group, local, element, converter, parameters, default, required,
  note. `kind` is a certificate type's shared name, ``service_item``, or ``*`` for what every certificate
  carries; a row for a kind replaces the ``*`` row of the same element. Rows with a `group` describe the rows of
  the list that this group is. `local` is a dotted path; a segment ``name|json`` holds JSON in a string; the last
  segment may name several fields of one object, ``y+m+d``. `parameters` are ``name=value`` parted by ``;``, a
  value in ``'…'`` keeps its blanks. Besides the converter's own there are

  - `join`: several fields are one value, with this between them (``''``: nothing);
  - `part` = ``n/m`` and `split`: the value is the n-th of the m in the field;
  - `list`: an array of texts, joined with this between them;
  - `way`: ``both``; ``mirror``, the field is another row's too, which writes it; ``to_shared``, never written: a
    second place of an element that another row has, or one of several elements of a field;
  - `on`: the date element with the day that a code was written on, or ``today`` (the day of the tables).

  See `mapping.shapes` for what each does on the way back.
- ``maps/<name>.csv``: one row per claim: source, source_label, relation, target, valid_from, valid_to,
  direction, preferred_reverse, note, source_of_claim, author, reviewer. `relation` says what the target is to
  the source; ``none`` says that there is no target. Author and reviewer are roles or bodies, never a person.

`mapping.rule_files` reads them, `mapping.validate` checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from mapping.element import Relation

__all__ = [
    "EVERY_CERTIFICATE",
    "FIELD_COLUMNS",
    "MAP_COLUMNS",
    "RULE_PARAMETERS",
    "TODAY",
    "WAYS",
    "CodeMap",
    "FieldRule",
    "MapRow",
    "ParameterRule",
    "RuleSet",
]

FIELD_COLUMNS = (
    "kind",
    "group",
    "local",
    "element",
    "converter",
    "parameters",
    "default",
    "required",
    "note",
)
MAP_COLUMNS = (
    "source",
    "source_label",
    "relation",
    "target",
    "valid_from",
    "valid_to",
    "direction",
    "preferred_reverse",
    "note",
    "source_of_claim",
    "author",
    "reviewer",
)
EVERY_CERTIFICATE = "*"
TODAY = "today"
"""As `on`: the day that the shared tables are of."""
WAYS = ("both", "to_shared", "mirror")
RULE_PARAMETERS = frozenset({"on", "way", "join", "part", "split", "list"})
"""Parameters of a rule itself, whatever its converter."""


class MapRow(Struct, frozen=True):
    """One claim of a code map. `relation` is None where there is no target; validity is ISO 8601 or empty.

    `label`, `note` (what is lost), `source_of_claim`, `author` and `reviewer` are for people and exports; no
    translation depends on them.
    """

    source: str
    relation: Relation | None
    target: str
    valid_from: str
    valid_to: str
    direction: str
    preferred: bool
    where: str
    label: str = ""
    note: str = ""
    source_of_claim: str = ""
    author: str = ""
    reviewer: str = ""

    @property
    def reads(self) -> bool:
        """Whether the row is used from local to shared."""
        return self.direction != "to_local"

    @property
    def writes(self) -> bool:
        """Whether the row is used from shared to local."""
        return self.direction != "to_shared" and self.relation is not None

    def holds_on(self, on: str) -> bool:
        """Whether the row is valid on an ISO day."""
        return (not self.valid_from or self.valid_from <= on) and (not self.valid_to or on <= self.valid_to)

    def overlaps(self, other: MapRow) -> bool:
        """Whether there is a day on which both hold."""
        return (not self.valid_to or not other.valid_from or other.valid_from <= self.valid_to) and (
            not other.valid_to or not self.valid_from or self.valid_from <= other.valid_to
        )


class CodeMap(Struct, frozen=True):
    """One code map: the shared list it leads to, its rows, and the list's version if the dialect names one."""

    name: str
    list_name: str
    rows: tuple[MapRow, ...]
    list_version: str = ""


class FieldRule(Struct, frozen=True):
    """One row of ``fields.csv``."""

    kind: str
    group: str
    local: str
    element: str
    converter: str
    parameters: Mapping[str, str]
    default: str
    required: bool
    where: str

    @property
    def parents(self) -> tuple[str, ...]:
        """The segments of the path in front of the last."""
        return _path(self.local)[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields in the last segment of the path; several are joined."""
        return _path(self.local)[1]

    @property
    def leaf(self) -> str:
        """The local field's own name: the last segment of its path, with the part that it is, ``period[1]``."""
        part = self.parameters.get("part", "").partition("/")[0]
        return "+".join(self.keys) + (f"[{part}]" if part else "")

    @property
    def on(self) -> str:
        """The element with the day that the value was written on, ``today``, or an empty text."""
        return self.parameters.get("on", "")

    @property
    def way(self) -> str:
        """``both``, ``to_shared`` (never written) or ``mirror`` (written by another rule; compared)."""
        return self.parameters.get("way", WAYS[0])

    @property
    def conversion(self) -> Mapping[str, str]:
        """The parameters that are the converter's own."""
        return {name: value for name, value in self.parameters.items() if name not in RULE_PARAMETERS}


@lru_cache(maxsize=4096)
def _path(local: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parents and keys of a path; a rule set is asked for them again and again while it is checked and compiled."""
    *parents, last = local.split(".")
    return tuple(parents), tuple(last.removesuffix("|json").split("+"))


class ParameterRule(Struct, frozen=True):
    """How a request parameter is translated."""

    name: str
    converter: str
    element_type: str
    parameters: Mapping[str, str]


class RuleSet(Struct, frozen=True):
    """All that a dialect's files say. `fields` is by kind (certificate type code or ``service_item``)."""

    province: str
    name: str
    version: str
    digest: bytes
    maps: Mapping[str, CodeMap]
    fields: Mapping[str, tuple[FieldRule, ...]]
    parameters: Mapping[str, ParameterRule]
