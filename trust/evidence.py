"""What proves an exchange afterwards: the leaf of a record, and the file that anyone can check offline.

The file (format 1) is a ZIP that has exactly one spelling, so that a byte cannot be changed without being
noticed: stored entries, fixed order, fixed date and flags, no comments, no extra fields. A reader writes it
anew from what it read and compares every byte. Its parts, in this order:

 - ``manifest.envelope``: a DSSE envelope by the exporting node over the manifest, canonical JSON that names
   every other part with size and SHA-256
 - ``request.envelope``, ``answer.envelope``: the signed bytes as they travelled; no answer when there was
   none
 - ``records.json``: where these lie in the exporting node's log: index, time, salt, leaf
 - ``asking/N.jwt``, ``answering/N.jwt``, ``exporting/N.jwt``: trust chains as they were, the node's own
   configuration first, the anchor's last
 - ``status.jwt``: the newest trust status that the exporting node knew
 - ``roll-overs.json``: the roll-overs of the anchor's key, where there were any; with them the file holds from
   any key that the anchor ever had, older or newer than the one that signed then

Every failure is an EvidenceBroken that names the part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trust.chain import VerifiedEntity, resolve_chain
from trust.container import (
    ANSWER,
    CHAIN_LENGTHS,
    CONTAINER,
    MANIFEST,
    MAX_FILE_BYTES,
    PLACES,
    RECORDS,
    REQUEST,
    ROLES,
    ROLL_OVERS,
    STATUS,
    chain_part,
    read_container,
    write_container,
)
from trust.entity import SKEW_S, read_statement
from trust.envelope import Opened, Sealed, parse, seal, unseal
from trust.errors import EvidenceBroken, TrustError
from trust.keys import Signer, VerificationKey
from trust.rollover import RollOver, anchor_keys, read_roll_overs

__all__ = [
    "ANSWER",
    "CONTAINER",
    "LEAF_VERSION",
    "MANIFEST",
    "MANIFEST_TYPE",
    "MAX_FILE_BYTES",
    "NO_ROLL_OVERS",
    "RECORDS",
    "REQUEST",
    "ROLES",
    "ROLL_OVERS",
    "STATUS",
    "Manifest",
    "canonical_json",
    "chain_part",
    "chain_parts",
    "leaf_data",
    "open_envelope_part",
    "open_json_part",
    "parse_envelope_part",
    "read_container",
    "read_manifest",
    "record_bytes",
    "resolve_chain_parts",
    "seal_parts",
    "write_container",
]

NO_ROLL_OVERS: Final = b"[]"

# --- the leaf ---

LEAF_VERSION: Final = b"\x01"


def record_bytes(kind: int, recorded_at: int, envelope: bytes) -> bytes:
    """A record as the log's leaf commits to it: kind (1 byte), time (8 bytes, big endian, µs), envelope
    bytes.
    """
    return b"%c%b%b" % (kind, recorded_at.to_bytes(8, "big", signed=True), envelope)


def leaf_data(kind: int, recorded_at: int, envelope: bytes, salt: bytes) -> bytes:
    """Version ‖ SHA-256(salt ‖ record), 33 bytes (design §6): without the salt it says nothing of the
    record.
    """
    digest = hashlib.sha256(salt + record_bytes(kind, recorded_at, envelope)).digest()
    return LEAF_VERSION + digest


MANIFEST_TYPE: Final = "application/vnd.yrd.evidence.manifest.v1+json"
_FORMAT: Final = 1

# --- the manifest ---


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the exporting node says of the file. Nothing in it is believed before its envelope was opened."""

    exported_by: str
    exported_at: datetime
    request_id: str


def canonical_json(value: Any) -> bytes:
    """One spelling: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal_parts(
    parts: Mapping[str, bytes], *, exported_by: str, exported_at: datetime, request_id: str, signer: Signer
) -> bytes:
    """The container of these parts under a manifest signed by `signer`, an envelope key of `exported_by`."""
    manifest = {
        "format": _FORMAT,
        "exported_by": exported_by,
        "exported_at": exported_at.isoformat(),
        "request_id": request_id,
        "parts": [
            {"name": name, "bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
            for name in sorted(parts, key=PLACES.__getitem__)
        ],
    }
    sealed = seal(MANIFEST_TYPE, canonical_json(manifest), signer)
    return write_container({**parts, MANIFEST: sealed.envelope})


def read_manifest(parts: Mapping[str, bytes]) -> tuple[Manifest, Sealed]:
    """The manifest, when it names just the parts that are there as they are. Its signature is not looked at.

    Raises EvidenceBroken, naming the part that the manifest does not fit.
    """
    sealed = parse_envelope_part(parts, MANIFEST)
    if sealed.payload_type != MANIFEST_TYPE:
        raise EvidenceBroken(MANIFEST, f"it is of type {sealed.payload_type}, not {MANIFEST_TYPE}")
    claims = _json(sealed.payload, MANIFEST)
    try:
        if claims["format"] != _FORMAT:
            raise EvidenceBroken(MANIFEST, f"format {claims['format']!r} is not known to this release")
        listed = {entry["name"]: (entry["bytes"], entry["sha256"]) for entry in claims["parts"]}
        manifest = Manifest(
            str(claims["exported_by"]), _time(claims["exported_at"]), str(claims["request_id"])
        )
    except (KeyError, TypeError, ValueError):
        raise EvidenceBroken(MANIFEST, "it does not say what a manifest says") from None
    for name in sorted({*listed, *parts} - {MANIFEST}, key=str):
        if name not in listed:
            raise EvidenceBroken(name, "the manifest does not name it")
        if name not in parts:
            raise EvidenceBroken(str(name), "the manifest names it, but it is not there")
        if listed[name] != (len(parts[name]), hashlib.sha256(parts[name]).hexdigest()):
            raise EvidenceBroken(name, "it is not what the manifest says: size or SHA-256 differ")
    return manifest, sealed


def _time(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a naive time")
    return moment


def _json(raw: bytes, part: str) -> Any:
    try:
        value = json.loads(raw)
        same = canonical_json(value) == raw
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise EvidenceBroken(part, "it is not canonical JSON")
    return value


# --- the other parts ---


def open_json_part(parts: Mapping[str, bytes], name: str) -> Any:
    """A part in canonical JSON. Raises EvidenceBroken."""
    if name not in parts:
        raise EvidenceBroken(name, "it is missing")
    return _json(parts[name], name)


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


def chain_parts(role: str, statements: Sequence[str]) -> dict[str, bytes]:
    """A chain as parts, the node's own configuration first."""
    return {chain_part(role, position): token.encode("ascii") for position, token in enumerate(statements)}


def resolve_chain_parts(
    parts: Mapping[str, bytes],
    role: str,
    *,
    pinned: Mapping[str, VerificationKey],
    at: datetime,
    roll_overs: str | bytes = NO_ROLL_OVERS,
) -> VerifiedEntity:
    """What the chain of a role proves at a time, from pinned keys of the anchor's. Raises EvidenceBroken.

    The anchor is whoever signed the last statement with one of its keys of that time, as `pinned` and the
    roll-overs tell them: those enclosed, or those that whoever checks has got since, if they are more. Entity ids
    on loopback are taken: a demonstration's evidence verifies as well, and its report says whose it is.
    """
    names = [chain_part(role, place) for place in CHAIN_LENGTHS if chain_part(role, place) in parts]
    if not names or names != [chain_part(role, place) for place in range(len(names))]:
        raise EvidenceBroken(chain_part(role, len(names)), "the trust chain has a gap here")
    statements = [parts[name] for name in names]
    for name, statement in zip(names, statements, strict=True):
        try:
            top = read_statement(statement, allow_http_on_loopback=True)
        except TrustError as error:
            raise EvidenceBroken(name, error.detail) from error
    documents = roll_overs, parts.get(ROLL_OVERS, NO_ROLL_OVERS)
    known = max((_read_roll_overs(document, top.sub) for document in documents), key=len)
    keys = anchor_keys(pinned, known, at, skew_s=SKEW_S)
    try:
        return resolve_chain(
            statements, anchor=top.sub, anchor_keys=keys, now=at, allow_http_on_loopback=True
        )
    except TrustError as error:
        raise EvidenceBroken(f"{role}/*.jwt", f"the trust chain does not hold: {error.detail}") from error


def _read_roll_overs(document: str | bytes, anchor: str) -> Sequence[RollOver]:
    try:
        return read_roll_overs(document, anchor=anchor)
    except TrustError as error:
        raise EvidenceBroken(ROLL_OVERS, error.detail) from error
