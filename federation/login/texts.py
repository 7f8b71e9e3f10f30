"""Texts from outside that are looked up and kept."""

from __future__ import annotations

__all__ = ["UNSTORABLE", "is_storable"]

UNSTORABLE = "a parameter has the character U+0000"


def is_storable(*texts: str) -> bool:
    """Whether every store takes these. PostgreSQL has no text with U+0000 in it: even to look for one is an error."""
    return not any("\0" in text for text in texts)
