"""How a look-up is written as an HTTP request, worked out once for each operation of the config.

What stays the same from one look-up to the next (the URL, the constants, the names of the parameters) is
ready when the registry opens; only the values are written when somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
from aiohttp import BytesPayload
from yarl import URL

from federation.errors import RegistryNotOffered
from node.connectors.settings import HttpOperation

__all__ = ["RequestWriter"]

Parameters = Mapping[str, str]

_NUMBERS = ("page", "page_size")
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class RequestWriter:
    """Writes the requests of one operation: `url` and `body` from the parameters of a look-up.

    A parameter that is not asked with is left out; one that bears the name of a constant stands in its place.
    """

    operation: HttpOperation
    url: Callable[[Parameters], URL]
    body: Callable[[Parameters], BytesPayload | None]

    @classmethod
    def of(cls, base_url: str, operation: HttpOperation) -> RequestWriter:
        """The writer for that operation of the registry at `base_url`."""
        at = base_url + operation.path
        if operation.carrier == "query":
            return cls(operation, _query_writer(at, operation), _no_body)
        body = _json_writer(operation) if operation.carrier == "json" else _form_writer(operation)
        return cls(operation, _url_writer(at), body)


def _no_body(_parameters: Parameters) -> None:
    return None


def _url_writer(at: str) -> Callable[[Parameters], URL]:
    """The URL with values percent-encoded into its path, where the config says so."""
    if "{" in at:
        return lambda parameters: URL(_fill(at, parameters), encoded=True)
    url = URL(at, encoded=True)
    return lambda _parameters: url


def _fill(at: str, parameters: Parameters) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: _segment(match[1], parameters.get(match[1], "")), at)


def _segment(name: str, value: str) -> str:
    """A value as one part of a path.

    Raises RegistryNotOffered for what would lead to another path: nothing, ``.`` and ``..``, which mean the
    same percent-encoded (WHATWG URL §4.4).
    """
    if value in ("", ".", ".."):
        raise RegistryNotOffered(f"this registry has nothing under such a {name}")
    return quote(value, safe="")


def _query_writer(at: str, operation: HttpOperation) -> Callable[[Parameters], URL]:
    url, fields = _url_writer(at), _fields_writer(operation)
    mark = "&" if "?" in at else "?"

    def write(parameters: Parameters) -> URL:
        query = fields(parameters)
        bare = url(parameters)
        return URL(f"{bare}{mark}{query}", encoded=True) if query else bare

    return write


def _form_writer(operation: HttpOperation) -> Callable[[Parameters], BytesPayload]:
    fields = _fields_writer(operation)
    return lambda parameters: BytesPayload(fields(parameters).encode("ascii"), content_type=_FORM)


def _fields_writer(operation: HttpOperation) -> Callable[[Parameters], str]:
    """``name=value&…`` as forms and queries have it (WHATWG URL §5.2)."""
    constants = {
        name: f"{quote_plus(name)}={quote_plus(str(value))}" for name, value in operation.constants.items()
    }
    names = [(ours, theirs, f"{quote_plus(theirs)}=") for ours, theirs in operation.parameters.items()]

    def write(parameters: Parameters) -> str:
        fields = dict(constants)
        for ours, theirs, head in names:
            if ours in parameters:
                fields[theirs] = head + quote_plus(parameters[ours])
        return "&".join(fields.values())

    return write


def _json_writer(operation: HttpOperation) -> Callable[[Parameters], BytesPayload]:
    constants = [(path.split("."), value) for path, value in operation.constants.items()]
    names = [(ours, path.split(".")) for ours, path in operation.parameters.items()]

    def write(parameters: Parameters) -> BytesPayload:
        body: dict[str, Any] = {}
        for way, value in constants:
            _place(body, way, value)
        for ours, way in names:
            if ours in parameters:
                value = parameters[ours]
                _place(body, way, int(value) if ours in _NUMBERS else value)
        return BytesPayload(orjson.dumps(body), content_type=_JSON)

    return write


def _place(body: dict[str, Any], way: list[str], value: Any) -> None:
    """Put `value` at a path, making the objects on the way."""
    for name in way[:-1]:
        body = body.setdefault(name, {})
    body[way[-1]] = value
