"""What will go wrong if nobody looks: told long before, and without taking the node out of work.

Everything that ends has a life of its own, so one rule serves all: whoever renews does so well before a quarter
of a life is left (`federation.trust_view.WARN_LEFT`), and from then on it is told. A node's configuration is
signed anew each hour of its 24, what the anchor signs at half of its 30 days, a TLS certificate at two thirds
of its 90.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from federation.peers import Directory, TrustSnapshot
from federation.ports import Clock
from federation.trust_view import WARN_LEFT
from node.health import Reason, Warner

__all__ = ["tls_warner", "trust_warner"]


def trust_warner(directory: Directory, clock: Clock, *, status_max_age_s: float) -> Warner:
    """Warns of an old status, of a mirror in the anchor's place, of chains that end or have ended."""

    def look() -> list[Reason]:
        snapshot, now = directory.current, clock.now()
        if snapshot.refreshed_at is None:
            return []
        return [
            *_of_status(snapshot, snapshot.refreshed_at, now, status_max_age_s),
            *_of_chains(snapshot, now),
        ]

    return look


def _of_status(
    snapshot: TrustSnapshot, signed_at: datetime, now: datetime, status_max_age_s: float
) -> Iterator[Reason]:
    if snapshot.own_entity in snapshot.revoked:
        why = snapshot.revoked[snapshot.own_entity]
        yield Reason(
            "trust_own_revoked", f"本节点已被锚撤销：{why}", f"the anchor has revoked this node: {why}"
        )
    if (now - signed_at).total_seconds() > status_max_age_s:
        at = signed_at.isoformat(timespec="seconds")
        yield Reason(
            "trust_status_old",
            f"锚的状态签于 {at}，此后的撤销本节点尚不知道",
            f"the anchor's status is of {at}: a revocation since then is not known here",
        )
    if snapshot.mirror:
        yield Reason(
            "trust_from_mirror",
            f"锚没有应答，信任状态取自 {snapshot.mirror}",
            f"the anchor does not answer: its status is had from {snapshot.mirror}",
        )


def _of_chains(snapshot: TrustSnapshot, now: datetime) -> Iterator[Reason]:
    ends = [
        (peer.entity_id, peer.expires_at, peer.warn_at)
        for peer in snapshot.peers.values()
        if peer.standing == "member"
    ]
    if snapshot.own_expires_at is not None:
        ends.append((snapshot.own_entity, snapshot.own_expires_at, snapshot.own_warn_at))
    for entity_id, expires_at, warn_at in ends:
        until = expires_at.isoformat(timespec="seconds")
        if now >= expires_at:
            yield Reason(
                "trust_chain_expired",
                f"{entity_id} 的信任链已于 {until} 过期",
                f"the trust chain of {entity_id} expired at {until}",
            )
        elif warn_at is not None and now >= warn_at:
            yield Reason(
                "trust_chain_ending",
                f"{entity_id} 的信任链将于 {until} 过期，仍未取得更新",
                f"the trust chain of {entity_id} ends at {until}, and nothing newer has come",
            )


def tls_warner(life: Callable[[], tuple[datetime, datetime]], clock: Clock) -> Warner:
    """Warns of a TLS certificate that should have been renewed. `life` is when it began and when it ends."""

    def look() -> list[Reason]:
        began_at, ends_at = life()
        if clock.now() < ends_at - (ends_at - began_at) * WARN_LEFT:
            return []
        until = ends_at.isoformat(timespec="seconds")
        return [
            Reason(
                "tls_ending",
                f"TLS 证书将于 {until} 到期，仍未续签；见 yrd keys rotate tls",
                f"the TLS certificate ends at {until} and was not renewed: see yrd keys rotate tls",
            )
        ]

    return look
