"""Where an anchor keeps itself: a plain folder, so that a ceremony can look at it and a copy is a backup.

    anchor.json              who the anchor is
    configuration.jwt        its entity configuration, signed ahead
    keys/federation.pem      the root key; may lie elsewhere while the anchor only serves
    keys/status.pem          the online key that the configuration delegates the status to
    keys/ca.pem, ca.crt.pem  the CA for mutual TLS
    members/<name>.json      one member: what it is, its current statement, its revocation
    status.json              the last status sequence that was given out

Keys are 0600 in a folder of 0700, and a key that others may read is refused. Files are replaced whole:
written beside, synced, renamed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from node.anchor.enrolment import AnchorRefused
from trust.errors import KeyRejected
from trust.identity import tls_name
from trust.keys import SigningKey

__all__ = ["AnchorFacts", "AnchorFolder", "Member"]


@dataclass(frozen=True, slots=True)
class AnchorFacts:
    """Who the anchor is."""

    entity_id: str
    name: str
    allow_http_on_loopback: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the anchor knows it. Times are seconds since 1970; `revoked_at` 0: in good standing."""

    entity_id: str
    province: str
    name: str
    grpc_endpoint: str
    federation_jwks: Mapping[str, Any]
    policy: Mapping[str, Any]
    statement: str
    enrolled_at: int
    tls_not_after: int
    revoked_at: int = 0
    reason: str = ""

    @property
    def is_revoked(self) -> bool:
        """Whether the anchor took its word back."""
        return self.revoked_at > 0

    def revoked(self, at: int, reason: str) -> Member:
        """The same member, no longer believed."""
        return replace(self, revoked_at=at, reason=reason)


class AnchorFolder:
    """Reads and writes the folder. Nothing is kept in memory: command and server see the same files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def create(self, facts: AnchorFacts, keys: Mapping[str, SigningKey], ca_pem: bytes) -> None:
        """Make a new anchor. Raises AnchorRefused when there is one already."""
        if (self.directory / "anchor.json").exists():
            raise AnchorRefused(f"{self.directory} already holds an anchor")
        for folder in (self.directory, self.directory / "keys", self.directory / "members"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, key in keys.items():
            _write(self.directory / "keys" / f"{name}.pem", key.to_pem())
        _write(self.directory / "ca.crt.pem", ca_pem)
        _write(self.directory / "anchor.json", _json(asdict(facts)))

    def facts(self) -> AnchorFacts:
        """Who the anchor is. Raises AnchorRefused when there is none here."""
        try:
            return AnchorFacts(**orjson.loads((self.directory / "anchor.json").read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise AnchorRefused(f"{self.directory} holds no anchor: {error}") from error

    def has_key(self, name: str) -> bool:
        """Whether that key lies here."""
        return (self.directory / "keys" / f"{name}.pem").exists()

    def key(self, name: str) -> SigningKey:
        """A key of the anchor. Raises AnchorRefused when it is not here, or others may read it."""
        path = self.directory / "keys" / f"{name}.pem"
        try:
            if path.stat().st_mode & 0o077:
                raise AnchorRefused(
                    f"{path} may be read by others: chmod 600 it, and consider whether it still is a secret"
                )
            return SigningKey.from_pem(path.read_bytes())
        except (OSError, KeyRejected) as error:
            raise AnchorRefused(f"the anchor's {name} key cannot be used: {error}") from error

    def ca_pem(self) -> bytes:
        """The CA's own certificate."""
        return (self.directory / "ca.crt.pem").read_bytes()

    def configuration(self) -> str:
        """The anchor's entity configuration as it was last signed; empty when it never was."""
        path = self.directory / "configuration.jwt"
        return path.read_text("ascii") if path.exists() else ""

    def write_configuration(self, token: str) -> None:
        """Replace the entity configuration."""
        _write(self.directory / "configuration.jwt", token.encode("ascii"))

    def members(self) -> dict[str, Member]:
        """All members by entity id, revoked ones too."""
        files = sorted((self.directory / "members").glob("*.json"))
        members = (Member(**orjson.loads(path.read_bytes())) for path in files)
        return {member.entity_id: member for member in members}

    def write_member(self, member: Member) -> None:
        """Add or replace a member."""
        name = tls_name(member.entity_id).partition(".")[0]
        _write(self.directory / "members" / f"{name}.json", _json(asdict(member)))

    def next_sequence(self, at_least: int) -> int:
        """A status sequence above every one before, on disk before it is used.

        `at_least` is the time in seconds: an anchor that was restored from a copy does not give a number out
        twice.
        """
        path = self.directory / "status.json"
        last = orjson.loads(path.read_bytes())["sequence"] if path.exists() else 0
        sequence: int = max(last + 1, at_least)
        _write(path, _json({"sequence": sequence}))
        return sequence


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
