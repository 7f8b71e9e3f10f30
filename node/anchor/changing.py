"""Keys of the anchor that change: published first, used from a time on, and what they replace kept until no
one needs it. The status key and the CA change so; the root key passes on by roll-over (`node.anchor.rotation`).

`changes.json` has, for `status` and `ca`: `from`, when the next key begins to sign, and `old_until`, when the
old one is taken out of the configuration. The next key lies in ``keys/<name>.next.pem`` until then.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from node.anchor.folder import ROOT, AnchorFolder
from trust.keys import SigningKey, VerificationKey
from trust.rollover import read_roll_overs

__all__ = [
    "active_key",
    "active_name",
    "authorities",
    "ca_bundle",
    "fingerprint",
    "finish_changes",
    "status_keys",
]


def active_name(folder: AnchorFolder, purpose: str, now: datetime) -> str:
    """The name of the key that signs now: `purpose`, or the next one once its time has come, or when it is the
    only one that is left.
    """
    following, change = f"{purpose}.next", folder.changes().get(purpose)
    if change is None or not folder.has_key(following):
        return purpose
    begun = now.timestamp() >= change["from"]
    return following if begun or not folder.has_key(purpose) else purpose


def active_key(folder: AnchorFolder, purpose: str, now: datetime) -> SigningKey:
    """The key that signs now. Raises AnchorRefused when it cannot be used."""
    return folder.key(active_name(folder, purpose, now))


def status_keys(folder: AnchorFolder, now: datetime) -> list[VerificationKey]:
    """The status keys that the configuration of `now` names: the active one first."""
    active = active_name(folder, "status", now)
    names = [name for name in ("status", "status.next") if name == active or folder.has_key(name)]
    return [folder.key(name).verification_key for name in sorted(names, key=lambda name: name != active)]


def authorities(folder: AnchorFolder) -> list[bytes]:
    """The CAs that nodes trust, each as PEM: the one in use, and the one that comes."""
    return [pem for pem in (folder.ca_pem("ca"), folder.ca_pem("ca.next")) if pem]


def ca_bundle(folder: AnchorFolder, now: datetime) -> bytes:
    """The same as one PEM text, the CA that issues now first."""
    active = folder.ca_pem(active_name(folder, "ca", now))
    return active + b"".join(pem for pem in authorities(folder) if pem != active)


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate of a PEM text, in hex."""
    return sha256(load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()


def finish_changes(folder: AnchorFolder, now: datetime) -> list[str]:
    """Take out what has had its time: the next key becomes the only one, and the old root key's file goes.

    Returns the names of what ended, for people.
    """
    changes, ended = folder.changes(), []
    for purpose, change in list(changes.items()):
        if now.timestamp() >= change["old_until"]:
            _promote(folder, purpose)
            del changes[purpose]
            folder.write_changes(changes)
            ended.append(purpose)
    roll_overs = read_roll_overs(folder.roll_overs(), anchor=folder.facts().entity_id)
    if roll_overs and now >= roll_overs[-1].old_until and folder.has_key(f"{ROOT}.old"):
        folder.remove_key(f"{ROOT}.old")
        ended.append(ROOT)
    return ended


def _promote(folder: AnchorFolder, purpose: str) -> None:
    """The certificate before its key: stopped in between, the key's next look finds the right one."""
    next_ca = folder.ca_pem(f"{purpose}.next") if purpose == "ca" else b""
    if next_ca:
        folder.write_ca(purpose, next_ca)
    if folder.has_key(f"{purpose}.next"):
        folder.move_key(f"{purpose}.next", purpose)
    if next_ca:
        folder.remove_ca(f"{purpose}.next")
