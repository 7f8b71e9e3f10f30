"""The root key is lost: a new anchor takes its place, and nodes go on once they pin its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.anchor import AnchorFolder, AnchorRefused, enroll, init_anchor, list_members, revoke, rotate_root
from tests.node.anchor.scene import Looking, PortFactory, Served
from tests.node.anchor.test_publishing import request
from tests.support.clock import NOON
from trust.entity import read_statement
from trust.x509 import verify_issued_by

ANCHOR, NODE, OTHER = "https://anchor.example", "https://node.zj.example", "https://node.ah.example"


@pytest.fixture
def lost(tmp_path: Path) -> AnchorFolder:
    """An anchor with one node and a revoked one, without its root and status keys."""
    folder = init_anchor(tmp_path / "lost", ANCHOR, name="锚", now=NOON)
    enroll(folder.directory, request(), now=NOON)
    enroll(folder.directory, request(OTHER, "340000"), now=NOON)
    revoke(folder.directory, OTHER, "key lost", now=NOON)
    for name in ("federation", "status"):
        folder.remove_key(name)
    return folder


def test_members_revocations_and_ca_are_taken_over(lost: AnchorFolder, tmp_path: Path) -> None:
    new = init_anchor(tmp_path / "new", ANCHOR, name="锚", now=NOON, replaces=lost.directory)
    assert [member.entity_id for member in list_members(new.directory)] == [OTHER, NODE]
    assert new.members()[OTHER].reason == "key lost"
    root = new.key("federation")
    statement = read_statement(new.members()[NODE].statement)
    assert statement.token.kid == root.kid
    assert statement.keys == read_statement(lost.members()[NODE].statement).keys
    assert new.ca_pem() == lost.ca_pem()
    assert new.key("ca").kid == lost.key("ca").kid


def test_a_ca_whose_key_is_lost_too_is_named_on_while_a_new_one_issues(
    lost: AnchorFolder, tmp_path: Path
) -> None:
    lost.remove_key("ca")
    new = init_anchor(tmp_path / "new", ANCHOR, name="锚", now=NOON, replaces=lost.directory)
    bundle = enroll(new.directory, request(), now=NOON)
    assert bundle["tls_ca_pem"].encode() == new.ca_pem("ca.next") + lost.ca_pem()
    verify_issued_by(bundle["tls_chain_pem"].encode(), new.ca_pem("ca.next"))


def test_the_place_is_the_same_entitys(lost: AnchorFolder, tmp_path: Path) -> None:
    with pytest.raises(AnchorRefused, match="so it stays"):
        init_anchor(tmp_path / "new", "https://other.example", name="锚", now=NOON, replaces=lost.directory)
    with pytest.raises(AnchorRefused, match="another kind"):
        init_anchor(
            tmp_path / "new",
            ANCHOR,
            name="锚",
            now=NOON,
            superior="https://above.example",
            entity_types=["openid_provider"],
            replaces=lost.directory,
        )
    with pytest.raises(AnchorRefused, match="holds no anchor"):
        init_anchor(tmp_path / "new", ANCHOR, name="锚", now=NOON, replaces=tmp_path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("rotations", [0, 1])
async def test_nodes_go_on_once_they_pin_the_new_key(
    anchor: Served, tmp_path: Path, unused_tcp_port_factory: PortFactory, rotations: int
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    for _ in range(rotations):
        anchor.clock.advance(hours=1)
        rotate_root(anchor.directory, now=anchor.clock.now(), reason="scheduled")
        assert await looking.refresh() == {}
    for name in ("federation", "status"):
        anchor.folder.remove_key(name)
    await anchor.runners.pop(0).cleanup()
    anchor.clock.advance(hours=1)
    new = Served(anchor.url, tmp_path / "new", anchor.clock, anchor.http, anchor.runners)
    init_anchor(
        new.directory,
        anchor.url,
        name="锚",
        now=anchor.clock.now(),
        allow_http_on_loopback=True,
        replaces=anchor.directory,
    )
    await new.serve_itself()
    assert anchor.url in await looking.refresh(), "who pins the old key believes nothing of it"
    assert looking.standings == {node.entity_id: "member"}, "and goes on with what it knows"
    again = Looking(new, store=looking.store)
    assert await again.refresh() == {}
    assert again.standings == {node.entity_id: "member"}
    anchor.clock.advance(hours=1)
    rotate_root(new.directory, now=anchor.clock.now(), reason="scheduled")
    assert await again.refresh() == {}, "and follow the new line"
    assert again.standings == {node.entity_id: "member"}
