"""TLS certificates from the anchor: by a node that asks itself, and by the operator of an offline CA."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.anchor import AnchorRefused, enroll, issue_from_file, plain_request, revoke, rotate_ca
from tests.node.anchor.scene import Served
from tests.support.clock import NOON
from trust.documents import TLS_PATH
from trust.keys import SigningKey
from trust.renewal import RENEWAL_MAX_BYTES, RENEWAL_MEDIA, RENEWAL_TYPE, build_renewal_request
from trust.tokens import sign_token
from trust.x509 import create_csr, identity_from_pem, verify_issued_by

NODE, OTHER = "https://node.zj.example", "https://node.ah.example"
KEY, TLS_KEY = SigningKey.generate(), SigningKey.generate()


@pytest.fixture
def member(anchor: Served) -> str:
    anchor.enroll(NODE, "330000", KEY)
    return NODE


def request(served: Served, **changes: Any) -> str:
    parts: dict[str, Any] = {
        "entity_id": NODE,
        "anchor": served.url,
        "csr_pem": create_csr(TLS_KEY, NODE),
        "signer": KEY,
        "now": served.clock.now(),
    }
    return build_renewal_request(**{**parts, **changes})


async def post(anchor: Served, body: str | bytes, media: str = RENEWAL_MEDIA) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": media}
    async with anchor.http.post(anchor.url + TLS_PATH, data=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        if response.status == 200:
            assert response.headers["Cache-Control"] == "no-store"
        if response.status == 429:
            assert int(response.headers["Retry-After"]) > 0
        return response.status, answer


async def test_a_node_renews_with_its_federation_key(anchor: Served, member: str, tmp_path: Path) -> None:
    anchor.clock.advance(days=60)
    status, bundle = await post(anchor, request(anchor))
    assert status == 200
    assert set(bundle) == {"tls_chain_pem", "tls_ca_pem"}
    identity = identity_from_pem(bundle["tls_chain_pem"].encode())
    assert (identity.entity_id, identity.not_after) == (NODE, anchor.clock.now() + timedelta(days=90))
    verify_issued_by(bundle["tls_chain_pem"].encode(), bundle["tls_ca_pem"].encode())
    assert anchor.member(NODE).tls_not_after == int(identity.not_after.timestamp())
    (tmp_path / "chain.pem").write_text(bundle["tls_chain_pem"])
    (tmp_path / "ca.pem").write_text(bundle["tls_ca_pem"])
    at = str(int(anchor.clock.now().timestamp()))
    openssl = ["openssl", "verify", "-x509_strict", "-attime", at, "-CAfile", "ca.pem", "chain.pem"]
    done = await asyncio.to_thread(subprocess.run, openssl, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0


async def test_the_same_request_again_is_too_soon_and_later_fine(anchor: Served, member: str) -> None:
    token = request(anchor)
    assert (await post(anchor, token))[0] == 200
    status, said = await post(anchor, token)
    assert (status, said["error"]) == (429, "temporarily_unavailable")
    anchor.clock.advance(seconds=10)
    assert (await post(anchor, token))[0] == 200


async def test_a_revoked_node_is_told_why(anchor: Served, member: str) -> None:
    revoke(anchor.directory, NODE, "key lost", now=NOON)
    status, said = await post(anchor, request(anchor))
    assert (status, said["error"]) == (403, "access_denied")
    assert "key lost" in said["error_description"]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"entity_id": OTHER, "csr_pem": create_csr(TLS_KEY, OTHER)}, "not by a member in good standing"),
        ({"signer": TLS_KEY}, "is not one of the issuer's"),
        ({"anchor": "https://anchor.example"}, "not for this anchor"),
        ({"csr_pem": create_csr(TLS_KEY, OTHER)}, "the CSR is for"),
        ({"csr_pem": b"x"}, "not a certificate signing request"),
        ({"now": NOON - timedelta(minutes=7)}, "expired"),
        ({"now": NOON + timedelta(minutes=2)}, "from the future"),
    ],
    ids=["stranger", "stolen-tls-key", "other-anchor", "other-entity", "no-csr", "old", "future"],
)
async def test_a_request_that_does_not_hold_is_refused(
    anchor: Served, member: str, changes: dict[str, Any], part: str
) -> None:
    before = anchor.member(NODE)
    status, said = await post(anchor, request(anchor, **changes))
    assert (status, said["error"]) == (400, "invalid_request")
    assert part in said["error_description"]
    assert anchor.member(NODE) == before


async def test_another_type_and_too_much_are_not_read(anchor: Served, member: str) -> None:
    assert (await post(anchor, request(anchor), media="application/jwt"))[0] == 415
    assert (await post(anchor, "x" * (RENEWAL_MAX_BYTES + 1)))[0] == 413
    assert (await post(anchor, "x"))[0] == 400
    async with anchor.http.get(anchor.url + TLS_PATH) as response:
        assert response.status == 405


async def test_who_is_no_node_gets_no_tls_certificate(anchor: Served) -> None:
    wanted = plain_request(
        entity_id=NODE,
        name="医保局",
        federation_keys=[KEY.verification_key],
        entity_types=["openid_relying_party"],
    )
    enroll(anchor.directory, wanted, now=NOON)
    assert (await post(anchor, request(anchor)))[0] == 400
    with pytest.raises(AnchorRefused, match="not a node"):
        issue_from_file(
            anchor.directory, {"entity_id": NODE, "tls_csr_pem": create_csr(TLS_KEY, NODE).decode()}, now=NOON
        )


async def test_an_offline_ca_issues_from_files(anchor: Served, member: str) -> None:
    ca = anchor.directory / "keys" / "ca.pem"
    away = ca.rename(anchor.directory / "away.pem")
    status, said = await post(anchor, request(anchor))
    assert (status, said["error"]) == (503, "temporarily_unavailable")
    assert "yrd anchor issue" in said["error_description"]
    token = request(anchor)
    with pytest.raises(AnchorRefused, match="ca key"):
        issue_from_file(anchor.directory, token.encode(), now=NOON)
    away.rename(ca)
    days_later = NOON + timedelta(days=3)
    filed = issue_from_file(anchor.directory, token.encode() + b"\n", now=days_later)
    assert identity_from_pem(filed["tls_chain_pem"].encode()).entity_id == NODE
    paper = {"entity_id": NODE, "tls_csr_pem": create_csr(TLS_KEY, NODE).decode(), "province": "330000"}
    assert issue_from_file(anchor.directory, paper, now=NOON)["tls_ca_pem"] == filed["tls_ca_pem"]


@pytest.mark.parametrize(
    "paper",
    [
        {},
        {"entity_id": OTHER, "tls_csr_pem": create_csr(TLS_KEY, OTHER).decode()},
        {"entity_id": NODE, "tls_csr_pem": create_csr(TLS_KEY, OTHER).decode()},
        {"entity_id": NODE, "tls_csr_pem": "é"},
        b"x",
    ],
    ids=["empty", "stranger", "other-csr", "no-pem", "noise"],
)
async def test_an_offline_ca_refuses_too(anchor: Served, member: str, paper: Any) -> None:
    with pytest.raises(AnchorRefused):
        issue_from_file(anchor.directory, paper, now=NOON)


async def test_an_old_file_and_a_revoked_node_are_refused_offline(anchor: Served, member: str) -> None:
    token = request(anchor).encode()
    for at in (NOON + timedelta(days=8), NOON - timedelta(minutes=2)):
        with pytest.raises(AnchorRefused, match="ask the node for a new one"):
            issue_from_file(anchor.directory, token, now=at)
    with pytest.raises(AnchorRefused, match="is not one of"):
        issue_from_file(anchor.directory, request(anchor, signer=TLS_KEY).encode(), now=NOON)
    revoke(anchor.directory, NODE, "gone", now=NOON)
    with pytest.raises(AnchorRefused, match="was revoked"):
        issue_from_file(anchor.directory, token, now=NOON)


async def test_while_the_ca_changes_nodes_trust_both(anchor: Served, member: str) -> None:
    old = anchor.folder.ca_pem()
    rotate_ca(anchor.directory, now=NOON, lead_s=3600)
    new = anchor.folder.ca_pem("ca.next")
    bundle = (await post(anchor, request(anchor)))[1]
    assert bundle["tls_ca_pem"].encode() == old + new
    verify_issued_by(bundle["tls_chain_pem"].encode(), old)
    anchor.clock.advance(hours=1)
    bundle = (await post(anchor, request(anchor)))[1]
    assert bundle["tls_ca_pem"].encode() == new + old
    verify_issued_by(bundle["tls_chain_pem"].encode(), new)
    assert json.loads(await anchor.text("/federation/list")) == [NODE]


async def test_refusals_fill_no_log(anchor: Served, member: str) -> None:
    long, key = "x" * 4000, SigningKey.generate()
    with capture_logs() as lines:
        for _ in range(5):
            status, answer = await post(anchor, request(anchor, anchor=long))
            assert status == 400
            assert len(answer["error_description"]) < 200
        claims = {"iss": NODE}
        for token in (sign_token(claims, KEY, typ=long), sign_token(claims, key, typ=RENEWAL_TYPE)):
            assert (await post(anchor, token))[0] == 400
        anchor.clock.advance(seconds=60)
        assert (await post(anchor, sign_token(claims, KEY, typ=long)))[0] == 400
    told = [line for line in lines if line["event"] == "anchor.tls_refused"]
    assert [line["count"] for line in told] == [1, 7]
    assert all(len(line["reason"]) < 200 for line in told)
    assert "is of type" in told[1]["reason"]
