"""An envelope key that its node used before anyone could know it: refused, looked at, repeated once, answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.federation import RunningNode
from tests.support.two_nodes import TwoNodes, found
from trust.entity import WELL_KNOWN

pytestmark = pytest.mark.journey


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    country = await found(tmp_path)
    async with country.running() as both:
        yield both


async def rotate_at_once(node: RunningNode) -> str:
    plan = await node.node.handlers["keys.rotate"]({"purpose": "envelope", "now": True, "force": True})
    kid: str = plan["new"]["kid"]
    return kid


def looks_at(node: RunningNode, patch: pytest.MonkeyPatch) -> list[str]:
    """Where someone asked for this node's configuration, from now on."""
    asked: list[str] = []
    resolve = web.UrlDispatcher.resolve

    async def noting(router: web.UrlDispatcher, request: web.Request) -> Any:
        if router is node.node.public.router and request.path.endswith(WELL_KNOWN):
            asked.append(request.path)
        return await resolve(router, request)

    patch.setattr(web.UrlDispatcher, "resolve", noting)
    return asked


async def test_a_question_under_a_new_key_is_answered_after_one_repeat(nodes: TwoNodes) -> None:
    await nodes.query_until_answered()
    kid = await rotate_at_once(nodes.asking)
    entity_id = nodes.asking.node.config.node.entity_id
    assert kid not in nodes.answering.node.asker.peers().peer(entity_id).envelope_keys
    status, body = await nodes.query()
    assert status == 200, body
    assert kid in nodes.answering.node.asker.peers().peer(entity_id).envelope_keys
    assert 'code="peer.foreign_key"' in await nodes.metrics(nodes.answering), "it was refused at first"


async def test_so_is_one_whose_answer_is_under_a_new_key(nodes: TwoNodes) -> None:
    await nodes.query_until_answered()
    kid = await rotate_at_once(nodes.answering)
    status, body = await nodes.query()
    assert status == 200, body
    entity_id = nodes.answering.node.config.node.entity_id
    assert kid in nodes.asking.node.asker.peers().peer(entity_id).envelope_keys
    assert 'code="peer.foreign_key"' in await nodes.metrics(nodes.asking)


async def test_many_at_once_are_all_answered_and_start_one_look(
    nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.query_until_answered()
    await nodes.pause_refreshes()
    asked = looks_at(nodes.asking, monkeypatch)
    await rotate_at_once(nodes.asking)
    answers = await asyncio.gather(*(nodes.query() for _ in range(60)))
    assert {status for status, _ in answers} == {200}, answers
    assert len(asked) == 1
