"""Evidence files, checked from the anchor's public key. No network, no store, no configuration.

The steps; code, report and docs/evidence-format.md carry the same numbers. Of the file:

 1. The file is one container and spelled as only this format spells it
 2. The manifest names every part with its size and SHA-256, and the index refers to every part
 3. The exporting node's trust chain holds at the time of export, and its envelope key signed the manifest
 4. The trust status is signed by the anchor's status key; each list of former keys by the federation key of its node
 5. Each checkpoint is signed by the exporting node's log; the cosignatures that count make its evidence time
    (`trust.settlement`)

Of each exchange:

 6. The asking node's trust chain held when it asked, and its envelope key signed the request
 7. The answering node's trust chain held when it answered, and its envelope key signed the answer
 8. The headers agree: asking node, answering node, operation and type, request id, identity of the request, times
 9. The log's leaves are those of these very bytes, and each is in the tree of its checkpoint
10. The quorum of witnesses settled the checkpoints: that is the evidence time, by which the records existed
11. Both signers' keys were theirs at the evidence time: by their chains of then, and ended before by no list of
    former keys and no trust status

The anchor's key may be the one of that day, or an older or newer one: the roll-overs, enclosed or given, lead from
it to the one that signed then (`trust.rollover`). What 10 and 11 cannot show, since nobody cosigned yet or the lists
are older than the evidence time, is told as not proven: the signatures hold, and whoever had the keys could have made
them at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from federation.evidence_exchange import OpenFile, check_exchange, named_node, open_signed
from federation.evidence_report import EvidenceReport, NamedNode
from federation.ports import Codec
from trust.chain_book import ChainBook, EnclosedChain, ProvenNode, Remembered
from trust.container import (
    INDEX,
    MANIFEST,
    ROLL_OVERS,
    STATUS,
    checkpoint_part,
    former_keys_part,
    read_container,
    statement_part,
)
from trust.entity import time_of
from trust.envelope import Sealed
from trust.errors import AlgorithmUnavailable, EvidenceBroken, TrustError
from trust.evidence import (
    MAX_FILE_BYTES,
    NO_ROLL_OVERS,
    Manifest,
    read_manifest,
)
from trust.evidence_index import Index, read_index
from trust.historical import MAX_HISTORICAL_BYTES, HistoricalKeys, verify_historical_keys
from trust.keys import keys_from_jwks
from trust.settlement import EnclosedCheckpoint, Ended, Settlement, Settler
from trust.status import TrustStatus, verify_status
from trust.tokens import read_token

__all__ = ["EvidenceFile", "EvidenceVerifier", "FileReport", "verify_evidence"]

_SKEW = timedelta(seconds=60)
_DOCUMENTS_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class FileReport:
    """Everything that was verified of a file."""

    exported_by: NamedNode
    exported_at: datetime
    scope: str
    exchanges: tuple[EvidenceReport, ...]

    @property
    def only(self) -> EvidenceReport:
        """The one exchange of a file that has one. Raises ValueError."""
        (one,) = self.exchanges
        return one


class EvidenceVerifier:
    """Checks evidence files from nothing but public keys of the anchor (a JWK set).

    `roll_overs` are those that the anchor has published since: a file cannot hold what came after it. What many files
    have in common, chains, checkpoints and lists, is verified once, as long as it is remembered. Not for several
    threads. Raises KeyRejected for `anchor_jwks`.
    """

    def __init__(
        self, anchor_jwks: Mapping[str, Any], codec: Codec, *, roll_overs: str | bytes = NO_ROLL_OVERS
    ) -> None:
        self.codec = codec
        self.book = ChainBook(keys_from_jwks(anchor_jwks), roll_overs)
        self.settler = Settler(self.book)
        self.lists: Remembered[tuple[object, ...], tuple[str, HistoricalKeys]]
        self.lists = Remembered(_DOCUMENTS_REMEMBERED)
        self.statuses: Remembered[tuple[object, ...], TrustStatus] = Remembered(_DOCUMENTS_REMEMBERED)

    def open(self, data: bytes) -> EvidenceFile:
        """Steps 1 to 5; the exchanges are checked one by one then.

        Raises trust.errors.EvidenceBroken, naming the part that does not hold; AlgorithmUnavailable when the file may
        hold, but this machine lacks what one of its signatures needs.
        """
        parts = read_container(data)  # 1
        manifest, sealed = read_manifest(parts)  # 2
        if INDEX not in parts:
            raise EvidenceBroken(INDEX, "it is missing")
        return EvidenceFile(self, parts, manifest, sealed, read_index(parts[INDEX], parts))

    def verify(self, data: bytes) -> FileReport:
        """All steps for all exchanges of a file. Raises as `open`, for the first exchange that does not hold."""
        file = self.open(data)
        return FileReport(file.exported_by, file.exported_at, file.scope, tuple(file.reports()))


def verify_evidence(
    data: bytes, anchor_jwks: Mapping[str, Any], codec: Codec, *, roll_overs: str | bytes = NO_ROLL_OVERS
) -> FileReport:
    """What one file proves; see `EvidenceVerifier`."""
    return EvidenceVerifier(anchor_jwks, codec, roll_overs=roll_overs).verify(data)


class EvidenceFile:
    """A file of which steps 1 to 5 hold. Only `EvidenceVerifier.open` makes one."""

    def __init__(
        self,
        verifier: EvidenceVerifier,
        parts: Mapping[str, bytes],
        manifest: Manifest,
        sealed: Sealed,
        index: Index,
    ) -> None:
        self._verifier = verifier
        self._parts = parts
        self._manifest = manifest
        self._index = index
        self._roll_overs = parts.get(ROLL_OVERS, NO_ROLL_OVERS)
        self._chains: dict[tuple[int, ...], EnclosedChain] = {}
        self._proven: dict[int, ProvenNode] = {}
        exporter = self._prove(manifest.chain, manifest.exported_at)  # 3
        self._anchor = exporter.anchor
        open_signed(MANIFEST, sealed, exporter)
        if exporter.node.entity_id != manifest.exported_by:
            raise EvidenceBroken(
                MANIFEST, f"it names {manifest.exported_by}, its chain {exporter.node.entity_id}"
            )
        self.exported_by = named_node(exporter)
        self._status = self._read_status(exporter)  # 4
        revocations = self._status.revocations if self._status is not None else {}
        self._ended = Ended(revocations, self._read_former_keys(), self._digests_of_ended())
        self._settled = tuple(self._settlements())  # 5
        self._file = self._opened()

    @property
    def exported_at(self) -> datetime:
        """When the file was made, by the exporting node's word."""
        return self._manifest.exported_at

    @property
    def scope(self) -> str:
        """What the file was asked for (`trust.evidence.SCOPES`)."""
        return self._manifest.scope

    @property
    def anchor(self) -> str:
        """Whose keys it all starts from."""
        return self._anchor

    @property
    def exchanges(self) -> int:
        """How many there are; they are numbered from 1."""
        return len(self._index.exchanges)

    def request_id(self, number: int) -> str:
        """What the index calls an exchange."""
        return self._index.exchanges[number - 1].request_id

    def reports(self) -> Iterator[EvidenceReport]:
        """All exchanges, one after the other. Raises as `verify`."""
        return (self.verify(number) for number in range(1, self.exchanges + 1))

    def verify(self, number: int) -> EvidenceReport:
        """Steps 6 to 11 for one exchange. Raises EvidenceBroken, AlgorithmUnavailable."""
        return check_exchange(self._file, number)

    # --- the file ---------------------------------------------------------------------------------------------

    def _digests_of_ended(self) -> tuple[str, ...]:
        names = [former_keys_part(number) for number in range(1, len(self._index.former_keys) + 1)]
        return tuple(self._manifest.digests.get(name, "") for name in (STATUS, *names))

    def _prove(self, statements: tuple[int, ...], at: datetime) -> ProvenNode:
        """What a chain of the file proves at a time."""
        return self._verifier.book.prove(self._enclosed(statements), at, roll_overs=self._roll_overs)

    def _enclosed(self, statements: tuple[int, ...]) -> EnclosedChain:
        known = self._chains.get(statements)
        if known is None:
            known = self._chains[statements] = self._enclose(statements)
        return known

    def _enclose(self, statements: tuple[int, ...]) -> EnclosedChain:
        names = tuple(map(statement_part, statements))
        for name in names:
            if name not in self._parts:
                raise EvidenceBroken(name, "a trust chain needs it, but it is not there")
        if not names:
            raise EvidenceBroken(MANIFEST, "it names no trust chain")
        digests = self._manifest.digests
        return EnclosedChain(
            names, tuple(self._parts[name] for name in names), tuple(digests[name] for name in names)
        )

    def _prove_numbered(self, chain: int, at: datetime) -> ProvenNode:
        known = self._proven.get(chain)
        if known is not None and known.holds_at(at):
            return known
        found = self._proven[chain] = self._prove(self._index.chain(chain), at)
        if found.anchor != self._anchor:
            raise EvidenceBroken(
                statement_part(self._index.chain(chain)[-1]), f"it is of another anchor than {self._anchor}"
            )
        return found

    def _read_status(self, exporter: ProvenNode) -> TrustStatus | None:
        if STATUS not in self._parts:
            return None
        key = (self._manifest.digests[STATUS], self._anchor, tuple(exporter.status_keys))
        try:
            status = self._verifier.statuses.made(
                key,
                lambda: verify_status(
                    self._parts[STATUS],
                    anchor=self._anchor,
                    keys=exporter.status_keys,
                    now=self.exported_at,
                    expired_too=True,
                    max_bytes=MAX_FILE_BYTES,
                ),
            )
        except TrustError as error:
            raise EvidenceBroken(STATUS, error.detail) from error
        if status.issued_at > self.exported_at + _SKEW:
            raise EvidenceBroken(STATUS, "it is newer than the file that it is in")
        return status

    def _read_former_keys(self) -> dict[str, HistoricalKeys]:
        found: dict[str, HistoricalKeys] = {}
        for number, chain in enumerate(self._index.former_keys, start=1):
            entity_id, document = self._former_keys(former_keys_part(number), chain)
            known = found.get(entity_id)
            if known is None or known.issued_at < document.issued_at:
                found[entity_id] = document
        return found

    def _former_keys(self, part: str, chain: int) -> tuple[str, HistoricalKeys]:
        digests = self._enclosed(self._index.chain(chain)).digests
        key = (self._manifest.digests[part], digests, self._roll_overs)
        entity_id, document = self._verifier.lists.made(key, lambda: self._verify_former_keys(part, chain))
        if document.issued_at > self.exported_at + _SKEW:
            raise EvidenceBroken(part, "it is newer than the file that it is in")
        return entity_id, document

    def _verify_former_keys(self, part: str, chain: int) -> tuple[str, HistoricalKeys]:
        try:
            said_at = time_of(read_token(self._parts[part], max_bytes=MAX_HISTORICAL_BYTES).claims, "iat")
            owner = self._prove_numbered(chain, said_at)
            document = verify_historical_keys(
                self._parts[part], entity_id=owner.node.entity_id, keys=owner.federation_keys, now=said_at
            )
        except (EvidenceBroken, AlgorithmUnavailable):
            raise
        except TrustError as error:
            raise EvidenceBroken(part, error.detail) from error
        return owner.node.entity_id, document

    def _settlements(self) -> Iterator[Settlement]:
        for number, entry in enumerate(self._index.checkpoints, start=1):
            part = checkpoint_part(number)
            settled = self._verifier.settler.settle(
                EnclosedCheckpoint(
                    part,
                    self._parts[part],
                    self._manifest.digests[part],
                    entry.generation,
                    self._enclosed(self._index.chain(entry.chain)),
                    tuple(self._enclosed(self._index.chain(chain)) for chain in entry.witnesses),
                ),
                ended=self._ended,
                unsettled_at=self.exported_at,
                roll_overs=self._roll_overs,
            )
            if settled.log != self.exported_by.entity_id:
                raise EvidenceBroken(part, f"it is of the log of {settled.log}, not of the exporting node")
            yield settled

    def _opened(self) -> OpenFile:
        return OpenFile(
            parts=self._parts,
            index=self._index,
            codec=self._verifier.codec,
            prove=self._prove_numbered,
            settled=self._settled,
            ended=self._ended,
            status=self._status,
            exported_by=self.exported_by,
            exported_at=self.exported_at,
            anchor=self._anchor,
        )
