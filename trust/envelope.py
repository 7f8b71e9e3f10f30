"""The signed message: a DSSE 1.0.2 envelope with exactly one signature, as `yrd.exchange.v1.Envelope`.

Two types for one thing: `Sealed` is what anyone can parse, `Opened` what only `unseal` makes. Of the form:

 - The size is checked before anything is read.
 - Every field is known, of its wire type, there at most once, in the order of its number, and not empty;
   lengths are in their shortest form; nothing trails. So an envelope has one spelling, and what is refused
   here is malformed.
 - More than one signature is its own refusal.
 - What is signed is the PAE of type and payload (DSSE 1.0.2 "protocol"). The identity of a message is its
   SHA-256.
 - A batch signature is over the PAE of `BATCH_TYPE` and ``tree size (8 bytes, big endian) ‖ root``; the
   message's PAE is leaf `leaf_index` of that RFC 6962 tree. No message may itself be of `BATCH_TYPE`, so that
   a signed root is never taken for a message nor the other way round.

The bytes received are the bytes kept: nothing here re-serializes what came from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import lru_cache
from hashlib import sha256

from msgspec import Struct

from trust.errors import BadSignature, EnvelopeMalformed, EnvelopeTooLarge, ForeignKey, TrustError
from trust.keys import Signer, VerificationKey
from trust.merkle import inclusion_paths, leaf_hash, verify_inclusion
from trust.protowire import Fields, bytes_field, hash_fields, number_field

__all__ = ["BATCH_TYPE", "BatchProof", "Opened", "Sealed", "pae", "parse", "seal", "seal_batch", "unseal"]

BATCH_TYPE = "application/vnd.yrd.batch.v1"
_MOST_TYPE_BYTES = 255
_MOST_KEYID_BYTES = 64
_MOST_SIGNATURE_BYTES = 128
_BATCH_ROOTS_REMEMBERED = 4096
_FRAMES_REMEMBERED = 256
_PAYLOAD_TAG = 1 << 3 | 2
_SIGNATURE_BYTES = 64
_LEAST_BYTES = 2 + _SIGNATURE_BYTES
_MOST_AFTER = 2 + _MOST_KEYID_BYTES + 1
"""Nothing longer than a key id comes after a signature that is no batch's."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: ``DSSEv1 <len type> <type> <len payload> <payload>``."""
    encoded_type = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded_type), encoded_type, len(payload), payload)


class BatchProof(Struct, frozen=True, gc=False):
    """The place of one message in a batch that was signed once."""

    root: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]


class Sealed(Struct, frozen=True, gc=False):
    """An envelope whose form is right and whose signature nobody has looked at yet.

    `envelope` is the exact serialized Envelope; `identity` the SHA-256 of the PAE; `kid` only a claim yet.
    """

    envelope: bytes
    payload_type: str
    payload: bytes
    identity: bytes
    kid: str
    signature: bytes
    batch: BatchProof | None = None


_MADE_BY_UNSEAL = object()


@dataclass(frozen=True, slots=True)
class Opened:
    """A message whose signature was verified under a key of the signer's. Only `unseal` makes one."""

    sealed: Sealed
    made_by: InitVar[object] = None

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _MADE_BY_UNSEAL:
            raise TypeError("an Opened comes from unseal and from nowhere else")

    @property
    def payload_type(self) -> str:
        """The signed payload type."""
        return self.sealed.payload_type

    @property
    def payload(self) -> bytes:
        """The signed bytes."""
        return self.sealed.payload

    @property
    def identity(self) -> bytes:
        """SHA-256 of the PAE, 32 bytes."""
        return self.sealed.identity

    @property
    def kid(self) -> str:
        """The key that signed."""
        return self.sealed.kid


# --- sealing ------------------------------------------------------------------------------------------------


def seal(payload_type: str, payload: bytes, signer: Signer) -> Sealed:
    """Sign one message. Raises ValueError for a payload type that no envelope may carry."""
    _check_type(payload_type, ValueError)
    message = pae(payload_type, payload)
    signature = signer.sign(message)
    kid = signer.kid
    envelope = _serialize(payload_type, payload, bytes_field(1, signature) + bytes_field(2, kid.encode()))
    return Sealed(envelope, payload_type, payload, sha256(message).digest(), kid, signature)


def seal_batch(items: Sequence[tuple[str, bytes]], signer: Signer) -> list[Sealed]:
    """Sign (payload type, payload) pairs at once, each with its own path. One alone is sealed plainly.

    Raises ValueError as `seal` does; then nothing was signed.
    """
    if len(items) < 2:
        return [seal(payload_type, payload, signer) for payload_type, payload in items]
    for payload_type in {payload_type for payload_type, _ in items}:
        _check_type(payload_type, ValueError)
    messages = [pae(payload_type, payload) for payload_type, payload in items]
    root, paths = inclusion_paths([leaf_hash(message) for message in messages])
    kid, size = signer.kid, len(items)
    signature = signer.sign(_root_message(root, size))
    signed = bytes_field(1, signature) + bytes_field(2, kid.encode())
    root_field, size_field = bytes_field(1, root), number_field(3, size)
    sealed = []
    for index, ((payload_type, payload), message, path) in enumerate(
        zip(items, messages, paths, strict=True)
    ):
        proof = root_field + number_field(2, index) + size_field + hash_fields(4, path)
        envelope = _serialize(payload_type, payload, signed + bytes_field(3, proof))
        batch = BatchProof(root, index, size, path)
        sealed.append(
            Sealed(envelope, payload_type, payload, sha256(message).digest(), kid, signature, batch)
        )
    return sealed


def _root_message(root: bytes, size: int) -> bytes:
    return pae(BATCH_TYPE, size.to_bytes(8, "big") + root)


def _check_type(payload_type: str, error: type[Exception]) -> None:
    if not payload_type or len(payload_type) > _MOST_TYPE_BYTES:
        raise error(f"a payload type has 1 to {_MOST_TYPE_BYTES} characters")
    if not payload_type.isascii() or not payload_type.isprintable() or " " in payload_type:
        raise error("a payload type is printable ASCII without spaces")
    if payload_type == BATCH_TYPE:
        raise error(f"{BATCH_TYPE} is what batches sign; no message is of that type")


def _serialize(payload_type: str, payload: bytes, signature: bytes) -> bytes:
    return bytes_field(1, payload) + bytes_field(2, payload_type.encode()) + bytes_field(3, signature)


# --- parsing ------------------------------------------------------------------------------------------------


def parse(envelope: bytes, *, max_bytes: int) -> Sealed:
    """Check the form of an envelope from outside and take it apart. Nothing about the signer is proven.

    Raises EnvelopeTooLarge before anything is read, EnvelopeMalformed, TwoSignatures.
    """
    if len(envelope) > max_bytes:
        raise EnvelopeTooLarge(f"the envelope has {len(envelope)} bytes; at most {max_bytes} are taken")
    return _parse_plain(envelope) or _parse(envelope)


def _parse_plain(envelope: bytes) -> Sealed | None:
    """The same for what nearly all envelopes are, a payload of less than 16 KiB under a signature of 64 bytes of its
    own: around these two there is only what `_frame` has seen before. None for any other, whether it is right or not.
    """
    size = len(envelope)
    if size < _LEAST_BYTES or envelope[0] != _PAYLOAD_TAG:
        return None
    begins, length = 2, envelope[1]
    if length > 0x7F:
        more = envelope[2]
        if not 0 < more < 0x80:
            return None
        begins, length = 3, length & 0x7F | more << 7
    ends = begins + length
    if not length or ends + 2 > size:
        return None
    # Type and its length, then tag and length of the two messages around the signature.
    at = ends + 6 + envelope[ends + 1]
    after = at + _SIGNATURE_BYTES
    if not 0 < size - after < _MOST_AFTER:
        return None
    frame = _frame(envelope[ends:at], envelope[after:])
    if frame is None:
        return None
    payload, (payload_type, kid) = envelope[begins:ends], frame
    identity = sha256(pae(payload_type, payload)).digest()
    return Sealed(envelope, payload_type, payload, identity, kid, envelope[at:after])


@lru_cache(maxsize=_FRAMES_REMEMBERED)
def _frame(before: bytes, after: bytes) -> tuple[str, str] | None:
    """Payload type and key id of an envelope with these bytes before and after the 64 of its signature: any 64 make
    the same of it. None when that is no right envelope with such a signature.
    """
    try:
        sealed = _parse(bytes_field(1, b"any") + before + bytes(_SIGNATURE_BYTES) + after)
    except TrustError:
        return None
    if sealed.batch is not None or len(sealed.signature) != _SIGNATURE_BYTES:
        return None
    return sealed.payload_type, sealed.kid


def _parse(envelope: bytes) -> Sealed:
    fields = Fields(envelope, "envelope")
    payload = fields.optional_bytes(1)
    payload_type = fields.text(2, "payload type", _MOST_TYPE_BYTES)
    signature = fields.required_bytes(3, "signature")
    fields.end(only_one=3)
    _check_type(payload_type, EnvelopeMalformed)
    inner = Fields(signature, "signature")
    sig = inner.required_bytes(1, "sig")
    if len(sig) > _MOST_SIGNATURE_BYTES:
        raise EnvelopeMalformed(f"a signature has at most {_MOST_SIGNATURE_BYTES} bytes")
    kid = inner.text(2, "keyid", _MOST_KEYID_BYTES)
    proof = inner.optional_bytes(3)
    inner.end()
    identity = sha256(pae(payload_type, payload)).digest()
    return Sealed(envelope, payload_type, payload, identity, kid, sig, _parse_proof(proof) if proof else None)


def _parse_proof(data: bytes) -> BatchProof:
    fields = Fields(data, "batch proof")
    root = fields.required_bytes(1, "root")
    index = fields.number(2)
    size = fields.number(3)
    path = fields.repeated_hashes(4)
    fields.end()
    if len(root) != 32 or not index < size:
        raise EnvelopeMalformed("the batch proof has no root of 32 bytes, or its index is outside its tree")
    return BatchProof(root, index, size, path)


# --- opening ------------------------------------------------------------------------------------------------


def unseal(sealed: Sealed, *, keys: Mapping[str, VerificationKey]) -> Opened:
    """Verify the signature under one of `keys`, which must be those that the trust list gives to the signer.

    Raises ForeignKey when the key id is not among them, SignatureForm, BadSignature.
    """
    key = keys.get(sealed.kid)
    if key is None:
        raise ForeignKey(f"the key {sealed.kid} is not one of the signer's")
    message = pae(sealed.payload_type, sealed.payload)
    proof = sealed.batch
    if proof is None:
        key.verify(sealed.signature, message)
    else:
        if not verify_inclusion(
            leaf_hash(message), proof.leaf_index, proof.tree_size, proof.path, proof.root
        ):
            raise BadSignature("the message is not in the batch that was signed")
        _verify_root(key, proof.root, proof.tree_size, sealed.signature)
    return Opened(sealed, _MADE_BY_UNSEAL)


@lru_cache(maxsize=_BATCH_ROOTS_REMEMBERED)
def _verify_root(key: VerificationKey, root: bytes, size: int, signature: bytes) -> None:
    """Verify a signed root once. Only successes are remembered, under all four together."""
    key.verify(signature, _root_message(root, size))
