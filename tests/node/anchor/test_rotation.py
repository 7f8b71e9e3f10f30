"""The anchor changes its keys: nodes that pinned the old root key follow, and so do those that pin the new one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from node.anchor import (
    AnchorRefused,
    anchor_app,
    authority_request,
    enroll,
    enrolment_request,
    finish,
    init_anchor,
    plain_request,
    publish,
    revoke,
    rotate_ca,
    rotate_root,
    rotate_status,
)
from tests.node.anchor.scene import Looking, PortFactory, Served
from tests.support.clock import NOON
from trust.chain import resolve_chain
from trust.documents import ROLL_OVERS_PATH
from trust.entity import WELL_KNOWN, read_statement
from trust.historical import verify_historical_keys
from trust.keys import SigningKey
from trust.rollover import anchor_keys, read_roll_overs
from trust.status import verify_status
from trust.tokens import read_token

Keys = dict[str, Any]


def pinned(anchor: Served) -> Keys:
    return dict(read_statement(anchor.folder.configuration(), allow_http_on_loopback=True).keys)


def kid_of(token: str) -> str:
    return read_token(token).kid


async def test_nodes_follow_the_root_key_without_touching_their_configuration(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    done = rotate_root(anchor.directory, now=anchor.clock.now(), reason="scheduled")
    assert (done.number, done.old_until) == (1, NOON + timedelta(days=30))
    assert {kid_of(await anchor.text(WELL_KNOWN)), kid_of(anchor.member(node.entity_id).statement)} == {
        done.kid
    }
    anchor.clock.advance(seconds=61)
    assert await looking.refresh() == {}
    assert looking.standings == {node.entity_id: "member"}
    anchor.clock.advance(days=31)
    publish(anchor.directory, now=anchor.clock.now())
    assert await looking.refresh() == {}, "the old key has ended; the pinned one still leads to the new one"
    late = Looking(anchor)
    assert await late.refresh() == {}, "who pins the new key alone finds the same"
    assert late.standings == looking.standings


async def test_who_was_revoked_before_stays_revoked_and_is_no_problem(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    """No new key signs a statement about it, and of a city no node ever has one."""
    node = await anchor.node(unused_tcp_port_factory())
    city = plain_request(
        entity_id="https://city.example",
        name="市",
        federation_keys=[SigningKey.generate().verification_key],
        entity_types=["openid_provider"],
    )
    enroll(anchor.directory, city, now=NOON)
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    for entity_id in (node.entity_id, "https://city.example"):
        revoke(anchor.directory, entity_id, "gone", now=NOON)
    rotate_root(anchor.directory, now=NOON, reason="scheduled", overlap=timedelta())
    anchor.clock.advance(seconds=60)
    assert await looking.refresh() == {}
    assert looking.directory.current.revoked == {node.entity_id: "gone", "https://city.example": "gone"}
    assert looking.standings.get(node.entity_id) in (None, "revoked")


async def test_both_keys_count_until_the_old_one_ends(anchor: Served) -> None:
    old = pinned(anchor)
    done = rotate_root(anchor.directory, now=NOON, reason="scheduled", overlap=timedelta(days=5))
    assert set(pinned(anchor)) == {*old, done.kid}
    assert (anchor.directory / "keys" / "federation.old.pem").exists()
    roll_overs = read_roll_overs(await anchor.text(ROLL_OVERS_PATH), anchor=anchor.url)
    for days, expected in ((0, {*old, done.kid}), (5, {done.kid})):
        assert set(anchor_keys(old, roll_overs, NOON + timedelta(days=days))) == expected
    assert finish(anchor.directory, now=NOON + timedelta(days=4)) == []
    assert set(pinned(anchor)) == {*old, done.kid}
    assert finish(anchor.directory, now=NOON + timedelta(days=5)) == ["federation"]
    assert set(pinned(anchor)) == {done.kid}
    assert not (anchor.directory / "keys" / "federation.old.pem").exists()


async def test_former_root_keys_stay_known_with_their_time(anchor: Served) -> None:
    first = next(iter(pinned(anchor)))
    second = rotate_root(anchor.directory, now=NOON, reason="scheduled", overlap=timedelta(days=1)).kid
    later = NOON + timedelta(days=2)
    third = rotate_root(anchor.directory, now=later, reason="compromised", overlap=timedelta()).kid
    token = await anchor.text("/federation/historical-keys")
    read = verify_historical_keys(token, entity_id=anchor.url, keys=pinned(anchor), now=later)
    assert set(read.keys) == {first, second}
    assert kid_of(token) == third
    assert read.keys[first].expires_at == NOON + timedelta(days=1)
    assert read.keys[first].revoked_at is None
    assert read.keys[second].issued_at == NOON
    assert (read.keys[second].revoked_at, read.keys[second].reason) == (later, "compromised")


def test_one_rotation_at_a_time_unless_it_must_be(anchor: Served) -> None:
    rotate_root(anchor.directory, now=NOON, reason="scheduled")
    with pytest.raises(AnchorRefused, match="one rotation at a time"):
        rotate_root(anchor.directory, now=NOON + timedelta(days=1), reason="scheduled")
    assert rotate_root(anchor.directory, now=NOON, reason="stolen at once", again=True).number == 2


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\nb"])
def test_a_rotation_gives_a_reason(anchor: Served, reason: str) -> None:
    before = anchor.folder.configuration()
    with pytest.raises(AnchorRefused, match="reason"):
        rotate_root(anchor.directory, now=NOON, reason=reason)
    assert anchor.folder.configuration() == before


def test_the_root_key_may_be_elsewhere_and_its_successor_lies_beside_it(anchor: Served) -> None:
    stick = anchor.directory.parent / "stick"
    stick.mkdir()
    root = (anchor.directory / "keys" / "federation.pem").rename(stick / "root.pem")
    with pytest.raises(AnchorRefused, match="bring it back"):
        rotate_root(anchor.directory, now=NOON, reason="scheduled")
    done = rotate_root(anchor.directory, now=NOON, reason="scheduled", root_path=root)
    assert SigningKey.from_pem(root.read_bytes()).kid == done.kid
    assert sorted(path.name for path in stick.iterdir()) == ["root.old.pem", "root.pem"]
    assert not list((anchor.directory / "keys").glob("federation*"))
    publish(anchor.directory, now=NOON + timedelta(days=31), root_path=root)
    assert [path.name for path in stick.iterdir()] == ["root.pem"]


def test_another_key_than_the_anchors_signs_nothing(anchor: Served) -> None:
    other = anchor.directory.parent / "other.pem"
    other.write_bytes(SigningKey.generate().to_pem())
    other.chmod(0o600)
    before = anchor.folder.configuration()
    for act in (publish, rotate_status, rotate_ca, finish):
        with pytest.raises(AnchorRefused, match="not this anchor's root key"):
            act(anchor.directory, now=NOON, root_path=other)
    with pytest.raises(AnchorRefused, match="not this anchor's root key"):
        rotate_root(anchor.directory, now=NOON, reason="x", root_path=other)
    other.chmod(0o644)
    with pytest.raises(AnchorRefused, match="read by others"):
        publish(anchor.directory, now=NOON, root_path=other)
    assert anchor.folder.configuration() == before
    assert not list(anchor.directory.parent.glob("other.*.pem"))


def test_a_rotation_that_was_stopped_in_the_middle_is_taken_up(anchor: Served) -> None:
    """Power fails after the token was written, before the key took its place."""
    keys = anchor.directory / "keys"
    old = (keys / "federation.pem").read_bytes()
    done = rotate_root(anchor.directory, now=NOON, reason="scheduled")
    (keys / "federation.pem").rename(keys / "federation.next.pem")
    (keys / "federation.old.pem").unlink()
    (keys / "federation.pem").write_bytes(old)
    (keys / "federation.pem").chmod(0o600)
    with pytest.raises(AnchorRefused, match="which is"):
        publish(anchor.directory, now=NOON)
    again = rotate_root(anchor.directory, now=NOON, reason="scheduled")
    assert (again.number, again.kid) == (1, done.kid)
    assert (keys / "federation.old.pem").read_bytes() == old
    assert len(read_roll_overs(anchor.folder.roll_overs(), anchor=anchor.url)) == 1


def test_roll_overs_that_were_tampered_with_stop_everything(anchor: Served) -> None:
    rotate_root(anchor.directory, now=NOON, reason="scheduled")
    anchor.folder.write_roll_overs('["x"]')
    with pytest.raises(AnchorRefused, match=r"roll-overs\.json"):
        publish(anchor.directory, now=NOON)


async def test_the_status_key_changes_after_every_node_could_see_it(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    old = kid_of(await anchor.text("/federation/status"))
    from_at = rotate_status(anchor.directory, now=anchor.clock.now())
    anchor.clock.advance(seconds=60)
    assert await looking.refresh() == {}
    assert kid_of(await anchor.text("/federation/status")) == old
    anchor.clock.at = from_at
    token = await anchor.text("/federation/status")
    new = anchor.folder.key("status.next").verification_key
    assert kid_of(token) == new.kid
    verify_status(token, anchor=anchor.url, keys={new.kid: new}, now=from_at)
    assert await looking.refresh() == {}
    with pytest.raises(AnchorRefused, match="being changed already"):
        rotate_status(anchor.directory, now=from_at)
    assert finish(anchor.directory, now=from_at, early=True) == ["status"]
    assert not anchor.folder.has_key("status.next")
    assert anchor.folder.key("status").kid == new.kid
    anchor.clock.advance(seconds=60)
    assert await looking.refresh() == {}
    assert looking.standings == {node.entity_id: "member"}


async def test_a_status_key_that_is_lost_is_replaced_at_once(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    anchor.folder.remove_key("status")
    anchor.clock.advance(seconds=60)
    assert await anchor.error("/federation/status") == (503, "temporarily_unavailable")
    rotate_status(anchor.directory, now=anchor.clock.now())
    assert await looking.refresh() == {}, "although its time has not come: there is no other"
    anchor_app(anchor.directory, anchor.clock)
    assert finish(anchor.directory, now=anchor.clock.now() + timedelta(hours=1), early=True) == ["status"]
    anchor.clock.advance(seconds=60)
    assert await looking.refresh() == {}
    assert looking.standings == {node.entity_id: "member"}


def test_the_old_ca_is_kept_while_a_member_has_a_certificate_of_it(anchor: Served) -> None:
    request = enrolment_request(
        entity_id="https://node.zj.example",
        province="330000",
        name="浙江",
        grpc_endpoint="node.zj.example:443",
        federation_keys=[SigningKey.generate().verification_key],
        tls_key=SigningKey.generate(),
    )
    enroll(anchor.directory, request, now=NOON)
    from_at = rotate_ca(anchor.directory, now=NOON)
    with pytest.raises(AnchorRefused, match="does not sign yet"):
        finish(anchor.directory, now=NOON, early=True)
    with pytest.raises(AnchorRefused, match=r"still with a certificate of the old CA: https://node\.zj"):
        finish(anchor.directory, now=from_at, early=True)
    new = anchor.folder.ca_pem("ca.next")
    assert enroll(anchor.directory, request, now=from_at)["tls_ca_pem"].encode().startswith(new)
    assert finish(anchor.directory, now=from_at, early=True) == ["ca"]
    assert (anchor.folder.ca_pem(), anchor.folder.ca_pem("ca.next")) == (new, b"")
    configuration = read_statement(anchor.folder.configuration(), allow_http_on_loopback=True)
    assert configuration.claims["metadata"]["yrd_anchor"]["tls_ca_pem"] == [new.decode()]


def test_publish_ends_what_had_its_time(anchor: Served) -> None:
    rotate_ca(anchor.directory, now=NOON)
    rotate_status(anchor.directory, now=NOON)
    publish(anchor.directory, now=NOON + timedelta(days=90))
    assert set(anchor.folder.changes()) == {"ca"}
    publish(anchor.directory, now=NOON + timedelta(days=92))
    assert anchor.folder.changes() == {}
    assert sorted(path.name for path in (anchor.directory / "keys").iterdir()) == [
        "ca.pem",
        "federation.pem",
        "status.pem",
    ]


def test_an_authority_has_neither_status_nor_ca_to_change(anchor: Served) -> None:
    directory = anchor.directory.parent / "authority"
    init_anchor(
        directory,
        "https://cities.zj.example",
        name="浙江",
        now=NOON,
        superior="https://anchor.example",
        entity_types=["openid_provider"],
    )
    for act in (rotate_status, rotate_ca):
        with pytest.raises(AnchorRefused, match="an authority has no"):
            act(directory, now=NOON)
    staged = rotate_root(directory, now=NOON, reason="scheduled")
    assert (staged.number, staged.old_until) == (0, None)
    assert staged.kid in {key["kid"] for key in authority_request(directory)["federation_jwks"]["keys"]}
    done = rotate_root(directory, now=NOON, reason="scheduled")
    assert (done.number, done.kid) == (1, staged.kid)


async def test_statements_of_either_key_hold_while_both_count(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    before, old = anchor.member(node.entity_id).statement, pinned(anchor)
    rotate_root(anchor.directory, now=NOON, reason="scheduled")
    roll_overs = read_roll_overs(anchor.folder.roll_overs(), anchor=anchor.url)
    for statement in (before, anchor.member(node.entity_id).statement):
        entity = resolve_chain(
            [node.configuration(), statement, anchor.folder.configuration()],
            anchor=anchor.url,
            anchor_keys=anchor_keys(old, roll_overs, NOON),
            now=NOON,
            allow_http_on_loopback=True,
        )
        assert entity.entity_id == node.entity_id
