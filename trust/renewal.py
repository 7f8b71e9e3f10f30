"""A node's request for its next TLS certificate, which it makes itself and signs with its federation key.

A JWS of type ``tls-renewal+jwt`` by the node: `iss` the node, `aud` the anchor and nobody else, `iat` and `exp`
five minutes apart at most, `csr` the request for the new key in PEM. The anchor knows the node's federation
keys from its enrolment, so nobody who merely holds a TLS key, or sits at the node's address, gets another one.
The request may be seen and repeated by others: what it leads to is of use only with the private key of `csr`.

Checked in this order:

 1. size and form; the type
 2. the issuer is a member in good standing, and one of its federation keys signed
 3. it is for this anchor
 4. it is of now: not from the future, not expired, not good for longer than five minutes
 5. the CSR is signed with the key it names, on P-256, and is for the issuer itself
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trust.entity import SKEW_S, time_of
from trust.errors import StatementRejected, TlsIdentityRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import quoted, read_token, sign_token, verify_token
from trust.x509 import read_csr

__all__ = [
    "RENEWAL_LIFE_S",
    "RENEWAL_MAX_BYTES",
    "RENEWAL_MEDIA",
    "RENEWAL_TYPE",
    "RenewalRequest",
    "build_renewal_request",
    "read_renewal_request",
]

RENEWAL_TYPE = "tls-renewal+jwt"
RENEWAL_MEDIA = f"application/{RENEWAL_TYPE}"
RENEWAL_LIFE_S = 300
RENEWAL_MAX_BYTES = 16 * 1024

KeysOf = Callable[[str], Mapping[str, VerificationKey] | None]
"""The federation keys of a member in good standing, by key id; None for anyone else."""


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """A request that was proven: the member that asks, and the CSR of the key it asks for."""

    entity_id: str
    csr_pem: bytes


def build_renewal_request(
    *, entity_id: str, anchor: str, csr_pem: bytes, signer: Signer, now: datetime
) -> str:
    """Sign a request of `now` with the node's federation key."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": entity_id,
        "aud": anchor,
        "iat": issued_at,
        "exp": issued_at + RENEWAL_LIFE_S,
        "csr": csr_pem.decode("ascii"),
    }
    return sign_token(claims, signer, typ=RENEWAL_TYPE)


def read_renewal_request(
    token: str | bytes, *, anchor: str, now: datetime, keys_of: KeysOf, skew_s: int = SKEW_S
) -> RenewalRequest:
    """Check a request from outside, by the steps above.

    Raises StatementRejected (form, type, issuer, audience, time), ForeignKey, SignatureForm, BadSignature,
    TlsIdentityRejected (the CSR).
    """
    unverified = read_token(token, max_bytes=RENEWAL_MAX_BYTES)  # 1
    issuer = unverified.claims.get("iss")
    keys = keys_of(issuer) if isinstance(issuer, str) else None  # 2
    if keys is None:
        raise StatementRejected("the request is not by a member in good standing")
    claims = verify_token(unverified, keys=keys, typ=RENEWAL_TYPE).claims
    if claims.get("aud") != anchor:  # 3
        raise StatementRejected(
            f"the request is for {quoted(claims.get('aud'))}, not for this anchor {anchor}"
        )
    _check_time(claims, now, skew_s)  # 4
    return RenewalRequest(str(issuer), _csr_of(claims, str(issuer)))  # 5


def _check_time(claims: Mapping[str, Any], now: datetime, skew_s: int) -> None:
    issued_at, expires_at = time_of(claims, "iat"), time_of(claims, "exp")
    if issued_at > now + timedelta(seconds=skew_s):
        raise StatementRejected(
            f"the request is from the future: {issued_at.isoformat()}, own clock {now.isoformat()}, "
            f"allowed skew {skew_s} s"
        )
    if now >= expires_at + timedelta(seconds=skew_s):
        raise StatementRejected(
            f"the request expired at {expires_at.isoformat()}, own clock {now.isoformat()}"
        )
    if expires_at - issued_at > timedelta(seconds=RENEWAL_LIFE_S):
        raise StatementRejected(f"a request for a TLS certificate is good for {RENEWAL_LIFE_S} s at most")


def _csr_of(claims: Mapping[str, Any], issuer: str) -> bytes:
    csr = claims.get("csr")
    if not isinstance(csr, str) or not csr.isascii():
        raise TlsIdentityRejected("the request has no CSR in PEM")
    pem = csr.encode("ascii")
    subject = read_csr(pem).entity_id
    if subject != issuer:
        raise TlsIdentityRejected(f"the CSR is for {subject}, the request is by {issuer}")
    return pem
