"""Reads the vectors of tests/vectors/log; its README says where they come from."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from trust.algorithms import b64url
from trust.keys import VerificationKey

__all__ = ["NamedKey", "named_key", "vectors"]

_FOLDER = Path(__file__).parents[1] / "vectors" / "log"


class NamedKey(NamedTuple):
    """A C2SP vkey taken apart."""

    name: str
    key_id: bytes
    kind: bytes
    key: VerificationKey


def vectors(name: str) -> Any:
    return orjson.loads((_FOLDER / f"{name}.json").read_bytes())


def named_key(vkey: str) -> NamedKey:
    name, key_id, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded)
    key = VerificationKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url(raw[1:])})
    return NamedKey(name, bytes.fromhex(key_id), raw[:1], key)
