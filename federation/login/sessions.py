"""Sessions: who is logged in with which browser, who takes part, and what is left when one has ended.

A session at the home node hangs on the identity provider's, one at a visited node on the home node's. Platforms and
peer nodes take part in it: each is told a session id of its own, by which nobody can tell that two of them mean the
same login.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from federation.login.model import Session
from trust.algorithms import b64url

__all__ = [
    "MOST_PARTIES",
    "NEVER_ENDED",
    "EndedSession",
    "Party",
    "SessionEndings",
    "ShownSession",
    "form_token",
    "sid_of",
]

MOST_PARTIES: Final = 100
"""Parties of one session that are shown and told at once; the others are told by the turns that follow."""

NEVER_ENDED: Final = 0


class Party(Struct, frozen=True, kw_only=True):
    """Who takes part in a session: a relying party, with the session id and subject that it was told."""

    client_id: str
    sid: str
    subject: str


class EndedSession(Struct, frozen=True, kw_only=True):
    """A session with the time at which it ended, in seconds; `NEVER_ENDED` while it goes on."""

    session: Session
    ended_at: int = NEVER_ENDED

    @property
    def has_ended(self) -> bool:
        """Whether it was ended, by whomever."""
        return self.ended_at != NEVER_ENDED


class ShownSession(Struct, frozen=True, kw_only=True):
    """A session as its citizen is shown it, with the client ids of who takes part."""

    session: Session
    parties: tuple[str, ...]


class SessionEndings(Protocol):
    """How sessions are found and ended by others than their browser. Every method raises OwnStoreUnavailable."""

    async def by_token(self, token: str) -> EndedSession | None:
        """The session of a cookie, also when it has ended; None when it expired."""
        ...

    async def by_id(self, session_id: str) -> EndedSession | None:
        """The session with that id, also when it has ended; None when it is forgotten."""
        ...

    async def by_party(self, client_id: str, sid: str) -> EndedSession | None:
        """The session that this relying party was told this session id of, also when it has ended."""
        ...

    async def by_issuer(self, issuer: str, *, sid: str = "", subject: str = "") -> Sequence[str]:
        """Ids of the sessions that go on and hang on a session of that issuer's, or, without `sid`, on all sessions of
        a person's there. Empty when neither is given.
        """
        ...

    async def parties(self, session_id: str) -> Sequence[Party]:
        """Who takes part, in the order in which they came."""
        ...

    async def of_person(self, issuer: str, subject: str) -> Sequence[ShownSession]:
        """The sessions of a person that go on, the newest first."""
        ...

    async def end(self, session_id: str, *, told_by: str = "") -> bool:
        """End one, once: its grants end with it, save those with offline_access, and from now on all who take part are
        to be told, and at a visited node the home node as well. Who of them ended it (`told_by`) counts as told. False
        when it had ended before, by another replica perhaps.
        """
        ...

    async def revoke_all(self, issuer: str, subject: str) -> int:
        """End all grants of a person of that issuer's, those with offline_access too. How many ended."""
        ...


def sid_of(session_id: str, client_id: str) -> str:
    """The session id that one relying party is told. It says nothing about the session to whoever has not its id,
    which no cookie and no token carries.
    """
    return b64url(hashlib.sha256(f"sid\0{session_id}\0{client_id}".encode()).digest())


def form_token(session_token: str, use: str) -> str:
    """What a form of this node's carries, so that no other site can post it: made of the cookie's token, which no other
    site and no script can read.
    """
    return b64url(hashlib.sha256(f"form\0{use}\0{session_token}".encode()).digest())
