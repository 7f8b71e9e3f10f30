"""One provider for all tests of a file, as it was at the beginning for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.login_provider import PERSON, Provider, running_provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    async with running_provider(tmp_path_factory.mktemp("provider")) as opened:
        yield opened


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.person, running.refusal, running.away = PERSON, "", None
    running.sessions.parties.clear()
    running.sessions.has_ended = False
    running.asked.clear()
    running.refused.clear()
    running.revoke_peer("member")
    return running
