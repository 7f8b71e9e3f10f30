"""The index of an evidence file: which exchanges are in it, and which parts prove what about each.

Canonical JSON: members in the order of their names, no blanks, no escapes beyond those that JSON demands. Numbers of
parts, chains and checkpoints count from 1, and 0 is none. Nothing in it is believed for itself: it says where to look,
and what it says of a record is compared with the record's leaf.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from trust.container import (
    INDEX,
    MANIFEST,
    MAX_NUMBER,
    ROLL_OVERS,
    STATUS,
    answer_part,
    checkpoint_part,
    former_keys_part,
    request_part,
    statement_part,
)
from trust.entity import LATEST_TIME
from trust.errors import EvidenceBroken
from trust.merkle import HASH_BYTES, MAX_PATH

__all__ = [
    "CheckpointEntry",
    "ExchangeEntry",
    "Index",
    "RecordEntry",
    "read_index",
    "write_index",
]

SALT_BYTES: Final = 16
LEAF_BYTES: Final = 33
_LONGEST_ID: Final = 128
_MOST_WITNESSES: Final = 32
_TAILS_REMEMBERED: Final = 16
_SINGLE: Final = (MANIFEST, INDEX, STATUS, ROLL_OVERS)
_LARGEST: Final = 2**63 - 1
_LATEST: Final = LATEST_TIME * 1_000_000


class RecordEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One record as it lies in the exporting node's log: leaf `position` of the tree of `generation`.

    `proof` are the hashes of the audit path, lowest first, one after the other, to the root of `checkpoint`. A record
    that was forgotten has an empty `salt`, and its envelope is not in the file.
    """

    checkpoint: int
    generation: int
    kind: int
    leaf: bytes
    log_index: int
    position: int
    proof: bytes
    recorded_at: int
    salt: bytes

    @property
    def is_forgotten(self) -> bool:
        """Whether only leaf and proof are left of it."""
        return not self.salt


class ExchangeEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One exchange: its request's record and, when there was one, its answer's.

    `asking` and `answering` are chains of the two nodes: the first as it was when the node signed, the last as it was
    at the evidence time; one number when they are the same. None of a request that was forgotten.
    """

    answering: tuple[int, ...]
    asking: tuple[int, ...]
    records: tuple[RecordEntry, ...]
    request_id: str


class CheckpointEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint of the exporting node's log, with the chain of that node and those of the witnesses."""

    chain: int
    generation: int
    witnesses: tuple[int, ...]


class Index(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. `chains` are numbers of statements, a node's own first and the anchor's last; `former_keys` names for
    each such document the chain of the node that signed it.
    """

    chains: tuple[tuple[int, ...], ...]
    checkpoints: tuple[CheckpointEntry, ...]
    exchanges: tuple[ExchangeEntry, ...]
    former_keys: tuple[int, ...]

    def chain(self, number: int) -> tuple[int, ...]:
        """The statements of a chain. Raises EvidenceBroken when there is no such chain."""
        if not 0 < number <= len(self.chains):
            raise EvidenceBroken(INDEX, f"it has no chain {number}")
        return self.chains[number - 1]


_DECODER: Final = msgspec.json.Decoder(Index)
_ENCODER: Final = msgspec.json.Encoder()


def write_index(index: Index) -> bytes:
    """The part."""
    return _ENCODER.encode(index)


def read_index(data: bytes, parts: Collection[str]) -> Index:
    """The index, when it speaks of just the parts that are there.

    Raises EvidenceBroken: not canonical JSON of this form, a number that leads nowhere, a part that is missing or that
    nothing refers to.
    """
    try:
        index = _DECODER.decode(data)
        same = _ENCODER.encode(index) == data
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise EvidenceBroken(INDEX, f"it does not say what an index says: {error}") from None
    if not same:
        raise EvidenceBroken(INDEX, "it is not canonical JSON")
    if not index.exchanges:
        raise EvidenceBroken(INDEX, "it names no exchange")
    tail = _tail_parts(index.chains, index.checkpoints, index.former_keys)
    for number, exchange in enumerate(index.exchanges, start=1):
        _check_exchange(index, exchange, number)
    _check_parts(index, tail, parts)
    return index


@lru_cache(maxsize=_TAILS_REMEMBERED)
def _tail_parts(
    chains: tuple[tuple[int, ...], ...],
    checkpoints: tuple[CheckpointEntry, ...],
    former_keys: tuple[int, ...],
) -> frozenset[str]:
    """The parts that files of one export share, by what the index says of them. Raises EvidenceBroken."""
    statements = {number for chain in chains for number in chain}
    _check_numbers(statements, MAX_NUMBER)
    _check_numbers(former_keys, len(chains))
    for checkpoint in checkpoints:
        _check_numbers((checkpoint.chain, *checkpoint.witnesses), len(chains))
        if not 0 < checkpoint.generation <= _LARGEST or len(checkpoint.witnesses) > _MOST_WITNESSES:
            raise EvidenceBroken(INDEX, "a checkpoint has a generation and at most 32 witnesses")
        if len(set(checkpoint.witnesses)) != len(checkpoint.witnesses):
            raise EvidenceBroken(INDEX, "a checkpoint names the chain of a witness twice")
    return frozenset(
        (
            *(checkpoint_part(number) for number in range(1, len(checkpoints) + 1)),
            *(former_keys_part(number) for number in range(1, len(former_keys) + 1)),
            *map(statement_part, statements),
        )
    )


def _check_numbers(numbers: Collection[int], most: int) -> None:
    if numbers and not 0 < min(numbers) <= max(numbers) <= most:
        raise EvidenceBroken(INDEX, "it refers to a number that is not there")


def _check_exchange(index: Index, exchange: ExchangeEntry, number: int) -> None:
    records = exchange.records
    what = f"exchange {number}"
    if not 1 <= len(records) <= 2 or len(exchange.request_id) > _LONGEST_ID:
        raise EvidenceBroken(INDEX, f"{what} has one or two records, and a request id")
    if not exchange.request_id.isprintable():
        raise EvidenceBroken(INDEX, f"the request id of {what} is not printable")
    expected = (0,) if records[0].is_forgotten else (1, 2)
    for chains in (exchange.asking, exchange.answering):
        if len(chains) not in expected:
            raise EvidenceBroken(INDEX, f"{what} does not name the chains of its nodes")
        _check_numbers(chains, len(index.chains))
    for record in records:
        if not 0 <= record.checkpoint <= len(index.checkpoints):
            raise EvidenceBroken(INDEX, f"{what} names a checkpoint that is not there")
        _check_record(record, what)


def _check_record(record: RecordEntry, what: str) -> None:
    whole = (record.kind, record.generation, record.log_index, record.position)
    if not 0 <= min(whole) <= max(whole) <= _LARGEST or not 0 <= record.recorded_at <= _LATEST:
        raise EvidenceBroken(INDEX, f"a record of {what} has a number that no log has")
    if len(record.leaf) != LEAF_BYTES or len(record.salt) not in (0, SALT_BYTES):
        raise EvidenceBroken(INDEX, f"a record of {what} has no leaf of 33 bytes with its salt of 16")
    steps, rest = divmod(len(record.proof), HASH_BYTES)
    if rest or steps > MAX_PATH or (record.proof and not record.checkpoint):
        raise EvidenceBroken(INDEX, f"a record of {what} has no audit path to a checkpoint")


def _check_parts(index: Index, tail: frozenset[str], parts: Collection[str]) -> None:
    named = set(_exchange_parts(index))
    named |= tail
    if len(parts) - sum([name in parts for name in _SINGLE]) == len(named) and named.issubset(parts):
        return
    for name in parts:
        if name not in named and name not in _SINGLE:
            raise EvidenceBroken(name, "nothing in the index refers to it")
    for name in sorted(named):
        if name not in parts:
            raise EvidenceBroken(name, "the index refers to it, but it is not there")


def _exchange_parts(index: Index) -> Iterator[str]:
    for number, exchange in enumerate(index.exchanges, start=1):
        records = exchange.records
        if not records[0].is_forgotten:
            yield request_part(number)
        if len(records) > 1 and not records[1].is_forgotten:
            yield answer_part(number)
