"""Texts: carried as they are, names with their middle dot, and numbers of papers in full or half width.

Characters that nobody else can read are marked, never replaced: halves of surrogate pairs are shown as escapes,
and characters of Unicode's private use area stay, both INVALID. Rare characters outside the basic plane are
characters like any other (GB 18030-2022 covers them); two halves that belong together are joined.
"""

from __future__ import annotations

import re
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Writing, is_untellable, text_of
from mapping.element import Relation
from mapping.notes import Note

__all__ = ["TO_HALF", "build_name", "build_text", "build_width", "is_strange", "read_text", "write_text"]

_STRANGE = re.compile("[\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff]")
"""Surrogate halves, and the three private use areas."""
is_strange = _STRANGE.search
"""Finds the first of them. What is printable has none, and that is quicker asked: `str.isprintable`."""

# ASCII in full width, the ideographic space, and the small forms of brackets.
TO_HALF = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | str.maketrans("\u3000\ufe59\ufe5a", " ()")
_FULL_WIDTH = re.compile("[\u3000\ufe59\ufe5a\uff01-\uff5e]").search
_TO_FULL_BRACKETS = str.maketrans("()", "\uff08\uff09")

_DOT = "\u00b7"
"""·, with which the registration of residents writes names of several parts."""
# Bullet, hyphenation point, bullet operator, dot operator, katakana dots, ano teleia, syllabic final dot, runic
# dot, word separator, raised dot, araea, sinological dot. Not the full stop: it also ends an abbreviation.
_DOTS = re.compile("[\u2022\u2027\u2219\u22c5\u30fb\uff65\u0387\u1427\u16eb\u2e31\u2e33\u318d\ua78f]")
# Until GB 18030-2022 eight ideographs were encoded in the private use area (FE59 FE61 FE66 FE67 FE6D FE7E FE90 FEA0).
_GB_18030_2022 = str.maketrans(
    dict(
        zip(
            "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
            "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
            strict=True,
        )
    )
)


def read_text(raw: Any, _on: str, note: Note | None = None) -> Reading:
    """Any JSON value as text; EXACT for texts and numbers."""
    if type(raw) is str:
        if raw.isascii() or raw.isprintable() or is_strange(raw) is None:
            if note:
                note("text", "")
            return raw, Relation.EXACT
        return _read_strange(raw, note)
    text = text_of(raw)
    if type(raw) in (int, float) and not is_untellable(text):
        if note:
            note("text", text)
        return text, Relation.EXACT
    if note:
        note("not_text", text)
    return text, Relation.INVALID


def _read_strange(raw: str, note: Note | None) -> Reading:
    joined = raw.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if note and joined != raw:
        note("surrogates", "")
    found = is_strange(joined)
    if found is None:
        return joined, Relation.EXACT
    if any("\ud800" <= character <= "\udfff" for character in joined):
        if note:
            note("half_surrogate", text_of(found[0]))
        return text_of(joined), Relation.INVALID
    if note:
        note("private_use", f"U+{ord(found[0]):04X}")
    return joined, Relation.INVALID


def write_text(value: str, _on: str, note: Note | None = None) -> Writing:
    """The shared text as it is."""
    if note:
        note("text", "")
    return value, Relation.EXACT


def build_text(_settings: Settings) -> Converter:
    """Carried as it is, both ways."""
    return Converter("", read_text, write_text)


def build_name(settings: Settings) -> Converter:
    """Names of people: look-alikes of the middle dot become ·; `dot` is what the dialect writes for it.

    `private` = ``gb18030`` says that the dialect's systems still hold the eight ideographs that GB 18030-2022
    took out of the private use area; without it every character from there is INVALID. Dots are not restored
    one by one on the way back: all become the dialect's.
    """
    dot = settings.parameters.get("dot", _DOT)
    known = settings.choice("private", ("", "gb18030")) == "gb18030"

    def read(raw: Any, on: str, note: Note | None = None) -> Reading:
        if type(raw) is str and not raw.isascii():
            text = raw if dot == _DOT else raw.replace(dot, _DOT)
            if _DOTS.search(text):
                text = _DOTS.sub(_DOT, text)
            if note and text != raw:
                note("dot", text)
            if known and (replaced := text.translate(_GB_18030_2022)) != text:
                if note:
                    note("gb18030", replaced)
                text = replaced
            return read_text(text, on, note)
        return read_text(raw, on, note)

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        text = value.replace(_DOT, dot)
        if note:
            note("dot" if text != value else "text", text)
        return text, Relation.EXACT

    return Converter(f"name@{settings.version}", read, write)


def build_width(settings: Settings) -> Converter:
    """Numbers of papers: shared is half width; `brackets` says what the dialect writes.

    The width of each character is not restored on the way back, only that of the brackets.
    """
    full = settings.choice("brackets", ("half", "full")) == "full"

    def read(raw: Any, on: str, note: Note | None = None) -> Reading:
        text, relation = read_text(raw, on, note)
        if text.isascii() or _FULL_WIDTH(text) is None:
            return text, relation
        half = text.translate(TO_HALF)
        if note and half != text:
            note("half_width", half)
        return half, relation

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        text = value.translate(_TO_FULL_BRACKETS) if full else value
        if note:
            note("full_width" if text != value else "text", text)
        return text, Relation.EXACT

    return Converter(f"width@{settings.version}", read, write)
