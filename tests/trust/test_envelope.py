"""Envelopes: one spelling, one signature, and only `unseal` opens them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from yrd.exchange.v1 import exchange_pb2

from tests.support.replacing import replace
from trust.envelope import BATCH_TYPE, Opened, Sealed, _parse, pae, parse, seal, seal_batch, unseal
from trust.errors import (
    BadSignature,
    EnvelopeMalformed,
    EnvelopeTooLarge,
    ForeignKey,
    SignatureForm,
    TrustError,
    TwoSignatures,
)
from trust.keys import SigningKey, VerificationKey
from trust.protowire import bytes_field, number_field

TYPE = "application/vnd.yrd.certificates.query.v1+protobuf"
LIMIT = 1 << 20
KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.verification_key}


def test_pae_of_the_specification() -> None:
    """The example of DSSE 1.0.2's protocol.md."""
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(
    st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=50),
    st.binary(),
)
def test_what_is_sealed_can_be_parsed_and_opened(payload_type: str, payload: bytes) -> None:
    sealed = seal(payload_type, payload, KEY)
    again = parse(sealed.envelope, max_bytes=LIMIT)
    opened = unseal(again, keys=KEYS)
    assert again == sealed
    assert (opened.payload_type, opened.payload, opened.kid) == (payload_type, payload, KEY.kid)
    assert opened.identity == sha256(pae(payload_type, payload)).digest()
    assert opened.sealed is again


@given(st.binary(max_size=300))
def test_the_wire_is_that_of_the_proto_file(payload: bytes) -> None:
    sealed = seal_batch([(TYPE, payload), (TYPE, b"2"), (TYPE, b"3")], KEY)[2]
    message = exchange_pb2.Envelope.FromString(sealed.envelope)
    assert sealed.batch is not None
    assert (message.payload, message.payload_type) == (b"3", TYPE)
    assert (message.signatures[0].sig, message.signatures[0].keyid) == (sealed.signature, KEY.kid)
    proof = message.signatures[0].batch
    assert (proof.root, proof.leaf_index, proof.tree_size) == (sealed.batch.root, 2, 3)
    assert tuple(proof.path) == sealed.batch.path
    assert message.SerializeToString() == sealed.envelope
    assert parse(message.SerializeToString(), max_bytes=LIMIT) == sealed


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    with pytest.raises(TrustError):
        parse(noise, max_bytes=LIMIT)


SEALED = seal(TYPE, b"who has a certificate", KEY)
BATCH = seal_batch([(TYPE, bytes([i])) for i in range(5)], KEY)


@given(st.sampled_from([SEALED, *BATCH]), st.data())
def test_one_flipped_bit_anywhere_is_refused(sealed: Sealed, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(sealed.envelope) * 8 - 1))
    altered = bytearray(sealed.envelope)
    altered[position // 8] ^= 1 << position % 8
    with pytest.raises(TrustError):
        unseal(parse(bytes(altered), max_bytes=LIMIT), keys=KEYS)


LONG = seal(TYPE, bytes(300), KEY)


@given(
    st.sampled_from([SEALED, LONG]),
    st.data(),
    st.binary(max_size=3),
    st.integers(min_value=0, max_value=3),
)
def test_the_short_way_through_an_envelope_takes_what_the_long_one_takes(
    sealed: Sealed, data: st.DataObject, put_in: bytes, left_out: int
) -> None:
    """Whatever is around payload and signature: `_parse` reads it field by field, `parse` knows it from before."""
    whole = sealed.envelope
    at = data.draw(st.one_of(st.integers(0, 4), st.integers(len(whole) - 180, len(whole))))
    other = whole[:at] + put_in + whole[at + left_out :]
    parse(whole, max_bytes=LIMIT)
    for _ in range(2):
        assert _outcome(lambda: parse(other, max_bytes=LIMIT)) == _outcome(lambda: _parse(other))


def _outcome(read: Callable[[], Sealed]) -> Sealed | type[TrustError]:
    try:
        return read()
    except TrustError as error:
        return type(error)


@given(st.sampled_from([SEALED, *BATCH]), st.data())
def test_a_cut_envelope_is_malformed(sealed: Sealed, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(sealed.envelope) - 1))
    with pytest.raises(EnvelopeMalformed):
        parse(sealed.envelope[:length], max_bytes=LIMIT)


def _signature(sig: bytes = SEALED.signature, kid: bytes = KEY.kid.encode(), rest: bytes = b"") -> bytes:
    return bytes_field(3, bytes_field(1, sig) + bytes_field(2, kid) + rest)


HEAD = bytes_field(1, b"p") + bytes_field(2, TYPE.encode())
BATCH_FIELD = bytes_field(1, bytes(32)) + number_field(3, 2)

MALFORMED = {
    "empty": b"",
    "no type": bytes_field(1, b"p") + _signature(),
    "no signature": HEAD,
    "empty signature": HEAD + b"\x1a\x00",
    "no key id": HEAD + bytes_field(3, bytes_field(1, b"s")),
    "no sig": HEAD + bytes_field(3, bytes_field(2, b"k")),
    "unknown field at the end": HEAD + _signature() + bytes_field(4, b"x"),
    "unknown field in front": bytes_field(5, b"x") + HEAD + _signature(),
    "payload twice": bytes_field(1, b"p") + HEAD + _signature(),
    "type twice": HEAD + bytes_field(2, b"t") + _signature(),
    "out of order": bytes_field(2, TYPE.encode()) + bytes_field(1, b"p") + _signature(),
    "empty payload spelled out": b"\x0a\x00" + bytes_field(2, TYPE.encode()) + _signature(),
    "payload of another wire type": b"\x08\x01" + bytes_field(2, TYPE.encode()) + _signature(),
    "long varint": b"\x0a\x81\x00p" + bytes_field(2, TYPE.encode()) + _signature(),
    "varint without end": b"\x0a" + b"\xff" * 11,
    "length beyond the end": b"\x0a\x7fp",
    "trailing byte": HEAD + _signature() + b"\x00",
    "space in the type": bytes_field(2, b"a b") + _signature(),
    "type not ascii": bytes_field(2, "类型".encode()) + _signature(),
    "type too long": bytes_field(2, b"t" * 256) + _signature(),
    "type of a batch": bytes_field(2, BATCH_TYPE.encode()) + _signature(),
    "key id too long": HEAD + _signature(kid=b"k" * 65),
    "signature too long": HEAD + _signature(sig=b"s" * 129),
    "unknown field in the signature": HEAD + _signature(rest=bytes_field(4, b"x")),
    "empty proof": HEAD + _signature(rest=b"\x1a\x00"),
    "proof without root": HEAD + _signature(rest=bytes_field(3, number_field(3, 2))),
    "root too short": HEAD + _signature(rest=bytes_field(3, bytes_field(1, b"r") + number_field(3, 2))),
    "proof without size": HEAD + _signature(rest=bytes_field(3, bytes_field(1, bytes(32)))),
    "index outside": HEAD + _signature(rest=bytes_field(3, bytes_field(1, bytes(32)) + b"\x10\x02\x18\x02")),
    "zero spelled out": HEAD
    + _signature(rest=bytes_field(3, bytes_field(1, bytes(32)) + b"\x10\x00\x18\x02")),
    "number of 70 bits": HEAD
    + _signature(rest=bytes_field(3, bytes_field(1, bytes(32)) + b"\x18" + b"\xff" * 9 + b"\x7f")),
    "node too short": HEAD + _signature(rest=bytes_field(3, BATCH_FIELD + bytes_field(4, b"n"))),
    "path too long": HEAD + _signature(rest=bytes_field(3, BATCH_FIELD + bytes_field(4, bytes(32)) * 64)),
    "unknown field in the proof": HEAD + _signature(rest=bytes_field(3, BATCH_FIELD + bytes_field(5, b"x"))),
}


@pytest.mark.parametrize("envelope", MALFORMED.values(), ids=MALFORMED.keys())
def test_another_spelling_is_malformed(envelope: bytes) -> None:
    with pytest.raises(EnvelopeMalformed):
        parse(envelope, max_bytes=LIMIT)


def test_two_signatures_are_their_own_refusal() -> None:
    with pytest.raises(TwoSignatures):
        parse(HEAD + _signature() + _signature(), max_bytes=LIMIT)


def test_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(EnvelopeTooLarge):
        parse(b"\xff" * 101, max_bytes=100)
    parse(SEALED.envelope, max_bytes=len(SEALED.envelope))
    with pytest.raises(EnvelopeTooLarge):
        parse(SEALED.envelope, max_bytes=len(SEALED.envelope) - 1)


def test_a_key_that_is_not_the_signers_is_foreign() -> None:
    with pytest.raises(ForeignKey):
        unseal(SEALED, keys={})
    other = SigningKey.generate()
    with pytest.raises(ForeignKey):
        unseal(SEALED, keys={other.kid: other.verification_key})
    with pytest.raises(BadSignature):
        unseal(replace(SEALED, kid=other.kid), keys={other.kid: other.verification_key})


def test_a_der_signature_has_the_wrong_form() -> None:
    r, s = int.from_bytes(SEALED.signature[:32], "big"), int.from_bytes(SEALED.signature[32:], "big")
    envelope = (
        bytes_field(1, SEALED.payload)
        + bytes_field(2, TYPE.encode())
        + _signature(encode_dss_signature(r, s))
    )
    with pytest.raises(SignatureForm):
        unseal(parse(envelope, max_bytes=LIMIT), keys=KEYS)


def test_type_and_payload_are_both_signed() -> None:
    with pytest.raises(BadSignature):
        unseal(replace(SEALED, payload_type="application/vnd.yrd.certificates.get.v1+protobuf"), keys=KEYS)
    with pytest.raises(BadSignature):
        unseal(replace(SEALED, payload=b"other"), keys=KEYS)


def test_only_unseal_makes_an_opened() -> None:
    with pytest.raises(TypeError):
        Opened(SEALED)
    with pytest.raises(TypeError):
        Opened(SEALED, object())


@pytest.mark.parametrize("payload_type", ["", "a b", "类型", "t" * 256, BATCH_TYPE, "a\n"])
def test_nothing_is_sealed_under_a_type_that_nobody_takes(payload_type: str) -> None:
    with pytest.raises(ValueError, match=r"payload|batches"):
        seal(payload_type, b"", KEY)
    with pytest.raises(ValueError, match=r"payload|batches"):
        seal_batch([(TYPE, b""), (payload_type, b"")], KEY)


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_every_message_of_a_batch_opens_alone(payloads: list[bytes]) -> None:
    batch = seal_batch([(TYPE, payload) for payload in payloads], KEY)
    opened = [unseal(parse(sealed.envelope, max_bytes=LIMIT), keys=KEYS) for sealed in batch]
    assert [message.payload for message in opened] == payloads
    assert len({sealed.signature for sealed in batch}) == min(1, len(batch))


def test_a_batch_of_one_is_signed_plainly() -> None:
    assert seal_batch([(TYPE, b"alone")], KEY)[0].batch is None


def test_a_message_outside_the_batch_is_refused() -> None:
    outside = seal(TYPE, b"outside", KEY)
    with pytest.raises(BadSignature, match="not in the batch"):
        unseal(replace(outside, signature=BATCH[0].signature, batch=BATCH[0].batch), keys=KEYS)


def test_a_forged_root_is_refused_also_after_the_true_one_was_seen() -> None:
    unseal(BATCH[0], keys=KEYS)
    forged = seal_batch([(TYPE, b"a"), (TYPE, b"b")], SigningKey.generate())[0]
    with pytest.raises(BadSignature):
        unseal(replace(forged, kid=KEY.kid), keys=KEYS)
    with pytest.raises(BadSignature):
        unseal(replace(forged, kid=KEY.kid, signature=BATCH[0].signature), keys=KEYS)


def test_the_size_of_the_tree_is_signed_too() -> None:
    """Leaf 4 of five stands alone on its level; a tree of six would have the same path for leaf 0 … 3."""
    proof = BATCH[0].batch
    assert proof is not None
    with pytest.raises(BadSignature):
        unseal(replace(BATCH[0], batch=replace(proof, tree_size=8)), keys=KEYS)


def test_a_signed_message_cannot_pass_for_a_root_nor_a_root_for_a_message() -> None:
    proof = BATCH[0].batch
    assert proof is not None
    as_message = replace(
        SEALED,
        payload_type=BATCH_TYPE,
        payload=(5).to_bytes(8, "big") + proof.root,
        signature=BATCH[0].signature,
    )
    envelope = (
        bytes_field(1, as_message.payload)
        + bytes_field(2, BATCH_TYPE.encode())
        + _signature(BATCH[0].signature)
    )
    with pytest.raises(EnvelopeMalformed):
        parse(envelope, max_bytes=LIMIT)


def test_a_root_is_verified_once() -> None:
    class Counting(VerificationKey):
        __slots__ = ("seen",)

        def __init__(self, key: VerificationKey) -> None:
            super().__init__(key.public_key)
            self.seen = 0
            verify = self.verify

            def count(signature: bytes, message: bytes) -> None:
                self.seen += 1
                verify(signature, message)

            self.verify = count

    signer = SigningKey.generate()
    key = Counting(signer.verification_key)
    for sealed in seal_batch([(TYPE, bytes([i])) for i in range(10)], signer):
        unseal(sealed, keys={key.kid: key})
    assert key.seen == 1
