"""The errors of the keystore."""

from __future__ import annotations

__all__ = ["KeystoreError", "SourceAway"]


class KeystoreError(Exception):
    """The node's keys cannot be used; the text says which, why, and what to do."""


class SourceAway(KeystoreError):
    """Where the keys are cannot be reached now, so nothing can be said of any of them."""
