"""The trust status: who signs it, when it counts, what it says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.clock import NOON
from tests.trust.federation import ANCHOR, ANCHOR_KEY, ANHUI, ZHEJIANG, bend, statement
from trust.entity import statement_digest
from trust.errors import ForeignKey, StatementRejected
from trust.keys import SigningKey
from trust.status import STATUS_TYPE, Revocation, TrustStatus, build_status, verify_status

STATUS_KEY = SigningKey.generate()
KEYS = {STATUS_KEY.kid: STATUS_KEY.verification_key}
STATEMENT = statement()
GONE = Revocation(ANHUI, NOON - timedelta(hours=1), "private key lost")
TOKEN = build_status(
    anchor=ANCHOR,
    sequence=7,
    statements={ZHEJIANG: STATEMENT},
    revocations=[GONE],
    signer=STATUS_KEY,
    now=NOON,
)
IAT = int(NOON.timestamp())


def _verify(token: str, **options: Any) -> TrustStatus:
    return verify_status(token, **{"anchor": ANCHOR, "keys": KEYS, "now": NOON, **options})


def test_a_status_comes_back() -> None:
    status = _verify(TOKEN)
    assert (status.sequence, status.issued_at, status.expires_at) == (7, NOON, NOON + timedelta(hours=1))
    assert status.digests == {ZHEJIANG: statement_digest(STATEMENT)}
    assert status.revocations == {ANHUI: GONE}


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": ZHEJIANG},
        {"iss": None},
        {"iat": IAT + 61, "exp": IAT + 999},
        {"iat": None},
        {"exp": IAT},
        {"exp": None},
        {"sequence": None},
        {"sequence": 0},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": "7"},
        {"sequence": 2**53},
        {"statements": []},
        {"statements": {ZHEJIANG: 7}},
        {"revocations": None},
        {"revocations": {}},
        {"revocations": ["x"]},
        {"revocations": [{"sub": ANHUI}]},
        {"revocations": [{"at": IAT}]},
        {"revocations": [{"sub": ANHUI, "at": "now"}]},
    ],
    ids=str,
)
def test_a_status_that_breaks_a_rule_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(StatementRejected):
        _verify(bend(TOKEN, STATUS_KEY, typ=STATUS_TYPE, **claims))


def test_another_type_or_signer_is_refused() -> None:
    with pytest.raises(StatementRejected, match="type"):
        _verify(bend(TOKEN, STATUS_KEY))
    with pytest.raises(ForeignKey):
        _verify(bend(TOKEN, ANCHOR_KEY, typ=STATUS_TYPE))


def test_an_expired_one_counts_only_from_the_store() -> None:
    late = NOON + timedelta(hours=1)
    with pytest.raises(StatementRejected, match="expired"):
        _verify(TOKEN, now=late)
    assert _verify(TOKEN, now=late, expired_too=True).revocations == {ANHUI: GONE}
