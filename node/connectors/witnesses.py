"""Witnesses over HTTP (C2SP tlog-witness): bounded in size and time, never redirected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import aiohttp

from federation.errors import PeerMalformed, PeerTimeout, PeerUnreachable
from federation.witnesses import Cosigned, StandsAt, WitnessAnswer, WitnessRefused
from node.web.witness import ADD_CHECKPOINT_PATH, KNOWN_CHECKPOINT_PATH, SIZE_MEDIA
from trust.checkpoint import read_size
from trust.errors import NoteRejected
from trust.identity import is_loopback_host

__all__ = ["HttpWitnesses"]

_MOST_BYTES = 16 * 1024
"""One checkpoint and a handful of signatures."""
_MOST_WORDS = 200
_CONFLICT = 409


class HttpWitnesses:
    """Implements `federation.witnesses.Witnesses` over one aiohttp session that the caller opens and closes.

    Only https, and http to loopback where that is allowed. What comes back is signed or worthless, so nothing else is
    asked of the connection.
    """

    def __init__(self, session: aiohttp.ClientSession, *, allow_http_on_loopback: bool = False) -> None:
        self._session = session
        self._allow_http_on_loopback = allow_http_on_loopback

    async def add_checkpoint(self, entity_id: str, body: bytes, *, timeout_s: float) -> WitnessAnswer:
        """Ask a witness to cosign. Raises PeerUnreachable, PeerTimeout."""
        url = entity_id + ADD_CHECKPOINT_PATH
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        async with self._answer("POST", url, timeout_s, data=body, headers=headers) as (response, answer):
            if response.status == 200:
                return Cosigned(answer)
            if response.status == _CONFLICT:
                return StandsAt(_size(answer) if response.content_type == SIZE_MEDIA else None)
            return WitnessRefused(response.status, _words(answer))

    async def known(self, entity_id: str, log: str, *, timeout_s: float) -> bytes | None:
        """The newest checkpoint that the witness cosigned for a log. Raises PeerUnreachable, PeerTimeout,
        PeerMalformed.
        """
        url = f"{entity_id}{KNOWN_CHECKPOINT_PATH}?entity={quote(log, safe='')}"
        async with self._answer("GET", url, timeout_s) as (response, answer):
            if response.status == 404:
                return None
            if response.status != 200:
                raise PeerMalformed(f"{url} answers {response.status}")
            return answer

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        url: str,
        timeout_s: float,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, bytes]]:
        self._check_scheme(url)
        try:
            async with self._session.request(
                method,
                url,
                data=data,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                answer = await _read(response)
        except TimeoutError:
            raise PeerTimeout(f"{url} did not answer within {timeout_s} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise PeerUnreachable(f"{url} cannot be reached: {type(error).__name__}") from error
        yield response, answer

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        on_loopback = self._allow_http_on_loopback and is_loopback_host(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
            raise PeerUnreachable(
                f"{url} is not asked: https only (http on loopback where a setting allows it)"
            )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise PeerUnreachable(f"{response.url} gives more than {_MOST_BYTES} bytes")
    return bytes(body)


def _size(answer: bytes) -> int | None:
    """The size of a conflict's body; None when it is none."""
    try:
        return read_size(answer.decode("ascii").removesuffix("\n"))
    except (UnicodeDecodeError, NoteRejected):
        return None


def _words(answer: bytes) -> str:
    """What a witness says why, fit for a log."""
    text = answer.decode("utf-8", "replace")[:_MOST_WORDS]
    return "".join(char if char.isprintable() else " " for char in text).strip()
