"""The operator of a running node rotates and retires its keys; peers, platforms and the anchor follow.

Clocks are moved by hand, so that a new key's time comes when the test says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation.ports import RecordKind
from node.config import read_config
from node.own_documents import HISTORICAL_KEYS_PATH
from tests.bench.chains import ASKING
from tests.support.federation import RunningNode, command
from tests.support.stored import newest_envelope
from tests.support.two_nodes import TwoNodes, found
from trust.entity import read_statement
from trust.envelope import parse
from trust.historical import HistoricalKeys, verify_historical_keys
from trust.keys import keys_from_jwks

pytestmark = pytest.mark.journey

PUBLISH_S, OVERLAP_S = 180, 300


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    country = await found(tmp_path)
    for path in (country.asking, country.answering):
        text = path.read_text("utf-8")
        path.write_text(text.replace("[keys]\n", f"[keys]\noverlap_s = {OVERLAP_S}.0\n"), "utf-8")
    async with country.running() as both:
        yield both


async def keys_of(path: Path, purpose: str) -> list[dict[str, Any]]:
    """Every key of a purpose, as a running node tells it."""
    found: list[dict[str, Any]] = json.loads(
        await command("keys", "list", "--all", "--json", "--config", path)
    )
    return [key for key in found if key["purpose"] == purpose]


async def rotate(path: Path, purpose: str, *options: str) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(
        await command("keys", "rotate", purpose, *options, "--json", "--config", path)
    )
    return plan


async def advance(nodes: TwoNodes, *, seconds: float) -> None:
    """Time passes for both; each then looks at its keys and at the federation."""
    for clock in nodes.clocks.values():
        clock.ahead_s += seconds
    await nodes.refresh()


def last_signer(path: Path) -> str:
    """The key id under which the newest message in a node's log that it made itself was signed."""
    kind = RecordKind.ASKED_REQUEST if path.parent.name == ASKING else RecordKind.ANSWERED_ANSWER
    return parse(newest_envelope(path, kind), max_bytes=4 * 1024 * 1024).kid


async def configuration_of(node: RunningNode) -> Any:
    """The node's entity configuration as it serves it."""
    async with node.http.get(f"http://{node.at.public}/.well-known/openid-federation") as answer:
        return read_statement(await answer.read(), allow_http_on_loopback=True)


def envelope_kids(configuration: Any) -> list[str]:
    return list(keys_from_jwks(configuration.token.claims["metadata"]["yrd_node"]["envelope_jwks"]))


async def historical_of(node: RunningNode) -> HistoricalKeys:
    configuration = await configuration_of(node)
    uri = configuration.token.claims["metadata"]["yrd_node"]["historical_keys_uri"]
    assert uri == configuration.iss + HISTORICAL_KEYS_PATH
    async with node.http.get(f"http://{node.at.public}{HISTORICAL_KEYS_PATH}") as answer:
        assert answer.content_type == "application/jwk-set+jwt"
        token = await answer.text()
    now = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    return verify_historical_keys(
        token, entity_id=configuration.iss, keys=configuration.keys, now=now, skew_s=10
    )


async def asks(nodes: TwoNodes, times: int = 3) -> None:
    for _ in range(times):
        status, body = await nodes.query()
        assert status == 200, body


async def test_an_envelope_key_passes_on_while_queries_go_on(nodes: TwoNodes) -> None:
    path = nodes.country.answering
    (old,) = await keys_of(path, "envelope")
    await asks(nodes)
    assert last_signer(path) == old["kid"]

    plan = await rotate(path, "envelope")
    new = plan["new"]["kid"]
    # Published at once, though nothing is signed with it yet.
    assert envelope_kids(await configuration_of(nodes.answering)) == [old["kid"], new]
    await asks(nodes)
    assert last_signer(path) == old["kid"]

    await advance(nodes, seconds=PUBLISH_S + 1)
    await asks(nodes)
    assert last_signer(path) == new
    await advance(nodes, seconds=1)
    assert envelope_kids(await configuration_of(nodes.answering)) == [new, old["kid"]]

    # A replica whose clock is behind still signs with the old one: peers take it.
    nodes.peers_clock.ahead_s -= 10
    await asks(nodes)
    assert last_signer(path) == old["kid"]
    nodes.peers_clock.ahead_s += 10

    await advance(nodes, seconds=OVERLAP_S)
    await asks(nodes)
    assert last_signer(path) == new
    assert envelope_kids(await configuration_of(nodes.answering)) == [new]
    former = (await historical_of(nodes.answering)).keys[old["kid"]]
    assert (former.purpose, former.revoked_at) == ("envelope", None)
    planned_end = datetime.fromisoformat(plan["old_ends_at"])
    assert abs((former.expires_at - planned_end).total_seconds()) <= 1


async def test_an_asking_nodes_key_retired_at_once_is_told_with_its_reason(nodes: TwoNodes) -> None:
    path = nodes.country.asking
    (old,) = await keys_of(path, "envelope")
    await asks(nodes, 1)
    retire = ("keys", "retire", old["kid"], "--reason", "密钥泄露", "--replace", "--config", path)
    await command(*retire)
    _, new = await keys_of(path, "envelope")
    await nodes.query_until_answered()  # the peer looks for the unknown key once
    assert last_signer(path) == new["kid"]
    former = (await historical_of(nodes.asking)).keys[old["kid"]]
    assert (former.reason, former.revoked_at) == ("密钥泄露", former.expires_at)
    entries = await nodes.asking.node.audit_rows.latest()
    assert "keys.retire" in [entry.action for entry in entries]


async def test_tokens_of_before_are_taken_until_their_key_is_retired(nodes: TwoNodes) -> None:
    path = nodes.country.asking
    (old,) = await keys_of(path, "openid")
    await asks(nodes, 1)
    plan = await rotate(path, "openid", "--now")
    assert plan["new"]["state"] == "active"
    await asks(nodes, 1)  # with the token of before
    async with nodes.asking.http.get(f"{nodes.asking.platform}/oauth/jwks") as answer:
        published = await answer.json(content_type=None)
    assert [key["kid"] for key in published["keys"]] == [plan["new"]["kid"], old["kid"]]

    await command("keys", "retire", old["kid"], "--reason", "密钥泄露", "--config", path)
    status, body = await nodes.query()
    assert (status, body["code"]) == (401, "own.unauthenticated")


async def test_a_federation_key_is_used_only_after_the_anchor_vouches_for_it(nodes: TwoNodes) -> None:
    path, node = nodes.country.answering, nodes.answering
    entity_id = read_config(path).node.entity_id
    (old,) = await keys_of(path, "federation")
    new = (await rotate(path, "federation"))["new"]["kid"]
    await advance(nodes, seconds=30)  # the anchor, whose clock stands still, takes no more
    keys = {key["kid"]: key for key in await keys_of(path, "federation")}
    assert (keys[new]["state"], keys[new]["waits_for"]) == ("published", "anchor")
    configuration = await configuration_of(node)
    assert configuration.token.kid == old["kid"]
    assert list(configuration.keys) == [old["kid"], new]

    served = path.with_name("configuration.jwt")
    served.write_text(configuration.token.text, "utf-8")
    await command(*("anchor", "update", "--dir", nodes.country.anchor, entity_id, "--configuration", served))
    await advance(nodes, seconds=0)
    keys = {key["kid"]: key for key in await keys_of(path, "federation")}
    assert keys[new]["activates_at"] is not None

    await advance(nodes, seconds=PUBLISH_S + 1)
    assert (await configuration_of(node)).token.kid == new
    await asks(nodes)
    report = await nodes.asking.node.trust_sync.refresh_once()
    assert report.problems == {}
