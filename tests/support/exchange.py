"""Two provinces in memory: doubles with behaviour for the ports of the exchange, and nodes made with them.

Everything between the doubles is real: keys, envelopes, protobuf, dialects, access rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from federation.access import AccessHolder, parse_access
from federation.answer import Answerer
from federation.ask import AskCommand, Asker
from federation.errors import FederationError, OwnStoreUnavailable, PeerNoAnswer
from federation.exchange import DialectHolder, ExchangeLimits, ExchangeParts
from federation.observe import Side
from federation.peers import Directory, Peer, TrustSnapshot
from federation.ports import (
    Claim,
    ClaimState,
    ClaimVerdict,
    ExchangeMeta,
    LocalDocument,
    RecordKind,
    RegistryAnswer,
    StoredRecord,
)
from federation.query import Basis, BasisKind, CertificateQuery, Operation, RequestBody
from federation.rpc.convert import ProtobufCodec
from mapping.element import Element
from mapping.identifiers import make_certificate_id, make_citizen_number, make_uscc
from mapping.translate import Dialect, load_dialect
from tests.support.clock import NOON, FixedClock
from tests.support.replacing import replace
from trust.envelope import Sealed, seal
from trust.keys import SigningKey

__all__ = [
    "CARD_ID",
    "DUTY",
    "HOLDER",
    "ID_CARD",
    "MARRIAGE",
    "DirectTransport",
    "MemoryJournal",
    "MemoryRegistry",
    "Node",
    "RecordingObserver",
    "command",
    "holder_hash",
    "id_card",
    "make_country",
    "make_node",
]

ID_CARD, MARRIAGE = "11100000000013127D001", "111000000000131433001"
AUTHORITY = make_uscc("1", "1", "330106", "00248210")
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
HOLDER = make_citizen_number("330106", NOON.date().replace(year=1990), 27)
DUTY = Basis(BasisKind.OFFICIAL_DUTY, service_item_name="出生一件事", case_number="C-1", purpose="核验")
OPEN_RULES = """\
version = "open"
asking = [
  { rule = "ask-all", platform = "*", province = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], bases = ["*"] },
]
answering = [
  { rule = "answer-all", asking = "*", platform = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], bases = ["*"] },
]
"""  # noqa: E501 - a rule is one line


class MemoryJournal:
    """The Journal in memory: durable as long as the test."""

    def __init__(self, signer: SigningKey, clock: FixedClock) -> None:
        self.signer = signer
        self.clock = clock
        self.records: list[StoredRecord] = []
        self.claims: dict[tuple[str, str], tuple[bytes, Sealed | None]] = {}
        self.is_down = False
        self.is_full = False
        self._finished = asyncio.Condition()

    def _keep(self, kind: RecordKind, meta: ExchangeMeta, identity: bytes, envelope: bytes) -> None:
        if self.is_full:
            raise OwnStoreUnavailable("the disk is full")
        place, salt = len(self.records), bytes(16)
        leaf = sha256(salt + envelope).digest()
        record = StoredRecord(place, kind, meta, self.clock.now(), identity, envelope, salt, leaf)
        self.records.append(record)

    def _require_up(self) -> None:
        if self.is_down:
            raise OwnStoreUnavailable("the database is down")

    async def store_request(self, meta: ExchangeMeta, payload_type: str, payload: bytes) -> Sealed:
        self._require_up()
        sealed = seal(payload_type, payload, self.signer)
        self._keep(RecordKind.ASKED_REQUEST, meta, sealed.identity, sealed.envelope)
        return sealed

    async def store_answer(self, meta: ExchangeMeta, identity: bytes, envelope: bytes) -> None:
        self._require_up()
        self._keep(RecordKind.ASKED_ANSWER, meta, identity, envelope)

    async def claim(self, claim: Claim) -> ClaimVerdict:
        self._require_up()
        key = (claim.asking, claim.request_id)
        if key not in self.claims:
            self.claims[key] = (claim.identity, None)
            return ClaimVerdict(ClaimState.NEW)
        identity, answer = self.claims[key]
        if identity != claim.identity:
            return ClaimVerdict(ClaimState.REPLAYED)
        if answer is None:
            return ClaimVerdict(ClaimState.WORKING)
        return ClaimVerdict(ClaimState.FINISHED, answer.envelope)

    async def release(self, claim: Claim) -> None:
        self._require_up()
        self.claims.pop((claim.asking, claim.request_id), None)

    async def await_answer(self, claim: Claim, *, timeout_s: float) -> bytes | None:
        key = (claim.asking, claim.request_id)

        def is_over() -> bool:
            return key not in self.claims or self.claims[key][1] is not None

        async with self._finished:
            try:
                await asyncio.wait_for(self._finished.wait_for(is_over), timeout_s)
            except TimeoutError:
                return None
        answer = self.claims[key][1] if key in self.claims else None
        return answer.envelope if answer else None

    async def store_exchange(
        self, meta: ExchangeMeta, request: Sealed, request_identity: bytes, payload_type: str, payload: bytes
    ) -> Sealed:
        self._require_up()
        answer = seal(payload_type, payload, self.signer)
        self._keep(RecordKind.ANSWERED_REQUEST, meta, request_identity, request.envelope)
        self._keep(RecordKind.ANSWERED_ANSWER, meta, answer.identity, answer.envelope)
        key = (meta.asking, meta.request_id)
        if self.claims.get(key, (b"",))[0] == request_identity:
            self.claims[key] = (request_identity, answer)
        async with self._finished:
            self._finished.notify_all()
        return answer

    async def find_answer(self, asking: str, request_identity: bytes, request_id: str = "") -> bytes | None:
        for (asker, claimed), (identity, answer) in self.claims.items():
            if request_id not in ("", claimed):
                continue
            if asker == asking and identity == request_identity and answer is not None:
                return answer.envelope
        return None

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        mine = [record for record in self.records if record.meta.request_id == request_id]
        return [record for record in mine if asking in ("", record.meta.asking)]

    def kinds(self) -> list[RecordKind]:
        """What was stored, in order."""
        return [record.kind for record in self.records]


class MemoryRegistry:
    """A registry in memory: documents in local words, found by holder, id, type or item code."""

    def __init__(self, dialect: Dialect, documents: Iterable[dict[str, Any]] = ()) -> None:
        self.dialect = dialect
        self.documents = list(documents)
        self.items: list[LocalDocument] = []
        self.looked_up: list[tuple[Operation, dict[str, str]]] = []
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None
        self._reached = asyncio.Semaphore(0)

    async def reached(self, times: int = 1) -> None:
        """Return when so many more look-ups have begun."""
        for _ in range(times):
            await self._reached.acquire()

    async def look_up(
        self, operation: Operation, parameters: Mapping[str, str], *, timeout_s: float
    ) -> RegistryAnswer:
        self.looked_up.append((operation, dict(parameters)))
        self._reached.release()
        if self.hold is not None:
            await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        if operation in (Operation.SERVICES_SEARCH, Operation.SERVICES_GET):
            return RegistryAnswer(tuple(self.items), len(self.items))
        if operation is Operation.CERTIFICATES_TYPES:
            return RegistryAnswer(tuple(self.documents), len(self.documents))
        wanted = parameters.get("certificate_id") or parameters.get("holder_id", "")
        found = tuple(document for document in self.documents if wanted in str(document))
        return RegistryAnswer(found, len(found))


class DirectTransport:
    """Carries envelopes by a call. `tamper` changes what comes back, `faults` happen instead, one each."""

    def __init__(self, own_entity: str, answerers: Mapping[str, Answerer]) -> None:
        self.own_entity = own_entity
        self.answerers = answerers
        self.sent: list[bytes] = []
        self.tamper: Callable[[bytes], bytes] = lambda envelope: envelope
        self.faults: list[FederationError] = []

    async def exchange(self, peer: Peer, operation: Operation, envelope: bytes, *, timeout_s: float) -> bytes:
        self.sent.append(envelope)
        if self.faults:
            raise self.faults.pop(0)
        answerer = self.answerers[peer.entity_id]
        answer = await answerer.answer(
            envelope, tls_peer=self.own_entity, method_operation=None, timeout_s=timeout_s
        )
        return self.tamper(answer)

    async def fetch_answer(
        self, peer: Peer, request_identity: bytes, request_id: str, *, timeout_s: float
    ) -> bytes:
        if self.faults:
            raise self.faults.pop(0)
        answerer = self.answerers.get(peer.entity_id)
        if answerer is None:
            raise PeerNoAnswer("nobody there")
        return self.tamper(
            await answerer.fetch_answer(request_identity, request_id, tls_peer=self.own_entity)
        )


@dataclass
class RecordingObserver:
    """Keeps what it is told."""

    in_flight: int = 0
    outcomes: list[tuple[Side, str, str, str]] = field(default_factory=list)
    refused: list[tuple[Side, str, str]] = field(default_factory=list)
    stages: list[tuple[Side, str]] = field(default_factory=list)

    def began(self, side: Side) -> None:
        self.in_flight += 1

    def stage(self, side: Side, stage: str, seconds: float) -> None:
        self.stages.append((side, stage))

    def finished(self, side: Side, operation: Operation, province: str, outcome: str, seconds: float) -> None:
        self.in_flight -= 1
        self.outcomes.append((side, operation.value, province, outcome))

    def turned_away(self, side: Side, province: str, code: str) -> None:
        self.refused.append((side, province, code))


@dataclass
class Node:
    """One province's node, with all of its doubles at hand."""

    province: str
    entity_id: str
    key: SigningKey
    clock: FixedClock
    directory: Directory
    access: AccessHolder
    journal: MemoryJournal
    registry: MemoryRegistry
    transport: DirectTransport
    observer: RecordingObserver
    parts: ExchangeParts
    asker: Asker
    answerer: Answerer
    seconds: list[float]
    refreshes: list[str]
    on_refresh: list[Callable[[], None]]

    def peer(self, **changes: Any) -> Peer:
        """This node as the others know it."""
        described = Peer(
            entity_id=self.entity_id,
            province=self.province,
            name=self.province,
            grpc_target="127.0.0.1:1",
            tls_name="x.peer.yrd",
            envelope_keys={self.key.kid: self.key.verification_key},
            expires_at=NOON + timedelta(days=30),
        )
        return replace(described, **changes)

    def know(self, *peers: Peer) -> None:
        """Make these the peers that this node trusts."""
        self.directory.swap(
            TrustSnapshot(self.entity_id, self.province, {peer.entity_id: peer for peer in peers})
        )

    def govern(self, text: str) -> None:
        """Make this the access policy."""
        self.access.swap(parse_access(text))


_dialect = lru_cache(load_dialect)


def holder_hash(id_type: str, number: str) -> bytes:
    """What nodes have in the place of a keyed hash."""
    return sha256(f"{id_type} {number}".encode()).digest()[:18]


def make_node(
    province: str, answerers: dict[str, Answerer], clock: FixedClock, *, limits: ExchangeLimits | None = None
) -> Node:
    """A node that knows no peers yet; its answerer is put among `answerers`."""
    entity_id, key, seconds = f"https://node.{province}.example", SigningKey.generate(), [0.0]
    directory = Directory(TrustSnapshot(entity_id, province))
    access = AccessHolder(parse_access(OPEN_RULES))
    dialect = _dialect(province)
    journal, registry = MemoryJournal(key, clock), MemoryRegistry(dialect)
    transport, observer = DirectTransport(entity_id, answerers), RecordingObserver()
    limits = limits or ExchangeLimits()
    parts = ExchangeParts(
        *(directory, access, DialectHolder(dialect), ProtobufCodec(), journal, clock, limits, observer),
        holder_hash=holder_hash,
    )
    refreshes: list[str] = []
    on_refresh: list[Callable[[], None]] = []

    async def refresh(entity_id: str) -> None:
        assert entity_id in answerers
        refreshes.append("awaited")
        for action in on_refresh:
            action()

    asker = Asker(parts, transport, refresh_trust=refresh, now_s=lambda: seconds[0], repeat_after_s=0)
    answerer = Answerer(
        parts,
        registry,
        version="1.2.3",
        request_refresh=lambda _entity_id: refreshes.append("requested"),
        now_s=lambda: seconds[0],
    )
    answerers[entity_id] = answerer
    return Node(
        province,
        entity_id,
        key,
        clock,
        directory,
        access,
        journal,
        registry,
        transport,
        observer,
        parts,
        asker,
        answerer,
        seconds,
        refreshes,
        on_refresh,
    )


def make_country(
    *provinces: str, limits: ExchangeLimits | None = None, clock: FixedClock | None = None
) -> tuple[Node, ...]:
    """Nodes that know each other, Shanghai and Zhejiang when none are named; each holds HOLDER's id card."""
    clock = clock or FixedClock()
    answerers: dict[str, Answerer] = {}
    nodes = [make_node(p, answerers, clock, limits=limits) for p in provinces or ("310000", "330000")]
    for node in nodes:
        node.know(*(other.peer() for other in nodes if other is not node))
        node.registry.documents.append(id_card(node.registry.dialect))
    return tuple(nodes)


def id_card(dialect: Dialect, **changes: str) -> dict[str, Any]:
    """The document that this province's registry holds for HOLDER's id card, with changed shared values."""
    return dialect.render_local(ID_CARD, id_card_elements(**changes))


def id_card_elements(**changes: str) -> tuple[Element, ...]:
    """HOLDER's id card in shared words."""
    values = {
        "证照名称": "居民身份证",
        "证照类型代码": ID_CARD,
        "证照编号": HOLDER,
        "证照标识": CARD_ID,
        "颁发机构": "杭州市公安局西湖分局",
        "颁发机构代码": AUTHORITY,
        "颁发日期": "2015-06-01",
        "持证主体": "王芳",
        "持证主体代码": HOLDER,
        "持证主体代码类型代码": "111",
        "有效期起始日期": "2015-06-01",
        "有效期截止日期": "2035-06-01",
        "证照状态": "01",
        "姓名": "王芳",
        "性别": "1",
        "民族": "01",
        "出生日期": "1990-11-02",
        "住址": "浙江省杭州市西湖区文三路1号",
        "公民身份号码": HOLDER,
    } | changes
    return tuple(Element(name, value) for name, value in values.items() if value)


def command(asking: Node, answering: Node, body: RequestBody | None = None, **changes: Any) -> AskCommand:
    """A question of the portal of one province for another, in the words of the first."""
    if body is None:
        id_type = asking.registry.dialect.code_to_local("holder_id_type", "111").value
        body = CertificateQuery(id_type, HOLDER)
    described = AskCommand("portal", "officer-7", answering.province, DUTY, body)
    return replace(described, **changes)
