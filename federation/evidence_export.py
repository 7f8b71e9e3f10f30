"""Evidence files, made: one exchange from the log, with the trust statements as they were that day."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from federation.errors import EvidenceBroken, OwnNotFound
from federation.ports import Clock, Codec, RecordKind, StoredRecord
from federation.statements import StatementKind, StoredStatement
from trust.chain import MAX_DEPTH
from trust.entity import read_statement
from trust.envelope import parse
from trust.evidence import (
    ANSWER,
    MAX_FILE_BYTES,
    RECORDS,
    REQUEST,
    ROLES,
    ROLL_OVERS,
    STATUS,
    canonical_json,
    chain_parts,
    seal_parts,
)
from trust.keys import Signer

__all__ = ["Exporter", "Records", "StatementArchive", "export_exchange"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASKING, _ANSWERING, _EXPORTING = ROLES


class Records(Protocol):
    """The log, to read: `federation.ports.Journal` is one."""

    async def find_records(self, request_id: str) -> Sequence[StoredRecord]:
        """All records of one exchange in log order."""
        ...


class StatementArchive(Protocol):
    """The trust statements as this node knew them at a time."""

    async def find_statement(
        self, iss: str, sub: str, kind: StatementKind, *, at: datetime
    ) -> StoredStatement | None:
        """The newest that was known by then; None when there never was one."""
        ...


class Exporter:
    """Makes the evidence files of one node. `signer` gives its envelope key of the moment."""

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
    ) -> None:
        self._records = records
        self._archive = archive
        self._codec = codec
        self._signer = signer
        self._clock = clock
        self._entity_id = entity_id
        self._anchor = anchor

    async def export(self, request_id: str, *, asking: str = "") -> bytes:
        """The file of one exchange; with `asking`, of the one that this node asked.

        What this node asked itself goes first; without an answer the file has the request alone. Raises
        OwnNotFound when there is no such exchange, EvidenceBroken when a trust statement of
        that day is missing, OwnStoreUnavailable, OwnKeyUnavailable when the file cannot be signed.
        """
        records = await self._records.find_records(request_id)
        if asking:
            records = [record for record in records if record.meta.asking == asking]
        return await export_exchange(
            records,
            archive=self._archive,
            codec=self._codec,
            signer=self._signer(),
            now=self._clock.now(),
            entity_id=self._entity_id,
            anchor=self._anchor,
        )


async def export_exchange(
    records: Sequence[StoredRecord],
    *,
    archive: StatementArchive,
    codec: Codec,
    signer: Signer,
    now: datetime,
    entity_id: str,
    anchor: str,
) -> bytes:
    """The file of the exchange in these records. Raises as `Exporter.export`."""
    request, answer = _pair(records, codec)
    known_at = request.recorded_at if answer is None else answer.recorded_at
    parts = {REQUEST: request.envelope}
    if answer is not None:
        parts[ANSWER] = answer.envelope
    parts[RECORDS] = canonical_json([_describe(one) for one in (request, answer) if one is not None])
    for role, entity, at in (
        (_ASKING, request.meta.asking, request.recorded_at),
        (_ANSWERING, request.meta.answering, known_at),
        (_EXPORTING, entity_id, now),
    ):
        parts |= chain_parts(role, await _chain_of(archive, entity, anchor, at))
    for name, kind in ((STATUS, StatementKind.STATUS), (ROLL_OVERS, StatementKind.ROLL_OVERS)):
        found = await archive.find_statement(anchor, anchor, kind, at=now)
        if found is not None:
            parts[name] = found.token.encode("ascii")
    # Beside the loop: a file may be large, and the key may be in a token that takes its time.
    return await asyncio.to_thread(
        seal_parts,
        parts,
        exported_by=entity_id,
        exported_at=now,
        request_id=request.meta.request_id,
        signer=signer,
    )


def _pair(records: Sequence[StoredRecord], codec: Codec) -> tuple[StoredRecord, StoredRecord | None]:
    for ask, reply in (
        (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER),
        (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER),
    ):
        requests = [record for record in records if record.kind is ask]
        if not requests:
            continue
        replies = [record for record in records if record.kind is reply]
        answers = [one for one in replies if _answers(codec, one, requests[0])]
        return requests[0], answers[0] if answers else None
    raise OwnNotFound("there is no exchange with that request id in this node's log")


def _answers(codec: Codec, answer: StoredRecord, request: StoredRecord) -> bool:
    sealed = parse(answer.envelope, max_bytes=MAX_FILE_BYTES)
    header = codec.decode_answer(sealed.payload_type, sealed.payload).header
    return header.request_identity == request.identity


def _describe(record: StoredRecord) -> dict[str, Any]:
    return {
        "kind": int(record.kind),
        "log_index": record.log_index,
        "recorded_at": (record.recorded_at - _EPOCH) // timedelta(microseconds=1),
        "salt": base64.b64encode(record.salt).decode(),
        "leaf": base64.b64encode(record.leaf).decode(),
    }


async def _chain_of(archive: StatementArchive, entity: str, anchor: str, at: datetime) -> list[str]:
    """From the entity's configuration over its superiors to the anchor's, as they were known at `at`."""
    chain = [await _statement(archive, entity, entity, StatementKind.CONFIGURATION, at)]
    subject = entity
    for _ in range(MAX_DEPTH):
        found = await _superior(archive, chain[-1] if subject == entity else "", subject, anchor, at)
        chain.append(found[1])
        subject = found[0]
        if subject == anchor:
            break
    chain.append(await _statement(archive, anchor, anchor, StatementKind.CONFIGURATION, at))
    return chain


async def _superior(
    archive: StatementArchive, configuration: str, subject: str, anchor: str, at: datetime
) -> tuple[str, str]:
    hints = (
        read_statement(configuration, allow_http_on_loopback=True).authority_hints if configuration else ()
    )
    for superior in (anchor, *hints):
        found = await archive.find_statement(superior, subject, StatementKind.SUBORDINATE, at=at)
        if found is not None:
            return superior, found.token
    raise EvidenceBroken(f"this node has no statement of a superior about {subject} from that day")


async def _statement(archive: StatementArchive, iss: str, sub: str, kind: StatementKind, at: datetime) -> str:
    found = await archive.find_statement(iss, sub, kind, at=at)
    if found is None:
        raise EvidenceBroken(f"this node has no {kind.value} by {iss} about {sub} from that day")
    return found.token
