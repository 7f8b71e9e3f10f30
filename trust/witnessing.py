"""The rules of a witness (C2SP tlog-witness), without its store and without HTTP.

`read_add_checkpoint` reads what a log sends; `check_add_checkpoint` says, from what the witness last cosigned, whether
it may cosign this one. The caller reads what it knows, checks, and writes what it now knows in one transaction, and
lets the cosignature out only after the commit: two requests must never both pass from the same known tree.

What proves something against a log is what it signed: a Fork is two signed checkpoints of one size with two roots.
Shrunk and BadProof prove nothing alone: anyone may replay an old checkpoint, and the proof is not signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from trust.checkpoint import Checkpoint, check_checkpoint, read_checkpoint, read_size
from trust.errors import NoteRejected, TrustError
from trust.keys import VerificationKey
from trust.merkle import EMPTY_ROOT, HASH_BYTES, MAX_PATH, verify_consistency
from trust.note import Note, base64_bytes, base64_text, read_note

__all__ = [
    "MAX_ADD_CHECKPOINT_BYTES",
    "AddCheckpoint",
    "BadProof",
    "CheckpointRefused",
    "Fork",
    "KnownTree",
    "MalformedRequest",
    "Shrunk",
    "UnknownKey",
    "UnknownOrigin",
    "WrongOldSize",
    "check_add_checkpoint",
    "read_add_checkpoint",
    "write_add_checkpoint",
]

MAX_ADD_CHECKPOINT_BYTES: Final = 64 * 1024
_OLD: Final = "old "


class CheckpointRefused(TrustError):
    """A witness does not cosign; `status` is the HTTP status that tlog-witness gives to the reason."""

    code = "peer.malformed"
    status: ClassVar[int] = 400


class MalformedRequest(CheckpointRefused):
    """The body is not in the one spelling, or its old size is above the checkpoint's."""


class UnknownOrigin(CheckpointRefused):
    """The witness does not witness a log of this origin. Raised by whoever looks the keys up."""

    status = 404


class UnknownKey(CheckpointRefused):
    """No known key of the log signed the checkpoint, or one did and it does not verify."""

    code = "peer.bad_signature"
    status = 403


class WrongOldSize(CheckpointRefused):
    """The proof does not start where the witness stands. `known_size` is where: the answer's body."""

    status = 409

    def __init__(self, known_size: int, detail: str) -> None:
        super().__init__(detail)
        self.known_size = known_size


class Shrunk(WrongOldSize):
    """The checkpoint is of a smaller tree than the witness has cosigned: an old one, or a log that lost leaves."""


class Fork(WrongOldSize):
    """The log signed another root for the size that the witness has cosigned: proof of two histories."""


class BadProof(CheckpointRefused):
    """The proof does not lead from the known tree to the checkpoint's."""

    status = 422


@dataclass(frozen=True, slots=True)
class KnownTree:
    """What the witness last cosigned for an origin."""

    size: int
    root: bytes


NOTHING_KNOWN: Final = KnownTree(0, EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request as it was read; `claimed` is what its note says, signed by nobody known yet."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    claimed: Checkpoint


def read_add_checkpoint(body: bytes, *, max_bytes: int = MAX_ADD_CHECKPOINT_BYTES) -> AddCheckpoint:
    """The request of these bytes. Raises MalformedRequest for anything but the one spelling."""
    if len(body) > max_bytes:
        raise MalformedRequest(f"the request is {len(body)} bytes long; at most {max_bytes} are read")
    head, _, note_bytes = body.partition(b"\n\n")
    lines = head.split(b"\n")
    try:
        first, *hashes = [line.decode("ascii") for line in lines]
        if not first.startswith(_OLD):
            raise NoteRejected("the first line is not the old size")
        note = read_note(note_bytes)
        claimed = read_checkpoint(note.text)
        old_size, proof = read_size(first.removeprefix(_OLD)), _proof(hashes)
    except UnicodeDecodeError:
        raise MalformedRequest("old size and proof are ASCII") from None
    except NoteRejected as error:
        raise MalformedRequest(error.detail) from None
    if old_size > claimed.size:
        raise MalformedRequest("the old size is above the checkpoint's")
    return AddCheckpoint(old_size, proof, note, claimed)


def _proof(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PATH:
        raise NoteRejected(f"the proof has {len(lines)} lines; at most {MAX_PATH} are read")
    proof = tuple(map(base64_bytes, lines))
    if any(len(step) != HASH_BYTES for step in proof):
        raise NoteRejected(f"a line of the proof is not a hash of {HASH_BYTES} bytes")
    return proof


def write_add_checkpoint(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body that asks a witness to cosign a note, with the proof from the size it last cosigned."""
    lines = [f"{_OLD}{old_size}", *map(base64_text, proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def check_add_checkpoint(
    request: AddCheckpoint, *, known: KnownTree | None, keys: Mapping[str, VerificationKey]
) -> Checkpoint:
    """The checkpoint, when the witness may cosign it. `keys` are those of the log whose origin the request claims.

    Raises UnknownKey, Fork, Shrunk, WrongOldSize, BadProof, in this order, MalformedRequest.
    """
    try:
        checkpoint = check_checkpoint(request.note, origin=request.claimed.origin, keys=keys)
    except NoteRejected as error:
        raise UnknownKey(error.detail) from None
    known = known or NOTHING_KNOWN
    _refuse_other_starts(checkpoint, request.old_size, known)
    if not verify_consistency(known.size, known.root, checkpoint.size, checkpoint.root, request.proof):
        raise BadProof(f"the proof does not lead from size {known.size} to size {checkpoint.size}")
    return checkpoint


def _refuse_other_starts(checkpoint: Checkpoint, old_size: int, known: KnownTree) -> None:
    if checkpoint.size == known.size and checkpoint.root != known.root:
        raise Fork(known.size, f"{checkpoint.origin} has signed two roots for size {known.size}")
    if checkpoint.size < known.size:
        raise Shrunk(known.size, f"the tree of {checkpoint.origin} had {known.size} leaves already")
    if old_size != known.size:
        raise WrongOldSize(known.size, f"the witness stands at size {known.size}, not {old_size}")
