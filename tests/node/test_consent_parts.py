"""The loop that follows the peers' status lists, from a start without any peer on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from federation.peers import TrustSnapshot
from federation.status_lists import StatusLists
from node import consent_parts
from node.consent_parts import follow_lists
from tests.support.consents import make_consents


async def test_lists_are_fetched_as_soon_as_peers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    consents = await make_consents()
    one = consents.answering
    known = one.node.directory.current
    one.node.directory.swap(TrustSnapshot(one.entity_id, one.node.province))
    turns: list[int] = []
    done = asyncio.Event()

    class Turning(StatusLists):
        async def refresh_once(self) -> Mapping[str, str]:
            turns.append(len(self._directory.current.peers))
            if len(turns) == 3:  # trust was refreshed meanwhile
                self._directory.swap(known)
            problems = await super().refresh_once()
            if self.find(consents.home.entity_id) is not None:
                done.set()
            return problems

    monkeypatch.setattr(consent_parts, "FIRST_PAUSES_S", (0.0,) * 8)
    lists = Turning(one.lists_kept, consents, one.node.directory, consents.clock, skew_s=60)
    loop = asyncio.create_task(follow_lists(lists, one.node.directory, 3600))
    async with asyncio.timeout(5):
        await done.wait()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert turns == [0, 0, 0]
