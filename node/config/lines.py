"""On which line each key of a TOML text stands.

`tomllib` forgets positions, so this walks the same text once more. It is only ever given a text that
`tomllib` has accepted: it looks for keys and skips values, and need not judge anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

__all__ = ["KeyPath", "key_lines", "nearest_line"]

KeyPath = tuple[str | int, ...]
"""Keys from the root down; the items of an array are counted from 0."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]\}\n#]+")
_QUOTES = ('"""', "'''", '"', "'")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table, key and array item of a valid TOML text."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


def nearest_line(lines: Mapping[KeyPath, int], key: str) -> int:
    """The line of a dotted key, or of the nearest table around it when the key is not there; 0 for none of them."""
    named = {".".join(map(str, path)): line for path, line in lines.items()}
    while key not in named and "." in key:
        key = key.rpartition(".")[0]
    return named.get(key, 0)


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counts: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._skip_blank()

    def _header(self) -> KeyPath:
        line = self._line()
        of_array = self._text.startswith("[[", self._at)
        self._at += 2 if of_array else 1
        path: KeyPath = ()
        *parents, last = self._dotted_key()
        for part in parents:
            path += (part,)
            if path in self._counts:  # an array of tables: its newest item is meant
                path += (self._counts[path] - 1,)
        path += (last,)
        self._at += 2 if of_array else 1
        self._note(path, line)
        if of_array:
            index = self._counts.get(path, 0)
            self._counts[path] = index + 1
            path += (index,)
            self._note(path, line)
        return path

    def _assignment(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._dotted_key():
            path += (part,)
            self._note(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            self._string()
        else:
            found = _SCALAR.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._next_item("]"):
            self._note((*path, index), self._line())
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._next_item("}"):
            self._assignment(path)

    def _next_item(self, end: str) -> bool:
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _dotted_key(self) -> list[str]:
        parts = [self._key()]
        self._skip_blank()
        while self._text[self._at] == ".":
            self._at += 1
            self._skip_blank()
            parts.append(self._key())
            self._skip_blank()
        return parts

    def _key(self) -> str:
        self._skip_blank()
        if self._text[self._at] in "\"'":
            start = self._at
            self._string()
            return str(tomllib.loads(f"k = {self._text[start : self._at]}")["k"])
        found = _BARE_KEY.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no key at offset {self._at} of a text that should be valid TOML")
        self._at = found.end()
        return found.group()

    def _string(self) -> None:
        quote = next(q for q in _QUOTES if self._text.startswith(q, self._at))
        self._at += len(quote)
        while not self._text.startswith(quote, self._at):
            self._at += 2 if quote[0] == '"' and self._text[self._at] == "\\" else 1
        self._at += len(quote)
        while len(quote) == 3 and self._text.startswith(quote[0], self._at):
            self._at += 1  # a text may end with quotes of its own before the closing three

    def _skip_blank(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _note(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)
