"""The endpoints that ask nobody else, or only take up what was asked: peers and evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from federation.errors import (
    FederationError,
    OwnBadValue,
    OwnMalformedRequest,
    OwnNotFound,
    OwnStoreUnavailable,
)
from federation.peers import Peer
from federation.ports import RecordKind, StoredRecord
from federation.query import Outcome
from node.api.asking import json_response
from node.api.convert import NamesOfTypes, answer_of
from node.api.deps import PlatformSettings
from node.api.gate import Call, Gate
from node.api.models import EvidenceResult, PeerModel, PeersResult, RecordModel
from node.api.ports import Asker, EvidenceExporter, Records

__all__ = ["EVIDENCE_TYPE", "EvidenceReads", "PeerReads"]

EVIDENCE_TYPE = "application/vnd.yrd.evidence+zip"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class PeerReads:
    """GET /v1/peers."""

    def __init__(self, gate: Gate, asker: Asker) -> None:
        self._gate = gate
        self._asker = asker

    async def peers(self, request: web.Request) -> web.Response:
        """This node and its peers, by province."""
        self._gate.admit(request, "")
        if request.query:
            raise OwnMalformedRequest("no query parameter is known here", field="query")
        snapshot = self._asker.peers()
        peers = sorted(snapshot.peers.values(), key=lambda peer: peer.province)
        return json_response(
            PeersResult(
                snapshot.own_province,
                snapshot.own_entity,
                snapshot.refreshed_at,
                snapshot.sequence,
                [_peer(peer) for peer in peers],
            )
        )


class EvidenceReads:
    """GET /v1/evidence/{request_id}: a client sees what it asked itself; anything else is not there."""

    def __init__(
        self,
        settings: PlatformSettings,
        gate: Gate,
        asker: Asker,
        records: Records,
        exporter: EvidenceExporter,
        names_of_types: NamesOfTypes,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._asker = asker
        self._records = records
        self._exporter = exporter
        self._names_of_types = names_of_types

    async def evidence(self, request: web.Request) -> web.Response:
        """What is stored of a request, with its answer; one that is missing is fetched from the peer."""
        call = self._gate.admit(request, "")
        request_id, as_file = request.match_info["request_id"], _wants_file(request)
        records = await self._own_records(call, request_id)
        call.require(records[0].meta.operation.value)  # what it may not ask it may not read again either
        answer = await self._fetch(call, request_id)
        if as_file:
            return await self._file(request_id)
        return json_response(_evidence(await self._own_records(call, request_id), answer))

    async def _own_records(self, call: Call, request_id: str) -> Sequence[StoredRecord]:
        if not _UUID.fullmatch(request_id):
            raise OwnNotFound("there is no such request of this client")
        records = await self._records.find_records(request_id)
        own = [
            record
            for record in records
            if record.meta.client == call.client_id
            and record.kind in (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER)
        ]
        if not own:
            raise OwnNotFound("there is no such request of this client")
        return own

    async def _fetch(self, call: Call, request_id: str) -> Any:
        """The answer as the question would have got it; None for a refusal, and while there is none.

        What is stored can be shown whatever the peer says now, so only this node's own trouble is an error.
        """
        try:
            result = await self._asker.fetch(
                request_id, client=call.client_id, timeout_s=self._settings.deadline_s
            )
            return answer_of(result, self._names_of_types)
        except OwnStoreUnavailable:
            raise
        except FederationError:
            return None

    async def _file(self, request_id: str) -> web.Response:
        return web.Response(
            body=await self._exporter.export(request_id),
            content_type=EVIDENCE_TYPE,
            headers={
                "Content-Disposition": f'attachment; filename="evidence-{request_id}.zip"',
                "Cache-Control": "no-store",
            },
        )


def _wants_file(request: web.Request) -> bool:
    if not request.query:
        return False
    if list(request.query.items()) == [("format", "file")]:
        return True
    if list(request.query.items()) == [("format", "json")]:
        return False
    raise OwnBadValue("the one query parameter is format, either json or file", field="format")


def _evidence(records: Sequence[StoredRecord], answer: Any) -> EvidenceResult:
    meta = records[0].meta
    outcome = next((r.meta.outcome for r in records if r.kind is RecordKind.ASKED_ANSWER), "")
    refused = outcome not in ("", Outcome.ANSWERED.word)
    return EvidenceResult(
        request_id=meta.request_id,
        operation=meta.operation.value,
        asking=meta.asking,
        answering=meta.answering,
        state="waiting" if not outcome else "refused" if refused else "answered",
        outcome=outcome,
        records=[_record(record) for record in records],
        answer=answer,
    )


def _record(record: StoredRecord) -> RecordModel:
    kind: Any = record.kind.name.lower()
    return RecordModel(
        kind,
        record.log_index,
        record.recorded_at,
        record.identity.hex(),
        record.leaf.hex(),
        len(record.envelope),
    )


def _peer(peer: Peer) -> PeerModel:
    standing: Any = peer.standing
    return PeerModel(peer.province, peer.name, peer.entity_id, standing, peer.reason, peer.expires_at)
