"""Brings a renewal request to the anchor over HTTP: one POST, bounded in size and time, never redirected."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import orjson

from trust.documents import TLS_PATH
from trust.identity import is_loopback_host
from trust.renewal import RENEWAL_MEDIA

__all__ = ["HttpRenewalDesk", "RenewalRefused"]

_MOST_BYTES = 64 * 1024
_TIMEOUT_S = 10.0
_MOST_WORDS = 200


class RenewalRefused(Exception):
    """There was no chain: the anchor is away, or says no. The text is for the operator.

    `retry_after_s` is how long the anchor wants not to be asked, where it says so (RFC 9110 §10.2.3); unbounded.
    """

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class HttpRenewalDesk:
    """The anchor's desk for TLS certificates, over one aiohttp session that the caller opens and closes.

    Only https, and http to loopback where that is allowed. What comes back is signed by the CA or worthless, so
    nothing else is asked of the connection.
    """

    def __init__(
        self, session: aiohttp.ClientSession, anchor: str, *, allow_http_on_loopback: bool = False
    ) -> None:
        self._session = session
        self._url = anchor + TLS_PATH
        self._allow_http_on_loopback = allow_http_on_loopback

    async def renew(self, request: str) -> str:
        """Hand in a request; the chain that was issued, in PEM, of which nothing is proven.

        Raises RenewalRefused. Cancelled, the anchor may have issued a chain that nobody got; asking again is safe.
        """
        self._check_scheme()
        headers = {"Content-Type": RENEWAL_MEDIA, "Accept-Encoding": "identity"}
        try:
            async with self._session.post(
                self._url,
                data=request.encode("ascii"),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                body, retry_after_s = await _read(response), _retry_after_s(response)
        except TimeoutError:
            raise RenewalRefused(f"{self._url} did not answer within {_TIMEOUT_S} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise RenewalRefused(f"{self._url} cannot be reached: {type(error).__name__}") from error
        return self._chain(response.status, body, retry_after_s)

    def _chain(self, status: int, body: bytes, retry_after_s: float | None) -> str:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        said = answer if isinstance(answer, dict) else {}
        if status != 200:
            raise RenewalRefused(
                f"{self._url} answers {status} {_words(said.get('error_description'))}".rstrip(),
                retry_after_s=retry_after_s,
            )
        chain = said.get("tls_chain_pem")
        if not isinstance(chain, str) or not chain.isascii():
            raise RenewalRefused(f"{self._url} gives no chain")
        return chain

    def _check_scheme(self) -> None:
        parts = urlsplit(self._url)
        on_loopback = self._allow_http_on_loopback and is_loopback_host(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
            raise RenewalRefused(
                f"{self._url} is not asked: https only (http on loopback where a setting allows it)"
            )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise RenewalRefused(f"{response.url} gives more than {_MOST_BYTES} bytes")
    return bytes(body)


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """In seconds; the form that is a date is not one that an anchor gives."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _words(text: object) -> str:
    """What the anchor says why, fit for a log."""
    return "".join(c for c in str(text or "")[:_MOST_WORDS] if c.isprintable())
