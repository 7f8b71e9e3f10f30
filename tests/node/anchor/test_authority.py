"""A province's authority and its cities: they log in like anyone, and can never be a node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from node.anchor import (
    AnchorRefused,
    anchor_jwks,
    authority_request,
    enroll,
    enrolment_request,
    init_anchor,
    list_members,
    publish,
    revoke,
    rotate_root,
    update,
)
from tests.node.anchor.scene import Entity, Looking, PortFactory, Served, city, request
from tests.support.clock import NOON
from trust.chain import VerifiedEntity, resolve_chain
from trust.documents import FETCH_PATH
from trust.entity import WELL_KNOWN, build_subordinate_statement
from trust.errors import ChainBroken, StatementRejected
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import node_metadata, node_pins, read_node


async def resolve(anchor: Served, authority: Served, entity: Entity) -> VerifiedEntity:
    """From the city to the anchor, over HTTP as the standard has it (§10.1)."""
    async with anchor.http.get(entity.entity_id + WELL_KNOWN) as response:
        configuration = await response.text()
    return resolve_chain(
        [
            configuration,
            await authority.text(f"{FETCH_PATH}?sub={entity.entity_id}"),
            await anchor.text(f"{FETCH_PATH}?sub={authority.url}"),
            await anchor.text(WELL_KNOWN),
        ],
        anchor=anchor.url,
        anchor_keys=keys_from_jwks(anchor_jwks(anchor.directory)),
        now=anchor.clock.now(),
        allow_http_on_loopback=True,
    )


async def test_a_city_resolves_to_the_anchor(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    hangzhou = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(hangzhou), now=NOON)
    entity = await resolve(anchor, authority, hangzhou)
    assert entity.superiors == (authority.url, anchor.url)
    assert entity.metadata["openid_provider"]["issuer"] == hangzhou.entity_id


async def test_a_city_that_claims_to_be_a_node_is_none(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    port = unused_tcp_port_factory()
    facts: dict[str, Any] = {
        "entity_id": f"http://127.0.0.1:{port}",
        "province": "330000",
        "name": "假冒",
        "grpc_endpoint": "127.0.0.1:3300",
    }
    claimed = node_metadata(envelope_keys=[SigningKey.generate().verification_key], **facts)
    impostor = await city(authority, port, **claimed)
    enroll(authority.directory, request(impostor), now=NOON)
    entity = await resolve(anchor, authority, impostor)
    assert set(entity.metadata) == {"federation_entity", "openid_provider"}, "taken out, by name"
    with pytest.raises(StatementRejected, match="is not a node"):
        read_node(entity)
    # Even an authority that turns bad, and says itself what only the anchor may, makes no node of it.
    statement = build_subordinate_statement(
        issuer=authority.url,
        subject=impostor.entity_id,
        subject_keys=[impostor.signer.verification_key],
        metadata_policy=node_pins(**facts),
        signer=authority.folder.key("federation"),
        now=NOON,
    )
    member = authority.member(impostor.entity_id)
    authority.folder.write_member(type(member)(**{**_fields(member), "statement": statement}))
    with pytest.raises(StatementRejected, match="is not a node"):
        read_node(await resolve(anchor, authority, impostor))
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    await looking.refresh()
    assert looking.standings == {node.entity_id: "member"}, "nobody else is in the nodes' picture"


def _fields(member: Any) -> dict[str, Any]:
    return {name: getattr(member, name) for name in type(member).__slots__}


async def test_nobody_stands_below_a_city(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    hangzhou = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(hangzhou), now=NOON)
    below = Entity("http://127.0.0.1:1", hangzhou.entity_id, anchor.clock, {"openid_provider": {}})
    own_word = build_subordinate_statement(
        issuer=hangzhou.entity_id,
        subject=below.entity_id,
        subject_keys=[below.signer.verification_key],
        metadata_policy={},
        signer=hangzhou.signer,
        now=NOON,
    )
    statements = [
        below.configuration(),
        own_word,
        authority.member(hangzhou.entity_id).statement,
        anchor.member(authority.url).statement,
        anchor.folder.configuration(),
    ]
    with pytest.raises(ChainBroken, match="intermediates"):
        resolve_chain(
            statements,
            anchor=anchor.url,
            anchor_keys=keys_from_jwks(anchor_jwks(anchor.directory)),
            now=NOON,
            allow_http_on_loopback=True,
        )


async def test_nobody_stands_below_a_node(anchor: Served, unused_tcp_port_factory: PortFactory) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    below = Entity("http://127.0.0.1:1", node.entity_id, anchor.clock, {"openid_provider": {}})
    own_word = build_subordinate_statement(
        issuer=node.entity_id,
        subject=below.entity_id,
        subject_keys=[below.signer.verification_key],
        metadata_policy={},
        signer=node.signer,
        now=NOON,
    )
    with pytest.raises(ChainBroken, match="intermediates"):
        resolve_chain(
            [
                below.configuration(),
                own_word,
                anchor.member(node.entity_id).statement,
                anchor.folder.configuration(),
            ],
            anchor=anchor.url,
            anchor_keys=keys_from_jwks(anchor_jwks(anchor.directory)),
            now=NOON,
            allow_http_on_loopback=True,
        )


async def test_hosts_below_an_authority_can_be_limited(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    hangzhou = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(hangzhou), now=NOON)
    enroll(anchor.directory, authority_request(authority.directory), now=NOON, permitted=[".zj.example"])
    constraints = anchor.member(authority.url).constraints
    assert constraints["naming_constraints"] == {"permitted": [".zj.example", "127.0.0.1"]}
    with pytest.raises(ChainBroken, match=r"6\.2\.2"):
        await resolve(anchor, authority, hangzhou)


async def test_an_authority_lists_its_own_and_answers_nothing_of_an_anchors(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    hangzhou = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(hangzhou), now=NOON)
    assert await authority.text("/federation/list?entity_type=openid_provider") == f'["{hangzhou.entity_id}"]'
    assert await authority.text("/federation/list?entity_type=openid_relying_party") == "[]"
    for path in ("/federation/status", "/federation/resolve", "/federation/tls"):
        assert (await authority.error(path))[0] == 404
    assert await anchor.text("/federation/list?intermediate=true") == f'["{authority.url}"]'
    assert await anchor.text("/federation/list?entity_type=openid_provider") == "[]"
    revoke(authority.directory, hangzhou.entity_id, "gone", now=NOON)
    assert await authority.error(f"{FETCH_PATH}?sub={hangzhou.entity_id}") == (404, "not_found")


async def test_an_authority_gets_a_new_key_past_its_superior(
    anchor: Served, authority: Served, unused_tcp_port_factory: PortFactory
) -> None:
    hangzhou = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(hangzhou), now=NOON)
    anchor.clock.advance(seconds=1)
    await asyncio.to_thread(rotate_root, authority.directory, now=anchor.clock.now(), reason="scheduled")
    await anchor.watch().refresh_once()
    update(anchor.directory, authority.url, now=anchor.clock.now())
    done = rotate_root(authority.directory, now=anchor.clock.now(), reason="scheduled")
    assert done.number == 1
    assert (await resolve(anchor, authority, hangzhou)).entity_id == hangzhou.entity_id
    publish(authority.directory, now=anchor.clock.now())
    assert (await resolve(anchor, authority, hangzhou)).entity_id == hangzhou.entity_id


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"entity_types": ["yrd_node"]}, "cannot be yrd_node"),
        ({"entity_types": ["yrd_anchor"]}, "cannot be yrd_anchor"),
        ({"entity_types": ["federation_entity"]}, "cannot be federation_entity"),
        ({"entity_types": []}, "list of entity types"),
        ({"entity_types": "openid_provider"}, "list of entity types"),
        ({"entity_types": [7]}, "list of entity types"),
        ({"entity_types": ["oauth_client"]}, "may not take in oauth_client"),
        ({"authority": True}, "no other stands below it"),
        ({"authority": 1}, "true or false"),
        ({"name": ""}, "printable"),
        ({"name": 7}, "printable"),
        ({"entity_id": "https://a.example/"}, "not an entity id|plain"),
        ({"federation_jwks": {"keys": []}}, "non-empty"),
        ({"province": "330000"}, "unknown"),
    ],
    ids=str,
)
async def test_an_authority_refuses(authority: Served, changes: dict[str, Any], part: str) -> None:
    entity = Entity("https://hz.zj.example", authority.url, authority.clock, {})
    with pytest.raises(AnchorRefused, match=part):
        enroll(authority.directory, request(entity, **changes), now=NOON)
    assert list_members(authority.directory) == []


async def test_an_authority_takes_in_no_node_and_an_anchor_has_no_superior(
    anchor: Served, authority: Served
) -> None:
    node = enrolment_request(
        entity_id="https://node.zj.example",
        province="330000",
        name="x",
        grpc_endpoint="node.zj.example:443",
        federation_keys=[SigningKey.generate().verification_key],
        tls_key=SigningKey.generate(),
    )
    with pytest.raises(AnchorRefused, match="takes in no nodes"):
        enroll(authority.directory, node, now=NOON)
    with pytest.raises(AnchorRefused, match="no superior to ask"):
        authority_request(anchor.directory)


async def test_a_member_does_not_change_its_kind_and_only_an_authority_has_hosts_below(
    anchor: Served,
) -> None:
    entity = Entity("https://node.zj.example", anchor.url, anchor.clock, {})
    anchor.enroll(entity.entity_id, "330000", entity.signer)
    with pytest.raises(AnchorRefused, match="another kind"):
        enroll(anchor.directory, request(entity), now=NOON)
    other = Entity("https://city.example", anchor.url, anchor.clock, {})
    with pytest.raises(AnchorRefused, match="not an authority"):
        enroll(anchor.directory, request(other), now=NOON, permitted=[".example"])
    with pytest.raises(AnchorRefused, match="not a host name"):
        enroll(anchor.directory, request(other, authority=True), now=NOON, permitted=["a/b"])
    enroll(anchor.directory, request(other, entity_types=["openid_relying_party"]), now=NOON)
    assert anchor.member(other.entity_id).policy == {}


@pytest.mark.parametrize("types", [[], ["yrd_node"]])
def test_an_authority_is_made_for_types_that_it_may_give(tmp_path: Path, types: list[str]) -> None:
    with pytest.raises(AnchorRefused, match="below an authority"):
        init_anchor(
            tmp_path / "a",
            "https://cities.example",
            name="x",
            now=NOON,
            superior="https://anchor.example",
            entity_types=types,
        )
    assert not (tmp_path / "a").exists()
