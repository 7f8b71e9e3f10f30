"""One exchange between two nodes under one anchor, as a store would hold it, to make evidence files from; its log is
cosigned by the other nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from federation.evidence import verify_evidence
from federation.evidence_export import Exporter
from federation.evidence_ports import Records
from federation.evidence_report import EvidenceReport
from federation.ports import (
    CheckpointRow,
    Cosignature,
    ExchangeMeta,
    LogGeneration,
    RecordKind,
    StoredRecord,
)
from federation.query import (
    Answer,
    AnswerBody,
    AnswerHeader,
    Basis,
    BasisKind,
    Certificate,
    CertificateQuery,
    CertificatesAnswer,
    Decision,
    MapSet,
    Operation,
    Outcome,
    Request,
    RequestBody,
    RequestHeader,
)
from federation.rpc.convert import ProtobufCodec
from federation.statements import StatementKind, StoredStatement
from mapping.element import Element
from tests.support.clock import NOON, FixedClock
from tests.support.exchanges import next_request_id
from tests.support.replacing import replace
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.container import MANIFEST, read_container
from trust.cosignature import cosign, quorum_time
from trust.entity import build_entity_configuration, build_subordinate_statement
from trust.envelope import Sealed, seal
from trust.errors import EvidenceBroken
from trust.evidence import leaf_data, read_manifest, seal_parts
from trust.historical import HistoricalKey, build_historical_keys
from trust.keys import SigningKey, jwks_of
from trust.merkle import inclusion_path, leaf_hash, root
from trust.profile import log_origin, node_metadata, node_pins, witness_name
from trust.rollover import build_roll_over, roll_overs_document
from trust.status import Revocation, build_status

__all__ = [
    "ANCHOR",
    "ANSWERING",
    "ASKING",
    "CODEC",
    "HOLDER_ID",
    "PAPERS",
    "QUORUM",
    "SETTLED_AT",
    "WITNESSES",
    "Exchange",
    "Log",
    "World",
    "broken",
    "exporter_of",
    "only",
    "resealed",
]

ANCHOR = "https://anchor.example"
ASKING, ANSWERING = "https://node.sh.example", "https://node.zj.example"
WITNESSES = ("https://node.js.example", "https://node.ah.example")
PROVINCES = {
    ASKING: ("310000", "上海市节点"),
    ANSWERING: ("330000", "浙江省节点"),
    WITNESSES[0]: ("320000", "江苏省节点"),
    WITNESSES[1]: ("340000", "安徽省节点"),
}
QUORUM = 2
SETTLED_AT = NOON + timedelta(seconds=2)
"""When the second witness cosigns."""
HOLDER_ID = "330106199011020279"
CODEC = ProtobufCodec()
MAP_SET = MapSet("2026.1", bytes(32))
QUERY = CertificateQuery("111", HOLDER_ID, "111000000000131433001")
PAPERS = CertificatesAnswer(
    (
        Certificate(
            "111000000000131433001", "1.2.156.3005.2", (Element("证照名称", "结婚证"), Element("性别", "女"))
        ),
    )
)


def only(data: bytes, jwks: Mapping[str, Any], **more: Any) -> EvidenceReport:
    """What a file of one exchange proves."""
    return verify_evidence(data, jwks, CODEC, **more).only


def broken(world: World, data: bytes, anchor: Mapping[str, Any] | None = None) -> EvidenceBroken:
    """Why a file proves nothing."""
    with pytest.raises(EvidenceBroken) as caught:
        only(data, anchor or world.anchor_jwks)
    return caught.value


def resealed(
    world: World,
    data: bytes,
    change: Callable[[dict[str, bytes]], Any],
    by: str = "",
    *,
    key: SigningKey | None = None,
) -> bytes:
    """The file with other parts, under a manifest that fits them: what a node with a real key could make."""
    parts = read_container(data)
    manifest, _ = read_manifest(parts)
    del parts[MANIFEST]
    change(parts)
    return seal_parts(
        parts,
        exported_by=by or manifest.exported_by,
        exported_at=manifest.exported_at,
        scope=manifest.scope,
        chain=manifest.chain,
        signer=key or world.envelope_keys[manifest.exported_by],
    )


class World:
    """The anchor, four nodes, and what was published. It is its own archive of statements and of former keys.

    `cosigners` say who cosigns checkpoints and when; `former_keys` are what a node says of its former keys, with the
    time when it says so: a node that is not there says nothing.
    """

    def __init__(self) -> None:
        self.clock = FixedClock(NOON + timedelta(seconds=10))
        self.anchor_key, self.status_key = SigningKey.generate(), SigningKey.generate()
        self.federation_keys = {entity: SigningKey.generate() for entity in PROVINCES}
        self.envelope_keys = {entity: SigningKey.generate() for entity in PROVINCES}
        self.log_keys = {entity: SigningKey.generate("EdDSA") for entity in PROVINCES}
        self.witness_keys = {entity: SigningKey.generate("EdDSA") for entity in PROVINCES}
        self.quorum: int | None = QUORUM
        self.cosigners = {entity: NOON + timedelta(seconds=n) for n, entity in enumerate(WITNESSES, start=1)}
        self.former_keys: dict[str, tuple[datetime, list[HistoricalKey]]] = {
            entity: (self.clock.at, []) for entity in PROVINCES
        }
        self._lists: dict[tuple[str, datetime, tuple[HistoricalKey, ...]], str] = {}
        self.status_sequence = 6
        self.former_anchor_keys: list[SigningKey] = []
        self.roll_overs: list[str] = []
        self.statements: dict[tuple[str, str, StatementKind], str] = {}
        self.before: tuple[datetime, dict[tuple[str, str, StatementKind], str]] = (NOON, {})
        """Until when other statements were known, and which."""
        self.publish(NOON)

    @property
    def anchor_jwks(self) -> dict[str, Any]:
        return jwks_of([self.anchor_key.verification_key])

    def roll_over(self, at: datetime, *, old_until: datetime) -> None:
        """Give the anchor a new key, and let the nodes learn of it; the statements stay as they are."""
        self.former_anchor_keys.append(self.anchor_key)
        self.anchor_key = SigningKey.generate()
        token = build_roll_over(
            anchor=ANCHOR,
            number=len(self.roll_overs) + 1,
            old=self.former_anchor_keys[-1],
            new=self.anchor_key,
            now=at,
            old_until=old_until,
            reason="yearly",
        )
        self.roll_overs.append(token)
        self.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = roll_overs_document(self.roll_overs)

    def publish(self, at: datetime, revocations: Sequence[Revocation] = ()) -> None:
        """Sign every statement anew, and the next status."""
        self.status_sequence += 1
        own: dict[str, Any] = {"status_jwks": jwks_of([self.status_key.verification_key])}
        if self.quorum is not None:
            own["witness_quorum"] = self.quorum
        anchor = build_entity_configuration(
            entity_id=ANCHOR, signer=self.anchor_key, metadata={"yrd_anchor": own}, now=at
        )
        self.statements[ANCHOR, ANCHOR, StatementKind.CONFIGURATION] = anchor
        for entity in PROVINCES:
            self.publish_node(entity, at)
        self.statements[ANCHOR, ANCHOR, StatementKind.STATUS] = build_status(
            anchor=ANCHOR,
            sequence=self.status_sequence,
            statements={},
            revocations=revocations,
            signer=self.status_key,
            now=at,
        )

    def publish_node(self, entity: str, at: datetime, who: tuple[str, str] | None = None) -> None:
        """Sign what a node says, and what the anchor says about it, anew."""
        province, name = who or PROVINCES[entity]
        endpoint = entity.removeprefix("https://") + ":443"
        metadata = node_metadata(
            entity_id=entity,
            province=province,
            name=name,
            grpc_endpoint=endpoint,
            envelope_keys=[self.envelope_keys[entity].verification_key],
            log_keys=[self.log_keys[entity].verification_key],
            witness_keys=[self.witness_keys[entity].verification_key],
            log_generation=1,
        )
        signer = self.federation_keys[entity]
        self.statements[entity, entity, StatementKind.CONFIGURATION] = build_entity_configuration(
            entity_id=entity, signer=signer, metadata=metadata, now=at, authority_hints=[ANCHOR]
        )
        self.statements[ANCHOR, entity, StatementKind.SUBORDINATE] = build_subordinate_statement(
            issuer=ANCHOR,
            subject=entity,
            subject_keys=[signer.verification_key],
            metadata_policy=node_pins(entity_id=entity, province=province, name=name, grpc_endpoint=endpoint),
            signer=self.anchor_key,
            now=at,
        )

    async def find_statement(
        self, iss: str, sub: str, kind: StatementKind, *, at: datetime
    ) -> StoredStatement | None:
        until, before = self.before
        known = before if at < until and (iss, sub, kind) in before else self.statements
        token = known.get((iss, sub, kind))
        return None if token is None else StoredStatement(iss, sub, kind, token, 1, "", at)

    async def newest_of(self, entity_id: str, *, since: datetime) -> str | None:
        """The list of a node's former keys."""
        del since
        if entity_id not in self.former_keys:
            return None
        at, keys = self.former_keys[entity_id]
        said = (entity_id, at, tuple(keys))
        if said not in self._lists:
            self._lists[said] = build_historical_keys(
                entity_id=entity_id, keys=keys, signer=self.federation_keys[entity_id], now=at
            )
        return self._lists[said]

    def exporter(self, exchange: Exchange, entity_id: str = ASKING) -> Exporter:
        return exporter_of(self, exchange, entity_id, Log(self, entity_id, exchange.records))

    async def export(self, exchange: Exchange, entity_id: str = ASKING) -> bytes:
        return await self.exporter(exchange, entity_id).export(exchange.request_id)


def exporter_of(world: World, records: Records, entity_id: str, log: Log) -> Exporter:
    """What makes a node's evidence files, with this log."""
    return Exporter(
        records=records,
        archive=world,
        codec=CODEC,
        signer=lambda: world.envelope_keys[entity_id],
        clock=world.clock,
        entity_id=entity_id,
        anchor=ANCHOR,
        tree=log,
        former_keys=world,
    )


class Log:
    """A node's log of `SIZE` records with these among them, under one checkpoint; a `federation.ports.Tree`."""

    SIZE = 64

    def __init__(
        self, world: World, entity_id: str, records: Sequence[StoredRecord], generation: int = 1
    ) -> None:
        self._world, self._generation = world, generation
        own = {record.log_index: record.leaf for record in records}
        size = max([self.SIZE, *(index + 1 for index in own)])
        self._leaves = [leaf_hash(own.get(index, bytes(33))) for index in range(size)]
        self._checkpoint = Checkpoint(log_origin(entity_id, generation), size, root(self._leaves))
        self._note = sign_checkpoint(self._checkpoint, world.log_keys[entity_id])

    async def generations(self) -> Sequence[LogGeneration]:
        return [LogGeneration(self._generation, 0, NOON)]

    async def latest(self, generation: int | None = None) -> CheckpointRow | None:
        del generation
        return self._row()

    async def latest_settled(self, generation: int | None = None) -> CheckpointRow | None:
        del generation
        row = self._row()
        return row if row.settled_at is not None else None

    async def checkpoint(self, generation: int, size: int) -> CheckpointRow | None:
        row = self._row()
        return row if (generation, size) == (row.generation, row.size) else None

    async def settled_for(self, generation: int, leaf: int) -> CheckpointRow | None:
        return await self.latest_settled() if leaf < self._checkpoint.size else None

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        world = self._world
        return [
            Cosignature(entity, at, self.line(entity, world.witness_keys[entity], at))
            for entity, at in sorted(world.cosigners.items())
        ]

    def line(self, entity: str, key: SigningKey, at: datetime) -> str:
        """What a witness says to the checkpoint."""
        return cosign(self._checkpoint.text(), name=witness_name(entity), signer=key, at=at).rstrip("\n")

    async def inclusion(self, generation: int, leaf: int, size: int) -> tuple[bytes, ...]:
        return inclusion_path(self._leaves[:size], leaf)

    async def consistency(self, generation: int, old: int, new: int) -> tuple[bytes, ...]:
        raise NotImplementedError

    async def tile(self, generation: int, level: int, position: int) -> bytes | None:
        raise NotImplementedError

    def _row(self) -> CheckpointRow:
        quorum, times = self._world.quorum, self._world.cosigners
        at = quorum_time(times, quorum) if quorum else None
        one = self._checkpoint
        return CheckpointRow(self._generation, one.size, one.root, NOON, self._note, at)


class Exchange:
    """A question and its answer; anything about them can be said otherwise."""

    def __init__(
        self,
        world: World,
        *,
        body: RequestBody = QUERY,
        operation: Operation = Operation.CERTIFICATES_QUERY,
        answer: AnswerBody | None = PAPERS,
        refusal: tuple[str, str] | None = None,
        request_says: Mapping[str, Any] | None = None,
        answer_says: Mapping[str, Any] | None = None,
        answered: bool = True,
        exported_by: str = ASKING,
    ) -> None:
        self.request_id = next_request_id()
        request = Request(replace(self._request_header(operation), **(request_says or {})), body)
        payload = CODEC.encode_request(request)
        sealed = seal(request.header.operation.request_type, payload, world.envelope_keys[ASKING])
        asks = exported_by == ASKING
        kinds = (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER)
        if not asks:
            kinds = (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER)
        self.records = [self.record(0, kinds[0], sealed, operation)]
        if not answered:
            return
        header = replace(self.answer_header(operation, sealed.identity, refusal), **(answer_says or {}))
        payload = CODEC.encode_answer(Answer(header, None if refusal else answer))
        sealed = seal(header.operation.answer_type, payload, world.envelope_keys[ANSWERING])
        self.records.append(self.record(1, kinds[1], sealed, operation))

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        return [
            record
            for record in self.records
            if request_id == self.request_id and asking in ("", record.meta.asking)
        ]

    def _request_header(self, operation: Operation) -> RequestHeader:
        return RequestHeader(
            request_id=self.request_id,
            asking=ASKING,
            answering=ANSWERING,
            operation=operation,
            asked_at=NOON,
            expires_at=NOON + timedelta(seconds=30),
            platform="demo-portal",
            officer="经办-017",
            basis=Basis(BasisKind.OFFICIAL_DUTY, "出生一件事", "", "沪-2026-0001", "核验婚姻状况"),
            traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
            map_set=MAP_SET,
        )

    def answer_header(
        self, operation: Operation, identity: bytes, refusal: tuple[str, str] | None
    ) -> AnswerHeader:
        """What the answering node says of its answer."""
        return AnswerHeader(
            request_id=self.request_id,
            request_identity=identity,
            answering=ANSWERING,
            asking=ASKING,
            operation=operation,
            answered_at=NOON + timedelta(milliseconds=80),
            outcome=Outcome.REFUSED if refusal else Outcome.ANSWERED,
            map_set=MAP_SET,
            decision=Decision("for-310000", "2026-11-01"),
            refusal_code=refusal[0] if refusal else "",
            refusal_detail=refusal[1] if refusal else "",
        )

    def record(self, index: int, kind: RecordKind, sealed: Sealed, operation: Operation) -> StoredRecord:
        """An envelope as the log has it."""
        meta = ExchangeMeta(self.request_id, ASKING, ANSWERING, operation, "demo-portal")
        at, salt = NOON + timedelta(milliseconds=100 * index), bytes([index]) * 16
        micros = int(at.timestamp() * 1_000_000)
        leaf = leaf_data(kind, micros, sealed.envelope, salt)
        return StoredRecord(41 + index, kind, meta, at, sealed.identity, sealed.envelope, salt, leaf)
