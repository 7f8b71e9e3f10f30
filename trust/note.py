"""Signed notes (C2SP signed-note): a text, an empty line, and lines that sign the text.

A note has one spelling here: UTF-8 without control characters, a newline at the end of every line, canonical base64.
Who signed is said by a name and a key id of four bytes, which is a hint and no proof: a signature counts only under a
key that the reader knew before. Lines of names or keys that nobody knows are passed over, as the standard says; a
line of a known key that does not verify is told.

Only Ed25519 keys sign notes (signature type 0x01); keys of other algorithms are passed over.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trust.algorithms import b64url_bytes
from trust.errors import KeyRejected, NoteRejected, SignatureForm
from trust.keys import Signer, VerificationKey

__all__ = [
    "ED25519",
    "MAX_NOTE_BYTES",
    "MAX_SIGNATURES",
    "Note",
    "NoteSignature",
    "base64_bytes",
    "base64_text",
    "is_key_name",
    "note_key_id",
    "read_note",
    "read_signature_lines",
    "sign_note",
    "verifier_key",
    "verify_note_signature",
    "write_note",
]

MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 32
"""The standard asks for at least 16."""
ED25519: Final = b"\x01"
"""Signature type: Ed25519 over the note's text."""
_DASH: Final = "\N{EM DASH} "
_KEY_ID_BYTES: Final = 4
_LONGEST_NAME: Final = 1024
_NAME: Final = re.compile(rf"[^+\s\x00-\x1f]{{1,{_LONGEST_NAME}}}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; nothing of it is verified."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and what claims to sign it."""

    text: str
    signatures: tuple[NoteSignature, ...]


def base64_text(data: bytes) -> str:
    """Base64 (RFC 4648 §4) on one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def base64_bytes(text: str) -> bytes:
    """The bytes of base64 text; only the one canonical spelling is taken. Raises NoteRejected."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NoteRejected("what should be base64 is not") from None
    if base64_text(data) != text:
        raise NoteRejected("the base64 is not in its canonical spelling")
    return data


def is_key_name(name: str) -> bool:
    """Whether a note may call a key so: not empty, no plus, no white space or control character."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=512)
def _key_id(name: str, kind: bytes, x: str) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + b64url_bytes(x)).digest()[:_KEY_ID_BYTES]


def note_key_id(name: str, key: VerificationKey, kind: bytes = ED25519) -> bytes:
    """The key id: the first 4 bytes of SHA-256(name ‖ newline ‖ type ‖ public key).

    Raises KeyRejected when the key is none of Ed25519.
    """
    if key.alg != "EdDSA":
        raise KeyRejected(f"notes are signed with Ed25519 keys; {key.kid} is of {key.alg}")
    return _key_id(name, kind, key.jwk["x"])


def verifier_key(name: str, key: VerificationKey, kind: bytes = ED25519) -> str:
    """The key as other tools take it (C2SP vkey): name, key id, type and public key on one line.

    Raises KeyRejected when the key is none of Ed25519.
    """
    key_id = note_key_id(name, key, kind)
    return f"{name}+{key_id.hex()}+{base64_text(kind + b64url_bytes(key.jwk['x']))}"


def read_note(data: bytes, *, max_bytes: int = MAX_NOTE_BYTES) -> Note:
    """The note of these bytes, not verified. Raises NoteRejected for anything but the one spelling of a note."""
    text, found, lines = _text(data, max_bytes).rpartition("\n\n")
    if not found:
        raise NoteRejected("the note has no empty line before its signatures")
    return Note(f"{text}\n", _signatures(lines))


def read_signature_lines(data: bytes, *, max_bytes: int = MAX_NOTE_BYTES) -> tuple[NoteSignature, ...]:
    """Signature lines alone, at least one: what a witness answers. Not verified. Raises NoteRejected."""
    return _signatures(_text(data, max_bytes))


def _text(data: bytes, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise NoteRejected(f"the note is {len(data)} bytes long; at most {max_bytes} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteRejected("the note is not UTF-8") from None
    if _CONTROL.search(text):
        raise NoteRejected("the note has control characters")
    return text


def _signatures(lines: str) -> tuple[NoteSignature, ...]:
    if not lines.endswith("\n"):
        raise NoteRejected("the note has no signature, or does not end in a newline")
    split = lines[:-1].split("\n")
    if len(split) > MAX_SIGNATURES:
        raise NoteRejected(f"the note has {len(split)} signatures; at most {MAX_SIGNATURES} are read")
    return tuple(map(_signature, split))


def _signature(line: str) -> NoteSignature:
    name, found, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not found or not is_key_name(name):
        raise NoteRejected("a signature line is not: em dash, space, name, space, base64")
    data = base64_bytes(encoded)
    if len(data) <= _KEY_ID_BYTES:
        raise NoteRejected(f"the signature of {name} is too short")
    return NoteSignature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def write_note(text: str, signatures: Iterable[NoteSignature | str]) -> str:
    """The note of a text and its signatures, as signatures or as lines with their newline.

    Raises NoteRejected when that is no note.
    """
    lines = (line if isinstance(line, str) else line.line() for line in signatures)
    written = f"{text}\n{''.join(lines)}"
    if read_note(written.encode(), max_bytes=len(written) * 4).text != text:
        raise NoteRejected("the text of a note ends in a newline")
    return written


def sign_note(text: str, name: str, signer: Signer) -> str:
    """The line, with its newline, in which `signer` signs the text under a name.

    Raises KeyRejected when its key is none of Ed25519, NoteRejected when no key may be called so.
    """
    if not is_key_name(name):
        raise NoteRejected("a key name is not empty and has no plus, white space or control character")
    key_id = note_key_id(name, signer.verification_key)
    return NoteSignature(name, key_id, signer.sign(text.encode())).line()


def verify_note_signature(note: Note, name: str, key: VerificationKey) -> bool:
    """Whether `key`, under that name, signed the note; False when no line says so.

    Raises BadSignature when a line says so and does not verify: such a note is to be refused as a whole.
    """
    if key.alg != "EdDSA":
        return False
    key_id = note_key_id(name, key)
    found = [line for line in note.signatures if line.name == name and line.key_id == key_id]
    for line in found:
        try:
            key.verify(line.signature, note.text.encode())
        except SignatureForm as error:
            raise NoteRejected(error.detail) from None
    return bool(found)
