"""Texts that others wrote, fit to be shown on a terminal or on a page."""

from __future__ import annotations

from html import escape as escape_markup
from typing import Final
from unicodedata import category

__all__ = ["escape", "plain"]

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""General categories (Unicode Standard Annex 44): controls, marks of format such as those of direction, halves of
surrogate pairs, ends of lines and paragraphs.
"""


def plain(text: str) -> str:
    """The text with nothing in it that steers a terminal, breaks a line or turns the order of what is read: everything
    not printable (controls, line ends, marks of direction, halves of surrogate pairs) is told by its number.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _number(letter) for letter in text)


def escape(text: str) -> str:
    """The text for a page: no markup, and nothing unseen that hides a part or turns the order of what is read. Spaces
    of every width stay.
    """
    if not text.isprintable():
        text = "".join(_number(letter) if category(letter) in _UNSEEN else letter for letter in text)
    return escape_markup(text)


def _number(letter: str) -> str:
    return f"\\x{ord(letter):02x}"
