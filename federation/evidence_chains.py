"""The trust chains of a node as this one knew them at a time, put together from stored statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from federation.errors import EvidenceBroken
from federation.evidence_ports import StatementArchive
from federation.statements import StatementKind
from trust.chain import MAX_DEPTH
from trust.chain_book import Remembered
from trust.cosignature import COSIGNATURE
from trust.entity import read_statement
from trust.errors import KeyRejected
from trust.keys import VerificationKey, keys_from_jwks
from trust.note import NoteSignature, note_key_id
from trust.profile import NODE_TYPE

__all__ = ["ChainArchive", "KnownChain"]

_CHAINS_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class KnownChain:
    """A node's configuration, its superiors' statements, and the anchor's configuration; with the ids of the envelope
    keys, and the log and witness keys, that the node publishes in it, and the ids of the federation keys that its
    superior gives it. Nothing of it is verified here.
    """

    statements: tuple[str, ...]
    kids: frozenset[str]
    federation_kids: frozenset[str]
    log_keys: tuple[VerificationKey, ...]
    witness_keys: tuple[VerificationKey, ...]
    is_whole: bool
    """Whether the superior gives the node the key that its configuration is signed with."""

    def signed_for_log(self, lines: Sequence[NoteSignature]) -> bool:
        """Whether one of a note's lines names one of the log's keys."""
        return any(note_key_id(line.name, key) == line.key_id for line in lines for key in self.log_keys)

    def cosigned(self, lines: Sequence[NoteSignature]) -> bool:
        """Whether one of these cosignatures names one of the witness keys."""
        ids = (
            (line, note_key_id(line.name, key, COSIGNATURE)) for line in lines for key in self.witness_keys
        )
        return any(line.key_id == key_id for line, key_id in ids)


class ChainArchive:
    """Finds chains in an archive of statements; those of the same minute are looked up once, as long as remembered."""

    def __init__(self, archive: StatementArchive, anchor: str) -> None:
        self._archive = archive
        self._anchor = anchor
        self._known: Remembered[tuple[str, datetime], KnownChain] = Remembered(_CHAINS_REMEMBERED)

    async def of(self, entity_id: str, at: datetime, *, kid: str = "") -> KnownChain:
        """The chain as it was known in that minute; as of that very moment when the key `kid` is not in it, or when a
        node's word and its superior's had not met yet.

        Raises EvidenceBroken when a statement of that day is missing, OwnStoreUnavailable.
        """
        minute = at.replace(second=0, microsecond=0)
        known = self._known.get((entity_id, minute))
        if known is None:
            known = self._known.put((entity_id, minute), await self._find(entity_id, minute))
        if not known.is_whole or (kid and kid not in known.kids):
            return await self._find(entity_id, at)
        return known

    async def of_federation_key(self, entity_id: str, kid: str, at: datetime, now: datetime) -> KnownChain:
        """The chain that gives a node the federation key with which it signed something at that time: as it was known
        then, or as it is known now, since a node signs with a new key before others learn of it.

        Raises as `of`.
        """
        return await self.of_signer(entity_id, lambda known: kid in known.federation_kids, at, at, now)

    async def of_signer(
        self, entity_id: str, signed: Callable[[KnownChain], bool], at: datetime, *moments: datetime
    ) -> KnownChain:
        """The chain of that minute; else the first of those of these very moments that `signed` holds for, or the last.

        Raises as `of`.
        """
        known = await self.of(entity_id, at)
        for moment in moments:
            if signed(known):
                break
            known = await self._find(entity_id, moment)
        return known

    async def _find(self, entity_id: str, at: datetime) -> KnownChain:
        """From the entity's configuration over its superiors to the anchor's, as they were known at `at`."""
        chain = [await self._statement(entity_id, entity_id, StatementKind.CONFIGURATION, at)]
        configuration = read_statement(chain[0], allow_http_on_loopback=True)
        superiors: Sequence[str] = configuration.authority_hints
        subject = entity_id
        for _ in range(MAX_DEPTH):
            subject, token = await self._superior((self._anchor, *superiors), subject, at)
            chain.append(token)
            if subject == self._anchor:
                break
            superiors = ()
        chain.append(await self._statement(self._anchor, self._anchor, StatementKind.CONFIGURATION, at))
        node = configuration.claims.get("metadata", {}).get(NODE_TYPE, {})
        given = read_statement(chain[1], allow_http_on_loopback=True).keys
        return KnownChain(
            tuple(chain),
            _kids(node),
            frozenset(given),
            _note_keys(node, "log_jwks"),
            _note_keys(node, "witness_jwks"),
            is_whole=configuration.token.kid in given,
        )

    async def _superior(self, superiors: Sequence[str], subject: str, at: datetime) -> tuple[str, str]:
        for superior in superiors:
            found = await self._archive.find_statement(superior, subject, StatementKind.SUBORDINATE, at=at)
            if found is not None:
                return superior, found.token
        raise EvidenceBroken(f"this node has no statement of a superior about {subject} from that day")

    async def _statement(self, iss: str, sub: str, kind: StatementKind, at: datetime) -> str:
        found = await self._archive.find_statement(iss, sub, kind, at=at)
        if found is None:
            raise EvidenceBroken(f"this node has no {kind.value} by {iss} about {sub} from that day")
        return found.token


def _kids(node: dict[str, Any]) -> frozenset[str]:
    jwks = node.get("envelope_jwks", {})
    entries = jwks.get("keys", []) if isinstance(jwks, dict) else []
    return frozenset(str(entry.get("kid", "")) for entry in entries if isinstance(entry, dict))


def _note_keys(node: dict[str, Any], name: str) -> tuple[VerificationKey, ...]:
    try:
        keys = keys_from_jwks(node.get(name, {"keys": []})).values()
    except KeyRejected:
        return ()
    return tuple(key for key in keys if key.alg == "EdDSA")
