"""What an anchor publishes: a folder that Python's plain http.server serves, and nodes that need nothing else."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.anchor import (
    AnchorFolder,
    AnchorRefused,
    anchor_jwks,
    current_status,
    enroll,
    enrolment_request,
    init_anchor,
    publish,
    revoke,
    rotate_root,
    write_out,
)
from tests.node.anchor.scene import Looking, PortFactory, Served
from tests.support.clock import NOON
from trust.documents import HISTORICAL_KEYS_PATH, ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, read_statement
from trust.keys import SigningKey
from trust.status import read_witness_quorum, verify_status
from trust.tokens import read_token

ANCHOR, NODE, OTHER = "https://anchor.example", "https://node.zj.example", "https://node.ah.example"


def request(entity_id: str = NODE, province: str = "330000") -> dict[str, Any]:
    return enrolment_request(
        entity_id=entity_id,
        province=province,
        name=province,
        grpc_endpoint=f"{province}.example:443",
        federation_keys=[SigningKey.generate().verification_key],
        tls_key=SigningKey.generate(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> AnchorFolder:
    """An anchor with two nodes."""
    made = init_anchor(tmp_path / "anchor", ANCHOR, name="锚", now=NOON)
    enroll(made.directory, request(), now=NOON)
    enroll(made.directory, request(OTHER, "340000"), now=NOON)
    return made


def quorum(folder: AnchorFolder) -> int:
    return read_witness_quorum(read_token(folder.configuration()).claims)


def test_the_quorum_of_witnesses_is_two_until_it_is_changed(folder: AnchorFolder, tmp_path: Path) -> None:
    assert quorum(folder) == 2
    publish(folder.directory, now=NOON, witness_quorum=1)
    assert quorum(folder) == 1
    publish(folder.directory, now=NOON)
    assert quorum(folder) == 1
    assert quorum(init_anchor(tmp_path / "new", ANCHOR, name="锚", now=NOON, replaces=folder.directory)) == 1
    assert quorum(init_anchor(tmp_path / "three", ANCHOR, name="锚", now=NOON, witness_quorum=3)) == 3


def test_a_quorum_that_is_none_is_refused(folder: AnchorFolder, tmp_path: Path) -> None:
    for number in (0, 65):
        with pytest.raises(AnchorRefused, match="a number from 1"):
            publish(folder.directory, now=NOON, witness_quorum=number)
    city = tmp_path / "authority"
    with pytest.raises(AnchorRefused, match="the anchor's to say"):
        init_anchor(
            city,
            "https://city.example",
            name="市",
            now=NOON,
            superior=ANCHOR,
            entity_types=("openid_provider",),
            witness_quorum=1,
        )
    assert quorum(folder) == 2


@contextmanager
def plain_server(folder: Path, port: int) -> Iterator[None]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


async def test_nodes_resolve_from_a_plain_folder(
    anchor: Served, tmp_path: Path, unused_tcp_port_factory: PortFactory
) -> None:
    """The anchor's own server is away: its public URL is answered by python -m http.server on the folder."""
    node = await anchor.node(unused_tcp_port_factory())
    other = await anchor.node(unused_tcp_port_factory(), "340000")
    await anchor.runners.pop(0).cleanup()
    out = tmp_path / "public"
    write_out(anchor.folder, out, now=anchor.clock.now())
    (anchor.directory / "keys" / "federation.pem").rename(tmp_path / "in-the-safe.pem")
    with plain_server(out, int(anchor.url.rpartition(":")[2])):
        looking = Looking(anchor)
        assert await looking.refresh() == {}
        assert looking.standings == {node.entity_id: "member", other.entity_id: "member"}
        anchor.clock.advance(seconds=60)
        revoke(anchor.directory, other.entity_id, "key lost", now=anchor.clock.now())
        write_out(anchor.folder, out, now=anchor.clock.now())
        assert await looking.refresh() == {}
        assert looking.standings == {node.entity_id: "member", other.entity_id: "revoked"}
        anchor.clock.advance(seconds=60)
        rotate_root(
            anchor.directory, now=anchor.clock.now(), reason="x", root_path=tmp_path / "in-the-safe.pem"
        )
        write_out(anchor.folder, out, now=anchor.clock.now())
        assert await looking.refresh() == {}
        assert looking.standings[node.entity_id] == "member"


def test_every_plain_file_lies_at_its_path_and_anyone_may_read_it(
    folder: AnchorFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = write_out(folder, out, now=NOON)
    found = {f"/{path.relative_to(out)}" for path in out.rglob("*") if path.is_file()}
    assert found == set(said)
    assert found == {
        WELL_KNOWN,
        STATUS_PATH,
        ROLL_OVERS_PATH,
        HISTORICAL_KEYS_PATH,
        statement_path(NODE),
        statement_path(OTHER),
    }
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in out.rglob("*") if path.is_file())
    assert (out / statement_path(NODE)[1:]).read_text() == folder.members()[NODE].statement
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())


def test_statements_of_former_members_and_strange_files_go(folder: AnchorFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_out(folder, out, now=NOON)
    (out / "federation" / "statements" / "stale").write_text("x")
    kept = (out / statement_path(NODE)[1:]).stat()
    revoke(folder.directory, OTHER, "gone", now=NOON)
    write_out(folder, out, now=NOON)
    assert [path.name for path in (out / "federation" / "statements").iterdir()] == [
        statement_path(NODE).rpartition("/")[2]
    ]
    now = (out / statement_path(NODE)[1:]).stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns), "unchanged is not written"


def test_sequences_rise_whoever_signs(folder: AnchorFolder, tmp_path: Path) -> None:
    def sequence(token: str) -> int:
        return int(read_token(token).claims["sequence"])

    seen = []
    for _ in range(3):
        write_out(folder, tmp_path / "out", now=NOON)
        seen.append(sequence((tmp_path / "out" / STATUS_PATH[1:]).read_text()))
        seen.append(sequence(current_status(folder, folder.members().values(), now=NOON)))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("where", [".", "keys", "public", ".."])
def test_a_folder_that_would_show_the_keys_is_refused(folder: AnchorFolder, where: str) -> None:
    with pytest.raises(AnchorRefused, match="keys would be shown"):
        write_out(folder, folder.directory / where, now=NOON)
    assert not (folder.directory / "public").exists()


def test_signed_ahead_for_as_long_as_was_said(folder: AnchorFolder) -> None:
    publish(folder.directory, now=NOON, life_s=100 * 86400)
    tokens = [folder.configuration(), folder.members()[NODE].statement]
    assert {read_statement(token).expires_at for token in tokens} == {NOON + timedelta(days=100)}


def test_a_status_names_nodes_only_and_every_revocation(folder: AnchorFolder) -> None:
    city = {
        "entity_id": "https://city.example",
        "name": "市",
        "federation_jwks": anchor_jwks(folder.directory),
        "entity_types": ["openid_provider"],
    }
    enroll(folder.directory, city, now=NOON)
    claims = read_token(current_status(folder, folder.members().values(), now=NOON)).claims
    assert set(claims["statements"]) == {NODE, OTHER}
    revoke(folder.directory, "https://city.example", "gone", now=NOON)
    claims = read_token(current_status(folder, folder.members().values(), now=NOON)).claims
    assert [revocation["sub"] for revocation in claims["revocations"]] == ["https://city.example"]


def test_a_bundle_names_the_other_nodes_as_mirrors(folder: AnchorFolder) -> None:
    city = {
        "entity_id": "https://city.example",
        "name": "市",
        "federation_jwks": anchor_jwks(folder.directory),
        "entity_types": ["openid_provider"],
    }
    assert "mirrors" not in enroll(folder.directory, city, now=NOON)
    assert enroll(folder.directory, request(), now=NOON)["mirrors"] == [OTHER]
    revoke(folder.directory, OTHER, "gone", now=NOON)
    assert enroll(folder.directory, request(), now=NOON)["mirrors"] == []


def test_the_folder_of_an_earlier_release_is_read_and_brought_up_to_date(folder: AnchorFolder) -> None:
    """Of the first release: no new fields, no roll-overs, no historical keys, a policy of pins alone."""
    new_fields = (
        "entity_types", "is_authority", "constraints", "updated_at", "tls_issued_at", "tls_ca", "tls_cas_given",
    )  # fmt: skip
    for path in (folder.directory / "members").iterdir():
        member = json.loads(path.read_text())
        for name in new_fields:
            del member[name]
        for parameters in member["policy"].values():
            for parameter in [name for name in parameters if "value" not in parameters[name]]:
                del parameters[parameter]
        path.write_text(json.dumps(member))
    facts = json.loads((folder.directory / "anchor.json").read_text())
    del facts["superior"], facts["entity_types"]
    (folder.directory / "anchor.json").write_text(json.dumps(facts))
    (folder.directory / "historical.jwt").unlink()
    assert set(folder.members()) == {NODE, OTHER}
    publish(folder.directory, now=NOON, renew_within_s=0)
    claims = read_statement(folder.members()[NODE].statement).claims
    assert claims["constraints"] == {"max_path_length": 0}
    provider = claims["metadata_policy"]["openid_provider"]
    assert provider["issuer"] == {"value": NODE}
    assert "subset_of" in provider["id_token_signing_alg_values_supported"]
    assert folder.historical_keys()


def test_endpoints_that_were_pinned_stay_pinned(folder: AnchorFolder) -> None:
    pins = {"token_endpoint": f"{NODE}/token"}
    enroll(folder.directory, {**request(), "openid_endpoints": pins}, now=NOON)
    publish(folder.directory, now=NOON)
    policy = read_statement(folder.members()[NODE].statement).claims["metadata_policy"]
    assert policy["openid_provider"]["token_endpoint"] == {"value": f"{NODE}/token"}


def _status_after(folder: AnchorFolder, count: int) -> str:
    """The status after so many members were revoked, each with the longest of reasons."""
    one = folder.members()[NODE]
    gone = [
        replace(one, entity_id=f"https://city-{number}.zj.example.cn", revoked_at=1, reason="撤" * 200)
        for number in range(count)
    ]
    return current_status(folder, [one, *gone], now=NOON)


@pytest.mark.parametrize(("count", "told"), [(50, 200), (100, 20), (500, 0)])
def test_a_status_never_grows_longer_than_nodes_take(folder: AnchorFolder, count: int, told: int) -> None:
    key = folder.key("status").verification_key
    token = _status_after(folder, count)
    status = verify_status(token, anchor=ANCHOR, keys={key.kid: key}, now=NOON)
    assert len(status.revocations) == count
    assert {len(one.reason) for one in status.revocations.values()} == {told}


def test_when_not_even_the_names_fit_it_says_so(folder: AnchorFolder) -> None:
    with pytest.raises(AnchorRefused, match="longer than nodes take"):
        _status_after(folder, 2000)
