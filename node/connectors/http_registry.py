"""A registry over HTTP and JSON, as the config describes it.

Every look-up is a read, so one that met a connection the registry had just closed is sent once more. Nothing
that was asked with stands in an error or a log: parameters are holders' numbers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from federation.errors import RegistryBadAnswer, RegistryTimeout, RegistryUnreachable
from federation.ports import RegistryAnswer
from federation.query import Operation
from node.connectors.documents import parse_json, read_answer
from node.connectors.settings import HttpOperation, HttpRegistrySettings, entry_for

__all__ = ["HttpRegistry"]

_NUMBERS = ("page", "page_size")
_AWAY = (429, 502, 503, 504)
"""Statuses by which the registry, or what stands before it, says that it cannot answer now."""


class HttpRegistry:
    """Implements `federation.ports.LocalRegistry`. ``async with`` opens it and closes its connections."""

    def __init__(self, settings: HttpRegistrySettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpRegistry:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections, ttl_dns_cache=60),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **self._settings.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def look_up(
        self, operation: Operation, parameters: Mapping[str, str], *, timeout_s: float
    ) -> RegistryAnswer:
        """See the port. The look-up ends within `timeout_s` and within the config's own time-out."""
        entry = entry_for(self._settings.operations, operation)
        limit_s = min(timeout_s, self._settings.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                status, data = await self._send(entry, parameters)
        except TimeoutError:
            raise RegistryTimeout(f"the registry did not answer within {max(limit_s, 0):.1f} s") from None
        except aiohttp.ClientConnectionError as error:
            raise RegistryUnreachable(f"no connection to the registry: {type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise RegistryBadAnswer(f"the registry does not speak HTTP: {type(error).__name__}") from error
        return _read(entry, status, data)

    async def _send(self, entry: HttpOperation, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            return await self._send_once(entry, parameters)
        except aiohttp.ServerDisconnectedError:
            return await self._send_once(entry, parameters)

    async def _send_once(self, entry: HttpOperation, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("HttpRegistry is used outside of its async with")
        url = URL(self._settings.base_url + _fill(entry.path, parameters), encoded=True)
        async with self._session.request(
            entry.method, url, allow_redirects=False, **_carry(entry, parameters)
        ) as response:
            return response.status, await self._read_bounded(response)

    async def _read_bounded(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, unless it is longer than the limit: then it is not read to its end."""
        limit = self._settings.answer_bytes
        if (response.content_length or 0) > limit:
            raise _too_long(limit)
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > limit:
                raise _too_long(limit)
        return bytes(data)


def _too_long(limit: int) -> RegistryBadAnswer:
    return RegistryBadAnswer(f"the registry's answer is longer than {limit} bytes")


def _read(entry: HttpOperation, status: int, data: bytes) -> RegistryAnswer:
    if status in entry.empty_status:
        return RegistryAnswer()
    if status in _AWAY:
        raise RegistryUnreachable(f"the registry says that it cannot answer now (HTTP {status})")
    if not 200 <= status <= 299:
        raise RegistryBadAnswer(f"the registry answered with HTTP {status}")
    return read_answer(entry, parse_json(data, "answer"))


def _fill(path: str, parameters: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: quote(parameters.get(match[1], ""), safe=""), path)


def _carry(entry: HttpOperation, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Where the parameters go, as keyword arguments of the request."""
    named = {
        theirs: (ours, parameters[ours]) for ours, theirs in entry.parameters.items() if ours in parameters
    }
    if entry.carrier == "json":
        body: dict[str, Any] = {}
        for theirs, value in entry.constants.items():
            _place(body, theirs, value)
        for theirs, (ours, value) in named.items():
            _place(body, theirs, int(value) if ours in _NUMBERS else value)
        return {"data": orjson.dumps(body), "headers": {"Content-Type": "application/json"}}
    fields = {name: str(value) for name, value in entry.constants.items()}
    fields |= {theirs: value for theirs, (_, value) in named.items()}
    return {"params": fields} if entry.carrier == "query" else {"data": fields}


def _place(body: dict[str, Any], path: str, value: Any) -> None:
    """Put `value` at a dotted path, making the objects on the way."""
    *way, last = path.split(".")
    for name in way:
        body = body.setdefault(name, {})
    body[last] = value
