"""A signed list of statuses (IETF Token Status List, draft-ietf-oauth-status-list-12 and later): one number for each
token that its issuer gave a place in it, so that whoever holds the list asks nobody about a token.

1. `bits` is 1, 2, 4 or 8; a byte holds 8 ÷ bits numbers, the first in its lowest bits (§4.1). 0 is valid (§7.1);
   whatever else it says, here it is not.
2. The bytes are packed with zlib at its highest level and written in base64url (§4.2). They are unpacked within a
   bound, so that a few bytes cannot become many.
3. The list is a JWS of type ``statuslist+jwt`` by the issuer of the tokens; `sub` is the URI of the list (§5.1), which
   a token names in `status.status_list.uri` beside its place, `idx` (§6.1).
4. How old a list may be is the reader's to say: `iat` tells.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from trust.algorithms import b64url, b64url_bytes
from trust.entity import SKEW_S, check_issued, mapping_of, time_of
from trust.errors import StatementRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import quoted, read_token, sign_token, verify_token

__all__ = [
    "MAX_STATUS_LIST_BYTES",
    "STATUS_LIST_TYPE",
    "StatusList",
    "Statuses",
    "build_status_list",
    "verify_status_list",
]

STATUS_LIST_TYPE: Final = "statuslist+jwt"
MAX_STATUS_LIST_BYTES: Final = 512 * 1024
"""Of a whole list: a million places of one bit, packed as badly as can be, are 233 kB."""
_MOST_UNPACKED: Final = 256 * 1024
_BITS: Final = (1, 2, 4, 8)
_LIFE_S: Final = 24 * 3600


class Statuses:
    """The numbers of a list, unpacked."""

    __slots__ = ("_bits", "_raw")

    def __init__(self, raw: bytes, bits: int = 1) -> None:
        self._raw = raw
        self._bits = bits

    @classmethod
    def with_set(cls, places: Iterable[int], *, size: int) -> Statuses:
        """A list of one bit each for `size` places, in which these are set. Raises ValueError for one outside."""
        raw = bytearray((size + 7) // 8)
        for place in places:
            if not 0 <= place < size:
                raise ValueError(f"place {place} is not in a list of {size}")
            raw[place // 8] |= 1 << place % 8
        return cls(bytes(raw))

    @classmethod
    def unpack(cls, claim: Mapping[str, Any]) -> Statuses:
        """From `status_list` (rules 1 and 2). Raises StatementRejected."""
        bits, packed = claim.get("bits"), claim.get("lst")
        if type(bits) is not int or bits not in _BITS or not isinstance(packed, str):
            raise StatementRejected("a status list says bits (1, 2, 4 or 8) and lst")
        try:
            opener = zlib.decompressobj()
            raw = opener.decompress(b64url_bytes(packed), _MOST_UNPACKED + 1)
        except (ValueError, zlib.error):
            raise StatementRejected("lst is not base64url of what zlib packed") from None
        if not opener.eof or opener.unused_data or len(raw) > _MOST_UNPACKED:
            raise StatementRejected(f"lst is cut off, or has more than {_MOST_UNPACKED} bytes in it")
        return cls(raw, bits)

    def packed(self) -> dict[str, Any]:
        """As `status_list` has it."""
        return {"bits": self._bits, "lst": b64url(zlib.compress(self._raw, 9))}

    def __len__(self) -> int:
        return len(self._raw) * 8 // self._bits

    def __getitem__(self, place: int) -> int:
        """The number at a place. Raises IndexError."""
        if not 0 <= place < len(self):
            raise IndexError(f"place {place} is not in a list of {len(self)}")
        at = place * self._bits
        return self._raw[at // 8] >> at % 8 & (1 << self._bits) - 1


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list whose signature holds. `digest` is the SHA-256 of the whole token."""

    issuer: str
    uri: str
    issued_at: datetime
    statuses: Statuses
    digest: bytes

    def is_valid(self, place: int) -> bool:
        """Whether the token at a place is. One outside the list is not."""
        return 0 <= place < len(self.statuses) and self.statuses[place] == 0


def build_status_list(
    *, issuer: str, uri: str, statuses: Statuses, signer: Signer, now: datetime, ttl_s: int
) -> str:
    """Sign the list of `now`; `ttl_s` is after how long whoever keeps it should look again."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "sub": uri,
        "iat": issued_at,
        "exp": issued_at + _LIFE_S,
        "ttl": ttl_s,
        "status_list": statuses.packed(),
    }
    return sign_token(claims, signer, typ=STATUS_LIST_TYPE)


def verify_status_list(
    token: str | bytes,
    *,
    issuer: str,
    uri: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> StatusList:
    """Verify a list under the issuer's `keys` (rules 1 to 3).

    Raises StatementRejected (form, type, issuer, URI, from the future, expired), ForeignKey, SignatureForm,
    BadSignature.
    """
    signed = verify_token(read_token(token, max_bytes=MAX_STATUS_LIST_BYTES), keys=keys, typ=STATUS_LIST_TYPE)
    claims = signed.claims
    if claims.get("iss", issuer) != issuer or claims.get("sub") != uri:
        raise StatementRejected(
            f"the status list is {quoted(claims.get('sub'))} by {quoted(claims.get('iss'))}, expected {uri}"
        )
    issued_at = time_of(claims, "iat")
    check_issued(issued_at, now, "the status list", skew_s)
    if "exp" in claims and now >= time_of(claims, "exp"):
        raise StatementRejected(f"the status list of {issuer} has expired, own clock {now.isoformat()}")
    statuses = Statuses.unpack(mapping_of(claims, "status_list"))
    return StatusList(issuer, uri, issued_at, statuses, sha256(signed.text.encode("ascii")).digest())
