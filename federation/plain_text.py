"""Texts that others wrote, fit to be shown on a terminal."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """The text with nothing in it that steers a terminal, breaks a line or turns the order of what is read: everything
    not printable (controls, line ends, marks of direction, halves of surrogate pairs) is told by its number.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
