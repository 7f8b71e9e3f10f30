"""What one step of a login writes, all of it or nothing: one transaction, so one sync to disk.

The steps run in order and wait for nothing else meanwhile. Whoever writes takes rows in the order of the methods of
`Writes`, the row of the login last, so that no two steps ever wait for each other; and where the login went on
elsewhere meanwhile, raises: then nothing was written at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from federation.login.model import (
    Agreement,
    Grant,
    Identity,
    Interaction,
    OnBehalf,
    RelyingParty,
    Session,
)

__all__ = ["Together", "Writes"]

T = TypeVar("T")


class Writes(Protocol):
    """The writes of the ports (`federation.login.ports`) inside one transaction."""

    def begin_session(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        """As `Sessions.begin`."""
        ...

    def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        """As `Agreements.remember`."""
        ...

    def goes_on(self, session_id: str) -> bool:
        """Whether a session goes on; it cannot end before this transaction does."""
        ...

    def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        """As `Subjects.subject_for`."""
        ...

    def open_grant(self, grant: Grant, *, code_life_s: int) -> str:
        """Keep a grant and make its code."""
        ...

    def take_part(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        """Remember who has to be told when the session ends. False when it has ended."""
        ...

    def replace(self, interaction: Interaction) -> bool:
        """As `Interactions.replace`."""
        ...


class Together(Protocol):
    """Makes such a transaction."""

    async def write(self, steps: Callable[[Writes], T]) -> T:
        """What `steps` returns, committed; rolled back when it raises. Raises OwnStoreUnavailable."""
        ...
