"""The one error of the keystore."""

from __future__ import annotations

__all__ = ["KeystoreError"]


class KeystoreError(Exception):
    """The node's keys cannot be used; the text says which, why, and what to do."""
