from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node.config.lines import KeyPath, key_lines

TEXT = '''\
# a comment with [brackets] = 1
title = "a # b"
[a."b.c"]   # a header
x.y = 1
"quoted \\" key" = 2
list = [
  1, # one
  { p = "q]", r = [ "}" ] },

  """multi
line""",
]
after = true
[[items]]
n = 1
[items.sub]
k = 1979-05-27T07:32:00Z
[[items]]
n = 2
[[items.deep]]
m = -0.5
'''


def test_every_key_has_its_line() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    assert lines["title",] == 2
    assert lines["a", "b.c"] == 3
    assert lines["a", "b.c", "x", "y"] == 4
    assert lines["a", "b.c", 'quoted " key'] == 5
    assert lines["a", "b.c", "list", 0] == 7
    assert lines["a", "b.c", "list", 1, "r", 0] == 8
    assert lines["a", "b.c", "list", 2] == 10
    assert lines["a", "b.c", "after"] == 13
    assert lines["items", 0, "n"] == 15
    assert lines["items", 0, "sub", "k"] == 17
    assert lines["items", 1, "n"] == 19
    assert lines["items", 1, "deep", 0, "m"] == 21


_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
_VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_write(key)} = {_write(item)}" for key, item in value.items()) + " }"
    return str(value)


def _paths(value: Any, path: KeyPath) -> list[KeyPath]:
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_document_is_walked_whole(document: dict[str, Any]) -> None:
    text = "".join(f"{_write(key)} = {_write(value)}\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    expected = {
        path: line
        for line, (key, value) in enumerate(document.items(), start=1)
        for path in _paths(value, (key,))
    }
    assert key_lines(text) == expected
