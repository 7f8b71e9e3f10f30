"""The request for the next TLS certificate: one row for each way in which it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.clock import NOON
from tests.trust.federation import ANCHOR, ANHUI, ANHUI_KEY, ZHEJIANG, ZHEJIANG_KEY, bend
from trust.errors import ForeignKey, StatementRejected, TlsIdentityRejected, TrustError
from trust.keys import SigningKey, VerificationKey
from trust.renewal import (
    RENEWAL_LIFE_S,
    RENEWAL_MAX_BYTES,
    RENEWAL_TYPE,
    RenewalRequest,
    build_renewal_request,
    read_renewal_request,
)
from trust.tokens import sign_token
from trust.x509 import create_csr

TLS_KEY = SigningKey.generate()
CSR = create_csr(TLS_KEY, ZHEJIANG)
MEMBERS = {ZHEJIANG: ZHEJIANG_KEY, ANHUI: ANHUI_KEY}
IAT = int(NOON.timestamp())
TOKEN = build_renewal_request(entity_id=ZHEJIANG, anchor=ANCHOR, csr_pem=CSR, signer=ZHEJIANG_KEY, now=NOON)


def _keys_of(entity_id: str) -> Mapping[str, VerificationKey] | None:
    key = MEMBERS.get(entity_id)
    return None if key is None else {key.kid: key.verification_key}


def _read(token: str, now: datetime = NOON) -> RenewalRequest:
    return read_renewal_request(token, anchor=ANCHOR, now=now, keys_of=_keys_of)


def _bent(signer: SigningKey = ZHEJIANG_KEY, *, typ: str = RENEWAL_TYPE, **claims: object) -> str:
    return bend(TOKEN, signer, typ=typ, **claims)


def _forged_csr() -> str:
    der = bytearray(x509.load_pem_x509_csr(CSR).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()


def test_a_request_comes_back() -> None:
    assert _read(TOKEN) == RenewalRequest(ZHEJIANG, CSR)
    assert _read(TOKEN.encode().decode(), NOON - timedelta(seconds=60)).entity_id == ZHEJIANG


@pytest.mark.parametrize(
    ("token", "refusal", "why"),
    [
        ("not a token", StatementRejected, "compact"),
        (_bent(csr=CSR.decode() + " " * RENEWAL_MAX_BYTES), StatementRejected, "at most"),
        (_bent(typ="entity-statement+jwt"), StatementRejected, "type"),
        (_bent(typ="JWT"), StatementRejected, "type"),
        (_bent(aud=ZHEJIANG), StatementRejected, "not for this anchor"),
        (_bent(aud=[ANCHOR]), StatementRejected, "not for this anchor"),
        (_bent(aud=None), StatementRejected, "not for this anchor"),
        (_bent(iss="https://nobody.example"), StatementRejected, "good standing"),
        (_bent(iss=None), StatementRejected, "good standing"),
        (_bent(iss=["x"]), StatementRejected, "good standing"),
        (_bent(SigningKey.generate()), ForeignKey, "not one of"),
        (_bent(TLS_KEY), ForeignKey, "not one of"),
        (_bent(ANHUI_KEY), ForeignKey, "not one of"),
        (_bent(ANHUI_KEY, iss=ANHUI), TlsIdentityRejected, "the CSR is for"),
        (_bent(iat=IAT + 61, exp=IAT + 61), StatementRejected, "future"),
        (_bent(iat=IAT - 400, exp=IAT - 100), StatementRejected, "expired"),
        (_bent(exp=IAT + RENEWAL_LIFE_S + 1), StatementRejected, "at most"),
        (_bent(iat=None), StatementRejected, "iat"),
        (_bent(exp=None), StatementRejected, "exp"),
        (_bent(csr=None), TlsIdentityRejected, "no CSR"),
        (_bent(csr=7), TlsIdentityRejected, "no CSR"),
        (_bent(csr="漢字"), TlsIdentityRejected, "no CSR"),
        (_bent(csr="-----BEGIN"), TlsIdentityRejected, "PEM"),
        (_bent(csr=_forged_csr()), TlsIdentityRejected, "request"),
        (_bent(csr=create_csr(TLS_KEY, ANHUI).decode()), TlsIdentityRejected, "the CSR is for"),
        (sign_token({"iss": ZHEJIANG}, ZHEJIANG_KEY, typ=RENEWAL_TYPE), StatementRejected, "anchor"),
    ],
    ids=lambda value: ("token" if len(value) > 40 else value) if isinstance(value, str) else value.__name__,
)
def test_what_is_refused(token: str, refusal: type[TrustError], why: str) -> None:
    with pytest.raises(refusal, match=why):
        _read(token)


def test_a_request_is_good_for_minutes_only() -> None:
    assert _read(TOKEN, NOON + timedelta(seconds=RENEWAL_LIFE_S))
    with pytest.raises(StatementRejected, match="expired"):
        _read(TOKEN, NOON + timedelta(seconds=RENEWAL_LIFE_S + 60))


def test_a_signature_over_something_else_is_refused() -> None:
    head, _, signature = TOKEN.split(".")
    body = _bent(iat=IAT + 1).split(".")[1]
    with pytest.raises(TrustError, match="verify"):
        _read(f"{head}.{body}.{signature}")
