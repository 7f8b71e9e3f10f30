"""A registry over HTTP and JSON, as the config describes it.

Every look-up is a read, so one that met a connection the registry had just closed is sent once more. Nothing
that was asked with stands in an error or a log: parameters are holders' numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import aiohttp

from federation.deadlines import Deadlines
from federation.errors import RegistryBadAnswer, RegistryTimeout, RegistryUnreachable
from federation.ports import RegistryAnswer
from federation.query import Operation
from node.connectors.documents import parse_json, read_answer
from node.connectors.http_requests import RequestWriter
from node.connectors.settings import HttpOperation, HttpRegistrySettings, entry_for

__all__ = ["HttpRegistry"]

_Bytes = TypeVar("_Bytes", bytes, bytearray)
_AWAY = (429, 502, 503, 504)
"""Statuses by which the registry, or what stands before it, says that it cannot answer now."""


@dataclass(frozen=True, slots=True)
class _Opened:
    session: aiohttp.ClientSession
    deadlines: Deadlines


class HttpRegistry:
    """Implements `federation.ports.LocalRegistry`. ``async with`` opens it and closes its connections."""

    def __init__(self, settings: HttpRegistrySettings) -> None:
        self._settings = settings
        self._writers = {
            name: RequestWriter.of(settings.base_url, operation)
            for name, operation in settings.operations.items()
        }
        self._opened: _Opened | None = None

    async def __aenter__(self) -> HttpRegistry:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections, ttl_dns_cache=60),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **self._settings.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # `look_up` has its own
        )
        self._opened = _Opened(session, Deadlines(asyncio.get_running_loop()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.session.close()
            self._opened.deadlines.close()

    async def look_up(
        self, operation: Operation, parameters: Mapping[str, str], *, timeout_s: float
    ) -> RegistryAnswer:
        """See the port. The look-up ends within `timeout_s` and within the config's own time-out."""
        if self._opened is None:
            raise RuntimeError("HttpRegistry is used outside of its async with")
        writer, session = entry_for(self._writers, operation), self._opened.session
        limit_s = min(timeout_s, self._settings.timeout_s)
        try:
            with self._opened.deadlines.within(limit_s):
                status, data = await self._send(session, writer, parameters)
        except TimeoutError:
            raise RegistryTimeout(f"the registry did not answer within {max(limit_s, 0):.1f} s") from None
        except aiohttp.ClientConnectionError as error:
            raise RegistryUnreachable(f"no connection to the registry: {type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise RegistryBadAnswer(f"the registry does not speak HTTP: {type(error).__name__}") from error
        return _read(writer.operation, status, data)

    async def _send(
        self, session: aiohttp.ClientSession, writer: RequestWriter, parameters: Mapping[str, str]
    ) -> tuple[int, bytes]:
        try:
            return await self._send_once(session, writer, parameters)
        except aiohttp.ServerDisconnectedError:
            return await self._send_once(session, writer, parameters)

    async def _send_once(
        self, session: aiohttp.ClientSession, writer: RequestWriter, parameters: Mapping[str, str]
    ) -> tuple[int, bytes]:
        response = await session.request(
            writer.operation.method,
            writer.url(parameters),
            data=writer.body(parameters),
            allow_redirects=False,
        )
        if response.closed:  # all of it came with the head, and the connection is given back already
            return response.status, self._within(response.content.read_nowait(-1))
        async with response:
            return response.status, await self._read_bounded(response)

    async def _read_bounded(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, unless it is longer than the limit: then it is not read to its end."""
        if (response.content_length or 0) > self._settings.answer_bytes:
            raise _too_long(self._settings.answer_bytes)
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            self._within(data)
        return bytes(data)

    def _within(self, data: _Bytes) -> _Bytes:
        if len(data) > self._settings.answer_bytes:
            raise _too_long(self._settings.answer_bytes)
        return data


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
