"""Signed notes: the standard's vectors, one spelling, and nothing counts that no known key signed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.trust.log_vectors import named_key, vectors
from trust.errors import BadSignature, KeyRejected, NoteRejected
from trust.keys import SigningKey
from trust.note import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    is_key_name,
    note_key_id,
    read_note,
    read_signature_lines,
    sign_note,
    verifier_key,
    verify_note_signature,
    write_note,
)

NOTES: dict[str, Any] = vectors("notes")
KEY = SigningKey.generate("EdDSA")
NAME = "log.example/1"
TEXT = "one\ntwo\n"
LINE = sign_note(TEXT, NAME, KEY)
SIGNED = write_note(TEXT, [LINE])


@pytest.mark.parametrize("name", NOTES)
def test_the_vectors_verify_and_are_written_the_same(name: str) -> None:
    data = NOTES[name]["note"].encode()
    note = read_note(data)
    assert write_note(note.text, note.signatures).encode() == data
    for vkey in NOTES[name]["signed_by"]:
        signer = named_key(vkey)
        assert note_key_id(signer.name, signer.key, signer.kind) == signer.key_id
        assert verifier_key(signer.name, signer.key, signer.kind) == vkey
        assert verify_note_signature(note, signer.name, signer.key)
        with pytest.raises(BadSignature):
            verify_note_signature(Note(f"{note.text}\n", note.signatures), signer.name, signer.key)


def test_what_is_signed_verifies_under_its_name_and_key_only() -> None:
    note = read_note(SIGNED.encode())
    assert (note.text, len(note.signatures)) == (TEXT, 1)
    assert verify_note_signature(note, NAME, KEY.verification_key)
    assert not verify_note_signature(note, "log.example/2", KEY.verification_key)
    assert not verify_note_signature(note, NAME, SigningKey.generate("EdDSA").verification_key)


def test_a_line_of_a_known_key_that_does_not_verify_is_told() -> None:
    (signature,) = read_note(SIGNED.encode()).signatures
    bad = NoteSignature(NAME, signature.key_id, bytes(64))
    short = NoteSignature(NAME, signature.key_id, bytes(63))
    with pytest.raises(BadSignature):
        verify_note_signature(Note(TEXT, (bad,)), NAME, KEY.verification_key)
    with pytest.raises(BadSignature):
        verify_note_signature(Note(TEXT, (signature, bad)), NAME, KEY.verification_key)
    with pytest.raises(NoteRejected, match="64 bytes"):
        verify_note_signature(Note(TEXT, (short,)), NAME, KEY.verification_key)


def test_lines_that_nobody_knows_are_passed_over() -> None:
    others = [NoteSignature(f"other.example/{number}", bytes(4), bytes(number + 1)) for number in range(15)]
    note = read_note(write_note(TEXT, [*others, LINE]).encode())
    assert len(note.signatures) == 16
    assert verify_note_signature(note, NAME, KEY.verification_key)


def test_only_ed25519_keys_sign_notes() -> None:
    other = SigningKey.generate("ES256")
    with pytest.raises(KeyRejected, match="Ed25519"):
        sign_note(TEXT, NAME, other)
    assert not verify_note_signature(read_note(SIGNED.encode()), NAME, other.verification_key)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty line"),
        (b"text\n", "empty line"),
        (b"text\n\n", "no signature"),
        (SIGNED[:-1].encode(), "newline"),
        (f"{SIGNED}\n".encode(), "no signature"),
        (f"{SIGNED} ".encode(), "newline"),
        (SIGNED.replace("\n", "\r\n").encode(), "control"),
        (SIGNED.replace("one", "o\x00e").encode(), "control"),
        (SIGNED.replace("one", "o\te").encode(), "control"),
        (SIGNED.encode("utf-8").replace(b"one", b"\xff"), "UTF-8"),
        (SIGNED.encode("utf-16"), "UTF-8"),
        (SIGNED.replace("— ", "- ").encode(), "em dash"),
        (SIGNED.replace("— ", "—").encode(), "em dash"),
        (SIGNED.replace(NAME, "").encode(), "em dash"),
        (SIGNED.replace(NAME, "a+b").encode(), "em dash"),
        (SIGNED.replace(NAME, "a\u3000b").encode(), "em dash"),
        (SIGNED.replace(NAME, "a\x85b").encode(), "em dash"),
        (SIGNED.replace(NAME, "n" * 2000).encode(), "em dash"),
        (f"{TEXT}\n— {NAME}\n".encode(), "em dash"),
        (f"{TEXT}\n— {NAME} \n".encode(), "too short"),
        (f"{TEXT}\n— {NAME} {b64(bytes(4))}\n".encode(), "too short"),
        (f"{TEXT}\n— {NAME} {b64(bytes(5))} \n".encode(), "base64"),
        (f"{TEXT}\n— {NAME}  {b64(bytes(5))}\n".encode(), "base64"),
        (f"{TEXT}\n— {NAME} {b64(bytes(5))[:-1]}B=\n".encode(), "base64"),
        (f"{TEXT}\n— {NAME} {b64(bytes(5)).rstrip('=')}\n".encode(), "base64"),
        (f"{TEXT}\n— {NAME} {b64(bytes(6)).replace('A', '_')}\n".encode(), "base64"),
        (f"{TEXT}\n— {NAME} AAAAAAé=\n".encode(), "base64"),
        (f"{TEXT}\n{LINE * (MAX_SIGNATURES + 1)}".encode(), "at most 32"),
        (f"{'x' * 70_000}\n\n{LINE}".encode(), "at most 65536"),
    ],
)
def test_nothing_but_the_one_spelling_is_read(data: bytes, why: str) -> None:
    with pytest.raises(NoteRejected, match=why):
        read_note(data)


def test_base64_with_spare_bits_is_another_spelling() -> None:
    canonical = b64(bytes(5))
    assert canonical == "AAAAAAA="
    with pytest.raises(NoteRejected, match="base64"):
        read_note(f"{TEXT}\n— {NAME} AAAAAAB=\n".encode())


def test_the_last_empty_line_ends_the_text() -> None:
    text = "a poem\n\nin two parts\n"
    note = read_note(write_note(text, [sign_note(text, NAME, KEY)]).encode())
    assert note.text == text
    assert verify_note_signature(note, NAME, KEY.verification_key)


@pytest.mark.parametrize("text", ["no newline", "", "x\n\ny"])
def test_a_text_that_is_none_is_not_written(text: str) -> None:
    with pytest.raises(NoteRejected):
        write_note(text, [LINE])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "x" * 1025])
def test_no_key_goes_by_a_name_that_no_line_can_carry(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(NoteRejected):
        sign_note(TEXT, name, KEY)


def test_signature_lines_alone_are_what_a_witness_answers() -> None:
    answer = vectors("witness")["answer"].encode()
    lines = read_signature_lines(answer)
    assert [line.name for line in lines] == ["witness.example/w1", "witness.example/w1", "witness.example/w2"]
    assert "".join(line.line() for line in lines).encode() == answer
    for broken in (b"", b"\n", answer[:-1], answer + b"\n", SIGNED.encode()):
        with pytest.raises(NoteRejected):
            read_signature_lines(broken)


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
@example(SIGNED.encode())
def test_bytes_are_a_note_written_so_or_refused(data: bytes) -> None:
    try:
        note = read_note(data)
    except NoteRejected:
        return
    assert write_note(note.text, note.signatures).encode() == data


@given(st.data())
def test_a_note_with_any_byte_changed_does_not_verify(data: st.DataObject) -> None:
    raw = bytearray(SIGNED.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        assert not verify_note_signature(read_note(bytes(raw)), NAME, KEY.verification_key)
    except (NoteRejected, BadSignature):
        return
