"""Who an entity is: its entity id, and the TLS name that stands for it.

An entity id is an HTTPS URL with host, optional port and path, no query, no fragment (OpenID Federation 1.1
§1.2), in one spelling only, since everything compares it as text. Plain HTTP is allowed on loopback, by an
explicit setting.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from functools import lru_cache
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit

from trust.errors import EntityIdRejected

__all__ = ["check_entity_id", "host_and_port", "is_loopback_host", "tls_name"]

_MOST_CHARACTERS = 255
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def check_entity_id(value: str, *, allow_http_on_loopback: bool = False) -> str:
    """Return `value` when it is an entity id in its one spelling.

    Raises EntityIdRejected: not such a URL, user information, query, fragment, default port spelled out,
    upper case in the host, slash at the end, plain HTTP where it is not allowed.
    """
    if not isinstance(value, str) or not value.isascii() or len(value) > _MOST_CHARACTERS:
        raise EntityIdRejected(f"an entity id is a URL of at most {_MOST_CHARACTERS} ASCII characters")
    return _checked(value, allow_http_on_loopback)


@lru_cache(maxsize=1024)
def _checked(value: str, allow_http_on_loopback: bool) -> str:
    """Remembered, since the same few ids come with every statement and every call."""
    parts = _split(value)
    host, port = parts.hostname or "", f":{parts.port}" if parts.port is not None else ""
    bracketed = f"[{host}]" if ":" in host else host
    if f"{parts.scheme}://{bracketed}{port}{parts.path}" != value or port[1:] == _DEFAULT_PORTS.get(
        parts.scheme
    ):
        raise EntityIdRejected(
            f"{value} is not an entity id in its one spelling: scheme, host, port and path only"
        )
    if not _is_host(host) or not _PATH.fullmatch(parts.path) or "/." in parts.path:
        raise EntityIdRejected(
            f"{value} has no host name, or a path that is not plain and without a slash at its end"
        )
    if parts.scheme == "https" or (
        parts.scheme == "http" and allow_http_on_loopback and is_loopback_host(host)
    ):
        return value
    raise EntityIdRejected(
        f"{value} must begin with https:// (plain http only on loopback, where a setting allows it)"
    )


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise EntityIdRejected(f"{value} is not a URL") from None
    return parts


def _is_host(host: str) -> bool:
    if _HOST_NAME.fullmatch(host):
        return True
    try:
        return str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_and_port(endpoint: str) -> tuple[str, int]:
    """The parts of a gRPC endpoint ``host:port``. Raises EntityIdRejected."""
    host, _, port = endpoint.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not endpoint.isascii() or not _is_host(bare) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise EntityIdRejected(f"{endpoint!r} is not host:port")
    return bare, int(port)


def tls_name(entity_id: str) -> str:
    """The DNS name of the entity's TLS certificate: ``<base32(sha256(entity id)) in lower case>.peer.yrd``.

    52 characters of base32 are the whole digest without its padding; a DNS label holds 63.
    """
    digest = sha256(entity_id.encode()).digest()
    return base64.b32encode(digest).decode("ascii")[:52].lower() + ".peer.yrd"
