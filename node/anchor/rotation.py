"""Changing the anchor's keys without anyone losing sight of it.

- The root key: a new one is made, and a roll-over token says so, signed by both (`trust.rollover`). From then
  on the new key signs; the configuration names the old one too until its `old_until`, and nodes that pinned
  either find the other. An authority's key is vouched for by its superior, so it is published first, and takes
  over at a second call, when the superior has named it.
- The status key: published beside the old one, and used when every node has had time to see it.
- The CA: named in the configuration first, so that every node trusts it before any certificate comes from it;
  the old one is named until no member holds a certificate of it.

Every step can be repeated: what was stopped in the middle is taken up where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from node.anchor.changing import fingerprint, finish_changes
from node.anchor.folder import ROOT, AnchorFolder
from node.anchor.member import AnchorRefused
from node.anchor.publishing import publish
from node.anchor.signing import former_keys, root_key
from trust.errors import TrustError
from trust.keys import SigningKey
from trust.rollover import MAX_ROLL_OVERS, build_roll_over, roll_overs_document
from trust.x509 import DEFAULT_DAYS, make_ca

__all__ = [
    "CA_LEAD_S",
    "OVERLAP_DAYS",
    "STATUS_LEAD_S",
    "RootRotation",
    "finish",
    "rotate_ca",
    "rotate_root",
    "rotate_status",
]

OVERLAP_DAYS = 30
STATUS_LEAD_S = 600
CA_LEAD_S = 24 * 3600
_STATUS_OVERLAP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RootRotation:
    """What a rotation of the root key came to. `number` 0: published only, it has not taken over yet."""

    number: int
    kid: str
    old_until: datetime | None


def rotate_root(
    directory: Path,
    *,
    now: datetime,
    reason: str,
    overlap: timedelta = timedelta(days=OVERLAP_DAYS),
    again: bool = False,
    root_path: Path | None = None,
) -> RootRotation:
    """Give the anchor a new root key, and sign everything anew with it. The old one is kept beside it as
    ``federation.old.pem`` until its time is over. `again`: although the one before has not had its time yet,
    as when the new key was stolen at once.

    Raises AnchorRefused: the root key is away, the rotation before is not over, there were too many.
    """
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        if not _is_half_done(folder):
            root_key(folder)
        taking_over = _stage(folder, now, again)
        if taking_over:
            _pass_on(folder, now, now + overlap, reason)
    publish(directory, now=now, root_path=root_path)
    if not taking_over:
        return RootRotation(0, folder.key(f"{ROOT}.next").kid, None)
    last = former_keys(folder)[-1]
    return RootRotation(last.number, last.new.kid, last.old_until)


def _is_half_done(folder: AnchorFolder) -> bool:
    """Whether a roll-over was written whose new key has not taken its place."""
    roll_overs, next_key = former_keys(folder), f"{ROOT}.next"
    return (
        bool(roll_overs) and folder.has_key(next_key) and folder.key(next_key).kid == roll_overs[-1].new.kid
    )


def _stage(folder: AnchorFolder, now: datetime, again: bool) -> bool:
    """Make the next key; whether it takes over at once."""
    if folder.has_key(f"{ROOT}.next"):
        return True
    roll_overs = former_keys(folder)
    if roll_overs and now < roll_overs[-1].old_until and not again:
        raise AnchorRefused(
            f"the old key still signs until {roll_overs[-1].old_until.isoformat()}: one rotation at a time"
        )
    if len(roll_overs) >= MAX_ROLL_OVERS:
        raise AnchorRefused(f"there were {MAX_ROLL_OVERS} rotations: begin a new anchor")
    folder.write_key(f"{ROOT}.next", SigningKey.generate())
    return not folder.facts().is_authority


def _pass_on(folder: AnchorFolder, now: datetime, old_until: datetime, reason: str) -> None:
    """The token first: a key that has taken its place is always one that a token names."""
    roll_overs = former_keys(folder)
    if not _is_half_done(folder):
        try:
            token = build_roll_over(
                anchor=folder.facts().entity_id,
                number=len(roll_overs) + 1,
                old=folder.key(ROOT),
                new=folder.key(f"{ROOT}.next"),
                now=now,
                old_until=old_until,
                reason=reason,
            )
        except TrustError as error:
            raise AnchorRefused(error.detail) from error
        folder.write_roll_overs(roll_overs_document([*(past.token for past in roll_overs), token]))
    if folder.key(ROOT).kid != folder.key(f"{ROOT}.next").kid:
        folder.write_key(f"{ROOT}.old", folder.key(ROOT))
    folder.move_key(f"{ROOT}.next", ROOT)


def rotate_status(
    directory: Path, *, now: datetime, lead_s: int = STATUS_LEAD_S, root_path: Path | None = None
) -> datetime:
    """Give the anchor a new status key, which signs from `lead_s` on; returns that time.

    Raises AnchorRefused: the root key is away, the rotation before is not over, there is no status key.
    """
    from_at = now + timedelta(seconds=lead_s)
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        _begin(folder, "status", from_at, from_at + _STATUS_OVERLAP)
        folder.write_key("status.next", SigningKey.generate())
    publish(directory, now=now, root_path=root_path)
    return from_at


def rotate_ca(
    directory: Path, *, now: datetime, lead_s: int = CA_LEAD_S, root_path: Path | None = None
) -> datetime:
    """Give the anchor a new CA, which issues from `lead_s` on; returns that time. The old one is trusted
    until what it issued before has ended.

    Raises AnchorRefused: the root key is away, the rotation before is not over, there is no CA.
    """
    from_at = now + timedelta(seconds=lead_s)
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        _begin(folder, "ca", from_at, from_at + timedelta(days=DEFAULT_DAYS))
        key = SigningKey.generate()
        folder.write_key("ca.next", key)
        folder.write_ca("ca.next", make_ca(key, folder.facts().name, now))
    publish(directory, now=now, root_path=root_path)
    return from_at


def _begin(folder: AnchorFolder, purpose: str, from_at: datetime, old_until: datetime) -> None:
    root_key(folder)
    if folder.facts().is_authority:
        raise AnchorRefused(f"an authority has no {purpose} key: its superior's serves")
    changes = folder.changes()
    if purpose in changes and folder.has_key(f"{purpose}.next"):
        raise AnchorRefused(f"the {purpose} key is being changed already: finish that first")
    times = {"from": int(from_at.timestamp()), "old_until": int(old_until.timestamp())}
    folder.write_changes({**changes, purpose: times})


def finish(
    directory: Path, *, now: datetime, early: bool = False, root_path: Path | None = None
) -> list[str]:
    """Take out the old keys whose time is over, and sign the configuration without them; returns which.

    `early`: also those of which nobody needs anything any more: a CA of which no member holds a certificate,
    a status key that signs no more. The old root key always keeps its time, which nodes know from the token.
    Raises AnchorRefused.
    """
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        root_key(folder)
        if early:
            _end_early(folder, now)
        ended = finish_changes(folder, now)
    publish(directory, now=now, renew_within_s=0, root_path=root_path)
    return ended


def _end_early(folder: AnchorFolder, now: datetime) -> None:
    changes = folder.changes()
    for purpose, change in changes.items():
        if now.timestamp() < change["from"]:
            raise AnchorRefused(f"the next {purpose} key does not sign yet")
        if purpose == "ca":
            old = fingerprint(folder.ca_pem("ca"))
            holders = [
                member.entity_id
                for member in folder.members().values()
                if member.is_node and not member.is_revoked and member.tls_ca in ("", old)
            ]
            if holders:
                raise AnchorRefused(f"still with a certificate of the old CA: {', '.join(holders)}")
        change["old_until"] = int(now.timestamp())
    folder.write_changes(changes)
