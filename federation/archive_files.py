"""Evidence files of archives: which records are in one, and the same file with some of them forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from federation.evidence_build import FileBuilder
from federation.query import Operation
from trust.container import (
    INDEX,
    ROLL_OVERS,
    STATUS,
    answer_part,
    checkpoint_part,
    former_keys_part,
    read_container,
    request_part,
    statement_part,
)
from trust.envelope import parse
from trust.evidence import MAX_FILE_BYTES
from trust.evidence_index import ExchangeEntry, Index, RecordEntry, read_index

__all__ = ["ArchivedExchange", "archived_exchanges", "operations_in", "rewritten"]

_OF_TYPE = {one.request_type: one.value for one in Operation} | {
    one.answer_type: one.value for one in Operation
}


class ArchivedExchange(NamedTuple):
    """One exchange in a file. `envelope` is its request, or the answer where only that is left. `operation` and
    `envelope` are empty when it was forgotten.
    """

    request_id: str
    indices: tuple[int, ...]
    operation: str
    envelope: bytes


def archived_exchanges(data: bytes) -> Iterator[ArchivedExchange]:
    """What is in an evidence file that this node wrote. Raises EvidenceBroken."""
    parts, index = _read(data)
    for number, entry in enumerate(index.exchanges, start=1):
        yield _told(parts, number, entry)


def operations_in(data: bytes) -> tuple[str, ...]:
    """The operations of which there is content in a file, in order. Raises EvidenceBroken."""
    return tuple(sorted({one.operation for one in archived_exchanges(data) if one.operation}))


def rewritten(data: bytes, is_forgotten: Callable[[ArchivedExchange], bool]) -> FileBuilder:
    """The same exchanges, chains, checkpoints and lists, but of those to be forgotten only leaves and proofs; still to
    be signed, since a file says by whom and when it was made. Raises EvidenceBroken.
    """
    parts, index = _read(data)
    file = FileBuilder()
    chains = _Chains(parts, index, file)
    for number, checkpoint in enumerate(index.checkpoints, start=1):
        note = parts[checkpoint_part(number)].decode()
        witnesses = [chains.copied(chain) for chain in checkpoint.witnesses]
        size = int(note.split("\n", 2)[1])
        file.add_checkpoint(
            checkpoint.generation, size, note, chain=chains.copied(checkpoint.chain), witnesses=witnesses
        )
    for number, entry in enumerate(index.exchanges, start=1):
        forget = is_forgotten(_told(parts, number, entry))
        _add(file, chains, parts, number, entry, forget=forget)
    for number, chain in enumerate(index.former_keys, start=1):
        file.add_former_keys(parts[former_keys_part(number)].decode("ascii"), chains.copied(chain))
    for name, add in ((STATUS, file.add_status), (ROLL_OVERS, file.add_roll_overs)):
        if name in parts:
            add(parts[name].decode("ascii"))
    return file


class _Chains:
    """Numbers of chains in the new file."""

    def __init__(self, parts: Mapping[str, bytes], index: Index, file: FileBuilder) -> None:
        self._parts, self._index, self._file = parts, index, file

    def copied(self, number: int) -> int:
        """The number there of a chain here."""
        statements = self._index.chain(number)
        return self._file.chain([self._parts[statement_part(one)].decode("ascii") for one in statements])


def _add(
    file: FileBuilder,
    chains: _Chains,
    parts: Mapping[str, bytes],
    number: int,
    entry: ExchangeEntry,
    *,
    forget: bool,
) -> None:
    names = (request_part(number), answer_part(number))
    records = [
        (_bare(record), b"") if forget or record.is_forgotten else (record, parts[name])
        for record, name in zip(entry.records, names, strict=False)
    ]
    known = not records[0][0].is_forgotten
    file.add_exchange(
        entry.request_id,
        asking=[chains.copied(chain) for chain in entry.asking] if known else (),
        answering=[chains.copied(chain) for chain in entry.answering] if known else (),
        records=records,
    )


def _bare(record: RecordEntry) -> RecordEntry:
    return RecordEntry(
        checkpoint=record.checkpoint,
        generation=record.generation,
        kind=record.kind,
        leaf=record.leaf,
        log_index=record.log_index,
        position=record.position,
        proof=record.proof,
        recorded_at=record.recorded_at,
        salt=b"",
    )


def _told(parts: Mapping[str, bytes], number: int, entry: ExchangeEntry) -> ArchivedExchange:
    indices = tuple(record.log_index for record in entry.records)
    names = (request_part(number), answer_part(number))
    envelope = next((parts[name] for name in names if name in parts), b"")
    return ArchivedExchange(entry.request_id, indices, _operation(envelope) if envelope else "", envelope)


def _operation(envelope: bytes) -> str:
    payload_type = parse(envelope, max_bytes=MAX_FILE_BYTES).payload_type
    return _OF_TYPE.get(payload_type, payload_type)


def _read(data: bytes) -> tuple[Mapping[str, bytes], Index]:
    parts = read_container(data)
    return parts, read_index(parts.get(INDEX, b""), parts)
