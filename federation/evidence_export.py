"""Evidence files, made: exchanges from the log with their proofs, and the trust statements as they were those days.

A file has one exchange, or many of a case, a holder or a period; what would be larger than `SPLIT_BYTES` or have more
than `SPLIT_EXCHANGES` becomes several files. Each record goes with the earliest settled checkpoint that holds it, or
with the newest checkpoint while there is none; a record that was forgotten with leaf and proof only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from federation.errors import OwnBadValue, OwnNotFound
from federation.evidence_build import FileBuilder
from federation.evidence_chains import ChainArchive, KnownChain
from federation.evidence_ports import (
    ExchangeFinder,
    ExchangeRef,
    FormerKeyDocuments,
    Records,
    RefPage,
    StatementArchive,
)
from federation.ports import (
    CheckpointRow,
    Clock,
    Codec,
    Cosignature,
    LogGeneration,
    RecordKind,
    StoredRecord,
    Tree,
)
from federation.statements import StatementKind
from trust.entity import time_of
from trust.envelope import parse
from trust.evidence import MAX_FILE_BYTES
from trust.evidence_index import RecordEntry
from trust.historical import MAX_HISTORICAL_BYTES
from trust.keys import Signer
from trust.note import read_note, read_signature_lines
from trust.tokens import read_token

__all__ = [
    "SPLIT_BYTES",
    "SPLIT_EXCHANGES",
    "ExchangeFinder",
    "ExchangeRef",
    "ExportedFile",
    "Exporter",
    "Records",
    "RefPage",
    "StatementArchive",
]

SPLIT_BYTES: Final = 16 * 1024 * 1024
SPLIT_EXCHANGES: Final = 5000
_LEARNT: Final = timedelta(minutes=1)
"""How much later than it signs with a new key a node is known to have it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAIRS: Final = {
    True: (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER),
    False: (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER),
}


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file, and how many exchanges it has."""

    data: bytes
    exchanges: int


@dataclass(slots=True)
class _Work:
    """One file in the making, and by when the word on each signer's former keys should be."""

    file: FileBuilder = field(default_factory=FileBuilder)
    signers: dict[str, datetime] = field(default_factory=dict)

    def signed(self, entity_id: str, at: datetime) -> None:
        self.signers[entity_id] = max(at, self.signers.get(entity_id, at))


@dataclass(frozen=True, slots=True)
class _Placed:
    """A record's line in the index, and its evidence time if it is settled."""

    entry: RecordEntry
    evidence_at: datetime | None


class Exporter:
    """Makes the evidence files of one node. `signer` gives its envelope key of the moment.

    Without a `tree` the files hold no checkpoints; without `former_keys` no lists of former keys.
    """

    def __init__(
        self,
        *,
        records: Records,
        archive: StatementArchive,
        codec: Codec,
        signer: Callable[[], Signer],
        clock: Clock,
        entity_id: str,
        anchor: str,
        tree: Tree | None = None,
        former_keys: FormerKeyDocuments | None = None,
    ) -> None:
        self._records = records
        self._archive = archive
        self._chains = ChainArchive(archive, anchor)
        self._codec = codec
        self._signer = signer
        self._clock = clock
        self._entity_id = entity_id
        self._anchor = anchor
        self._tree = tree
        self._former_keys = former_keys
        self._generations: dict[int, LogGeneration] = {}

    async def export(self, request_id: str, *, asking: str = "") -> bytes:
        """The file of one exchange; with `asking`, of what that node asked.

        What this node asked itself goes first; without an answer the file has the request alone. Raises
        OwnNotFound when there is no such exchange, OwnBadValue when several nodes asked under that id and `asking` does
        not say which is meant, EvidenceBroken when a trust statement of that day is missing, OwnStoreUnavailable,
        OwnKeyUnavailable when the file cannot be signed.
        """
        records = await self._records.find_records(request_id, asking=asking)
        for asked_here in (True, False):
            askers = {one.meta.asking for one in records if one.kind is _PAIRS[asked_here][0]}
            if len(askers) > 1:
                named = ", ".join(sorted(askers))
                raise OwnBadValue(f"several nodes asked under that id, say which: {named}", field="asking")
            if askers:
                work = _Work()
                await self._add(work, records, asked_here=asked_here)
                return (await self._sealed(work, "exchange")).data
        raise OwnNotFound("there is no exchange with that request id in this node's log")

    async def export_many(
        self,
        refs: AsyncIterator[ExchangeRef],
        scope: str,
        *,
        split_bytes: int = SPLIT_BYTES,
        split_exchanges: int = SPLIT_EXCHANGES,
    ) -> AsyncIterator[ExportedFile]:
        """The files of these exchanges, in their order; none when there are none. `scope` as in a manifest.

        Holds one file in memory at a time. Raises as `export`.
        """
        work = _Work()
        async for ref in refs:
            records = await self._records.find_records(ref.request_id, asking=ref.asking)
            await self._add(work, records, asked_here=ref.asked_here, at=ref.log_index)
            if work.file.size_bytes >= split_bytes or work.file.exchanges >= split_exchanges:
                yield await self._sealed(work, scope)
                work = _Work()
        if work.file.exchanges:
            yield await self._sealed(work, scope)

    # --- one exchange -----------------------------------------------------------------------------------------

    async def _add(
        self, work: _Work, records: Sequence[StoredRecord], *, asked_here: bool, at: int | None = None
    ) -> None:
        request, answer = self._pair(records, _PAIRS[asked_here], at)
        pair = [request] if answer is None else [request, answer]
        placed = [await self._placed(work, record, forget=not request.salt) for record in pair]
        meta = request.meta
        asking: tuple[int, ...] = ()
        answering: tuple[int, ...] = ()
        if request.salt:
            asking = await self._chains_of(work, meta.asking, request, placed[0])
            answering = await self._chains_of(work, meta.answering, pair[-1], placed[-1])
        work.file.add_exchange(
            meta.request_id,
            asking=asking,
            answering=answering,
            records=[(one.entry, record.envelope) for one, record in zip(placed, pair, strict=True)],
        )

    def _pair(
        self, records: Sequence[StoredRecord], kinds: tuple[RecordKind, RecordKind], at: int | None
    ) -> tuple[StoredRecord, StoredRecord | None]:
        ask, reply = kinds
        requests = [one for one in records if one.kind is ask and at in (None, one.log_index)]
        if not requests:
            raise OwnNotFound("there is no exchange with that request id in this node's log")
        replies = [record for record in records if record.kind is reply]
        answers = [one for one in replies if self._answers(one, requests[0])]
        return requests[0], answers[0] if answers else None

    def _answers(self, answer: StoredRecord, request: StoredRecord) -> bool:
        if not answer.salt or not request.salt:
            return True  # forgotten: what it answered cannot be told any more
        sealed = parse(answer.envelope, max_bytes=MAX_FILE_BYTES)
        header = self._codec.decode_answer(sealed.payload_type, sealed.payload).header
        return header.request_identity == request.identity

    async def _chains_of(
        self, work: _Work, entity_id: str, record: StoredRecord, placed: _Placed
    ) -> tuple[int, ...]:
        """The signer's chain of when it signed and, when it is another, of the evidence time."""
        kid = "" if not record.envelope else parse(record.envelope, max_bytes=MAX_FILE_BYTES).kid
        signs = record.meta.asking == entity_id and record.kind in (_PAIRS[True][0], _PAIRS[False][0])
        kid = kid if signs or record.kind in (_PAIRS[True][1], _PAIRS[False][1]) else ""
        signed = await self._chains.of(entity_id, record.recorded_at, kid=kid)
        numbers = [work.file.chain(signed.statements)]
        at = placed.evidence_at or record.recorded_at
        work.signed(entity_id, at)
        if placed.evidence_at is not None:
            then = await self._chains.of(entity_id, placed.evidence_at, kid=kid)
            if kid and kid not in then.kids:
                then = signed  # its statement came within the second that a cosignature's time is rounded down to
            numbers.append(work.file.chain(then.statements))
        return tuple(dict.fromkeys(numbers))

    # --- its place in the log ---------------------------------------------------------------------------------

    async def _placed(self, work: _Work, record: StoredRecord, *, forget: bool) -> _Placed:
        """A record with its proof; `forget`: without what a forgotten one has no more."""
        tree, generation = self._tree, record.generation
        position, checkpoint, proof = record.log_index, 0, b""
        row: CheckpointRow | None = None
        if tree is not None:
            position -= await self._first_index(tree, generation)
            row = await self._checkpoint_for(tree, generation, position)
        if tree is not None and row is not None:
            checkpoint = await self._checkpoint(work, tree, row)
        if tree is not None and row is not None and checkpoint:
            proof = b"".join(await tree.inclusion(generation, position, row.size))
        entry = RecordEntry(
            checkpoint=checkpoint,
            generation=generation,
            kind=int(record.kind),
            leaf=record.leaf,
            log_index=record.log_index,
            position=position,
            proof=proof,
            recorded_at=(record.recorded_at - _EPOCH) // timedelta(microseconds=1),
            salt=b"" if forget else record.salt,
        )
        return _Placed(entry, row.settled_at if row is not None else None)

    async def _first_index(self, tree: Tree, generation: int) -> int:
        if generation not in self._generations:
            self._generations = {one.generation: one for one in await tree.generations()}
        return self._generations[generation].first_index

    async def _checkpoint_for(self, tree: Tree, generation: int, position: int) -> CheckpointRow | None:
        settled = await tree.settled_for(generation, position)
        if settled is not None:
            return settled
        newest = await tree.latest(generation)
        return newest if newest is not None and newest.size > position else None

    async def _checkpoint(self, work: _Work, tree: Tree, row: CheckpointRow) -> int:
        """Its number in the file; 0 for one that is not settled and was signed with a log key of before: it proves
        nothing any more.
        """
        known = work.file.find_checkpoint(row.generation, row.size)
        if known:
            return known
        signed, at = read_note(row.note.encode()).signatures, row.settled_at or self._clock.now()
        own = await self._chains.of_signer(
            self._entity_id, lambda known: known.signed_for_log(signed), at, at, at + _LEARNT
        )
        if row.settled_at is None and not own.signed_for_log(signed):
            return 0
        note, witnesses = row.note, dict[int, None]()
        for one in await tree.cosignatures_of(row.generation, row.size):
            chain = await self._chain_of_witness(one)
            witnesses[work.file.chain(chain.statements)] = None  # once, however often it cosigned
            work.signed(one.witness, one.cosigned_at)  # its list says which of its keys ended before that
            note += one.line.rstrip("\n") + "\n"
        return work.file.add_checkpoint(
            row.generation, row.size, note, chain=work.file.chain(own.statements), witnesses=tuple(witnesses)
        )

    async def _chain_of_witness(self, one: Cosignature) -> KnownChain:
        lines, at = read_signature_lines(one.line.rstrip("\n").encode() + b"\n"), one.cosigned_at
        return await self._chains.of_signer(
            one.witness, lambda known: known.cosigned(lines), at, at, at + _LEARNT
        )

    # --- the file ---------------------------------------------------------------------------------------------

    async def _sealed(self, work: _Work, scope: str) -> ExportedFile:
        if self._former_keys is not None:
            for entity_id, since in sorted(work.signers.items()):
                await self._add_former_keys(work, self._former_keys, entity_id, since)
        now = self._clock.now()
        for kind, add in (
            (StatementKind.STATUS, work.file.add_status),
            (StatementKind.ROLL_OVERS, work.file.add_roll_overs),
        ):
            found = await self._archive.find_statement(self._anchor, self._anchor, kind, at=now)
            if found is not None:
                add(found.token)
        own = await self._chains.of(self._entity_id, now, kid=self._signer().kid)
        # Beside the loop: a file may be large, and the key may be in a token that takes its time.
        data = await asyncio.to_thread(
            work.file.sealed,
            exporter=own.statements,
            entity_id=self._entity_id,
            now=now,
            scope=scope,
            signer=self._signer(),
        )
        return ExportedFile(data, work.file.exchanges)

    async def _add_former_keys(
        self, work: _Work, documents: FormerKeyDocuments, entity_id: str, since: datetime
    ) -> None:
        token = await documents.newest_of(entity_id, since=since)
        if token is None:
            return
        said = read_token(token, max_bytes=MAX_HISTORICAL_BYTES)
        issued_at = time_of(said.claims, "iat")
        chain = await self._chains.of_federation_key(entity_id, said.kid, issued_at, self._clock.now())
        work.file.add_former_keys(token, work.file.chain(chain.statements))
