"""What came of a refresh of trust, for the log, for the operator who asked for it, and for who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from federation.peers import TrustSnapshot

__all__ = ["RefreshReport", "added", "joined", "report_of"]


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What came of one refresh. `problems` are by entity id, in words for the operator."""

    at: datetime
    sequence: int
    status_issued_at: datetime | None
    expires_at: datetime | None
    """When the first chain of a member, or this node's own, ends."""
    members: int
    revoked: int
    denied: int
    problems: Mapping[str, str]
    mirror: str = ""
    """Where the anchor's status was had, when not from the anchor."""


def report_of(snapshot: TrustSnapshot, at: datetime, problems: Mapping[str, str]) -> RefreshReport:
    """The report on what is known at `at`."""
    peers = snapshot.peers.values()
    ends = [peer.expires_at for peer in peers if peer.standing == "member"]
    own_end = [snapshot.own_expires_at] if snapshot.own_expires_at is not None else []
    return RefreshReport(
        at=at,
        sequence=snapshot.sequence,
        status_issued_at=snapshot.refreshed_at,
        expires_at=min([*ends, *own_end], default=None),
        members=len(ends),
        revoked=sum(peer.standing == "revoked" for peer in peers),
        denied=sum(peer.standing == "denied" for peer in peers),
        problems=problems,
        mirror=snapshot.mirror,
    )


def joined(fetching: Mapping[str, str], believing: Mapping[str, str]) -> dict[str, str]:
    """Why something could not be had, and what follows from it, in one line for each entity."""
    subjects = sorted(fetching.keys() | believing.keys())
    return {subject: added(fetching.get(subject, ""), believing.get(subject, "")) for subject in subjects}


def added(known: str, problem: str) -> str:
    """Both, each once."""
    return known if problem in known else f"{known}; {problem}" if known else problem
