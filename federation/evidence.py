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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from federation.evidence_exchange import (
    CheckedExchange,
    ExchangeReading,
    OpenedExchange,
    OpenFile,
    ReadExchange,
    check_exchange,
    conclude_exchange,
    open_exchange,
    open_signed,
)
from federation.evidence_frame import Frame, Proofs
from federation.evidence_report import EvidenceReport, NamedNode
from federation.evidence_steps import Failure, FileReading, each, unforeseen
from federation.ports import Codec
from trust.chain_book import ChainBook, Remembered
from trust.container import MANIFEST, ContainerReader
from trust.envelope import Sealed
from trust.errors import EvidenceBroken
from trust.evidence import NO_ROLL_OVERS, Manifest
from trust.keys import keys_from_jwks

__all__ = ["EvidenceFile", "EvidenceVerifier", "FileReport", "Result", "unforeseen", "verify_evidence"]

_FRAMES_REMEMBERED: Final = 16
GROUP: Final = 32
"""Exchanges of a file that are read, opened and concluded together."""

Result = EvidenceReport | Failure
"""What became of an exchange: its report, or why there is none."""


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
        reading = self._contain(FileReading(data)).read_manifest().read_index()
        return self._settle(self._framed(reading))

    def open_all(self, files: Iterable[bytes]) -> list[EvidenceFile | Failure]:
        """The same for several files, each by itself: what `open` gives, or why it does not. The first exchanges of
        each are checked, too, and wait in it.

        All files are in memory at once.
        """
        contained = each(self._contain, map(FileReading, files))
        indexed = each(FileReading.read_index, each(FileReading.read_manifest, contained))
        framed = each(self._framed, indexed)
        # Read before the first signature is looked at, since verifying needs the caches for itself.
        ahead = [one.file.first() if isinstance(one, _ReadFile) else () for one in framed]
        read = iter(_read([exchange for some in ahead for exchange in some]))
        taken = [[next(read) for _ in some] for some in ahead]
        settled = each(self._settle, framed)
        for file, some in zip(settled, taken, strict=True):
            if isinstance(file, EvidenceFile):
                file.open_ahead(some)
        for file in settled:
            if isinstance(file, EvidenceFile):
                file.check_ahead()
        for file in settled:
            if isinstance(file, EvidenceFile):
                file.conclude_ahead()
        return settled

    def _contain(self, reading: FileReading) -> FileReading:
        return reading.contain(self._reader)

    def _framed(self, reading: FileReading) -> _ReadFile:
        """The form of what comes after steps 1 and 2; no signature, but those of chains."""
        parts, tail = reading.container.parts, reading.container.tail
        manifest, index = reading.manifest, reading.index
        key = (tail, manifest.chain, index.chains, index.checkpoints, index.former_keys)
        frame = self._frames.get(key) if tail.is_remembered else None
        if frame is None or not frame.fits(manifest.exported_at):
            frame = Frame(self._proofs, tail.parts if tail.is_remembered else parts, manifest, index)
        file = EvidenceFile(OpenFile(parts, index, self.codec, frame, manifest.exported_at), manifest.scope)
        return _ReadFile(file, manifest, reading.sealed, frame, key if tail.is_remembered else None)

    def _settle(self, read: _ReadFile) -> EvidenceFile:
        """Steps 3 to 5; what another file with the same tail proved already, if it is just so here."""
        manifest, frame = read.manifest, read.frame
        open_signed(MANIFEST, read.sealed, frame.exporter)
        entity_id = frame.exported_by.entity_id
        if entity_id != manifest.exported_by:
            raise EvidenceBroken(MANIFEST, f"it names {manifest.exported_by}, its chain {entity_id}")
        if not frame.is_read:
            frame.read()
            if read.key is not None:
                self._frames.put(read.key, frame)
        return read.file

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
    """A file of which steps 1 to 5 hold. Only `EvidenceVerifier` makes one."""

    def __init__(self, file: OpenFile, scope: str) -> None:
        self._file = file
        self._index = file.index
        self.exported_by = file.frame.exported_by
        self.scope = scope
        """What the file was asked for (`trust.evidence.SCOPES`)."""
        self._opened: Sequence[OpenedExchange | Failure] = ()
        self._checked: Sequence[CheckedExchange | Failure] = ()
        self._first: Sequence[Result] = ()

    @property
    def exported_at(self) -> datetime:
        """When the file was made, by the exporting node's word."""
        return self._file.exported_at

    @property
    def anchor(self) -> str:
        """Whose keys it all starts from."""
        return self._file.frame.anchor

    @property
    def exchanges(self) -> int:
        """How many there are; they are numbered from 1."""
        return len(self._index.exchanges)

    def request_id(self, number: int) -> str:
        """What the index calls an exchange."""
        return self._index.exchanges[number - 1].request_id

    def reports(self) -> Iterator[EvidenceReport]:
        """All exchanges, one after the other. Raises as `verify`, for the first that does not hold."""
        for result in self.results():
            if not isinstance(result, EvidenceReport):
                raise result
            yield result

    def results(self) -> Iterator[Result]:
        """Steps 6 to 11 for all exchanges, one after the other, and of those that do not hold, why."""
        yield from self._first
        for start in range(1 + len(self._first), self.exchanges + 1, GROUP):
            yield from self._group(range(start, min(start + GROUP, self.exchanges + 1)))

    def verify(self, number: int) -> EvidenceReport:
        """Steps 6 to 11 for one exchange. Raises EvidenceBroken, AlgorithmUnavailable."""
        (result,) = self._group((number,))
        if not isinstance(result, EvidenceReport):
            raise result
        return result

    def first(self) -> Sequence[ExchangeReading]:
        """The exchanges that `EvidenceVerifier.open_all` checks, unread."""
        return [ExchangeReading(self._file, number) for number in range(1, min(self.exchanges, GROUP) + 1)]

    def open_ahead(self, first: Sequence[ReadExchange | Failure]) -> None:
        """Verify the signatures of `first`, as they were read."""
        self._opened = each(open_exchange, first)

    def check_ahead(self) -> None:
        """Take steps 8 and 9 for them."""
        self._checked, self._opened = each(self._check, self._opened), ()

    def conclude_ahead(self) -> None:
        """Take the last steps for them."""
        self._first, self._checked = each(self._conclude, self._checked), ()

    def _group(self, numbers: Sequence[int]) -> Sequence[Result]:
        opened = each(open_exchange, _read([ExchangeReading(self._file, number) for number in numbers]))
        return each(self._conclude, each(self._check, opened))

    def _check(self, opened: OpenedExchange) -> CheckedExchange:
        return check_exchange(self._file, opened)

    def _conclude(self, checked: CheckedExchange) -> EvidenceReport:
        return conclude_exchange(self._file, checked)


class _ReadFile(Struct, frozen=True):
    """A file of which steps 1 and 2 hold."""

    file: EvidenceFile
    manifest: Manifest
    sealed: Sealed
    frame: Frame
    key: tuple[object, ...] | None
    """What the frame was made of, if it may be kept."""


def _read(readings: Sequence[ExchangeReading]) -> list[ReadExchange | Failure]:
    parsed = each(ExchangeReading.parse, readings)
    decoded = each(ExchangeReading.decode_answer, each(ExchangeReading.decode_request, parsed))
    return each(ExchangeReading.prove, decoded)
