"""Cosignatures (C2SP tlog-cosignature, ``cosignature/v1``): what a witness signs, and when it says it did.

A cosignature says: at this time, this was the largest tree of this log that I saw, and it extends what I saw before.
Its time is signed with it. The signed text does not hold the witness's name, so a witness key serves one name.

The time of a quorum is the time at which the last witness it takes had signed: the quorum-th smallest, each witness
counted once. One witness that lies about the time, either way, cannot move it past an honest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from trust.errors import NoteRejected, TrustError
from trust.keys import Signer, VerificationKey
from trust.note import Note, NoteSignature, is_key_name, note_key_id

__all__ = ["COSIGNATURE", "Cosignatures", "cosign", "quorum_time", "read_cosignatures", "verify_cosignatures"]

COSIGNATURE: Final = b"\x04"
"""Signature type: timestamped Ed25519 cosignature."""
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = (datetime(9998, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Cosignatures:
    """Which witnesses cosigned a note and when, and what does not count, in words."""

    times: Mapping[str, datetime]
    rejected: tuple[str, ...]


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosign(checkpoint_text: str, *, name: str, signer: Signer, at: datetime) -> str:
    """The line, with its newline, in which a witness cosigns a checkpoint's text at a time (whole seconds).

    Raises KeyRejected when the key is none of Ed25519, NoteRejected for a name or a time that no line can carry.
    """
    time = (at - _EPOCH) // timedelta(seconds=1)
    if not is_key_name(name) or not 0 < time <= _LAST:
        raise NoteRejected("a cosignature needs the name of a key, and a time after 1970")
    key_id = note_key_id(name, signer.verification_key, COSIGNATURE)
    signature = signer.sign(_message(checkpoint_text, time))
    return NoteSignature(name, key_id, time.to_bytes(_TIME_BYTES, "big") + signature).line()


def read_cosignatures(note: Note, witnesses: Mapping[str, Mapping[str, VerificationKey]]) -> Cosignatures:
    """The valid cosignatures of known witnesses, by name; the earliest when one cosigned more than once.

    `witnesses` are the keys of each witness by its name. Lines of others are passed over; a line of a known witness
    that does not verify does not count and is told.
    """
    times: dict[str, datetime] = {}
    rejected: list[str] = []
    for line in note.signatures:
        for key in witnesses.get(line.name, {}).values():
            if key.alg != "EdDSA" or line.key_id != note_key_id(line.name, key, COSIGNATURE):
                continue
            try:
                at = _time_of(line, note.text, key)
            except TrustError as error:
                rejected.append(f"{line.name}: {error.detail}")
                continue
            times[line.name] = min(at, times.get(line.name, at))
    return Cosignatures(MappingProxyType(times), tuple(rejected))


def _time_of(line: NoteSignature, text: str, key: VerificationKey) -> datetime:
    """When the witness says that it signed. Raises NoteRejected, BadSignature."""
    if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
        raise NoteRejected("a cosignature is 8 bytes of time and 64 of signature")
    time = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if not 0 < time <= _LAST:
        raise NoteRejected("the cosignature's time is none")
    key.verify(line.signature[_TIME_BYTES:], _message(text, time))
    return datetime.fromtimestamp(time, UTC)


def verify_cosignatures(
    note: Note, witnesses: Mapping[str, Mapping[str, VerificationKey]]
) -> Mapping[str, datetime]:
    """When each known witness cosigned the note; only what verifies counts (see `read_cosignatures`)."""
    return read_cosignatures(note, witnesses).times


def quorum_time(times: Mapping[str, datetime], quorum: int) -> datetime | None:
    """The time by which `quorum` witnesses had cosigned, or None while they are too few.

    Raises ValueError for a quorum below one: nothing may count as witnessed by nobody.
    """
    if quorum < 1:
        raise ValueError("a quorum is at least one witness")
    return sorted(times.values())[quorum - 1] if len(times) >= quorum else None
