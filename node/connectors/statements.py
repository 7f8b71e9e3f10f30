"""Fetches entity statements over HTTP: conditional, bounded in size and time, never redirected."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from federation.statements import Fetched, StatementMissing, StatementUnavailable
from trust.identity import is_loopback_host

__all__ = ["HttpStatementSource"]


class HttpStatementSource:
    """`StatementSource` over one aiohttp session, which the caller opens and closes.

    Only https, and http to loopback where that is allowed: a statement is signed, but who reads along and who
    can make us ask whom is decided by the URL.
    """

    def __init__(self, session: aiohttp.ClientSession, *, allow_http_on_loopback: bool = False) -> None:
        self._session = session
        self._allow_http_on_loopback = allow_http_on_loopback

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        """See StatementSource. Raises StatementUnavailable, StatementMissing."""
        self._check_scheme(url)
        headers = {"Accept-Encoding": "identity"} | ({"If-None-Match": etag} if etag else {})
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            # A statement is small: nothing is unpacked, so that a few bytes cannot become many.
            async with self._session.get(
                url, headers=headers, timeout=timeout, allow_redirects=False, auto_decompress=False
            ) as response:
                return await _read(response, max_bytes, conditional=bool(etag))
        except TimeoutError:
            raise StatementUnavailable(f"{url} did not answer within {timeout_s} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise StatementUnavailable(f"{url} cannot be fetched: {type(error).__name__}") from error

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        on_loopback = self._allow_http_on_loopback and is_loopback_host(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
            raise StatementUnavailable(
                f"{url} is not fetched: https only (http on loopback where a setting allows it)"
            )


async def _read(response: aiohttp.ClientResponse, max_bytes: int, *, conditional: bool) -> Fetched:
    etag = response.headers.get("ETag", "")[:128]
    if response.status == 304 and conditional:
        return Fetched(None, etag)
    if response.status == 404:
        raise StatementMissing(f"{response.url} answers 404")
    if response.status != 200:
        raise StatementUnavailable(f"{response.url} answers {response.status}")
    if (response.content_length or 0) > max_bytes:
        raise StatementUnavailable(f"{response.url} gives more than {max_bytes} bytes")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise StatementUnavailable(f"{response.url} gives more than {max_bytes} bytes")
    return Fetched(bytes(body), etag)
