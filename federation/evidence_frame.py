"""What the files of one export share: chains, trust status, lists of former keys, checkpoints; steps 3 to 5 of
`federation.evidence`.

All of it lies in the tail of a file and in the parts of its index that speak of the tail. A frame is made of just
these; it is good for another file with the very same, as far as the times of that file allow (`Frame.fits`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from federation.evidence_report import NamedNode
from trust.chain_book import ChainBook, EnclosedChain, ProvenNode, Remembered
from trust.container import MANIFEST, ROLL_OVERS, STATUS, checkpoint_part, former_keys_part, statement_part
from trust.entity import time_of
from trust.errors import AlgorithmUnavailable, EvidenceBroken, TrustError
from trust.evidence import MAX_FILE_BYTES, NO_ROLL_OVERS, Manifest
from trust.evidence_index import Index
from trust.historical import MAX_HISTORICAL_BYTES, HistoricalKeys, verify_historical_keys
from trust.known_tree import KnownTree
from trust.settlement import EnclosedCheckpoint, Ended, Settlement, Settler
from trust.status import TrustStatus, verify_status
from trust.tokens import read_token

__all__ = ["Frame", "Proofs", "named_node"]

_SKEW: Final = timedelta(seconds=60)
_DOCUMENTS_REMEMBERED: Final = 256
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Proofs:
    """What was proven of chains, checkpoints and lists, as long as it is remembered. Not for several threads."""

    def __init__(self, book: ChainBook) -> None:
        self.book = book
        self.settler = Settler(book)
        self.lists: Remembered[tuple[object, ...], tuple[str, HistoricalKeys]]
        self.lists = Remembered(_DOCUMENTS_REMEMBERED)
        self.statuses: Remembered[tuple[object, ...], TrustStatus] = Remembered(_DOCUMENTS_REMEMBERED)


class Frame:
    """Steps 3 to 5, but for the signature of the manifest: when it is made, only the exporting node's chain.

    `parts` are those of the tail alone, so that a frame does not keep the exchanges of its first file. Raises
    EvidenceBroken, AlgorithmUnavailable.
    """

    def __init__(self, proofs: Proofs, parts: Mapping[str, bytes], manifest: Manifest, index: Index) -> None:
        self._proofs = proofs
        self._parts = parts
        self._digests = {name: manifest.digests[name] for name in parts if name != MANIFEST}
        self._index = Index(index.chains, index.checkpoints, (), index.former_keys)
        self._roll_overs = parts.get(ROLL_OVERS, NO_ROLL_OVERS)
        self._chains: dict[tuple[int, ...], EnclosedChain] = {}
        self._proven: dict[int, ProvenNode] = {}
        self._newest = _LONG_AGO
        self.exported_at = manifest.exported_at
        self.exporter = self._prove(manifest.chain, self.exported_at)  # 3
        self.exported_by = named_node(self.exporter)
        self.anchor = self.exporter.anchor
        self.status: TrustStatus | None = None
        self.ended = Ended({}, {})
        self.settled: tuple[Settlement, ...] = ()
        self.trees: tuple[KnownTree, ...] = ()
        """Of the checkpoints, in their order."""
        self.is_read = False

    def read(self) -> None:
        """Steps 4 and 5."""
        self.status = self._read_status()  # 4
        revocations = self.status.revocations if self.status is not None else {}
        self.ended = Ended(revocations, self._read_former_keys(), self._digests_of_ended())
        self.settled = tuple(self._settlements())  # 5
        self.trees = tuple(KnownTree(one.checkpoint.size, one.checkpoint.root) for one in self.settled)
        self.is_read = True

    def fits(self, at: datetime) -> bool:
        """Whether all that holds for a file of its own time holds just so for one that was made at this one."""
        return (
            self.exporter.holds_at(at)
            and self._newest <= at + _SKEW
            and (at == self.exported_at or all(one.evidence_at is not None for one in self.settled))
        )

    def prove(self, chain: int, at: datetime) -> ProvenNode:
        """What a chain of the file proves at a time, by its number."""
        known = self._proven.get(chain)
        if known is not None and known.holds_at(at):
            return known
        found = self._prove(self._index.chain(chain), at)
        if found.anchor != self.anchor:
            raise EvidenceBroken(
                statement_part(self._index.chain(chain)[-1]), f"it is of another anchor than {self.anchor}"
            )
        self._proven[chain] = found
        return found

    def _digests_of_ended(self) -> tuple[str, ...]:
        names = [former_keys_part(number) for number in range(1, len(self._index.former_keys) + 1)]
        return tuple(self._digests.get(name, "") for name in (STATUS, *names))

    def _prove(self, statements: tuple[int, ...], at: datetime) -> ProvenNode:
        """What a chain of the file proves at a time."""
        return self._proofs.book.prove(self._enclosed(statements), at, roll_overs=self._roll_overs)

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
        digests = self._digests
        return EnclosedChain(
            names, tuple(self._parts[name] for name in names), tuple(digests[name] for name in names)
        )

    def _read_status(self) -> TrustStatus | None:
        if STATUS not in self._parts:
            return None
        key = (self._digests[STATUS], self.anchor, tuple(self.exporter.status_keys))
        try:
            status = self._proofs.statuses.made(
                key,
                lambda: verify_status(
                    self._parts[STATUS],
                    anchor=self.anchor,
                    keys=self.exporter.status_keys,
                    now=self.exported_at,
                    expired_too=True,
                    max_bytes=MAX_FILE_BYTES,
                ),
            )
        except TrustError as error:
            raise EvidenceBroken(STATUS, error.detail) from error
        if status.issued_at > self.exported_at + _SKEW:
            raise EvidenceBroken(STATUS, "it is newer than the file that it is in")
        self._newest = max(self._newest, status.issued_at)
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
        key = (self._digests[part], digests, self._roll_overs)
        entity_id, document = self._proofs.lists.made(key, lambda: self._verify_former_keys(part, chain))
        if document.issued_at > self.exported_at + _SKEW:
            raise EvidenceBroken(part, "it is newer than the file that it is in")
        self._newest = max(self._newest, document.issued_at)
        return entity_id, document

    def _verify_former_keys(self, part: str, chain: int) -> tuple[str, HistoricalKeys]:
        try:
            said_at = time_of(read_token(self._parts[part], max_bytes=MAX_HISTORICAL_BYTES).claims, "iat")
            owner = self.prove(chain, said_at)
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
            settled = self._proofs.settler.settle(
                EnclosedCheckpoint(
                    part,
                    self._parts[part],
                    self._digests[part],
                    entry.generation,
                    self._enclosed(self._index.chain(entry.chain)),
                    tuple(self._enclosed(self._index.chain(chain)) for chain in entry.witnesses),
                ),
                ended=self.ended,
                unsettled_at=self.exported_at,
                roll_overs=self._roll_overs,
            )
            if settled.log != self.exported_by.entity_id:
                raise EvidenceBroken(part, f"it is of the log of {settled.log}, not of the exporting node")
            yield settled


def named_node(node: ProvenNode) -> NamedNode:
    """A node as it is told."""
    return NamedNode(node.node.entity_id, node.node.province, node.node.name)
