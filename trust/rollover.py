"""Roll-overs of the anchor's root key: how trust passes from one key to the next, forward and backward.

The standard has the anchor announce its next keys in its own configuration (OpenID Federation 1.1 §11.2),
which helps those only who read it in time. Here each change is also a token of type
``anchor-roll-over+jwt``: the old key signs which key follows, from when, and how long it still signs itself;
the new key proves, in a token within, that it takes over from exactly that key. So who pinned the old key
finds the new one, and who pinned the new one finds the old: neither can be made up by someone who holds only
the other.

 - Roll-overs are numbered 1, 2, … without a gap; the old key of each is the new key of the one before.
 - No key comes back, times do not run backward, and there are at most 32.
 - A key signs for the anchor from the `at` of the roll-over that brought it until the `old_until` of the one
   that replaced it. A roll-over from the future counts for nothing yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import orjson

from trust.entity import time_of
from trust.errors import StatementRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import read_token, sign_token, verify_token

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "MAX_ROLL_OVERS",
    "PROOF_TYPE",
    "ROLL_OVER_TYPE",
    "RollOver",
    "anchor_keys",
    "build_roll_over",
    "read_roll_overs",
    "roll_overs_document",
]

ROLL_OVER_TYPE = "anchor-roll-over+jwt"
PROOF_TYPE = "anchor-key-proof+jwt"
MAX_ROLL_OVERS = 32
MAX_DOCUMENT_BYTES = 128 * 1024
_MOST_REASON = 200


@dataclass(frozen=True, slots=True)
class RollOver:
    """One change of the root key, both of whose signatures hold."""

    number: int
    at: datetime
    """From when the new key signs."""
    old_until: datetime
    """Until when the old key still signs beside it."""
    reason: str
    old: VerificationKey
    new: VerificationKey
    token: str


def build_roll_over(
    *,
    anchor: str,
    number: int,
    old: Signer,
    new: Signer,
    now: datetime,
    old_until: datetime,
    reason: str,
) -> str:
    """Sign over from `old` to `new`, from `now` on. Raises StatementRejected as `read_roll_overs` would."""
    proof = {"iss": anchor, "number": number, "old": old.kid, "iat": int(now.timestamp())}
    claims = {
        "iss": anchor,
        "iat": int(now.timestamp()),
        "number": number,
        "old_until": int(old_until.timestamp()),
        "reason": reason,
        "old": dict(old.verification_key.jwk),
        "new": dict(new.verification_key.jwk),
        "proof": sign_token(proof, new, typ=PROOF_TYPE),
    }
    token = sign_token(claims, old, typ=ROLL_OVER_TYPE)
    _read_one(token, anchor)
    return token


def roll_overs_document(tokens: Iterable[str]) -> str:
    """The document that holds these tokens in order: a JSON array, ``[]`` when there are none."""
    return orjson.dumps(list(tokens)).decode("ascii")


def read_roll_overs(
    document: str | bytes, *, anchor: str, max_bytes: int = MAX_DOCUMENT_BYTES
) -> tuple[RollOver, ...]:
    """All roll-overs of a document, each with both signatures verified.

    What this proves is that they hold together; whose they are depends on a key that was pinned
    (`anchor_keys`). Raises StatementRejected (form, anchor, numbers, a key that does not follow or comes
    back, times), KeyRejected, ForeignKey, SignatureForm, BadSignature.
    """
    if len(document) > max_bytes:
        raise StatementRejected(f"the roll-overs have at most {max_bytes} bytes; these have {len(document)}")
    roll_overs = tuple(_read_one(token, anchor) for token in _tokens(document))
    _check_order(roll_overs)
    return roll_overs


def anchor_keys(
    pinned: Mapping[str, VerificationKey], roll_overs: Sequence[RollOver], at: datetime, *, skew_s: int = 0
) -> Mapping[str, VerificationKey]:
    """The keys that sign for the anchor at the time `at`, by key id, as told by any key that was pinned.

    Trusted on entry: `pinned`. `roll_overs` are as read; when none of their keys is pinned they count for
    nothing. A pinned key that no roll-over names stays as it is. `skew_s`: how much earlier than its time by
    this clock a new key counts already, where the clock that gave `at` is another's.
    """
    line = _line(roll_overs)
    if not any(key.kid in pinned for key in line):
        return MappingProxyType(dict(pinned))
    keys = {kid: key for kid, key in pinned.items() if key not in line}
    for position, key in enumerate(line):
        began = position == 0 or roll_overs[position - 1].at <= at + timedelta(seconds=skew_s)
        ended = position < len(roll_overs) and roll_overs[position].old_until <= at
        if began and not ended:
            keys[key.kid] = key
    return MappingProxyType(keys)


def _tokens(document: str | bytes) -> list[str]:
    try:
        tokens = json.loads(document)
    except (ValueError, RecursionError):
        raise StatementRejected("the roll-overs are not JSON") from None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise StatementRejected("the roll-overs are not a list of tokens")
    if len(tokens) > MAX_ROLL_OVERS:
        raise StatementRejected(f"there are at most {MAX_ROLL_OVERS} roll-overs, not {len(tokens)}")
    return tokens


def _read_one(token: str, anchor: str) -> RollOver:
    unverified = read_token(token)
    claims = unverified.claims
    old, new = (
        VerificationKey.from_jwk(claims.get("old", {})),
        VerificationKey.from_jwk(claims.get("new", {})),
    )
    verify_token(unverified, keys={old.kid: old}, typ=ROLL_OVER_TYPE)
    number, reason = claims.get("number"), claims.get("reason")
    if claims.get("iss") != anchor:
        raise StatementRejected(f"the roll-over is by {claims.get('iss')!r}, not by the anchor {anchor}")
    if type(number) is not int or not 1 <= number <= MAX_ROLL_OVERS:
        raise StatementRejected(f"a roll-over has a number from 1 to {MAX_ROLL_OVERS}")
    if not isinstance(reason, str) or not reason.isprintable() or not 0 < len(reason) <= _MOST_REASON:
        raise StatementRejected(f"a roll-over has a reason of 1 to {_MOST_REASON} printable characters")
    at, old_until = time_of(claims, "iat"), time_of(claims, "old_until")
    if old_until < at:
        raise StatementRejected("the old key ends before the new one begins")
    _verify_proof(claims, anchor, number, old, new)
    return RollOver(number, at, old_until, reason, old, new, token)


def _verify_proof(
    claims: Mapping[str, Any], anchor: str, number: int, old: VerificationKey, new: VerificationKey
) -> None:
    proof = claims.get("proof")
    if not isinstance(proof, str):
        raise StatementRejected(f"roll-over {number} has no proof by its new key")
    said = verify_token(read_token(proof), keys={new.kid: new}, typ=PROOF_TYPE).claims
    if (said.get("iss"), said.get("number"), said.get("old")) != (anchor, number, old.kid):
        raise StatementRejected(f"the new key of roll-over {number} takes over from another key")


def _check_order(roll_overs: Sequence[RollOver]) -> None:
    numbers = [roll_over.number for roll_over in roll_overs]
    if numbers != list(range(1, len(numbers) + 1)):
        raise StatementRejected(f"roll-overs are numbered 1, 2, … without a gap, not {numbers}")
    for before, after in pairwise(roll_overs):
        if after.old != before.new:
            raise StatementRejected(
                f"roll-over {after.number} is not by the key that roll-over {before.number} brought"
            )
        if after.at < before.at:
            raise StatementRejected(f"roll-over {after.number} is earlier than the one before")
    line = _line(roll_overs)
    if len(set(line)) != len(line):
        raise StatementRejected("a key that was replaced comes back")


def _line(roll_overs: Sequence[RollOver]) -> list[VerificationKey]:
    """The root keys in the order in which they followed each other."""
    return [*(roll_over.old for roll_over in roll_overs[:1]), *(roll_over.new for roll_over in roll_overs)]
