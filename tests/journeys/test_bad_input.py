"""The bad days of docs/bad-input.md, shown on running nodes: what the platform is told, and what leaves the node.

What a peer's messages may get wrong is shown by tests/hostile/; the whole inventory is docs/bad-input.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.federation import RunningNode, command, make_node, running
from tests.support.two_nodes import TwoNodes, found, pair_rules

pytestmark = pytest.mark.journey


# --- what a platform sends ---

WRONG_IN_THE_QUESTION: list[tuple[dict[str, Any] | bytes, str, str | None]] = [
    (b'{"province": ', "own.malformed_request", None),
    ({"holder": None}, "own.malformed_request", "holder"),
    ({"province": 330000}, "own.malformed_request", "province"),
    ({"colour": "red"}, "own.malformed_request", "colour"),
    ({"holder": {"id_type": "公民身份号码", "id": "33010219900307123X"}}, "own.bad_value", "holder.id"),
    ({"certificate_type": "没有这种证照"}, "own.unknown_code", "certificate_type"),
    ({"province": "990000"}, "own.unknown_province", "province"),
    ({"province": "310000"}, "own.own_province", "province"),
]


async def test_what_is_wrong_in_a_question_is_named_and_nothing_leaves(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        for wrong, code, field in WRONG_IN_THE_QUESTION:
            body = wrong if isinstance(wrong, bytes) else at.question(**wrong)
            status, problem = await at.query(body)
            assert (status, problem["code"], problem.get("field")) == (400, code, field)
            assert problem["detail"]
        await refused(at, 413, "own.too_large", at.question(officer="x" * 70_000))
        assert at.relay.connections == []
        assert at.asked() == at.answered() == []


async def test_who_may_not_ask_is_told_so_and_nothing_leaves(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        narrow = await limited_token(at.asking)
        await refused(at, 401, "own.unauthenticated", Authorization="")
        await refused(at, 401, "own.unauthenticated", Authorization="Bearer nonsense")
        await refused(at, 403, "own.forbidden", Authorization=f"Bearer {narrow}")
        at.own_clock.ahead_s = 700
        await refused(at, 401, "own.token_expired")
        assert at.asked() == at.answered() == []


async def limited_token(node: RunningNode) -> str:
    """A token of a client that may search service items and nothing else."""
    return await node.token("narrow", "--operations", "services.search")


async def refused(
    at: TwoNodes, status: int, code: str, body: Any = None, /, **headers: str
) -> dict[str, Any]:
    """Ask, and be refused like this; the problem."""
    found_status, problem = await at.query(body, **headers)
    assert (found_status, problem["code"]) == (status, code), problem
    return problem


# --- the peer ---


async def test_a_peer_that_is_down_is_unreachable(tmp_path: Path) -> None:
    country = await found(tmp_path, limits="deadline_s = 1.0")
    async with country.running() as at:
        at.relay.lead_to(1)
        problem = await refused(at, 502, "peer.unreachable")
        assert at.asked() == [(problem["request_id"], 1, "")]
        at.relay.lead_to(country.grpc_port)
        await at.query_until_answered()


async def test_a_peer_that_is_slow_is_a_timeout_and_its_answer_is_fetched_later(tmp_path: Path) -> None:
    country = await found(tmp_path, limits="deadline_s = 1.0")
    async with country.running() as at:
        await at.query()  # so that there is a connection, on which answers stand still from now on
        at.relay.answers_pass.clear()
        problem = await refused(at, 504, "peer.timeout")
        assert problem["request_id"] in problem["detail"]
        at.relay.answers_pass.set()
        answer = await fetched(at, problem["request_id"])
        assert answer["request_id"] == problem["request_id"]


async def fetched(at: TwoNodes, request_id: str) -> dict[str, Any]:
    """The answer of an earlier request, as soon as it is there."""
    for _ in range(200):
        status, body = await at.evidence(request_id)
        if status == 200 and body["state"] == "answered":
            answer: dict[str, Any] = body["answer"]
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(body)


async def repeated(at: TwoNodes, key: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """What the key's repeat gets once the first request under it has ended; it may still be noting that."""
    for _ in range(200):
        status, body = await at.query(**key)
        if status != 409:
            return status, body
        await asyncio.sleep(0.05)
    raise AssertionError(body)


@pytest.mark.parametrize(("ahead_s", "code"), [(-600, "peer.from_future"), (600, "peer.stale")])
async def test_a_peer_whose_clock_is_wrong_is_told_with_both_clocks(
    tmp_path: Path, ahead_s: float, code: str
) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        at.peers_clock.ahead_s = ahead_s
        problem = await refused(at, 502, code)
        own, peers = at.own_clock.now(), at.peers_clock.now()
        assert f"{own:%Y-%m-%dT%H}" in problem["detail"]
        assert f"{peers:%Y-%m-%dT%H}" in problem["detail"]
        assert problem["detail"].count("+00:00") == 2
        assert at.answered() == []
        at.peers_clock.ahead_s = 0
        assert (await at.query())[0] == 200


@pytest.mark.parametrize("who_knows", ["asking", "answering"])
async def test_a_revoked_peer_is_refused_on_both_sides(tmp_path: Path, who_knows: str) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        assert (await at.query())[0] == 200
        node, other = (at.asking, at.answering) if who_knows == "asking" else (at.answering, at.asking)
        entity = f"http://{other.at.public}"
        await command("anchor", "revoke", "--dir", country.anchor, entity, "--reason", "key stolen")
        await node.node.trust_sync.refresh_once()
        before = len(at.answered())
        problem = await refused(at, 502, "peer.revoked")
        assert len(at.answered()) == before
        assert (len(at.asked()) == 2) is (who_knows == "asking"), problem


async def test_a_peer_that_is_not_known_yet_is_refused_before_it_is_heard(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        anchor = country.anchor / "anchor.public.json"
        anhui = await make_node(anchor, tmp_path / "ah", "340000")
        rules, _ = pair_rules("340000", "330000")
        anhui.with_name("access.toml").write_text(rules, "utf-8")
        async with running(anhui) as (newcomer,):
            token = await newcomer.token("hall")
            status, problem = await newcomer.get("/v1/certificates/types/330000?officer=x", token)
            assert (status, problem["code"]) == (502, "peer.unknown")
            assert at.answered() == []
            await at.answering.node.trust_sync.refresh_once()
            # Known now, and still refused: Zhejiang has no rule for Anhui. That is signed.
            status, problem = await newcomer.get("/v1/certificates/types/330000?officer=x", token)
            assert (status, problem["code"]) == (403, "access.denied")


async def test_a_peer_over_its_quota_is_refused_and_counted(tmp_path: Path) -> None:
    country = await found(tmp_path, limits="peer_quota_per_s = 0.001\npeer_quota_burst = 1")
    async with country.running() as at:
        assert (await at.query())[0] == 200
        await refused(at, 502, "peer.over_quota")
        assert len(at.answered()) == 2
        counted = [
            line for line in (await at.metrics(at.answering)).splitlines() if "peer.over_quota" in line
        ]
        assert counted
        assert counted[0].endswith(" 1.0")


# --- the caller, the registry, the store ---


@pytest.mark.parametrize("key", [{}, {"Idempotency_Key": "case-7"}])
async def test_when_the_caller_goes_the_answer_is_made_and_fetched_later(
    tmp_path: Path, key: dict[str, str]
) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        await at.query()
        before = len(at.asked())
        at.relay.questions_pass.clear()
        call = asyncio.create_task(at.query(**key))
        while len(at.asked()) == before:  # noqa: ASYNC110  a node tells by its log
            await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        at.relay.questions_pass.set()
        [request_id] = {one for one, _, _ in at.asked()[before:]}
        answer = await fetched(at, request_id)
        assert answer["request_id"] == request_id
        assert [kind for one, kind, _ in at.asked() if one == request_id] == [1, 2]
        assert [kind for one, kind, _ in at.answered() if one == request_id] == [3, 4]
        if key:
            status, again = await repeated(at, key)
            assert (status, again["request_id"]) == (200, request_id)


async def test_a_registry_that_is_slow_down_or_talks_nonsense_is_its_own_error(tmp_path: Path) -> None:
    country = await found(tmp_path, registry_timeout_s=0.2)
    async with country.running() as at:
        for mode, status, code in (
            ("slow", 504, "registry.timeout"),
            ("down", 502, "registry.unreachable"),
            ("wrong_json", 502, "registry.bad_answer"),
        ):
            await at.break_registry(mode)
            problem = await refused(at, status, code)
            assert at.answered()[-1] == (problem["request_id"], 4, "refused")
            await at.break_registry("none")
            assert (await at.query())[0] == 200


async def test_a_code_that_the_dialect_does_not_know_comes_through_with_its_original(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        await at.break_registry("unknown_code")
        status, answer = await at.query()
        assert status == 200
        translated = [row for one in answer["certificates"] for row in one["translation"]]
        unmapped = [row for row in translated if row["relation"] == "unmapped"]
        assert unmapped
        assert all(row["value"] == row["original"] for row in unmapped)
