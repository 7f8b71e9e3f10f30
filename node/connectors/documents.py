"""Finds the documents in a registry's JSON answer, by the paths that the config gives.

What a registry says is not trusted to have its promised form: whatever does not fit is RegistryBadAnswer,
naming the path and the kind of value found there, never the value.
"""

from __future__ import annotations

from typing import Any

import orjson

from federation.errors import RegistryBadAnswer
from federation.ports import LocalDocument, RegistryAnswer
from node.connectors.settings import AnswerTest, HttpOperation, JsonPath, value_text

__all__ = ["parse_json", "read_answer"]

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def parse_json(data: bytes | str, where: str) -> Any:
    """The value that `data` writes. Raises RegistryBadAnswer naming `where`."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RegistryBadAnswer(f"the registry's {where} is not JSON") from None


def read_answer(operation: HttpOperation, body: Any) -> RegistryAnswer:
    """The documents in an answer's body and their total. Raises RegistryBadAnswer."""
    if operation.empty is not None and _holds(operation.empty, body):
        return RegistryAnswer()
    if operation.ok is not None and not _holds(operation.ok, body):
        raise RegistryBadAnswer(
            f"the registry's {_written(operation.ok.path)} does not say that it succeeded"
        )
    documents = _documents(_follow(operation.documents, body), operation.documents)
    if operation.total is None:
        return RegistryAnswer(documents, len(documents))
    return RegistryAnswer(documents, _count(_follow(operation.total, body), operation.total))


def _follow(path: JsonPath, value: Any) -> Any:
    """The value at `path`; null anywhere on the way is null."""
    for name, parse in path.segments:
        if value is None:
            return None
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise RegistryBadAnswer(f"the registry's answer has nothing at {name} of {_written(path)}")
        if parse and value is not None:
            if not isinstance(value, str):
                raise RegistryBadAnswer(f"the registry's {_written(path)} is not JSON in a string")
            value = parse_json(value, _written(path)) if value else None
    return value


def _holds(test: AnswerTest, body: Any) -> bool:
    return value_text(_follow(test.path, body)) in test.values


def _documents(value: Any, path: JsonPath) -> tuple[LocalDocument, ...]:
    if value is None:
        return ()
    if isinstance(value, dict):
        return (value,)
    if not isinstance(value, list):
        raise RegistryBadAnswer(f"the registry's {_written(path)} is {_kind(value)}, not a list of documents")
    for item in value:
        if not isinstance(item, dict):
            raise RegistryBadAnswer(
                f"the registry's {_written(path)} has {_kind(item)} in it, not a document"
            )
    return tuple(value)


def _count(value: Any, path: JsonPath) -> int:
    text = value_text(value)
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise RegistryBadAnswer(f"the registry's {_written(path)} is not a count")
    return int(text)


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")


def _written(path: JsonPath) -> str:
    return ".".join(f"{name}|json" if parse else name for name, parse in path.segments) or "answer"
