"""Who is logged in at a simulated portal, in memory, found by cookie and by what a logout token names."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.identity.requests import Kept
from simulators.relying.party import LoggedInHere, Pending

__all__ = ["PortalSession", "PortalSessions"]


@dataclass(slots=True)
class PortalSession:
    """A browser at the portal, with or without somebody logged in."""

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    pending: dict[str, Pending] = field(default_factory=dict)
    who: LoggedInHere | None = None
    papers: list[Mapping[str, Any]] = field(default_factory=list)
    """Consents to fetch certificates, as the node gave them."""


class PortalSessions:
    """All of them."""

    def __init__(self) -> None:
        self._kept: Kept[PortalSession] = Kept()

    def find(self, cookie: str) -> PortalSession | None:
        """The session of a cookie."""
        return self._kept.find(cookie)

    def begin(self, session: PortalSession | None = None) -> tuple[str, PortalSession]:
        """A new cookie, for a new session or for one that goes on under another name."""
        session = session or PortalSession()
        return self._kept.keep(session), session

    def end(self, cookie: str) -> PortalSession | None:
        """Forget one; it is returned."""
        return self._kept.take(cookie)

    def end_named(self, sid: str, sub: str) -> int:
        """Forget all that a logout token names; how many."""
        names = [name for name, one in self._kept.items() if one.who and _is_named(one.who, sid, sub)]
        for name in names:
            self._kept.take(name)
        return len(names)

    def count(self) -> int:
        """How many have somebody logged in."""
        return sum(one.who is not None for _, one in self._kept.items())


def _is_named(who: LoggedInHere, sid: str, sub: str) -> bool:
    by_sid = not sid or who.claims.get("sid") == sid
    return by_sid and (not sub or who.claims["sub"] == sub)
