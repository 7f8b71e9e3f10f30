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
from datetime import datetime
from typing import Any, Final

from federation.evidence_exchange import OpenFile, check_exchange, open_signed
from federation.evidence_frame import Frame, Proofs
from federation.evidence_report import EvidenceReport, NamedNode
from federation.ports import Codec
from trust.chain_book import ChainBook, Remembered
from trust.container import INDEX, MANIFEST, Container, ContainerReader
from trust.envelope import Sealed
from trust.errors import EvidenceBroken
from trust.evidence import NO_ROLL_OVERS, Manifest, read_manifest
from trust.evidence_index import Index, read_index
from trust.keys import keys_from_jwks

__all__ = ["EvidenceFile", "EvidenceVerifier", "FileReport", "verify_evidence"]

_FRAMES_REMEMBERED: Final = 16


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
        self._reader = ContainerReader()
        self._proofs = Proofs(ChainBook(keys_from_jwks(anchor_jwks), roll_overs))
        self._frames: Remembered[tuple[object, ...], Frame] = Remembered(_FRAMES_REMEMBERED)

    def open(self, data: bytes) -> EvidenceFile:
        """Steps 1 to 5; the exchanges are checked one by one then.

        Raises trust.errors.EvidenceBroken, naming the part that does not hold; AlgorithmUnavailable when the file may
        hold, but this machine lacks what one of its signatures needs.
        """
        container = self._reader.read(data)  # 1
        parts = container.parts
        manifest, sealed = read_manifest(parts, container.tail)  # 2
        if INDEX not in parts:
            raise EvidenceBroken(INDEX, "it is missing")
        index = read_index(parts[INDEX], parts)
        frame = self._frame(container, manifest, sealed, index)
        return EvidenceFile(self.codec, parts, manifest, index, frame)

    def _frame(self, container: Container, manifest: Manifest, sealed: Sealed, index: Index) -> Frame:
        """Steps 3 to 5; what another file with the same tail proved already, if it is just so here."""
        tail = container.tail
        key = (tail, manifest.chain, index.chains, index.checkpoints, index.former_keys)
        known = self._frames.get(key) if tail.is_remembered else None
        if known is not None and known.fits(manifest.exported_at):
            _check_manifest(manifest, sealed, known)
            return known
        parts = tail.parts if tail.is_remembered else container.parts
        frame = Frame(self._proofs, parts, manifest, index)
        _check_manifest(manifest, sealed, frame)
        frame.read()
        return self._frames.put(key, frame) if tail.is_remembered else frame

    def verify(self, data: bytes) -> FileReport:
        """All steps for all exchanges of a file. Raises as `open`, for the first exchange that does not hold."""
        file = self.open(data)
        return FileReport(file.exported_by, file.exported_at, file.scope, tuple(file.reports()))


def verify_evidence(
    data: bytes, anchor_jwks: Mapping[str, Any], codec: Codec, *, roll_overs: str | bytes = NO_ROLL_OVERS
) -> FileReport:
    """What one file proves; see `EvidenceVerifier`."""
    return EvidenceVerifier(anchor_jwks, codec, roll_overs=roll_overs).verify(data)


def _check_manifest(manifest: Manifest, sealed: Sealed, frame: Frame) -> None:
    open_signed(MANIFEST, sealed, frame.exporter)
    entity_id = frame.exported_by.entity_id
    if entity_id != manifest.exported_by:
        raise EvidenceBroken(MANIFEST, f"it names {manifest.exported_by}, its chain {entity_id}")


class EvidenceFile:
    """A file of which steps 1 to 5 hold. Only `EvidenceVerifier.open` makes one."""

    def __init__(
        self, codec: Codec, parts: Mapping[str, bytes], manifest: Manifest, index: Index, frame: Frame
    ) -> None:
        self._manifest = manifest
        self._index = index
        self.exported_by = frame.exported_by
        self._file = OpenFile(
            parts=parts,
            index=index,
            codec=codec,
            prove=frame.prove,
            settled=frame.settled,
            ended=frame.ended,
            status=frame.status,
            exported_by=frame.exported_by,
            exported_at=manifest.exported_at,
            anchor=frame.anchor,
        )

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
        return self._file.anchor

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
