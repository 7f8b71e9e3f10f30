"""Where an anchor keeps itself: a plain folder, so that a ceremony can look at it and a copy is a backup.

    anchor.json              who the anchor is
    configuration.jwt        its entity configuration, signed ahead
    roll-overs.json          how its root key passed from one to the next
    historical.jwt           its former root keys, signed ahead
    keys/federation.pem      the root key; may lie elsewhere while the anchor only serves
    keys/status.pem          the online key that the configuration delegates the status to
    keys/ca.pem, ca.crt.pem  the CA for mutual TLS
    keys/*.next.pem, ca.next.crt.pem, changes.json
                             keys that were published and come next, and from when
    members/<name>.json      one member: what it is, its current statement, its revocation
    seen/<name>.json         what that member said about itself when it was last looked at
    below/<name>/<city>.json what that authority says of one below it, and that one of itself
    status.json              the last status sequence that was given out
    lock                     held by whoever writes

Keys are 0600 in a folder of 0700, and a key that others may read is refused. Files are replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from node.anchor.files import held, json_bytes, replace_file
from node.anchor.member import AnchorFacts, AnchorRefused, Member, member_label
from trust.errors import KeyRejected
from trust.keys import SigningKey

__all__ = ["ROOT", "AnchorFacts", "AnchorFolder", "Member"]

ROOT = "federation"


class AnchorFolder:
    """Reads and writes the folder. Nothing is kept in memory: command and server see the same files.

    `root_key` is where the root key lies when it is not in the folder.
    """

    def __init__(self, directory: Path, *, root_key: Path | None = None) -> None:
        self.directory = directory
        self._root_key = root_key

    def create(self, facts: AnchorFacts, keys: Mapping[str, SigningKey], ca_pem: bytes) -> None:
        """Make a new anchor; `ca_pem` is empty for one without a CA. Raises AnchorRefused when there is one
        already.
        """
        if (self.directory / "anchor.json").exists():
            raise AnchorRefused(f"{self.directory} already holds an anchor")
        for folder in (self.directory, *(self.directory / name for name in ("keys", "members", "seen"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, key in keys.items():
            self.write_key(name, key)
        if ca_pem:
            replace_file(self.directory / "ca.crt.pem", ca_pem)
        self.write_facts(facts)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the folder while reading and writing it: commands and server do not undo each other's work.
        Not to be nested. Raises AnchorRefused when there is no anchor here.
        """
        self.facts()
        with held(self.directory / "lock"):
            yield

    def facts(self) -> AnchorFacts:
        """Who the anchor is. Raises AnchorRefused when there is none here."""
        try:
            return AnchorFacts(**orjson.loads((self.directory / "anchor.json").read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise AnchorRefused(f"{self.directory} holds no anchor: {error}") from error

    def write_facts(self, facts: AnchorFacts) -> None:
        """Replace who the anchor is."""
        replace_file(self.directory / "anchor.json", json_bytes(asdict(facts)))

    # --- keys -----------------------------------------------------------------------------------------------

    def key_path(self, name: str) -> Path:
        """Where that key lies, or would. What follows the root key lies beside it."""
        if self._root_key is not None and name.partition(".")[0] == ROOT:
            suffix = name[len(ROOT) :]
            return (
                self._root_key.with_name(self._root_key.stem + suffix + ".pem") if suffix else self._root_key
            )
        return self.directory / "keys" / f"{name}.pem"

    def has_key(self, name: str) -> bool:
        """Whether that key is at hand."""
        return self.key_path(name).exists()

    def key(self, name: str) -> SigningKey:
        """A key of the anchor. Raises AnchorRefused when it is not here, or others may read it."""
        path = self.key_path(name)
        try:
            if path.stat().st_mode & 0o077:
                raise AnchorRefused(
                    f"{path} may be read by others: chmod 600 it, and consider whether it still is a secret"
                )
            return SigningKey.from_pem(path.read_bytes())
        except OSError as error:
            raise AnchorRefused(
                f"the anchor's {name} key is not at {path} ({error.strerror})"
                + (": bring it back, or name it with --root-key" if name == ROOT else "")
            ) from error
        except KeyRejected as error:
            raise AnchorRefused(f"the anchor's {name} key at {path} cannot be used: {error}") from error

    def write_key(self, name: str, key: SigningKey) -> None:
        """Put a key in its place, 0600."""
        replace_file(self.key_path(name), key.to_pem())

    def move_key(self, name: str, to: str) -> None:
        """Give a key another place; what was there is gone."""
        self.key_path(name).replace(self.key_path(to))

    def remove_key(self, name: str) -> None:
        """Delete a key; none is no error."""
        self.key_path(name).unlink(missing_ok=True)

    # --- documents ------------------------------------------------------------------------------------------

    def ca_pem(self, name: str = "ca") -> bytes:
        """The own certificate of the CA `ca`, `ca.next` or `ca.old`; empty when there is none."""
        return self._bytes(f"{name}.crt.pem")

    def write_ca(self, name: str, pem: bytes) -> None:
        """Put a CA's own certificate in its place."""
        replace_file(self.directory / f"{name}.crt.pem", pem)

    def remove_ca(self, name: str) -> None:
        """Delete a CA's own certificate; none is no error."""
        (self.directory / f"{name}.crt.pem").unlink(missing_ok=True)

    def configuration(self) -> str:
        """The anchor's entity configuration as it was last signed; empty when it never was."""
        return self._bytes("configuration.jwt").decode("ascii")

    def write_configuration(self, token: str) -> None:
        """Replace the entity configuration."""
        replace_file(self.directory / "configuration.jwt", token.encode("ascii"))

    def roll_overs(self) -> str:
        """The roll-overs of the root key, as they are served."""
        return self._bytes("roll-overs.json").decode("ascii") or "[]"

    def write_roll_overs(self, document: str) -> None:
        """Replace the roll-overs."""
        replace_file(self.directory / "roll-overs.json", document.encode("ascii"))

    def historical_keys(self) -> str:
        """The former root keys as they were last signed; empty when they never were."""
        return self._bytes("historical.jwt").decode("ascii")

    def write_historical_keys(self, token: str) -> None:
        """Replace the former root keys."""
        replace_file(self.directory / "historical.jwt", token.encode("ascii"))

    def changes(self) -> dict[str, dict[str, int]]:
        """Which of `status` and `ca` changes: its `from` and `old_until`, in seconds since 1970."""
        return orjson.loads(self._bytes("changes.json") or b"{}")  # type: ignore[no-any-return]

    def write_changes(self, changes: Mapping[str, Mapping[str, int]]) -> None:
        """Replace what changes."""
        replace_file(self.directory / "changes.json", json_bytes(changes))

    def _bytes(self, name: str) -> bytes:
        path = self.directory / name
        return path.read_bytes() if path.exists() else b""

    # --- members --------------------------------------------------------------------------------------------

    def members(self) -> dict[str, Member]:
        """All members by entity id, revoked ones too."""
        files = sorted((self.directory / "members").glob("*.json"))
        members = (Member(**orjson.loads(path.read_bytes())) for path in files)
        return {member.entity_id: member for member in members}

    def write_member(self, member: Member) -> None:
        """Add or replace a member."""
        path = self.directory / "members" / f"{member_label(member.entity_id)}.json"
        replace_file(path, json_bytes(asdict(member)))

    def seen(self, entity_id: str) -> dict[str, Any]:
        """What was last seen of a member: `node.anchor.watch` says what is in it; empty: nothing yet."""
        path = self.directory / "seen" / f"{member_label(entity_id)}.json"
        return orjson.loads(path.read_bytes()) if path.exists() else {}

    def write_seen(self, entity_id: str, seen: Mapping[str, Any]) -> None:
        """Keep what was seen of a member."""
        folder = self.directory / "seen"
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_file(folder / f"{member_label(entity_id)}.json", json_bytes(seen))

    def below(self, authority: str, entity_id: str) -> dict[str, Any]:
        """What is held of an entity below an authority: `statement`, `configuration`; empty: nothing."""
        path = self._below(authority, entity_id)
        return orjson.loads(path.read_bytes()) if path.exists() else {}

    def write_below(self, authority: str, entity_id: str, found: Mapping[str, str]) -> None:
        """Keep what was found of an entity below an authority."""
        path = self._below(authority, entity_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, json_bytes(found))

    def forget_below(self, authority: str, entity_id: str) -> None:
        """Forget an entity below an authority; none is no error."""
        self._below(authority, entity_id).unlink(missing_ok=True)

    def keep_below(self, authority: str, entity_ids: Iterable[str]) -> None:
        """Forget all below an authority but these."""
        kept = {self._below(authority, entity_id) for entity_id in entity_ids}
        for path in (self.directory / "below" / member_label(authority)).glob("*.json"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _below(self, authority: str, entity_id: str) -> Path:
        return self.directory / "below" / member_label(authority) / f"{member_label(entity_id)}.json"

    def next_sequence(self, at_least: int) -> int:
        """A status sequence above every one before, on disk before it is used.

        `at_least` is the time in seconds: an anchor that was restored from a copy does not give a number out
        twice. Two processes never get the same.
        """
        path = self.directory / "status.json"
        with held(self.directory / "status.lock"):
            last = orjson.loads(path.read_bytes())["sequence"] if path.exists() else 0
            sequence: int = max(last + 1, at_least)
            replace_file(path, json_bytes({"sequence": sequence}))
        return sequence
