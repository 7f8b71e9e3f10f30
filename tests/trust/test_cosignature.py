"""Cosignatures: the standard's bytes, only valid ones of known witnesses count, and nobody moves the quorum's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import NOON
from tests.trust.log_vectors import named_key, vectors
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.cosignature import COSIGNATURE, cosign, quorum_time, read_cosignatures, verify_cosignatures
from trust.errors import KeyRejected, NoteRejected
from trust.keys import SigningKey, VerificationKey
from trust.merkle import leaf_hash
from trust.note import Note, NoteSignature, note_key_id, read_note, sign_note, write_note

CHECKPOINT = Checkpoint("log.example/log/1", 5, leaf_hash(b"root"))
TEXT = CHECKPOINT.text()
LOG_KEY = SigningKey.generate("EdDSA")
SIGNED = sign_checkpoint(CHECKPOINT, LOG_KEY)
KEYS = {
    name: SigningKey.generate("EdDSA")
    for name in ("a.example/witness", "b.example/witness", "c.example/witness")
}
A, B, C = KEYS
WITNESSES = {name: {key.kid: key.verification_key} for name, key in KEYS.items()}


def cosigned(*lines: str) -> Note:
    return read_note((SIGNED + "".join(lines)).encode())


def by(name: str, at: datetime = NOON, *, text: str = TEXT, as_name: str | None = None) -> str:
    return cosign(text, name=as_name or name, signer=KEYS[name], at=at)


@pytest.mark.parametrize("name", ["arche2025h1", "nucleoledger"])
def test_cosignatures_of_public_witnesses_verify(name: str) -> None:
    vector: dict[str, Any] = vectors("notes")[name]
    witnesses: dict[str, dict[str, VerificationKey]] = {}
    times = {}
    for vkey, time in vector["cosigned_by"].items():
        witness = named_key(vkey)
        assert (witness.kind, note_key_id(witness.name, witness.key, COSIGNATURE)) == (
            b"\x04",
            witness.key_id,
        )
        witnesses[witness.name] = {witness.key.kid: witness.key}
        times[witness.name] = datetime.fromtimestamp(time, UTC)
    found = read_cosignatures(read_note(vector["note"].encode()), witnesses)
    assert (dict(found.times), found.rejected) == (times, ())


def test_the_times_are_those_that_were_signed_in_whole_seconds() -> None:
    later = NOON + timedelta(seconds=5, microseconds=999_999)
    note = cosigned(by(A), by(B, later))
    assert dict(verify_cosignatures(note, WITNESSES)) == {A: NOON, B: NOON + timedelta(seconds=5)}


def test_a_witness_counts_once_with_its_earliest_time() -> None:
    note = cosigned(by(A, NOON + timedelta(hours=1)), by(A), by(A, NOON + timedelta(hours=2)))
    assert dict(verify_cosignatures(note, WITNESSES)) == {A: NOON}


def test_two_keys_of_a_witness_are_one_witness() -> None:
    older = SigningKey.generate("EdDSA")
    both = {A: {**WITNESSES[A], older.kid: older.verification_key}}
    line = cosign(TEXT, name=A, signer=older, at=NOON - timedelta(hours=1))
    assert dict(verify_cosignatures(cosigned(by(A), line), both)) == {A: NOON - timedelta(hours=1)}


def forged(name: str, time: int, signature: bytes = bytes(64)) -> str:
    key_id = note_key_id(name, KEYS[name].verification_key, COSIGNATURE)
    return NoteSignature(name, key_id, time.to_bytes(8, "big") + signature).line()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (forged(A, 1_800_000_000), "does not verify"),
        (forged(A, 1_800_000_000, bytes(63)), "8 bytes of time"),
        (forged(A, 1_800_000_000, bytes(65)), "8 bytes of time"),
        (forged(A, 0), "time is none"),
        (forged(A, 2**63), "time is none"),
        (forged(A, 2**64 - 1), "time is none"),
        (by(A, text=TEXT.replace("\n5\n", "\n6\n")), "does not verify"),
        (by(A, text=TEXT + "more\n"), "does not verify"),
    ],
)
def test_a_cosignature_that_does_not_verify_does_not_count_and_is_told(line: str, why: str) -> None:
    found = read_cosignatures(cosigned(line, by(B)), WITNESSES)
    assert dict(found.times) == {B: NOON}
    (told,) = found.rejected
    assert told.startswith(f"{A}: ")
    assert why in told


def test_a_bad_line_takes_nothing_from_a_good_one() -> None:
    found = read_cosignatures(cosigned(forged(A, 1), by(A)), WITNESSES)
    assert dict(found.times) == {A: NOON}
    assert len(found.rejected) == 1


def test_the_time_is_signed() -> None:
    (line,) = read_note((SIGNED + by(A)).encode()).signatures[1:]
    moved = NoteSignature(A, line.key_id, (int(NOON.timestamp()) - 1).to_bytes(8, "big") + line.signature[8:])
    assert not verify_cosignatures(cosigned(moved.line()), WITNESSES)


def test_lines_of_others_do_not_count_and_are_not_told() -> None:
    stranger = SigningKey.generate("EdDSA")
    lines = [
        cosign(TEXT, name=A, signer=stranger, at=NOON),
        cosign(TEXT, name="d.example/witness", signer=stranger, at=NOON),
        by(A, as_name=B),
        sign_note(TEXT, A, KEYS[A]),
    ]
    found = read_cosignatures(cosigned(*lines), WITNESSES)
    assert (dict(found.times), found.rejected) == ({}, ())


def test_a_note_signature_of_the_witness_key_is_no_cosignature() -> None:
    (line,) = read_note(write_note(TEXT, [sign_note(TEXT, A, KEYS[A])]).encode()).signatures
    key_id = note_key_id(A, KEYS[A].verification_key, COSIGNATURE)
    assert line.key_id != key_id
    assert not verify_cosignatures(
        cosigned(NoteSignature(A, key_id, bytes(8) + line.signature).line()), WITNESSES
    )


def test_keys_of_other_algorithms_are_passed_over() -> None:
    other = SigningKey.generate("ES256")
    with pytest.raises(KeyRejected, match="Ed25519"):
        cosign(TEXT, name=A, signer=other, at=NOON)
    witnesses = {A: {other.kid: other.verification_key, **WITNESSES[A]}}
    assert dict(verify_cosignatures(cosigned(by(A)), witnesses)) == {A: NOON}


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC)])
def test_nobody_cosigns_at_no_time(at: datetime) -> None:
    with pytest.raises(NoteRejected):
        by(A, at)


def test_nobody_cosigns_under_a_name_that_no_line_can_carry() -> None:
    with pytest.raises(NoteRejected):
        by(A, as_name="a b")


# --- the quorum ---


def test_the_quorum_is_reached_when_its_last_witness_signs() -> None:
    times = {A: NOON + timedelta(seconds=3), B: NOON, C: NOON + timedelta(seconds=9)}
    assert [quorum_time(times, quorum) for quorum in (1, 2, 3, 4)] == [NOON, times[A], times[C], None]
    assert quorum_time({}, 1) is None


@pytest.mark.parametrize("quorum", [0, -1])
def test_nobody_is_no_quorum(quorum: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        quorum_time({A: NOON}, quorum)


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), st.integers(-(10**9), 10**9))
def test_one_witness_that_lies_stays_within_the_honest_ones(honest: list[int], lie: int) -> None:
    times = {name: NOON + timedelta(seconds=second) for name, second in zip(KEYS, honest, strict=True)}
    told = {**times, A: NOON + timedelta(seconds=lie)}
    found = quorum_time(told, 2)
    assert found is not None
    assert min(times[B], times[C]) <= found <= max(times[B], times[C])
