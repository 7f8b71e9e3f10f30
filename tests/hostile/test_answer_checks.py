"""Each attack on an answering node gets its own code, nothing is looked up, and the attempt is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from yrd.certificates.v1.certificates_pb2 import QueryRequest
from yrd.exchange.v1.exchange_pb2 import Envelope

from federation.errors import FederationError, code_of
from federation.exchange import ExchangeLimits
from federation.observe import Side
from federation.query import CertificateQuery, MapSet, Operation, Request, RequestHeader
from federation.request_ids import RequestIds
from federation.rpc.convert import ProtobufCodec
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import DUTY, HOLDER, Node, make_country
from tests.support.replacing import replace
from trust.envelope import Sealed, seal
from trust.keys import SigningKey

REQUEST_ID = "01a19c21-7200-7000-8000-000000000001"
"""Made at NOON."""
QUERY = Operation.CERTIFICATES_QUERY


@dataclass
class Attack:
    """What reaches the answering node, and over whose TLS connection."""

    envelope: bytes
    tls_peer: str
    method: Operation | None = None


@dataclass
class Scene:
    """An honest asker, the node that is attacked, and a third node of the federation."""

    asker: Node
    target: Node
    third: Node

    def header(self, **changes: object) -> RequestHeader:
        described = RequestHeader(
            request_id=REQUEST_ID,
            asking=self.asker.entity_id,
            answering=self.target.entity_id,
            operation=QUERY,
            asked_at=NOON,
            expires_at=NOON + timedelta(seconds=30),
            platform="portal",
            officer="officer-7",
            basis=DUTY,
            traceparent="",
            map_set=MapSet("v", bytes(32)),
        )
        return replace(described, **changes)

    def sealed(self, key: SigningKey | None = None, **changes: object) -> Sealed:
        payload = ProtobufCodec().encode_request(
            Request(self.header(**changes), CertificateQuery("111", HOLDER))
        )
        return seal(QUERY.request_type, payload, key or self.asker.key)

    def sent(self, envelope: bytes) -> Attack:
        return Attack(envelope, self.asker.entity_id)


def scene(limits: ExchangeLimits | None = None) -> Scene:
    return Scene(*make_country("310000", "330000", "340000", limits=limits))


def too_long(at: Scene) -> Attack:
    return at.sent(bytes(1_048_577))


def not_an_envelope(at: Scene) -> Attack:
    return at.sent(b"\xff\xff\xff")


def trailing_bytes(at: Scene) -> Attack:
    return at.sent(at.sealed().envelope + b"\x00")


def two_signatures(at: Scene) -> Attack:
    envelope = Envelope.FromString(at.sealed().envelope)
    envelope.signatures.append(envelope.signatures[0])
    return at.sent(envelope.SerializeToString())


def der_signature(at: Scene) -> Attack:
    envelope = Envelope.FromString(at.sealed().envelope)
    raw = envelope.signatures[0].sig
    envelope.signatures[0].sig = encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )
    return at.sent(envelope.SerializeToString())


def flip_a_byte(at: Scene) -> Attack:
    envelope = Envelope.FromString(at.sealed().envelope)
    payload = bytearray(envelope.payload)
    payload[-1] ^= 1
    envelope.payload = bytes(payload)
    return at.sent(envelope.SerializeToString())


def sign_with_a_key_nobody_knows(at: Scene) -> Attack:
    return at.sent(at.sealed(SigningKey.generate()).envelope)


def sign_with_another_members_key(at: Scene) -> Attack:
    return at.sent(at.sealed(at.third.key).envelope)


def claim_anothers_key_id(at: Scene) -> Attack:
    envelope = Envelope.FromString(at.sealed(at.third.key).envelope)
    envelope.signatures[0].keyid = at.asker.key.kid
    return at.sent(envelope.SerializeToString())


def send_anothers_request_over_own_connection(at: Scene) -> Attack:
    return Attack(at.sealed().envelope, at.third.entity_id)


def name_another_asking_node(at: Scene) -> Attack:
    return at.sent(at.sealed(asking=at.third.entity_id).envelope)


def address_another_node(at: Scene) -> Attack:
    return at.sent(at.sealed(answering=at.third.entity_id).envelope)


def say_another_operation_in_the_header(at: Scene) -> Attack:
    message = QueryRequest.FromString(at.sealed().payload)
    message.header.operation = Operation.CERTIFICATES_GET
    return at.sent(seal(QUERY.request_type, message.SerializeToString(), at.asker.key).envelope)


def call_another_method(at: Scene) -> Attack:
    return replace(at.sent(at.sealed().envelope), method=Operation.SERVICES_SEARCH)


def ask_for_an_unknown_type(at: Scene) -> Attack:
    payload = at.sealed().payload
    return at.sent(seal("application/vnd.yrd.certificates.query.v9+protobuf", payload, at.asker.key).envelope)


def send_an_answer(at: Scene) -> Attack:
    return at.sent(seal(QUERY.answer_type, at.sealed().payload, at.asker.key).envelope)


def sign_garbage(at: Scene) -> Attack:
    return at.sent(seal(QUERY.request_type, b"\xff\xff", at.asker.key).envelope)


def demand_an_unknown_field(at: Scene) -> Attack:
    message = QueryRequest.FromString(at.sealed().payload)
    message.header.critical.append("quantum_signature")
    return at.sent(seal(QUERY.request_type, message.SerializeToString(), at.asker.key).envelope)


def date_back(**passed: float) -> Callable[[Scene], Attack]:
    asked_at = NOON - timedelta(**passed)

    def attack(at: Scene) -> Attack:
        return at.sent(at.sealed(asked_at=asked_at, expires_at=asked_at + timedelta(seconds=30)).envelope)

    return attack


def let_it_expire(at: Scene) -> Attack:
    asked_at = NOON - timedelta(seconds=80)
    return at.sent(at.sealed(asked_at=asked_at, expires_at=asked_at + timedelta(seconds=10)).envelope)


def date_the_id(**away: float) -> Callable[[Scene], Attack]:
    """The exchange would lie in an hour that is not its own when the two logs are compared."""
    request_id = RequestIds(FixedClock(NOON + timedelta(**away))).new()

    def attack(at: Scene) -> Attack:
        return at.sent(at.sealed(request_id=request_id).envelope)

    return attack


def be_a_stranger(at: Scene) -> Attack:
    return Attack(at.sealed().envelope, "https://stranger.example")


def be_revoked(at: Scene) -> Attack:
    at.target.know(at.asker.peer(standing="revoked", reason="key stolen"))
    return at.sent(at.sealed().envelope)


def be_denied(at: Scene) -> Attack:
    at.target.know(at.asker.peer(standing="denied"))
    return at.sent(at.sealed().envelope)


def let_the_chain_expire(at: Scene) -> Attack:
    at.target.know(at.asker.peer(expires_at=NOON))
    return at.sent(at.sealed().envelope)


ATTACKS = [
    (too_long, "peer.too_large"),
    (not_an_envelope, "peer.malformed"),
    (trailing_bytes, "peer.malformed"),
    (two_signatures, "peer.two_signatures"),
    (be_a_stranger, "peer.unknown"),
    (be_revoked, "peer.revoked"),
    (be_denied, "peer.denied"),
    (let_the_chain_expire, "peer.chain_expired"),
    (ask_for_an_unknown_type, "peer.unsupported_type"),
    (send_an_answer, "peer.unsupported_type"),
    (sign_with_a_key_nobody_knows, "peer.foreign_key"),
    (sign_with_another_members_key, "peer.foreign_key"),
    (send_anothers_request_over_own_connection, "peer.foreign_key"),
    (der_signature, "peer.signature_form"),
    (flip_a_byte, "peer.bad_signature"),
    (claim_anothers_key_id, "peer.bad_signature"),
    (sign_garbage, "peer.malformed"),
    (demand_an_unknown_field, "peer.unknown_critical"),
    (name_another_asking_node, "peer.wrong_asker"),
    (address_another_node, "peer.wrong_audience"),
    (say_another_operation_in_the_header, "peer.wrong_operation"),
    (call_another_method, "peer.wrong_operation"),
    (date_back(minutes=-11), "peer.from_future"),
    (date_back(minutes=11), "peer.stale"),
    (let_it_expire, "peer.expired"),
    (date_the_id(hours=-1), "peer.malformed"),
    (date_the_id(hours=1), "peer.malformed"),
    (date_the_id(seconds=-91), "peer.malformed"),
]


async def _send(at: Scene, attack: Attack) -> bytes:
    return await at.target.answerer.answer(
        attack.envelope, tls_peer=attack.tls_peer, method_operation=attack.method, timeout_s=5
    )


async def _refused(at: Scene, attack: Attack) -> FederationError:
    with pytest.raises(FederationError) as caught:
        await _send(at, attack)
    return caught.value


@pytest.mark.parametrize(("attack", "code"), ATTACKS, ids=lambda value: getattr(value, "__name__", value))
async def test_an_attack_gets_its_own_code_and_nothing_is_looked_up(
    attack: Callable[[Scene], Attack], code: str
) -> None:
    at = scene()
    made = attack(at)
    refusal = await _refused(at, made)
    assert code_of(refusal) == code
    assert at.target.registry.looked_up == []
    assert at.target.journal.records == []
    assert at.target.journal.claims == {}
    province = "unknown" if made.tls_peer not in at.target.directory.current.peers else None
    counted_for = province or at.target.directory.current.peers[made.tls_peer].province
    assert at.target.observer.refused == [(Side.ANSWER, counted_for, code)]
    assert at.target.observer.in_flight == 0


async def test_the_honest_request_that_the_attacks_are_made_from_is_answered() -> None:
    at = scene()
    assert await _send(at, at.sent(at.sealed().envelope))
    assert len(at.target.registry.looked_up) == 1


@pytest.mark.parametrize("attack", [date_back(minutes=11), date_back(minutes=-11), let_it_expire])
async def test_a_clock_error_states_both_clocks_and_the_bound(attack: Callable[[Scene], Attack]) -> None:
    at = scene()
    refusal = await _refused(at, attack(at))
    assert NOON.isoformat() in refusal.detail
    assert refusal.detail.count("+00:00") == 2
    assert " s " in refusal.detail


@pytest.mark.parametrize("seconds", [-89, 89])
async def test_an_id_made_a_while_from_its_request_is_fine(seconds: float) -> None:
    at = scene()
    assert await _send(at, date_the_id(seconds=seconds)(at))


@pytest.mark.parametrize("seconds", [-59, 59])
async def test_a_clock_within_the_skew_is_fine(seconds: float) -> None:
    at = scene()
    assert await _send(at, date_back(seconds=seconds)(at))


async def test_an_unknown_key_starts_a_refresh_of_the_trust_list() -> None:
    at = scene()
    await _refused(at, sign_with_a_key_nobody_knows(at))
    assert at.target.refreshes == ["requested"]


async def test_a_peer_over_its_quota_is_refused_and_others_are_not() -> None:
    at = scene(ExchangeLimits(peer_quota_per_s=1, peer_quota_burst=2))
    request = at.sent(at.sealed().envelope)
    await _send(at, request)
    await _send(at, request)
    refusal = await _refused(at, request)
    assert refusal.code == "peer.over_quota"
    assert len(at.target.registry.looked_up) == 1
    other = at.sealed(at.third.key, asking=at.third.entity_id)
    assert await _send(at, Attack(other.envelope, at.third.entity_id))
    at.target.seconds[0] += 1.0
    assert await _send(at, request)


async def test_a_stranger_gets_no_bucket_of_the_quota() -> None:
    at = scene(ExchangeLimits(peer_quota_per_s=1, peer_quota_burst=1))
    for number in range(50):
        stranger = Attack(at.sealed().envelope, f"https://stranger-{number}.example")
        assert (await _refused(at, stranger)).code == "peer.unknown"
    assert await _send(at, at.sent(at.sealed().envelope))


async def test_other_bytes_under_the_same_id_are_refused_with_a_signed_answer_and_not_looked_up() -> None:
    at = scene()
    first = await _send(at, at.sent(at.sealed().envelope))
    other = await _send(at, at.sent(at.sealed(officer="officer-8").envelope))
    answer = ProtobufCodec().decode_answer(QUERY.answer_type, Envelope.FromString(other).payload)
    assert answer.header.refusal_code == "peer.replayed"
    assert answer.body is None
    assert len(at.target.registry.looked_up) == 1
    assert await _send(at, at.sent(at.sealed().envelope)) == first
    assert at.target.observer.outcomes[-2][3] == "peer.replayed"


async def test_the_same_id_of_another_peer_is_another_request() -> None:
    at = scene()
    first = await _send(at, at.sent(at.sealed().envelope))
    other = at.sealed(at.third.key, asking=at.third.entity_id)
    assert await _send(at, Attack(other.envelope, at.third.entity_id)) != first
    assert len(at.target.registry.looked_up) == 2


async def test_no_holders_number_is_in_any_refusal_or_log_line() -> None:
    with structlog.testing.capture_logs() as lines:
        for attack, _ in ATTACKS:
            at = scene()
            assert HOLDER not in (await _refused(at, attack(at))).detail
        at = scene()
        at.target.registry.fault = KeyError(HOLDER)
        assert HOLDER not in (await _refused(at, at.sent(at.sealed().envelope))).detail
    assert len(lines) == len(ATTACKS) + 1
    assert lines[-1]["event"] == "internal"
    assert lines[-1]["request_id"] == REQUEST_ID
    assert any("look_up" in place for place in lines[-1]["place"])
    assert HOLDER not in repr(lines)


_position = st.floats(0, 1, exclude_max=True)
_UNLIMITED = ExchangeLimits(peer_quota_burst=1e9)


@cache
def _scene_for_flips() -> Scene:
    return scene(_UNLIMITED)


@given(position=_position, bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
async def test_any_flipped_bit_of_an_envelope_is_refused_and_nothing_is_looked_up(
    position: float, bit: int
) -> None:
    at = _scene_for_flips()
    envelope = bytearray(at.sealed().envelope)
    envelope[int(position * len(envelope))] ^= 1 << bit
    refusal = await _refused(at, at.sent(bytes(envelope)))
    assert refusal.code in {
        "peer.malformed",
        "peer.two_signatures",
        "peer.signature_form",
        "peer.unsupported_type",
        "peer.foreign_key",
        "peer.bad_signature",
    }
    assert at.target.registry.looked_up == []
    assert at.target.journal.claims == {}
