"""How trust is told to people, Chinese and English, in a terminal and on a page."""

from __future__ import annotations

from datetime import datetime, timedelta

from federation.trust_picture import Standing
from trust.policy import Change

__all__ = ["PURPOSES", "STANDINGS", "STATEMENTS", "change_in_words", "moment", "span"]

STANDINGS = {
    Standing.ANCHOR: ("锚", "anchor"),
    Standing.OWN: ("本节点", "this node"),
    Standing.MEMBER: ("成员", "member"),
    Standing.EXPIRED: ("信任链已过期", "chain expired"),
    Standing.DENIED: ("本节点已停用", "denied here"),
    Standing.REVOKED: ("锚已撤销", "revoked by the anchor"),
    Standing.REFUSED: ("未通过核验", "not believed"),
}
PURPOSES = {
    "federation": ("联邦密钥", "federation key"),
    "status": ("状态密钥", "status key"),
    "envelope": ("报文密钥", "envelope key"),
}
STATEMENTS = {
    "entity-configuration": ("自述", "own configuration"),
    "subordinate-statement": ("上级声明", "superior's statement"),
}


def change_in_words(change: Change) -> str:
    """What was said, what counts, and by what."""
    name = change.entity_type if change.parameter is None else f"{change.entity_type}.{change.parameter}"
    claimed = "—" if change.claimed is None else change.claimed
    after = "—" if change.after is None else change.after
    return f"{name}: {claimed} → {after} ({', '.join(change.by)})"


def moment(at: datetime) -> str:
    """A time in UTC, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def span(length: timedelta) -> str:
    """A length of time in the unit that fits it: seconds, minutes, hours, days."""
    seconds = max(0.0, length.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
