"""One exchange between two nodes under one anchor, as a store would hold it, to make evidence files from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from federation.evidence import Exporter
from federation.ports import ExchangeMeta, RecordKind, StoredRecord
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
from trust.entity import build_entity_configuration, build_subordinate_statement
from trust.envelope import Sealed, seal
from trust.evidence import leaf_data
from trust.keys import SigningKey, jwks_of
from trust.profile import node_metadata, node_pins
from trust.rollover import build_roll_over, roll_overs_document
from trust.status import Revocation, build_status

__all__ = ["ANCHOR", "ANSWERING", "ASKING", "CODEC", "HOLDER_ID", "PAPERS", "Exchange", "World"]

ANCHOR = "https://anchor.example"
ASKING, ANSWERING = "https://node.sh.example", "https://node.zj.example"
PROVINCES = {ASKING: ("310000", "上海市节点"), ANSWERING: ("330000", "浙江省节点")}
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


class World:
    """The anchor, two nodes, and what was published. It is its own statement archive."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.anchor_key, self.status_key = SigningKey.generate(), SigningKey.generate()
        self.federation_keys = {ASKING: SigningKey.generate(), ANSWERING: SigningKey.generate()}
        self.envelope_keys = {ASKING: SigningKey.generate(), ANSWERING: SigningKey.generate()}
        self.status_sequence = 6
        self.former_anchor_keys: list[SigningKey] = []
        self.roll_overs: list[str] = []
        self.statements: dict[tuple[str, str, StatementKind], str] = {}
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
        anchor = build_entity_configuration(
            entity_id=ANCHOR,
            signer=self.anchor_key,
            metadata={"yrd_anchor": {"status_jwks": jwks_of([self.status_key.verification_key])}},
            now=at,
        )
        self.statements[ANCHOR, ANCHOR, StatementKind.CONFIGURATION] = anchor
        for entity in PROVINCES:
            self._publish_node(entity, at)
        self.statements[ANCHOR, ANCHOR, StatementKind.STATUS] = build_status(
            anchor=ANCHOR,
            sequence=self.status_sequence,
            statements={},
            revocations=revocations,
            signer=self.status_key,
            now=at,
        )

    def _publish_node(self, entity: str, at: datetime) -> None:
        province, name = PROVINCES[entity]
        endpoint = entity.removeprefix("https://") + ":443"
        metadata = node_metadata(
            entity_id=entity,
            province=province,
            name=name,
            grpc_endpoint=endpoint,
            envelope_keys=[self.envelope_keys[entity].verification_key],
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
        token = self.statements.get((iss, sub, kind))
        return None if token is None else StoredStatement(iss, sub, kind, token, 1, "", at)

    def exporter(self, exchange: Exchange, entity_id: str = ASKING) -> Exporter:
        return Exporter(
            records=exchange,
            archive=self,
            codec=CODEC,
            signer=lambda: self.envelope_keys[entity_id],
            clock=self.clock,
            entity_id=entity_id,
            anchor=ANCHOR,
        )

    async def export(self, exchange: Exchange, entity_id: str = ASKING) -> bytes:
        return await self.exporter(exchange, entity_id).export(exchange.request_id)


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

    async def find_records(self, request_id: str) -> Sequence[StoredRecord]:
        return self.records if request_id == self.request_id else []

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
