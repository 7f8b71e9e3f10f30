"""What proves an exchange afterwards: the leaf of a record, and the file that anyone can check offline.

The file (format 2, docs/evidence-format.md) holds one exchange or many, and is a ZIP that has exactly one spelling
(`trust.container`), so that a byte cannot be changed without being noticed. Its parts:

 - ``manifest.envelope``: a DSSE envelope by the exporting node over the manifest, canonical JSON that names every other
   part with size and SHA-256, and the chain of the exporting node
 - ``index.json``: which exchanges there are, and which parts prove what (`trust.evidence_index`)
 - ``exchanges/NNNNNN/…``: the signed bytes of request and answer as they travelled; no answer when there was none, and
   nothing of a record that was forgotten
 - ``checkpoints/NNNNNN.note``: checkpoints of the exporting node's log, with what the witnesses said to them
 - ``statements/NNNNNN.jwt``: the statements that trust chains are made of, as they were, each once
 - ``former-keys/NNNNNN.jwt``: what the signers said of their former keys, newest first known to the exporting node
 - ``status.jwt``: the newest trust status that the exporting node knew
 - ``roll-overs.json``: the roll-overs of the anchor's key, where there were any; with them the file holds from
   any key that the anchor ever had, older or newer than the one that signed then

Every failure is an EvidenceBroken that names the part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from trust.container import INDEX, MANIFEST, MAX_FILE_BYTES, ROLL_OVERS, STATUS, Tail, write_container
from trust.envelope import Opened, Sealed, parse, seal, unseal
from trust.errors import EvidenceBroken, TrustError
from trust.keys import Signer, VerificationKey

__all__ = [
    "FORMAT",
    "INDEX",
    "LEAF_VERSION",
    "MANIFEST",
    "MANIFEST_TYPE",
    "MAX_FILE_BYTES",
    "NO_ROLL_OVERS",
    "ROLL_OVERS",
    "SCOPES",
    "STATUS",
    "Manifest",
    "canonical_json",
    "leaf_data",
    "open_envelope_part",
    "parse_envelope_part",
    "read_manifest",
    "seal_parts",
]

NO_ROLL_OVERS: Final = b"[]"


def canonical_json(value: Any) -> bytes:
    """One spelling: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- the leaf ---

LEAF_VERSION: Final = b"\x01"


def leaf_data(kind: int, recorded_at: int, envelope: bytes, salt: bytes) -> bytes:
    """Version ‖ SHA-256(salt ‖ record), 33 bytes (design §6): without the salt it says nothing of the record.

    The record is kind (1 byte) ‖ time (8 bytes, big endian, µs) ‖ envelope.
    """
    time = recorded_at.to_bytes(8, "big", signed=True)
    digest = hashlib.sha256(b"%b%c%b%b" % (salt, kind, time, envelope)).digest()
    return LEAF_VERSION + digest


# --- the manifest ---

MANIFEST_TYPE: Final = "application/vnd.yrd.evidence.manifest.v2+json"
FORMAT: Final = 2
SCOPES: Final = ("exchange", "case", "holder", "period", "archive")
"""What a file was asked for; of whom or which case is not said in clear."""
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    bytes: int
    name: str
    sha256: str


class _Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    chain: tuple[int, ...]
    exported_at: str
    exported_by: str
    format: int
    parts: Raw
    scope: str


class _Format(Struct, frozen=True):
    format: int


_DECODER: Final = msgspec.json.Decoder(_Manifest)
_FORMAT_DECODER: Final = msgspec.json.Decoder(_Format)
_PARTS_DECODER: Final = msgspec.json.Decoder(tuple[_Part, ...])
_ENCODER: Final = msgspec.json.Encoder()


class Manifest(Struct, frozen=True):
    """What the exporting node says of the file. Nothing in it is believed before its envelope was opened.

    `chain` are the numbers of the statements that prove the exporting node; `digests` the SHA-256 of each part, in
    hexadecimal, as computed here.
    """

    exported_by: str
    exported_at: datetime
    scope: str
    chain: tuple[int, ...]
    digests: Mapping[str, str]


def seal_parts(
    parts: Mapping[str, bytes],
    *,
    exported_by: str,
    exported_at: datetime,
    scope: str,
    chain: tuple[int, ...],
    signer: Signer,
) -> bytes:
    """The container of these parts under a manifest signed by `signer`, an envelope key of `exported_by`."""
    listed = _list({name: _digest(name, part) for name, part in parts.items()})
    manifest = _Manifest(chain, exported_at.isoformat(), exported_by, FORMAT, Raw(listed), scope)
    sealed = seal(MANIFEST_TYPE, _ENCODER.encode(manifest), signer)
    return write_container({**parts, MANIFEST: sealed.envelope})


class _Digest(Struct, frozen=True):
    """The SHA-256 of a part, in hexadecimal, and what a manifest says of the part."""

    sha256: str
    said: bytes


def _digest(name: str, part: bytes) -> _Digest:
    digest = hashlib.sha256(part).hexdigest()
    return _Digest(digest, _ENCODER.encode(_Part(len(part), name, digest)))


def _list(digests: Mapping[str, _Digest]) -> bytes:
    """What a manifest says of all parts: by name, an order that it can be held to without knowing the container's."""
    return b"[%b]" % b",".join([digests[name].said for name in sorted(digests)])


def read_manifest(parts: Mapping[str, bytes], tail: Tail | None = None) -> tuple[Manifest, Sealed]:
    """The manifest, when it names just the parts that are there as they are. Its signature is not looked at.

    `tail` are those of the parts that a `ContainerReader` may have read before, in another file: their digests are
    noted with them. Raises EvidenceBroken, naming the part that the manifest does not fit.
    """
    sealed = parse_envelope_part(parts, MANIFEST)
    if sealed.payload_type != MANIFEST_TYPE:
        raise EvidenceBroken(MANIFEST, f"it is of type {sealed.payload_type}, not {MANIFEST_TYPE}")
    claims = _read(sealed.payload)
    found = _digests(parts, tail)
    digests = {name: digest.sha256 for name, digest in found.items()}
    if bytes(claims.parts) != _list(found):
        raise _unlike(claims, parts, digests)
    exported_at = _time(claims.exported_at)
    return Manifest(claims.exported_by, exported_at, claims.scope, claims.chain, digests), sealed


def _digests(parts: Mapping[str, bytes], tail: Tail | None) -> dict[str, _Digest]:
    found: dict[str, _Digest] = {}
    if tail is not None and tail.is_remembered:
        if not tail.noted:
            tail.noted.update({name: _digest(name, part) for name, part in tail.parts.items()})
        found.update(tail.noted)
    for name, part in parts.items():
        if name != MANIFEST and name not in found:
            found[name] = _digest(name, part)
    return found


def _unlike(claims: _Manifest, parts: Mapping[str, bytes], digests: Mapping[str, str]) -> EvidenceBroken:
    """Which part is the first that the manifest does not fit."""
    try:
        listed = {part.name: part for part in _PARTS_DECODER.decode(claims.parts)}
    except (msgspec.DecodeError, ValueError, RecursionError):
        return EvidenceBroken(MANIFEST, "it does not say what a manifest says")
    for name in sorted({*listed, *digests}):
        part = listed.get(name)
        if part is None:
            return EvidenceBroken(name, "the manifest does not name it")
        if name not in digests:
            return EvidenceBroken(name, "the manifest names it, but it is not there")
        if (part.bytes, part.sha256) != (len(parts[name]), digests[name]):
            return EvidenceBroken(name, "it is not what the manifest says: size or SHA-256 differ")
    return EvidenceBroken(MANIFEST, "it does not name each part once, in the order of their names")


def _read(payload: bytes) -> _Manifest:
    try:
        claims = _DECODER.decode(payload)
        same = _ENCODER.encode(claims) == payload
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise EvidenceBroken(MANIFEST, _why_not(payload)) from None
    if claims.format != FORMAT:
        raise EvidenceBroken(MANIFEST, _why_not(payload))
    if not same or claims.scope not in SCOPES:
        raise EvidenceBroken(MANIFEST, "it does not say what a manifest says, in its one spelling")
    return claims


def _why_not(payload: bytes) -> str:
    """Why these bytes are no manifest of this format."""
    try:
        found = _FORMAT_DECODER.decode(payload).format
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = FORMAT
    if found != FORMAT:
        return f"format {found} is not known to this release"
    return "it does not say what a manifest says"


def _is_near(moment: datetime) -> bool:
    """Whether hours can be added to a time and taken from it, in any time zone."""
    return _FIRST_YEAR <= moment.year <= _LAST_YEAR


@lru_cache(maxsize=64)
def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.isoformat() != text or not _is_near(moment):
        raise EvidenceBroken(MANIFEST, "it does not say when it was made")
    return moment


# --- envelopes ---


def parse_envelope_part(parts: Mapping[str, bytes], name: str) -> Sealed:
    """An envelope whose signature nobody has looked at yet. Raises EvidenceBroken."""
    if name not in parts:
        raise EvidenceBroken(name, "it is missing")
    try:
        return parse(parts[name], max_bytes=MAX_FILE_BYTES)
    except TrustError as error:
        raise EvidenceBroken(name, error.detail) from error


def open_envelope_part(name: str, sealed: Sealed, keys: Mapping[str, VerificationKey]) -> Opened:
    """Verify an envelope under the keys that a chain gives its signer. Raises EvidenceBroken."""
    try:
        return unseal(sealed, keys=keys)
    except TrustError as error:
        raise EvidenceBroken(name, error.detail) from error
