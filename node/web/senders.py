"""Whose address a request came from, behind the reverse proxies that stand before a listener."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web

__all__ = ["sender_of"]

_NETWORK_BITS: Final = 64
"""What one IPv6 subscriber has for itself (RFC 6177 §1), to take a new address from as often as it likes."""

_MOST_TEXT: Final = 64
"""Characters of an address with its zone (RFC 4007 §11): what is longer names nobody, and is not remembered."""


def sender_of(request: web.Request, *, proxies: int = 0) -> str:
    """The address of whoever sent it, an IPv6 address as its /64 network; empty when nobody says.

    `proxies` is how many reverse proxies of our own stand before the listener. Each appends to X-Forwarded-For the
    address that it was asked from, so what stands further left is only what the sender wrote. Where fewer addresses
    are there than proxies, or none at that place, the request did not come through them: then the connection's counts.
    """
    named = [
        part.strip() for line in request.headers.getall("X-Forwarded-For", []) for part in line.split(",")
    ]
    if 0 < proxies <= len(named):
        return _network(named[-proxies]) or _network(request.remote or "")
    return _network(request.remote or "")


def _network(text: str) -> str:
    return _network_of_short(text) if len(text) <= _MOST_TEXT else ""


@lru_cache(maxsize=4096)
def _network_of_short(text: str) -> str:
    """Remembered: a browser comes several times in one login, and few proxies stand before all."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or IPv6Network((address.packed, _NETWORK_BITS), strict=False))
    return str(address)
