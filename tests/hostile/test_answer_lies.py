"""An answering node that lies: the asking node notices, counts it, and stores no answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from yrd.exchange.v1.exchange_pb2 import Envelope

from federation.errors import FederationError
from federation.observe import Side
from federation.ports import RecordKind
from federation.query import Operation
from federation.rpc.convert import ProtobufCodec
from tests.support.clock import NOON
from tests.support.exchange import Node, command, make_country
from tests.support.replacing import replace
from trust.envelope import parse, seal
from trust.keys import SigningKey

QUERY = Operation.CERTIFICATES_QUERY
Lie = Callable[[Node, Node], Callable[[bytes], bytes]]


def say(**changes: Any) -> Lie:
    """Sign the true answer again with something else in its header."""

    def lie(liar: Node, _third: Node) -> Callable[[bytes], bytes]:
        def tamper(envelope: bytes) -> bytes:
            codec = ProtobufCodec()
            answer = codec.decode_answer(QUERY.answer_type, parse(envelope, max_bytes=1 << 20).payload)
            other = replace(answer, header=replace(answer.header, **changes))
            return seal(QUERY.answer_type, codec.encode_answer(other), liar.key).envelope

        return tamper

    return lie


def say_it_was_answered(at: datetime) -> Lie:
    return say(answered_at=at)


def let_another_sign(_liar: Node, third: Node) -> Callable[[bytes], bytes]:
    return lambda envelope: (
        seal(QUERY.answer_type, parse(envelope, max_bytes=1 << 20).payload, third.key).envelope
    )


def sign_with_an_unknown_key(_liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    key = SigningKey.generate()
    return lambda envelope: seal(QUERY.answer_type, parse(envelope, max_bytes=1 << 20).payload, key).envelope


def alter_the_body(_liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    def tamper(envelope: bytes) -> bytes:
        message = Envelope.FromString(envelope)
        message.payload = message.payload.replace("王芳".encode(), "王方".encode())
        return message.SerializeToString()

    return tamper


def sign_twice(_liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    def tamper(envelope: bytes) -> bytes:
        message = Envelope.FromString(envelope)
        message.signatures.append(message.signatures[0])
        return message.SerializeToString()

    return tamper


def answer_with_another_type(liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    other = Operation.CERTIFICATES_GET.answer_type
    return lambda envelope: seal(other, parse(envelope, max_bytes=1 << 20).payload, liar.key).envelope


def send_the_request_back(liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    return lambda _envelope: seal(QUERY.request_type, liar.journal.records[0].envelope, liar.key).envelope


def send_garbage(_liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    return lambda _envelope: b"\xff" * 40


def send_too_much(_liar: Node, _third: Node) -> Callable[[bytes], bytes]:
    return lambda _envelope: bytes(4_194_305)


LIES = [
    (send_too_much, "peer.too_large"),
    (send_garbage, "peer.malformed"),
    (sign_twice, "peer.two_signatures"),
    (send_the_request_back, "peer.wrong_answer"),
    (answer_with_another_type, "peer.wrong_answer"),
    (let_another_sign, "peer.foreign_key"),
    (sign_with_an_unknown_key, "peer.foreign_key"),
    (alter_the_body, "peer.bad_signature"),
    (say(answering="https://node.340000.example"), "peer.wrong_answer"),
    (say(asking="https://node.340000.example"), "peer.wrong_audience"),
    (say(request_id="01941f29-7c00-7000-8000-00000000beef"), "peer.wrong_answer"),
    (say(request_identity=bytes(32)), "peer.wrong_answer"),
    (say_it_was_answered(NOON - timedelta(minutes=11)), "peer.stale"),
    (say_it_was_answered(NOON + timedelta(minutes=11)), "peer.from_future"),
]


@pytest.mark.parametrize(("lie", "code"), LIES)
async def test_a_lie_is_noticed_and_not_stored_as_an_answer(lie: Lie, code: str) -> None:
    sh, zj, ah = make_country("310000", "330000", "340000")
    sh.transport.tamper = lie(zj, ah)
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == code
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]
    assert (Side.ASK, "330000", code) in sh.observer.refused
    assert sh.observer.outcomes[-1][3] == code


async def test_an_answer_to_an_earlier_request_is_no_answer_to_this_one() -> None:
    sh, zj = make_country()
    await sh.asker.ask(command(sh, zj))
    earlier = sh.journal.records[1].envelope
    sh.transport.tamper = lambda _envelope: earlier
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == "peer.wrong_answer"


@pytest.mark.parametrize("code", ["own.bad_value", "internal", "no.such.code"])
async def test_a_refusal_cannot_pass_for_this_nodes_own(code: str) -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    sh.transport.tamper = say(refusal_code=code, refusal_detail="x" * 9000)(zj, zj)
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == "peer.internal"
    assert len(caught.value.detail) <= 500


@pytest.mark.parametrize(("lie", "code"), LIES)
async def test_fetching_is_as_careful_as_asking(lie: Lie, code: str) -> None:
    sh, zj, ah = make_country("310000", "330000", "340000")
    request_id = sh.asker.new_request_id()
    await sh.asker.ask(command(sh, zj, request_id=request_id))
    del sh.journal.records[1]
    sh.transport.tamper = lie(zj, ah)
    with pytest.raises(FederationError) as caught:
        await sh.asker.fetch(request_id)
    assert caught.value.code == code
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]
