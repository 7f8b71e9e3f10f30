"""The outer form of an identifier, and where one breaks it. No message repeats more than one character of it."""

from __future__ import annotations

import re

from mapping.errors import InvalidIdentifier

__all__ = ["ALPHABET_31", "CAPITALS", "DIGITS", "DIGITS_36", "Form", "require_check"]

DIGITS = "0123456789"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS_36 = DIGITS + CAPITALS
ALPHABET_31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100: digits and capitals without I, O, S, V, Z."""

_WORDS = {
    DIGITS: "a digit",
    CAPITALS: "a capital letter",
    DIGITS_36: "a digit or a capital letter",
    ALPHABET_31: "a digit or a capital letter but I, O, S, V, Z",
    DIGITS + "X": "a digit or X",
    "123456789": "a digit but 0",
}


class Form:
    """Characters of fixed number, each from an alphabet: ``Form("a code", "eight digits", (8, DIGITS))``."""

    def __init__(self, name: str, words: str, *parts: tuple[int, str]) -> None:
        self.name = name
        self.words = words
        self._allowed = tuple(alphabet for number, alphabet in parts for _ in range(number))
        pattern = "".join(f"[{alphabet}]{{{number}}}" for number, alphabet in parts)
        self.fits = re.compile(pattern, re.ASCII).fullmatch
        """A match when a text has the form, else None."""

    def require(self, value: str) -> None:
        """Return when the text has the form. Raises InvalidIdentifier: `form`, with the first place."""
        if self.fits(value):
            return
        length = len(self._allowed)
        if len(value) != length:
            raise InvalidIdentifier(
                "form",
                f"{self.name} is {self.words}",
                expected=f"{length} characters",
                found=f"{len(value)} characters",
            )
        place = next(at for at, allowed in enumerate(self._allowed) if value[at] not in allowed)
        raise InvalidIdentifier(
            "form",
            f"{self.name} is {self.words}",
            position=place + 1,
            expected=_WORDS.get(self._allowed[place], f"one of {self._allowed[place]}"),
            found=value[place],
        )


def require_check(name: str, position: int, expected: str, found: str, rule: str = "check") -> None:
    """Return when the check character is the expected one. Raises InvalidIdentifier: the rule."""
    if found != expected:
        raise InvalidIdentifier(
            rule,
            f"the check character of the {name} is wrong",
            position=position,
            expected=expected,
            found=found,
        )
