"""Logout tokens on their way to relying parties (OpenID Connect Back-Channel Logout §2.5): one POST, its status."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from federation.login.logout import PartyAway
from trust.identity import is_loopback_host

__all__ = ["HttpLogoutPosts"]


@dataclass(frozen=True, slots=True)
class HttpLogoutPosts:
    """`federation.login.logout.LogoutPoster` over one aiohttp session, which the caller opens and closes.

    What is answered besides the status is not read, and nothing is redirected: a token goes where its party registered.
    """

    session: aiohttp.ClientSession
    allow_http_on_loopback: bool = False

    async def post(self, uri: str, logout_token: str, *, timeout_s: float) -> int:
        """See `LogoutPoster.post`."""
        parts = urlsplit(uri)
        is_local = self.allow_http_on_loopback and is_loopback_host(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise PartyAway("its address is neither https nor allowed on loopback")
        try:
            async with self.session.post(
                uri,
                data={"logout_token": logout_token},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                return response.status
        except TimeoutError:
            raise PartyAway(f"no answer within {timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise PartyAway(f"cannot be reached: {type(error).__name__}") from error
