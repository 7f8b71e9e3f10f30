"""Attacks on who is who, over real sockets: old copies, mixed-up statements, stolen keys, others' endpoints.

A member's keys are real each time; what is shown is that a node made by the operator's commands believes nothing
beyond what the anchor said last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from federation.errors import FederationError, OwnUnknownProvince
from federation.peers import Peer
from federation.query import Operation
from federation.request_ids import RequestIds
from federation.rpc.callers import CallerCheck
from federation.rpc.client import GrpcPeerTransport
from federation.rpc.convert import ProtobufCodec
from federation.rpc.credentials import TlsMaterial
from federation.rpc.limits import RpcLimits
from federation.rpc.server import PeerServer
from node.clock import SystemClock
from simulators.forging import Forge
from simulators.lies import Liar, Lie
from tests.support.delta import add_settings
from tests.support.federation import (
    RunningNode,
    allow_all,
    command,
    edited,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
    yrd,
)
from tests.support.forged import Documents, StolenKeys, copy_of_anchor, serving, stolen_from
from tests.support.two_nodes import ShiftedClock
from trust.documents import STATUS_PATH
from trust.envelope import parse

pytestmark = pytest.mark.journey

SHANGHAI, ZHEJIANG, ANHUI = "310000", "330000", "340000"


@dataclass(frozen=True)
class Country:
    """Three enrolled nodes; nothing runs yet."""

    folder: Path
    anchor_id: str
    configs: Mapping[str, Path]
    keys: Mapping[str, StolenKeys]

    @property
    def anchor(self) -> Path:
        return self.folder / "anchor"

    def entity(self, province: str) -> str:
        return self.keys[province].config.node.entity_id

    async def revoke(self, province: str) -> None:
        entity = self.entity(province)
        await command("anchor", "revoke", "--dir", self.anchor, entity, "--reason", "drill")


async def found(folder: Path) -> Country:
    public, anchor_id = await make_anchor(folder / "anchor")
    configs = {}
    for province in (SHANGHAI, ZHEJIANG, ANHUI):
        configs[province] = await make_node(public, folder / province, province)
        allow_all(configs[province].with_name("access.toml"))
    keys = {province: await stolen_from(path) for province, path in configs.items()}
    return Country(folder, anchor_id, configs, keys)


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def peer_of(node: RunningNode, province: str) -> Peer | None:
    """A province's node as another believes it to be; None when it believes nobody."""
    try:
        return node.node.asker.peers().peer_in(province)
    except OwnUnknownProvince:
        return None


def known_as(peer: Peer | None) -> Peer | None:
    """What is believed of a peer, whenever it said so last: its chain may have been refreshed meanwhile."""
    return peer and replace(peer, expires_at=LONG_AGO, warn_at=None)


def standing(node: RunningNode, province: str) -> str:
    """In which standing a node holds a province's; empty when it knows none."""
    found_here = peer_of(node, province)
    return found_here.standing if found_here else ""


# --- rollback, and a blocker: old copies of what was signed ---


@pytest.mark.parametrize("at_the_anchors_address", [True, False], ids=["anchor", "mirror"])
async def test_an_old_copy_of_all_that_the_anchor_said_brings_no_revoked_node_back(
    tmp_path: Path, at_the_anchors_address: bool
) -> None:
    """Everything in the copy is signed by the anchor and has not expired; only it is not the newest."""
    country = await found(tmp_path)
    shanghai, anhui = country.configs[SHANGHAI], country.configs[ANHUI]
    mirror = f"http://127.0.0.1:{free_ports(1)}"
    add_settings(shanghai, "trust", f'mirrors = ["{mirror}"]')
    async with AsyncExitStack() as anchor, running(shanghai, anhui) as (node, _):
        await anchor.enter_async_context(serving_anchor(country.anchor))
        await node.node.trust_sync.refresh_once()
        copy = await copy_of_anchor(country.anchor_id, map(country.entity, (SHANGHAI, ZHEJIANG, ANHUI)))
        assert standing(node, ANHUI) == "member"
        await country.revoke(ANHUI)
        seen = await node.node.trust_sync.refresh_once()
        assert standing(node, ANHUI) == "revoked"
        await anchor.aclose()

        url = country.anchor_id if at_the_anchors_address else mirror
        async with serving(copy, url):
            report = await node.node.trust_sync.refresh_once()
            assert STATUS_PATH in copy.asked
            if at_the_anchors_address:
                assert f"after {seen.sequence} was seen" in report.problems[country.anchor_id]
            assert report.sequence == seen.sequence
            assert standing(node, ANHUI) == "revoked"

    async with serving(copy, url), running(shanghai) as (again,):
        assert standing(again, ANHUI) == "revoked"
        assert again.node.asker.peers().sequence == seen.sequence


# --- freeze: an old status, served for ever ---


async def test_a_frozen_anchor_is_overtaken_by_a_peers_mirror_and_a_frozen_status_is_told(
    tmp_path: Path,
) -> None:
    """Shanghai's way to the anchor is in other hands since before Anhui was revoked; Zhejiang's was not."""
    country = await found(tmp_path)
    shanghai, clock = country.configs[SHANGHAI], ShiftedClock()
    async with serving_anchor(country.anchor), running(*country.configs.values()) as (node, *_):
        report = await node.node.trust_sync.refresh_once()
        assert report.problems == {}
        copy = await copy_of_anchor(country.anchor_id, map(country.entity, country.configs))
    await country.revoke(ANHUI)
    async with AsyncExitStack() as others:
        async with serving_anchor(country.anchor):
            (zhejiang,) = await others.enter_async_context(running(country.configs[ZHEJIANG]))
            assert standing(zhejiang, ANHUI) == "revoked"
        clock.ahead_s = 150
        async with serving(copy, country.anchor_id), running(shanghai, clocks={shanghai: clock}) as (node,):
            assert copy.asked
            assert standing(node, ANHUI) == "revoked"
            newest = node.node.asker.peers().sequence
            assert newest == zhejiang.node.asker.peers().sequence
            assert "trust_from_mirror" in await warnings(node)

            await others.aclose()
            clock.ahead_s = 700
            report = await node.node.trust_sync.refresh_once()
            assert report.sequence == newest
            assert standing(node, ANHUI) == "revoked"
            assert "trust_status_old" in await warnings(node)


async def warnings(node: RunningNode) -> set[str]:
    """The codes of what /readyz warns of."""
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        return {warning["code"] for warning in (await answer.json())["warnings"]}


# --- mix-up: one member's statement, another's configuration ---

Keys = Mapping[str, StolenKeys]
MIXED_UP: dict[str, tuple[str, Callable[[Keys, datetime], str]]] = {
    "anhuis_configuration": (
        "by",
        lambda keys, now: keys[ANHUI].configuration(now),
    ),
    "anhuis_configuration_under_our_key": (
        "by",
        lambda keys, now: keys[ANHUI].configuration(now, keys[ZHEJIANG].federation),
    ),
    "our_name_under_anhuis_key": (
        "key",
        lambda keys, now: keys[ZHEJIANG].configuration(now, keys[ANHUI].federation),
    ),
    "anhuis_province": (
        "yrd_node.province",
        lambda keys, now: keys[ZHEJIANG].configuration(now, province=ANHUI),
    ),
    "anhuis_endpoint": (
        "yrd_node.grpc_endpoint",
        lambda keys, now: keys[ZHEJIANG].configuration(
            now, grpc_endpoint=str(keys[ANHUI].config.grpc_target)
        ),
    ),
    "anhuis_issuer": (
        "openid_provider.issuer",
        lambda keys, now: keys[ZHEJIANG].configuration(
            now, openid_provider={"issuer": keys[ANHUI].config.node.entity_id}
        ),
    ),
}


@dataclass(frozen=True)
class Masquerade:
    """Shanghai's node knows Anhui; whatever `documents` holds is what Zhejiang's URL says of itself."""

    country: Country
    node: RunningNode
    documents: Documents


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def masquerade(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Masquerade]:
    country = await found(tmp_path_factory.mktemp("masquerade"))
    documents = Documents()
    async with (
        serving_anchor(country.anchor),
        running(country.configs[SHANGHAI], country.configs[ANHUI]) as (node, _),
        serving(documents, country.entity(ZHEJIANG)),
    ):
        await node.node.trust_sync.refresh_once()
        yield Masquerade(country, node, documents)


@pytest.mark.xdist_group("masquerade")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", MIXED_UP)
async def test_nobody_is_another_by_mixing_statements(masquerade: Masquerade, name: str) -> None:
    named, forged = MIXED_UP[name]
    at, country = masquerade.node.node, masquerade.country
    anhui = peer_of(masquerade.node, ANHUI)
    assert anhui is not None
    masquerade.documents.put_configuration(forged(country.keys, SystemClock().now()))
    report = await at.trust_sync.refresh_once()
    assert named in report.problems[country.entity(ZHEJIANG)]
    assert peer_of(masquerade.node, ZHEJIANG) is None
    assert known_as(peer_of(masquerade.node, ANHUI)) == known_as(anhui)


async def test_what_was_believed_before_stays_when_another_configuration_comes(tmp_path: Path) -> None:
    country = await found(tmp_path)
    zhejiang, documents = country.keys[ZHEJIANG], Documents()
    async with (
        serving_anchor(country.anchor),
        running(country.configs[SHANGHAI]) as (node,),
        serving(documents, country.entity(ZHEJIANG)),
    ):
        documents.put_configuration(zhejiang.configuration(SystemClock().now()))
        await node.node.trust_sync.refresh_once()
        believed = peer_of(node, ZHEJIANG)
        assert believed is not None
        for _, forged in MIXED_UP.values():
            documents.put_configuration(forged(country.keys, SystemClock().now()))
            await node.node.trust_sync.refresh_once()
            assert known_as(peer_of(node, ZHEJIANG)) == known_as(believed)


# --- a stolen TLS key with the wrong entity ---


def forge_of(by: StolenKeys, name: str, target: str) -> Forge:
    """What `by` can seal in the name of an entity."""
    clock = SystemClock()
    return Forge(by.envelope, name, target, name, clock.now, RequestIds(clock).new)


async def sent(tls: TlsMaterial, to: Peer, envelope: bytes) -> str:
    """The code with which a peer refuses an envelope that comes over this TLS identity; ``answered`` otherwise."""
    transport = GrpcPeerTransport(tls, RpcLimits())
    try:
        said = await transport.exchange_unary(to, Operation.NODE_STATE, envelope, timeout_s=30)
    except FederationError as refused:
        return refused.code
    finally:
        await transport.close()
    sealed = parse(said, max_bytes=1 << 22)
    answer = ProtobufCodec().decode_answer(sealed.payload_type, sealed.payload)
    return answer.header.refusal_code or "answered"


async def test_a_stolen_tls_key_opens_nothing_for_another_entity(tmp_path: Path) -> None:
    """Anhui holds Zhejiang's TLS key. Envelope, header and TLS must agree; none of them is enough alone."""
    country = await found(tmp_path)
    zhejiang, anhui = country.keys[ZHEJIANG], country.keys[ANHUI]
    us = country.entity(SHANGHAI)
    async with (
        serving_anchor(country.anchor),
        running(*country.configs.values()) as (_, other, _),
    ):
        target = peer_of(other, SHANGHAI)
        assert target is not None
        for refused_as, tls, by, name in (
            ("answered", anhui, anhui, ANHUI),
            ("answered", zhejiang, zhejiang, ZHEJIANG),
            ("peer.foreign_key", zhejiang, anhui, ANHUI),
            ("peer.foreign_key", zhejiang, anhui, ZHEJIANG),
            ("peer.foreign_key", anhui, zhejiang, ZHEJIANG),
            ("peer.wrong_asker", anhui, anhui, ZHEJIANG),
        ):
            envelope = forge_of(by, country.entity(name), us).sealed().envelope
            assert await sent(tls.tls, target, envelope) == refused_as


async def test_a_stolen_tls_key_at_its_owners_address_answers_nothing_that_is_believed(
    tmp_path: Path,
) -> None:
    """Anhui sits at Zhejiang's address with Zhejiang's TLS key: the handshake holds, the answer does not."""
    country = await found(tmp_path)
    zhejiang, anhui = country.keys[ZHEJIANG], country.keys[ANHUI]
    documents = Documents()
    documents.put_configuration(zhejiang.configuration(SystemClock().now()))
    liar = Liar(Lie("stolen", "peer.foreign_key", "", ""), anhui.envelope, SystemClock().now)
    check = CallerCheck(SystemClock(), lambda _entity: None)
    server = PeerServer(liar, check, lambda: zhejiang.tls, RpcLimits())
    async with (
        serving_anchor(country.anchor),
        serving(documents, country.entity(ZHEJIANG)),
        running(country.configs[SHANGHAI]) as (node,),
    ):
        await node.node.trust_sync.refresh_once()
        await server.start(str(zhejiang.config.listen.grpc))
        await server.set_serving(True)
        try:
            status, problem = await node.get(
                f"/v1/certificates/types/{ZHEJIANG}?officer=1", await node.token("portal")
            )
        finally:
            await server.stop(0)
    assert (status, problem["code"]) == (502, "peer.foreign_key")


# --- another's endpoint ---


async def test_the_anchor_takes_nobody_in_who_claims_anothers_endpoint(tmp_path: Path) -> None:
    country = await found(tmp_path)
    theirs = str(country.keys[ANHUI].config.grpc_target)
    public, folder = country.anchor / "anchor.public.json", tmp_path / "320000"
    await command(
        *("init", "--province", "320000", "--dir", folder, "--anchor", public),
        *("--base-port", "21000", "--grpc-public", theirs),
    )
    before = sorted(path.read_bytes() for path in (country.anchor / "members").iterdir())
    refused = await asyncio.to_thread(
        yrd,
        *("anchor", "enroll", "--dir", country.anchor, folder / "enrolment.json"),
        *("--out", folder / "enrolled.json"),
    )
    assert refused.exit_code == 1
    assert f"{theirs} is already the endpoint of {country.entity(ANHUI)}" in refused.output
    assert not (folder / "enrolled.json").exists()
    assert sorted(path.read_bytes() for path in (country.anchor / "members").iterdir()) == before


async def test_a_node_that_is_configured_to_anothers_endpoint_is_not_followed_there(tmp_path: Path) -> None:
    country = await found(tmp_path)
    own, theirs = (str(country.keys[province].config.grpc_target) for province in (ZHEJIANG, ANHUI))
    with edited(country.configs[ZHEJIANG], f'grpc = "{own}"                   #', f'grpc = "{theirs}" #'):
        async with (
            serving_anchor(country.anchor),
            running(*country.configs.values()) as (node, _, third),
        ):
            report = await node.node.trust_sync.refresh_once()
            assert "yrd_node.grpc_endpoint" in report.problems[country.entity(ZHEJIANG)]
            status, problem = await node.get(
                f"/v1/certificates/types/{ZHEJIANG}?officer=1", await node.token("portal")
            )
            assert (status, problem["code"]) == (400, "own.unknown_province")
            async with node.http.get(f"http://{third.at.operations}/metrics") as answer:
                assert f'operation="{Operation.CERTIFICATES_TYPES}"' not in await answer.text()
