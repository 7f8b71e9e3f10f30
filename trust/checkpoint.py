"""Checkpoints (C2SP tlog-checkpoint): what a log says of itself at one size, as a signed note.

Three lines: origin, size, root; the log's key goes by the name of the origin. Extension lines, which the standard
allows and advises against, are refused: so a checkpoint has one text, and whoever cosigns it knows all that it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trust.errors import BadSignature, NoteRejected
from trust.keys import Signer, VerificationKey
from trust.merkle import EMPTY_ROOT, HASH_BYTES
from trust.note import (
    Note,
    base64_bytes,
    base64_text,
    is_key_name,
    read_note,
    sign_note,
    verify_note_signature,
    write_note,
)

__all__ = [
    "MAX_SIZE",
    "Checkpoint",
    "check_checkpoint",
    "open_checkpoint",
    "read_checkpoint",
    "read_size",
    "sign_checkpoint",
]

MAX_SIZE: Final = 2**63 - 1
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Origin of the log, number of leaves, tree hash. Whether somebody signed it is not said here."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text of the note, with the final newline: what log and witnesses sign."""
        return f"{self.origin}\n{self.size}\n{base64_text(self.root)}\n"


def read_size(text: str) -> int:
    """A tree size: decimal without leading zeroes, below 2^63. Raises NoteRejected."""
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteRejected("a tree size is a decimal below 2^63 without leading zeroes")
    return int(text)


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note's text; its `text()` is this text again. Raises NoteRejected."""
    lines = text.split("\n")
    if len(lines) != _LINES + 1 or lines[_LINES]:
        raise NoteRejected("a checkpoint has three lines: origin, size, root")
    origin, size, root = lines[0], read_size(lines[1]), base64_bytes(lines[2])
    if not is_key_name(origin):
        raise NoteRejected("the origin of a checkpoint is a name without white space and plus")
    if len(root) != HASH_BYTES:
        raise NoteRejected(f"the root of a checkpoint has {HASH_BYTES} bytes; this one has {len(root)}")
    if size == 0 and root != EMPTY_ROOT:
        raise NoteRejected("a tree without leaves has another root")
    return Checkpoint(origin, size, root)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The whole note, signed by the log's key. Raises KeyRejected (none of Ed25519), NoteRejected."""
    text = checkpoint.text()
    read_checkpoint(text)
    return write_note(text, [sign_note(text, checkpoint.origin, signer)])


def check_checkpoint(note: Note, *, origin: str, keys: Mapping[str, VerificationKey]) -> Checkpoint:
    """The checkpoint of a note that one of the log's keys signed.

    Raises NoteRejected: no checkpoint, of another origin, signed by none of the keys, or a signature of one of them
    that does not verify.
    """
    checkpoint = read_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise NoteRejected(f"the checkpoint is of {checkpoint.origin}, not of {origin}")
    try:
        signed = [verify_note_signature(note, origin, key) for key in keys.values()]
    except BadSignature:
        raise NoteRejected(f"a signature of the checkpoint of {origin} does not verify") from None
    if not any(signed):
        raise NoteRejected(f"no known key of {origin} signed its checkpoint")
    return checkpoint


def open_checkpoint(note: bytes, *, origin: str, keys: Mapping[str, VerificationKey]) -> Checkpoint:
    """As `check_checkpoint`, of the bytes of a note. Raises NoteRejected."""
    return check_checkpoint(read_note(note), origin=origin, keys=keys)
