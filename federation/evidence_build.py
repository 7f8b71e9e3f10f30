"""One evidence file while it is made: parts are numbered as they come; what exchanges share is in it once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from trust.container import (
    INDEX,
    ROLL_OVERS,
    STATUS,
    answer_part,
    checkpoint_part,
    former_keys_part,
    request_part,
    statement_part,
)
from trust.evidence import seal_parts
from trust.evidence_index import CheckpointEntry, ExchangeEntry, Index, RecordEntry, write_index
from trust.keys import Signer

__all__ = ["FileBuilder"]

_PART_BYTES: Final = 320
"""What a part costs beside its content: its places in container, directory and manifest."""
_INDEX_BYTES: Final = 1400
"""What an exchange costs in the index, with two audit paths of 20 hashes."""


class FileBuilder:
    """Collects exchanges; `sealed` makes the file. `size_bytes` is about what it would have now."""

    def __init__(self) -> None:
        self._parts: dict[str, bytes] = {}
        self._statements: dict[str, int] = {}
        self._chains: dict[tuple[int, ...], int] = {}
        self._checkpoints: dict[tuple[int, int], int] = {}
        self._checkpoint_entries: list[CheckpointEntry] = []
        self._former_keys: list[int] = []
        self._exchanges: list[ExchangeEntry] = []
        self.size_bytes = 0

    @property
    def exchanges(self) -> int:
        """How many there are."""
        return len(self._exchanges)

    def chain(self, statements: Sequence[str]) -> int:
        """The number of a chain, a node's own configuration first; it is added when it is new."""
        numbers = tuple(map(self._statement, statements))
        return self._chains.setdefault(numbers, len(self._chains) + 1)

    def _statement(self, token: str) -> int:
        known = self._statements.get(token)
        if known is None:
            known = self._statements[token] = len(self._statements) + 1
            self._add(statement_part(known), token.encode("ascii"))
        return known

    def find_checkpoint(self, generation: int, size: int) -> int:
        """The number of a checkpoint, or 0 when it was not added yet."""
        return self._checkpoints.get((generation, size), 0)

    def add_checkpoint(
        self, generation: int, size: int, note: str, *, chain: int, witnesses: Sequence[int]
    ) -> int:
        """Add a checkpoint with its signatures, and say which chains prove them."""
        number = self._checkpoints[generation, size] = len(self._checkpoints) + 1
        self._checkpoint_entries.append(CheckpointEntry(chain, generation, tuple(witnesses)))
        self._add(checkpoint_part(number), note.encode())
        return number

    def add_former_keys(self, token: str, chain: int) -> None:
        """Add a node's list of former keys, and say which chain proves its signer."""
        self._former_keys.append(chain)
        self._add(former_keys_part(len(self._former_keys)), token.encode("ascii"))

    def add_exchange(
        self,
        request_id: str,
        *,
        asking: Sequence[int],
        answering: Sequence[int],
        records: Sequence[tuple[RecordEntry, bytes]],
    ) -> None:
        """Add an exchange; each record with its envelope, empty when it was forgotten."""
        number = len(self._exchanges) + 1
        for name, (record, envelope) in zip((request_part, answer_part), records, strict=False):
            if not record.is_forgotten:
                self._add(name(number), envelope)
        entries = tuple(record for record, _ in records)
        self._exchanges.append(ExchangeEntry(tuple(answering), tuple(asking), entries, request_id))
        self.size_bytes += _INDEX_BYTES

    def add_status(self, token: str) -> None:
        """Add the trust status."""
        self._add(STATUS, token.encode("ascii"))

    def add_roll_overs(self, document: str) -> None:
        """Add the roll-overs of the anchor's key."""
        self._add(ROLL_OVERS, document.encode("ascii"))

    def sealed(
        self, *, exporter: Sequence[str], entity_id: str, now: datetime, scope: str, signer: Signer
    ) -> bytes:
        """The file; `exporter` is the chain of the node that signs it. Raises EvidenceBroken when it is too large."""
        own = tuple(map(self._statement, exporter))
        self._chains.setdefault(own, len(self._chains) + 1)
        index = Index(
            tuple(self._chains),
            tuple(self._checkpoint_entries),
            tuple(self._exchanges),
            tuple(self._former_keys),
        )
        return seal_parts(
            {**self._parts, INDEX: write_index(index)},
            exported_by=entity_id,
            exported_at=now,
            scope=scope,
            chain=own,
            signer=signer,
        )

    def _add(self, name: str, content: bytes) -> None:
        self._parts[name] = content
        self.size_bytes += len(content) + _PART_BYTES
