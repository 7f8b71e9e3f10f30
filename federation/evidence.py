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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar

from federation.evidence_exchange import (
    OpenedExchange,
    OpenFile,
    ReadExchange,
    conclude_exchange,
    open_exchange,
    open_signed,
    read_exchange,
)
from federation.evidence_frame import Frame, Proofs
from federation.evidence_report import EvidenceReport, NamedNode
from federation.ports import Codec
from trust.chain_book import ChainBook, Remembered
from trust.container import CONTAINER, INDEX, MANIFEST, ContainerReader, Tail
from trust.envelope import Sealed
from trust.errors import AlgorithmUnavailable, EvidenceBroken
from trust.evidence import NO_ROLL_OVERS, Manifest, read_manifest
from trust.evidence_index import read_index
from trust.keys import keys_from_jwks

__all__ = ["EvidenceFile", "EvidenceVerifier", "FileReport", "Result", "unforeseen", "verify_evidence"]

_FRAMES_REMEMBERED: Final = 16
GROUP: Final = 32
"""Exchanges of a file that are read, and then opened, together."""

P = ParamSpec("P")
R = TypeVar("R")
Failure = EvidenceBroken | AlgorithmUnavailable
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
        return self._settle(self._read(data))

    def open_all(self, files: Iterable[bytes]) -> list[EvidenceFile | Failure]:
        """The same for several files, each by itself: what `open` gives, or why it does not.

        All signatures come one after the other, those of the first exchanges of each file too: reading in between
        would turn everything out of the processor's caches that verifying needs, and the other way round, which costs
        a third of the time. All files are in memory at once.
        """
        read = [_attempt(self._read, data) for data in files]
        opened = [one if not isinstance(one, _ReadFile) else _attempt(self._settle, one) for one in read]
        for file in opened:
            if isinstance(file, EvidenceFile):
                file.open_ahead()
        return opened

    def _read(self, data: bytes) -> _ReadFile:
        """Steps 1 and 2, and the form of what comes after; no signature, but those of chains."""
        container = self._reader.read(data)  # 1
        parts, tail = container.parts, container.tail
        manifest, sealed = read_manifest(parts, tail)  # 2
        if INDEX not in parts:
            raise EvidenceBroken(INDEX, "it is missing")
        index = read_index(parts[INDEX], parts)
        key = (tail, manifest.chain, index.chains, index.checkpoints, index.former_keys)
        frame = self._frames.get(key) if tail.is_remembered else None
        if frame is None or not frame.fits(manifest.exported_at):
            frame = Frame(self._proofs, tail.parts if tail.is_remembered else parts, manifest, index)
        opened = OpenFile(parts, index, self.codec, frame, manifest.exported_at)
        return _ReadFile(EvidenceFile(opened, manifest.scope), manifest, sealed, frame, key)

    def _settle(self, read: _ReadFile) -> EvidenceFile:
        """Steps 3 to 5; what another file with the same tail proved already, if it is just so here."""
        manifest, frame = read.manifest, read.frame
        open_signed(MANIFEST, read.sealed, frame.exporter)
        entity_id = frame.exported_by.entity_id
        if entity_id != manifest.exported_by:
            raise EvidenceBroken(MANIFEST, f"it names {manifest.exported_by}, its chain {entity_id}")
        if not frame.is_read:
            frame.read()
            if read.key[0].is_remembered:
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
    """A file of which steps 1 to 5 hold. Only `EvidenceVerifier.open` makes one."""

    def __init__(self, file: OpenFile, scope: str) -> None:
        self._file = file
        self._index = file.index
        self.exported_by = file.frame.exported_by
        self.scope = scope
        """What the file was asked for (`trust.evidence.SCOPES`)."""
        self._ahead = self._read(range(1, min(self.exchanges, GROUP) + 1))
        self._opened: dict[int, OpenedExchange | Failure] = {}

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
        for start in range(1, self.exchanges + 1, GROUP):
            yield from self._check(range(start, min(start + GROUP, self.exchanges + 1)))

    def verify(self, number: int) -> EvidenceReport:
        """Steps 6 to 11 for one exchange. Raises EvidenceBroken, AlgorithmUnavailable."""
        (result,) = self._check((number,))
        if not isinstance(result, EvidenceReport):
            raise result
        return result

    def open_ahead(self) -> None:
        """Verify the signatures of the first exchanges now."""
        self._opened = self._open(range(1, min(self.exchanges, GROUP) + 1))

    def _read(self, numbers: Iterable[int]) -> dict[int, ReadExchange | Failure]:
        return {number: _attempt(read_exchange, self._file, number) for number in numbers}

    def _open(self, numbers: Iterable[int]) -> dict[int, OpenedExchange | Failure]:
        ahead = self._ahead if all(number in self._ahead for number in numbers) else self._read(numbers)
        found: dict[int, OpenedExchange | Failure] = {}
        for number in numbers:
            read = ahead[number]
            found[number] = _attempt(open_exchange, read) if isinstance(read, ReadExchange) else read
        return found

    def _check(self, numbers: Sequence[int]) -> list[Result]:
        """A group: see `EvidenceVerifier.open_all`."""
        opened = self._opened if all(number in self._opened for number in numbers) else self._open(numbers)
        return [
            _attempt(conclude_exchange, self._file, one) if isinstance(one, OpenedExchange) else one
            for one in map(opened.__getitem__, numbers)
        ]


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """A file of which steps 1 and 2 hold."""

    file: EvidenceFile
    manifest: Manifest
    sealed: Sealed
    frame: Frame
    key: tuple[Tail, object, object, object, object]
    """What the frame was made of."""


def _attempt(step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | Failure:
    try:
        return step(*args, **kwargs)
    except (EvidenceBroken, AlgorithmUnavailable) as error:
        return error
    except Exception as error:  # whatever a file is made of, it ends no run over others
        return unforeseen(error)


def unforeseen(error: Exception) -> EvidenceBroken:
    """What is said of a file that something went wrong with that no check foresees: it is not believed."""
    return EvidenceBroken(CONTAINER, f"it cannot be checked: {type(error).__name__}")
