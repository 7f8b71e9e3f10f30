"""Secrets that were verified in this process, so that a client that calls again and again is hashed slowly once.

A secret is remembered as HMAC-SHA-256 under a random key that never leaves the memory, together with the stored hash
that it was verified against: once the client's row has another one, nothing that is remembered fits. What is not right
is never remembered, so whoever guesses pays scrypt for each guess.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

__all__ = ["KnownSecrets"]

_KEY_BYTES = 32


class KnownSecrets:
    """At most `kept` clients, one secret each; who called longest ago is forgotten first."""

    def __init__(self, kept: int = 4096) -> None:
        self._kept = kept
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._tags: OrderedDict[str, bytes] = OrderedDict()

    def knows(self, client_id: str, secret: str, stored: str) -> bool:
        """Whether that secret of that client was verified against this very hash."""
        tag = self._tags.get(client_id)
        if tag is None or not hmac.compare_digest(tag, self._tag(secret, stored)):
            return False
        self._tags.move_to_end(client_id)
        return True

    def remember(self, client_id: str, secret: str, stored: str) -> None:
        """It was verified."""
        self._tags[client_id] = self._tag(secret, stored)
        self._tags.move_to_end(client_id)
        if len(self._tags) > self._kept:
            self._tags.popitem(last=False)

    def _tag(self, secret: str, stored: str) -> bytes:
        said = f"{stored}\0{secret}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, said, "sha256")
