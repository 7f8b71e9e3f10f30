"""Where a value stands in a local document when it is not simply one field: how it is taken out and put back.

- keys ``a+b+c`` in the path, and `join`: several fields of one object are one value. On the way back it is spread
  over them where the separator splits it into as many parts as there are fields; else it stands whole in the last
  one, and the writing is RELATED.
- `part` = ``n/m`` and `split`: one field holds m values, and the rule is for the n-th. On the way back they are
  joined again; a part that has the separator in it is INVALID.
- `list`: an array of texts is one value, joined by the separator. On the way back it is split; a value with an
  empty item is INVALID.
- ``|json`` on the last segment: JSON in a string, and a string of JSON again.

Empty fields are left out when fields are joined. What was taken from several fields or an array has its JSON as
original, so that what does not fit comes back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mapping.conversion import text_of
from mapping.element import Relation
from mapping.notes import Note
from mapping.ruleset import FieldRule

__all__ = ["Shape", "decoded", "shape_of"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names occur once: of two values under one name none is picked."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


# A number in a string keeps its digits.
_decode = json.JSONDecoder(parse_float=str, object_pairs_hook=_once).decode
_decode_quickly = msgspec.json.Decoder(float_hook=str).decode
_BLANKS = b" \t\n\r"


class Shape(Struct, frozen=True):
    """How the value of one rule stands in its object. See the module."""

    keys: tuple[str, ...]
    is_json: bool
    join: str
    part: int
    parts: int
    split: str
    items: str

    @property
    def is_plain(self) -> bool:
        """Whether the value simply is what the field holds."""
        return len(self.keys) == 1 and not (self.is_json or self.parts or self.items)

    @property
    def is_list(self) -> bool:
        """Whether the value is the array in the field."""
        return len(self.keys) == 1 and bool(self.items) and not (self.is_json or self.parts)

    def fetch(self, document: Mapping[str, Any]) -> Any:
        """What the document holds for the rule; None when nothing."""
        if len(self.keys) == 1:
            raw = document.get(self.keys[0])
            return None if raw == "" else raw
        pieces = {key: document.get(key) for key in self.keys}
        return {key: raw for key, raw in pieces.items() if raw is not None and raw != ""} or None

    def take(self, raw: Any, note: Note | None) -> Any:
        """The one value for the converter; None when the field is not of the shape, "" when nothing is there."""
        if self.is_json:
            raw = decoded(raw)
            if note:
                note("parsed", text_of(raw))
        if len(self.keys) > 1:
            return self._join(raw, note)
        if self.items:
            return self._from_list(raw, note)
        return self._pick(raw, note) if self.parts else raw

    def _join(self, pieces: Mapping[str, Any], note: Note | None) -> str | None:
        if any(type(piece) not in (str, int, float) for piece in pieces.values()):
            return None
        text = self.join.join(map(text_of, pieces.values()))
        if note:
            note("joined", f"{'+'.join(pieces)} = {text}")
        return text

    def _from_list(self, raw: Any, note: Note | None) -> str | None:
        items = (
            [text_of(item) for item in raw if type(item) in (str, int, float)] if type(raw) is list else []
        )
        fits = bool(items) and len(items) == len(raw) and not any(not i or self.items in i for i in items)
        text = self.items.join(items) if fits else None
        if note:
            note("not_listed" if text is None else "listed", text or "")
        return text

    def _pick(self, raw: Any, note: Note | None) -> str | None:
        pieces = text_of(raw).split(self.split) if type(raw) in (str, int, float) else []
        if len(pieces) != self.parts:
            if note:
                note("wrong_parts", f"{len(pieces)} ≠ {self.parts}")
            return None
        if note:
            note("part", f"{self.part}/{self.parts}: {pieces[self.part - 1]}")
        return pieces[self.part - 1].strip()

    # --- back -------------------------------------------------------------------------------------

    def fits(self, text: str, note: Note | None = None) -> Relation:
        """What putting a written value back does to it."""
        if len(self.keys) > 1:
            whole = self._spread(text) is None
            if note:
                note("not_spread" if whole else "spread", "+".join(self.keys))
            return Relation.RELATED if whole else Relation.EXACT
        if self.items and "" in text.split(self.items):
            if note:
                note("not_listed", text)
            return Relation.INVALID
        if self.parts and not self.holds_part(text):
            if note:
                note("wrong_parts", text)
            return Relation.INVALID
        return Relation.EXACT

    def holds_part(self, text: str) -> bool:
        """Whether a text can be one of the parts and be found again."""
        return bool(text) and self.split not in text and text.strip() == text

    def put(self, raw: Any, *, carried: bool) -> dict[str, Any]:
        """What a written value is in the object, by key; not for parts, which are put together with others.

        A value that was carried may be the JSON of what once stood there: that is put back as it was.
        """
        if len(self.keys) == 1 and not self.items:
            return {self.keys[0]: raw}
        text = text_of(raw)
        before = decoded(text) if carried else None
        if len(self.keys) == 1:
            items = text.split(self.items)
            whole = raw if carried or "" in items else items
            return {self.keys[0]: before if type(before) in (list, dict) else whole}
        if type(before) is dict and before.keys() <= set(self.keys):
            return {key: before[key] for key in self.keys if key in before}
        pieces = self._spread(text)
        return {self.keys[-1]: text} if pieces is None else dict(zip(self.keys, pieces, strict=True))

    def _spread(self, text: str) -> list[str] | None:
        pieces = text.split(self.join) if self.join else []
        return pieces if len(pieces) == len(self.keys) and all(pieces) else None


def shape_of(rule: FieldRule) -> Shape:
    """The shape that a rule's path and parameters say. Raises ValueError when `part` is not n/m."""
    parameters = rule.parameters
    part, _, parts = parameters.get("part", "0/0").partition("/")
    return Shape(
        keys=rule.keys,
        is_json=rule.local.endswith("|json"),
        join=parameters.get("join", ""),
        part=int(part),
        parts=int(parts),
        split=parameters.get("split", ""),
        items=parameters.get("list", ""),
    )


def decoded(raw: Any) -> Any:
    """JSON in a string, parsed; anything else, and what cannot be parsed, as it is."""
    if type(raw) is not str:
        return raw
    try:
        encoded = raw.encode()
        value = _decode_quickly(encoded)
        if _has_all_names(encoded, value):
            return value
    except (ValueError, RecursionError):
        pass  # it is strict about what few write, as NaN: the other one decides
    try:
        return _decode(raw)
    except (ValueError, RecursionError):
        return raw


def _has_all_names(encoded: bytes, value: Any) -> bool:
    """Whether no name of an object can have occurred twice; of two values the quick decoder keeps the last.

    Without blanks every name ends with ``":``. Texts may hold more of these, but there a backslash stands
    before, as it does in no name that does not end with one itself. So a True is proven and a False is not.
    """
    compact = encoded.translate(None, _BLANKS)
    said, names = compact.count(b'":'), _names(value)
    return said == names or (b'\\\\":' not in compact and said - compact.count(b'\\":') == names)


def _names(value: Any) -> int:
    kind = type(value)
    if kind is not dict:
        return sum(map(_names, value)) if kind is list else 0
    names = len(value)
    for inner in value.values():
        if type(inner) is dict or type(inner) is list:
            names += _names(inner)
    return names
