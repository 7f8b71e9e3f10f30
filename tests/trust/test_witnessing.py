"""The rules of a witness: one spelling, refusals in the standard's order, and never two histories."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.trust.log_vectors import vectors
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.errors import TrustError
from trust.keys import SigningKey
from trust.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, root
from trust.note import write_note
from trust.witnessing import (
    MAX_ADD_CHECKPOINT_BYTES,
    AddCheckpoint,
    BadProof,
    CheckpointRefused,
    Fork,
    KnownTree,
    MalformedRequest,
    Shrunk,
    UnknownKey,
    UnknownOrigin,
    WrongOldSize,
    check_add_checkpoint,
    read_add_checkpoint,
    write_add_checkpoint,
)

KEY = SigningKey.generate("EdDSA")
KEYS = {KEY.kid: KEY.verification_key}
ORIGIN = "log.example/log/1"
LEAVES = [leaf_hash(bytes([index])) for index in range(40)]
FORKED = [*LEAVES[:3], leaf_hash(b"another"), *LEAVES[4:]]
EXAMPLE = vectors("witness")["request"].encode()


def signed(size: int, leaves: list[bytes] = LEAVES, *, key: SigningKey = KEY, origin: str = ORIGIN) -> str:
    return sign_checkpoint(Checkpoint(origin, size, root(leaves[:size])), key)


def request(old: int, new: int, leaves: list[bytes] = LEAVES, *, key: SigningKey = KEY) -> AddCheckpoint:
    proof = consistency_proof(leaves, old, new)
    return read_add_checkpoint(write_add_checkpoint(old, proof, signed(new, leaves, key=key)))


def known(size: int, leaves: list[bytes] = LEAVES) -> KnownTree:
    return KnownTree(size, root(leaves[:size]))


def check(asked: AddCheckpoint, knows: KnownTree | None) -> Checkpoint:
    return check_add_checkpoint(asked, known=knows, keys=KEYS)


# --- the request ---


def test_the_standards_example_is_read_and_written_the_same() -> None:
    asked = read_add_checkpoint(EXAMPLE)
    assert (asked.old_size, len(asked.proof), asked.claimed.size) == (20852014, 4, 20852163)
    assert asked.claimed.origin == "example.com/behind-the-sofa"
    assert [line.name for line in asked.note.signatures] == [asked.claimed.origin] * 2
    assert (
        write_add_checkpoint(asked.old_size, asked.proof, write_note(asked.note.text, asked.note.signatures))
        == EXAMPLE
    )


def test_a_proof_may_be_empty() -> None:
    asked = read_add_checkpoint(write_add_checkpoint(0, (), signed(5)))
    assert (asked.old_size, asked.proof, asked.claimed.size) == (0, (), 5)


NOTE = signed(5).encode()
HASH = b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw="


@pytest.mark.parametrize(
    "body",
    [
        b"",
        NOTE,
        b"old 3\n",
        b"old 3\n" + NOTE,
        b"\n\n" + NOTE,
        b"\nold 3\n\n" + NOTE,
        b"new 3\n\n" + NOTE,
        b"OLD 3\n\n" + NOTE,
        b"old3\n\n" + NOTE,
        *(b"old " + size + b"\n\n" + NOTE for size in (b"", b"03", b"-1", b"+3", b" 3", b"3 ", b"3.0")),
        b"old \xef\xbc\x93\n\n" + NOTE,
        b"old 9223372036854775808\n\n" + NOTE,
        b"old 6\n\n" + NOTE,
        b"old 3\r\n\r\n" + NOTE,
        b"old 3\n" + HASH + b" \n\n" + NOTE,
        b"old 3\n" + HASH[:-1] + b"\n\n" + NOTE,
        b"old 3\n" + HASH[:-2] + b"x=\n\n" + NOTE,
        b"old 3\nAAAA\n\n" + NOTE,
        b"old 3\n" + (HASH + b"\n") * 64 + b"\n" + NOTE,
        b"old 3\n\n\n" + NOTE,
        b"old 3\n\n" + NOTE[:-1],
        b"old 3\n\n" + NOTE + b"\n",
        b"old 3\n\n" + NOTE.replace(b"\n5\n", b"\n05\n"),
        b"old 3\n\n" + NOTE.replace(ORIGIN.encode(), b"\xff"),
        b"old 3\n\n" + NOTE + b" " * MAX_ADD_CHECKPOINT_BYTES,
    ],
)  # fmt: skip
def test_nothing_but_the_one_spelling_is_read(body: bytes) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read_add_checkpoint(body)
    assert refused.value.status == 400


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda head: b"old " + head + b"\n\n" + NOTE))
@example(EXAMPLE)
def test_a_body_is_a_request_written_so_or_malformed(body: bytes) -> None:
    try:
        asked = read_add_checkpoint(body)
    except MalformedRequest:
        return
    assert (
        write_add_checkpoint(asked.old_size, asked.proof, write_note(asked.note.text, asked.note.signatures))
        == body
    )


@given(st.data())
def test_a_request_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    body = bytearray(write_add_checkpoint(3, consistency_proof(LEAVES, 3, 7), signed(7)))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointRefused):
        check(read_add_checkpoint(bytes(body)), known(3))


# --- the check ---


@pytest.mark.parametrize("size", [0, 1, 5])
def test_the_first_checkpoint_is_taken_from_nothing(size: int) -> None:
    assert check(request(0, size), None) == Checkpoint(ORIGIN, size, root(LEAVES[:size]))


def test_an_extension_and_the_same_again_are_taken() -> None:
    for old in range(1, 12):
        for new in range(old, 12):
            assert check(request(old, new), known(old)).size == new


def test_the_empty_tree_is_known_by_its_root() -> None:
    assert check(request(0, 4), KnownTree(0, EMPTY_ROOT)).size == 4


def test_another_key_of_the_log_is_none_that_is_known() -> None:
    other = SigningKey.generate("EdDSA")
    with pytest.raises(UnknownKey) as refused:
        check(request(3, 7, key=other), known(3))
    assert refused.value.status == 403
    with pytest.raises(UnknownKey):
        check_add_checkpoint(request(3, 7), known=known(3), keys={})


def test_another_old_size_is_told_the_known_one() -> None:
    for knows, size in ((None, 0), (known(2), 2), (known(5), 5), (known(7), 7)):
        with pytest.raises(WrongOldSize) as refused:
            check(request(3, 7), knows)
        assert (refused.value.known_size, refused.value.status) == (size, 409)
        assert not isinstance(refused.value, Fork | Shrunk)


@pytest.mark.parametrize("old", [0, 5, 7])
def test_another_root_for_the_known_size_is_a_fork_whatever_the_old_size(old: int) -> None:
    with pytest.raises(Fork) as refused:
        check(request(old, 7, FORKED), known(7))
    assert (refused.value.known_size, refused.value.status) == (7, 409)


def test_a_smaller_tree_is_refused_whatever_the_old_size() -> None:
    for old in range(6):
        with pytest.raises(Shrunk) as refused:
            check(request(old, 5), known(7))
        assert (refused.value.known_size, refused.value.status) == (7, 409)


def test_a_proof_from_another_history_is_bad() -> None:
    for asked, knows in (
        (request(5, 9, FORKED), known(5)),
        (request(5, 9), known(5, FORKED)),
        (AddCheckpoint(5, (), request(5, 9).note, request(5, 9).claimed), known(5)),
        (AddCheckpoint(0, (LEAVES[0],), request(0, 9).note, request(0, 9).claimed), None),
        (AddCheckpoint(9, (LEAVES[0],), request(9, 9).note, request(9, 9).claimed), known(9)),
    ):
        with pytest.raises(BadProof) as refused:
            check(asked, knows)
        assert refused.value.status == 422


def test_what_the_request_claims_beside_the_note_is_not_believed() -> None:
    asked = request(3, 7)
    lie = AddCheckpoint(3, asked.proof, asked.note, Checkpoint(ORIGIN, 3, root(LEAVES[:3])))
    assert check(lie, known(3)) == asked.claimed
    with pytest.raises(UnknownKey):
        check(AddCheckpoint(3, asked.proof, asked.note, Checkpoint("other.example/log/1", 7, b"")), known(3))


def test_an_origin_that_nobody_witnesses_has_a_status_of_its_own() -> None:
    assert UnknownOrigin.status == 404
    assert issubclass(CheckpointRefused, TrustError)


@hypothesis_settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_no_order_of_requests_gets_two_histories_cosigned(steps: list[tuple[bool, int, int]]) -> None:
    """A log that keeps two books asks in any order; what is cosigned is always one book, and grows."""
    knows: KnownTree | None = None
    cosigned: list[Checkpoint] = []
    for forked, one, other in steps:
        leaves = FORKED if forked else LEAVES
        try:
            checkpoint = check(request(min(one, other), max(one, other), leaves), knows)
        except CheckpointRefused:
            continue
        cosigned.append(checkpoint)
        knows = KnownTree(checkpoint.size, checkpoint.root)
    assert [checkpoint.size for checkpoint in cosigned] == sorted(checkpoint.size for checkpoint in cosigned)
    assert any(
        all(checkpoint.root == root(book[: checkpoint.size]) for checkpoint in cosigned)
        for book in (LEAVES, FORKED)
    )
