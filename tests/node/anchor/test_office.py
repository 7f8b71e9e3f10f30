"""The anchor's folder: what init, enrol, revoke and publish leave behind, and what they refuse."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.anchor import (
    AnchorFolder,
    AnchorRefused,
    anchor_app,
    anchor_jwks,
    enroll,
    enrolment_request,
    init_anchor,
    list_members,
    publish,
    revoke,
)
from tests.support.clock import NOON, FixedClock
from trust.chain import resolve_chain
from trust.entity import build_entity_configuration, read_statement
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import node_metadata, read_node
from trust.x509 import identity_from_pem, verify_issued_by

ANCHOR, NODE = "https://anchor.example", "https://node.zj.example"
KEY, TLS_KEY, ENVELOPE_KEY = (SigningKey.generate() for _ in range(3))
FACTS: dict[str, Any] = {"province": "330000", "name": "浙江省节点", "grpc_endpoint": "node.zj.example:443"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    init_anchor(tmp_path / "anchor", ANCHOR, name="长三角锚", now=NOON)
    return tmp_path / "anchor"


def _request(entity_id: str = NODE, **changes: Any) -> dict[str, Any]:
    request = enrolment_request(
        entity_id=entity_id, federation_keys=[KEY.verification_key], tls_key=TLS_KEY, **FACTS
    )
    return {**request, **changes}


def test_keys_are_for_their_owner_only(directory: Path) -> None:
    for path in (directory / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((directory / "keys").stat().st_mode) == 0o700
    assert sorted(path.name for path in (directory / "keys").iterdir()) == [
        "ca.pem",
        "federation.pem",
        "status.pem",
    ]


def test_a_second_init_changes_nothing(directory: Path) -> None:
    before = anchor_jwks(directory)
    with pytest.raises(AnchorRefused, match="already holds"):
        init_anchor(directory, ANCHOR, name="another", now=NOON)
    assert anchor_jwks(directory) == before


@pytest.mark.parametrize("entity_id", ["anchor", "http://anchor.example", "https://anchor.example/"])
def test_an_anchor_has_an_entity_id(tmp_path: Path, entity_id: str) -> None:
    with pytest.raises(AnchorRefused):
        init_anchor(tmp_path / "new", entity_id, name="x", now=NOON, allow_http_on_loopback=True)
    assert not (tmp_path / "new").exists()


def test_a_key_that_others_may_read_is_refused(directory: Path) -> None:
    (directory / "keys" / "federation.pem").chmod(0o640)
    with pytest.raises(AnchorRefused, match="read by others"):
        enroll(directory, _request(), now=NOON)


def test_the_bundle_is_all_that_a_node_needs(directory: Path) -> None:
    bundle = json.loads(json.dumps(enroll(directory, json.loads(json.dumps(_request())), now=NOON)))
    expected = {"entity_id", "anchor", "anchor_jwks", "statement", "tls_chain_pem", "tls_ca_pem", "mirrors"}
    assert set(bundle) == expected
    own = build_entity_configuration(
        entity_id=NODE,
        signer=KEY,
        metadata=node_metadata(entity_id=NODE, envelope_keys=[ENVELOPE_KEY.verification_key], **FACTS),
        now=NOON,
        authority_hints=[bundle["anchor"]],
    )
    entity = resolve_chain(
        [own, bundle["statement"], AnchorFolder(directory).configuration()],
        anchor=bundle["anchor"],
        anchor_keys=keys_from_jwks(bundle["anchor_jwks"]),
        now=NOON,
    )
    assert read_node(entity).province == "330000"
    chain = bundle["tls_chain_pem"].encode()
    assert identity_from_pem(chain).entity_id == NODE
    assert identity_from_pem(chain).not_after == NOON + timedelta(days=90)
    verify_issued_by(chain, bundle["tls_ca_pem"].encode())


def test_the_request_holds_no_secret() -> None:
    text = json.dumps(_request())
    assert "PRIVATE" not in text
    assert '"d"' not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"entity_id": None},
        {"entity_id": "https://node.sh.example"},
        {"entity_id": "http://node.zj.example"},
        {"entity_id": 7},
        {"province": "33"},
        {"province": 330000},
        {"name": ""},
        {"grpc_endpoint": "https://node.zj.example"},
        {"grpc_endpoint": None},
        {"federation_jwks": {"keys": []}},
        {"federation_jwks": {"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}},
        {"tls_csr_pem": "x"},
        {"tls_csr_pem": 7},
        {"tls_csr_pem": "é"},
        {"openid_endpoints": []},
        {"openid_endpoints": {"token_endpoint": "https://evil.example/token"}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_request_that_is_wrong_is_refused_and_leaves_nothing(
    directory: Path, changes: dict[str, Any]
) -> None:
    request = {name: value for name, value in {**_request(), **changes}.items() if value is not None}
    with pytest.raises(AnchorRefused):
        enroll(directory, request, now=NOON)
    assert list_members(directory) == []


def test_something_else_than_an_object_is_refused(directory: Path) -> None:
    with pytest.raises(AnchorRefused):
        enroll(directory, ["entity_id"], now=NOON)


def test_a_province_has_one_node_and_an_endpoint_one_owner(directory: Path) -> None:
    enroll(directory, _request(), now=NOON)
    with pytest.raises(AnchorRefused, match="already has the node"):
        enroll(directory, _request("https://second.zj.example"), now=NOON)
    with pytest.raises(AnchorRefused, match="already the endpoint"):
        enroll(directory, _request("https://node.sh.example", province="310000"), now=NOON)


def test_enrolling_again_renews(directory: Path) -> None:
    first = enroll(directory, _request(), now=NOON)
    later = enroll(directory, _request(), now=NOON + timedelta(days=60))
    assert read_statement(later["statement"]).issued_at > read_statement(first["statement"]).issued_at
    assert len(list_members(directory)) == 1


def test_a_revoked_node_does_not_come_back_under_the_same_name(directory: Path) -> None:
    enroll(directory, _request(), now=NOON)
    revoke(directory, NODE, "private key lost", now=NOON)
    member = revoke(directory, NODE, "again", now=NOON + timedelta(hours=1))
    assert (member.reason, member.revoked_at) == ("private key lost", int(NOON.timestamp()))
    with pytest.raises(AnchorRefused, match="was revoked"):
        enroll(directory, _request(), now=NOON)
    assert (
        enroll(directory, _request("https://second.zj.example"), now=NOON)["entity_id"]
        == "https://second.zj.example"
    )


def test_a_revocation_needs_a_member_and_a_reason(directory: Path) -> None:
    enroll(directory, _request(), now=NOON)
    with pytest.raises(AnchorRefused, match="not a member"):
        revoke(directory, ANCHOR, "x", now=NOON)
    for reason in ("", "x" * 201):
        with pytest.raises(AnchorRefused, match="reason"):
            revoke(directory, NODE, reason, now=NOON)


def test_publish_signs_what_ends_soon(directory: Path) -> None:
    enroll(directory, _request(), now=NOON)
    half = 15 * 24 * 3600
    assert publish(directory, now=NOON + timedelta(days=14), renew_within_s=half) == 0
    assert publish(directory, now=NOON + timedelta(days=16), renew_within_s=half) == 2
    assert publish(directory, now=NOON + timedelta(days=16)) == 2
    revoke(directory, NODE, "gone", now=NOON)
    assert publish(directory, now=NOON + timedelta(days=16)) == 1, "no new word about a revoked node"


def test_the_root_key_may_be_away_while_the_anchor_serves(directory: Path) -> None:
    (directory / "keys" / "federation.pem").rename(directory / "root-in-the-safe.pem")
    anchor_app(directory, FixedClock())
    with pytest.raises(AnchorRefused, match="bring it back"):
        publish(directory, now=NOON)
    (directory / "keys" / "status.pem").unlink()
    with pytest.raises(AnchorRefused):
        anchor_app(directory, FixedClock())


def test_sequences_only_go_up_also_after_a_restored_copy(directory: Path) -> None:
    folder = AnchorFolder(directory)
    first = folder.next_sequence(100)
    assert [folder.next_sequence(50), folder.next_sequence(101)] == [first + 1, first + 2]
    (directory / "status.json").unlink()
    assert folder.next_sequence(200) == 200


def test_a_folder_without_an_anchor_says_so(tmp_path: Path) -> None:
    with pytest.raises(AnchorRefused, match="holds no anchor"):
        AnchorFolder(tmp_path).facts()


def test_openssl_accepts_the_ca_and_what_it_issued(directory: Path, tmp_path: Path) -> None:
    bundle = enroll(directory, _request(), now=NOON)
    (tmp_path / "chain.pem").write_text(bundle["tls_chain_pem"])
    (tmp_path / "ca.pem").write_text(bundle["tls_ca_pem"])
    at = str(int(NOON.timestamp()))
    command: list[str | Path] = [
        "openssl",
        "verify",
        "-x509_strict",
        "-attime",
        at,
        "-CAfile",
        tmp_path / "ca.pem",
        tmp_path / "chain.pem",
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_write_that_fails_leaves_the_old_file(directory: Path) -> None:
    if os.geteuid() == 0:
        (directory / "configuration.jwt.new").mkdir()
    else:
        directory.chmod(0o500)
    before = AnchorFolder(directory).configuration()
    with pytest.raises((IsADirectoryError, PermissionError)):
        publish(directory, now=NOON)
    directory.chmod(0o700)
    assert AnchorFolder(directory).configuration() == before
