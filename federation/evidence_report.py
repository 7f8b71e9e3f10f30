"""What an evidence file proves about an exchange, as `federation.evidence` found it: what was verified, what not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from federation.query import Answer, Request
from trust.settlement import Settlement

__all__ = ["Check", "EvidenceReport", "NamedNode", "RecordReport", "Sentence"]


class Sentence(Struct, frozen=True):
    """One thing said twice."""

    zh: str
    en: str


class NamedNode(Struct, frozen=True):
    """A node as its trust chain of that day proves it."""

    entity_id: str
    province: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.province}, {self.entity_id})"


class Check(Struct, frozen=True):
    """One step of the verification; numbers as in `federation.evidence`. `proven`: it held. Else it could not be told
    from what is in the file; a step that fails makes no report at all.
    """

    number: int
    what: Sentence
    proven: bool = True


class RecordReport(Struct, frozen=True):
    """A record in the exporting node's log. `evidence_at` is when it was there by a quorum of witnesses, if it was
    settled; `settlement` is of the checkpoint that it is under, settled or not. `recorded_at` is the log's own word.
    """

    kind: int
    log_index: int
    generation: int
    position: int
    recorded_at: datetime
    is_forgotten: bool
    evidence_at: datetime | None
    settlement: Settlement | None


class EvidenceReport(Struct, frozen=True):
    """Everything that was verified of an exchange.

    `request` and the two nodes are None when it was forgotten, and then only `records` says something. `answer` is
    None when the file holds none: that is no proof there was none. `doubts` are what steps 10 and 11 could not show, by
    step; `checkpoints` is how many the file has.
    """

    number: int
    request_id: str
    request: Request | None
    answer: Answer | None
    asking: NamedNode | None
    answering: NamedNode | None
    exported_by: NamedNode
    exported_at: datetime
    anchor: str
    records: tuple[RecordReport, ...]
    status_sequence: int | None
    checkpoints: int
    doubts: tuple[tuple[int, Sentence], ...]

    @property
    def unproven(self) -> tuple[Sentence, ...]:
        """What could not be shown."""
        return tuple(said for _, said in self.doubts)

    @property
    def outcome(self) -> str:
        """``answered``, ``refused``, ``no_answer``, or ``forgotten``."""
        if self.request is None:
            return "forgotten"
        if self.answer is None:
            return "forgotten" if len(self.records) > 1 else "no_answer"
        return self.answer.header.outcome.word

    @property
    def verdict(self) -> str:
        """``proven``: everything, the time too; ``signed``: the signatures hold, something else is not proven;
        ``forgotten``: leaf and proof are left.
        """
        if self.request is None:
            return "forgotten"
        return "signed" if self.doubts else "proven"

    @property
    def evidence_at(self) -> datetime | None:
        """By when all its records were in the log; None while one is not settled."""
        return latest(self.records)

    @property
    def log_indices(self) -> tuple[int, ...]:
        """The exporting node's numbers for its records."""
        return tuple(record.log_index for record in self.records)


def latest(records: Sequence[RecordReport]) -> datetime | None:
    """The evidence time of them all; None when one has none."""
    times = [record.evidence_at for record in records]
    found = [at for at in times if at is not None]
    return max(found) if len(found) == len(times) else None
