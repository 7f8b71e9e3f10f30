"""The anchor revokes Anhui while 32 queries are in flight: refused by all, told why, and its past still holds."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from node.clock import SystemClock
from tests.support.delta import ANHUI, JIANGSU, SHANGHAI, ZHEJIANG, Delta, RunningDelta, found_delta
from tests.support.federation import command
from tests.support.load import Load

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("delta")]

OTHERS = (SHANGHAI, JIANGSU, ZHEJIANG)
REASON = "security incident 2026-11"
REFUSED = "peer.revoked"


async def revoke(delta: Delta, province: str = ANHUI) -> datetime:
    """By command; when it was done."""
    entity = delta.entity(province)
    await command("anchor", "revoke", "--dir", delta.anchor, entity, "--reason", REASON)
    return SystemClock().now()


async def until_refused(at: RunningDelta, revoked_at: datetime) -> None:
    """Until all peers know. A peer that holds a status of after the revocation must know: so one refresh suffices."""
    waiting = set(OTHERS)
    async with asyncio.timeout(60):
        while waiting:
            for peer in tuple(waiting):
                if at.seen(peer, ANHUI).standing == "revoked":
                    waiting.discard(peer)
                else:
                    signed_at = at.nodes[peer].node.asker.peers().refreshed_at
                    assert signed_at is not None
                    assert signed_at <= revoked_at
            await asyncio.sleep(0.02)


def check_who_was_answered(load: Load, since: int) -> None:
    """From number `since` on Anhui is refused with the named code, both ways; nobody else ever was."""
    assert load.failed(without=ANHUI) == []
    assert {failure.code for failure in load.failures} == {REFUSED}
    asked = {failure.pair for failure in load.failed(since=since)}
    assert asked == {pair for pair in load.pairs if ANHUI in pair}
    for failure in load.failed(since=since):
        assert REASON in failure.detail


async def exported(at: RunningDelta, province: str, request_id: str, out: Path) -> Path:
    await at.yrd(province, "evidence", "export", request_id, "--out", out)
    return out


async def verified(delta: Delta, *files: Path) -> int:
    told = await command("verify", *files, "--anchor", delta.anchor_public)
    return told.count("存证成立")


async def test_a_revoked_node_is_refused_by_all_peers_within_one_refresh_and_its_old_evidence_holds(
    tmp_path: Path,
) -> None:
    delta = await found_delta(tmp_path, {"trust": "refresh_s = 1.0"})
    async with delta.running() as at:
        pair = (ANHUI, SHANGHAI)
        status, body = await at.ask(pair)
        assert status == 200, body
        before = [
            await exported(at, province, body["request_id"], tmp_path / f"before-{province}.zip")
            for province in pair
        ]
        load = at.load()
        async with load.running():
            await load.more(48)
            assert load.failures == []
            connections = {province: len(relay.connections) for province, relay in at.relays.items()}
            await until_refused(at, await revoke(delta))
            since = await load.more(48) + load.in_flight
            # The same connections as before: what is live is refused call by call.
            assert {name: len(relay.connections) for name, relay in at.relays.items()} == connections
        check_who_was_answered(load, since)
        assert all(load.answered[pair] for pair in load.pairs)
        after = [
            await exported(at, province, body["request_id"], tmp_path / f"after-{province}.zip")
            for province in pair
        ]
    assert await verified(delta, *before, *after) == 4


async def test_a_denial_and_a_refresh_by_command_take_hold_at_once(tmp_path: Path) -> None:
    """Nothing is waited for in between: the next query after each command meets it, on the live connections."""
    delta = await found_delta(tmp_path, {"trust": "refresh_s = 3600.0"})
    anhui = delta.entity(ANHUI)
    async with delta.running() as at:

        async def code_of(*pair: str) -> str:
            status, body = await at.ask((pair[0], pair[1]))
            return "answered" if status == 200 else f"{body['code']}: {body['detail']}"

        assert {await code_of(*pair) for pair in at.load().pairs} == {"answered"}
        connections = {province: len(relay.connections) for province, relay in at.relays.items()}

        await at.yrd(SHANGHAI, "trust", "deny", anhui, "--reason", "our own doubts")
        for pair in ((SHANGHAI, ANHUI), (ANHUI, SHANGHAI)):
            said = await code_of(*pair)
            assert said.startswith("peer.denied")
            assert "our own doubts" in said
        assert await code_of(ANHUI, JIANGSU) == "answered"
        await at.yrd(SHANGHAI, "trust", "allow", anhui)
        assert await code_of(ANHUI, SHANGHAI) == await code_of(SHANGHAI, ANHUI) == "answered"

        await revoke(delta)
        for peer in OTHERS:
            await at.yrd(peer, "trust", "refresh")
            for pair in ((peer, ANHUI), (ANHUI, peer)):
                said = await code_of(*pair)
                assert said.startswith(REFUSED)
                assert REASON in said
        assert await code_of(SHANGHAI, ZHEJIANG) == await code_of(JIANGSU, SHANGHAI) == "answered"
        assert {name: len(relay.connections) for name, relay in at.relays.items()} == connections
