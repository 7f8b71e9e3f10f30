"""Checkpoints: three lines in one spelling, signed by a key that was known before."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.trust.log_vectors import named_key, vectors
from trust.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    open_checkpoint,
    read_checkpoint,
    sign_checkpoint,
)
from trust.errors import KeyRejected, NoteRejected
from trust.keys import SigningKey
from trust.merkle import EMPTY_ROOT, leaf_hash
from trust.note import NoteSignature, read_note, sign_note, write_note

KEY = SigningKey.generate("EdDSA")
KEYS = {KEY.kid: KEY.verification_key}
ORIGIN = "127.0.0.1:7011/log/1"
CHECKPOINT = Checkpoint(ORIGIN, 7, leaf_hash(b"root"))
TEXT = CHECKPOINT.text()
ORIGIN_LINE, SIZE_LINE, ROOT_LINE, _ = TEXT.split("\n")


@pytest.mark.parametrize("name", ["arche2025h1", "nucleoledger"])
def test_checkpoints_of_public_logs_open(name: str) -> None:
    vector = vectors("notes")[name]
    origin, _, _, key = named_key(vector["signed_by"][0])
    checkpoint = open_checkpoint(vector["note"].encode(), origin=origin, keys={key.kid: key})
    assert vector["note"].startswith(f"{checkpoint.text()}\n")


def test_a_signed_checkpoint_opens_under_its_key_only() -> None:
    note = sign_checkpoint(CHECKPOINT, KEY).encode()
    assert open_checkpoint(note, origin=ORIGIN, keys=KEYS) == CHECKPOINT
    other = SigningKey.generate("EdDSA").verification_key
    assert open_checkpoint(note, origin=ORIGIN, keys={other.kid: other, **KEYS}) == CHECKPOINT
    for keys in ({}, {other.kid: other}, {"x": SigningKey.generate("ES256").verification_key}):
        with pytest.raises(NoteRejected, match="no known key"):
            open_checkpoint(note, origin=ORIGIN, keys=keys)
    with pytest.raises(NoteRejected, match="not of"):
        open_checkpoint(note, origin="127.0.0.1:7011/log/2", keys=KEYS)


def test_the_key_signs_under_the_name_of_the_origin_only() -> None:
    note = write_note(TEXT, [sign_note(TEXT, "127.0.0.1:7011/witness", KEY)])
    with pytest.raises(NoteRejected, match="no known key"):
        open_checkpoint(note.encode(), origin=ORIGIN, keys=KEYS)


def test_one_bad_line_of_a_known_key_spoils_the_note() -> None:
    signed = sign_checkpoint(CHECKPOINT, KEY)
    (good,) = read_note(signed.encode()).signatures
    bad = NoteSignature(ORIGIN, good.key_id, bytes(64))
    for lines in ([bad], [good, bad], [bad, good]):
        with pytest.raises(NoteRejected, match="does not verify"):
            open_checkpoint(write_note(TEXT, lines).encode(), origin=ORIGIN, keys=KEYS)


def test_another_text_under_the_same_signature_is_refused() -> None:
    signed = sign_checkpoint(CHECKPOINT, KEY)
    for old, new in (("\n7\n", "\n8\n"), (ROOT_LINE, ROOT_LINE.swapcase())):
        with pytest.raises(NoteRejected):
            open_checkpoint(signed.replace(old, new).encode(), origin=ORIGIN, keys=KEYS)


def test_only_ed25519_keys_sign_checkpoints() -> None:
    with pytest.raises(KeyRejected):
        sign_checkpoint(CHECKPOINT, SigningKey.generate("ES256"))


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 7, CHECKPOINT.root),
        Checkpoint("a b", 7, CHECKPOINT.root),
        Checkpoint("a+b", 7, CHECKPOINT.root),
        Checkpoint("a\nb", 7, CHECKPOINT.root),
        Checkpoint(ORIGIN, -1, CHECKPOINT.root),
        Checkpoint(ORIGIN, MAX_SIZE + 1, CHECKPOINT.root),
        Checkpoint(ORIGIN, 7, bytes(31)),
        Checkpoint(ORIGIN, 0, CHECKPOINT.root),
    ],
)
def test_what_could_not_be_read_is_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(NoteRejected):
        sign_checkpoint(checkpoint, KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN_LINE}\n{SIZE_LINE}\n{ROOT_LINE}",
        f"{ORIGIN_LINE}\n{SIZE_LINE}\n",
        f"{TEXT}\n",
        f"{TEXT}an extension\n",
        f"{TEXT}cut off",
        f"\n{SIZE_LINE}\n{ROOT_LINE}\n",
        f"{ORIGIN_LINE}\r\n{SIZE_LINE}\n{ROOT_LINE}\n",
        *(
            f"{ORIGIN_LINE}\n{size}\n{ROOT_LINE}\n"
            for size in (
                "",
                "07",
                "+7",
                "-7",
                " 7",
                "7 ",
                "7.0",
                "7_0",
                "0x7",
                "７",
                "٧",
                "1e3",
                "9" * 19,
                str(2**63),
            )
        ),
        f"{ORIGIN_LINE}\n{SIZE_LINE}\n{ROOT_LINE[:-1]}\n",
        f"{ORIGIN_LINE}\n{SIZE_LINE}\n{ROOT_LINE} \n",
        f"{ORIGIN_LINE}\n{SIZE_LINE}\n{ROOT_LINE[:-2]}B=\n",
        f"{ORIGIN_LINE}\n{SIZE_LINE}\nAAAA\n",
        f"{ORIGIN_LINE}\n0\n{ROOT_LINE}\n",
    ],
)
def test_nothing_but_the_one_spelling_is_read(text: str) -> None:
    with pytest.raises(NoteRejected):
        read_checkpoint(text)


@given(st.integers(0, MAX_SIZE), st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read_the_same(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root if size else EMPTY_ROOT)
    assert read_checkpoint(checkpoint.text()) == checkpoint


@given(st.text(max_size=120))
@example(TEXT)
def test_a_text_is_a_checkpoint_written_so_or_refused(text: str) -> None:
    try:
        checkpoint = read_checkpoint(text)
    except NoteRejected:
        return
    assert checkpoint.text() == text
