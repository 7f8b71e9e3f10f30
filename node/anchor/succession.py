"""A new anchor in the place of one whose root key is lost: the same entity id, members, and CA, other keys.

Nobody can sign the new root key over any more, so every node's operator pins it anew by hand; then statements,
TLS certificates and evidence go on as they were. What the lost folder still has is taken over: members with
their revocations, the CA, the last status sequence. A CA whose key is lost too is named on until what it issued
has ended, and a new one issues.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta

from node.anchor.folder import AnchorFacts, AnchorFolder
from node.anchor.member import AnchorRefused
from trust.keys import SigningKey
from trust.x509 import DEFAULT_DAYS, make_ca

__all__ = ["check_predecessor", "take_over"]


def check_predecessor(old: AnchorFolder, facts: AnchorFacts) -> None:
    """Return when `facts` can stand in the place of the anchor in `old`. Raises AnchorRefused."""
    before = old.facts()
    if before.entity_id != facts.entity_id:
        raise AnchorRefused(
            f"{old.directory} is {before.entity_id}: every node and member names that, so it stays"
        )
    if before.is_authority != facts.is_authority:
        raise AnchorRefused(f"{old.directory} is of another kind")


def take_over(folder: AnchorFolder, old: AnchorFolder, now: datetime) -> None:
    """Take what the old folder still has into the new one, which was just made and has signed nothing."""
    for member in old.members().values():
        folder.write_member(member)
        if seen := old.seen(member.entity_id):
            folder.write_seen(member.entity_id, seen)
    if (old.directory / "status.json").exists():
        shutil.copy2(old.directory / "status.json", folder.directory / "status.json")
    if not folder.facts().is_authority:
        _take_over_ca(folder, old, now)


def _take_over_ca(folder: AnchorFolder, old: AnchorFolder, now: datetime) -> None:
    changes = {purpose: change for purpose, change in old.changes().items() if purpose == "ca"}
    for name in ("ca", "ca.next"):
        if pem := old.ca_pem(name):
            folder.write_ca(name, pem)
        if old.has_key(name):
            folder.write_key(name, old.key(name))
    if old.ca_pem() and not (old.has_key("ca") or old.has_key("ca.next")):
        key = SigningKey.generate()
        folder.remove_key("ca")
        folder.write_key("ca.next", key)
        folder.write_ca("ca.next", make_ca(key, folder.facts().name, now))
        old_until = now + timedelta(days=DEFAULT_DAYS)
        changes = {"ca": {"from": int(now.timestamp()), "old_until": int(old_until.timestamp())}}
    folder.write_changes(changes)
