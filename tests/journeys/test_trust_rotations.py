"""Keys change under load, one kind after the other, and the anchor goes away: no query fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.rotations import SETTINGS, STEPS, stop_anchor
from tests.support.delta import found_delta

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("delta"), pytest.mark.timeout(600)]


async def test_no_query_fails_while_every_kind_of_key_changes_and_the_anchor_goes_away(
    tmp_path: Path,
) -> None:
    delta = await found_delta(tmp_path, SETTINGS)
    async with delta.running() as at:
        load = at.load()
        async with load.running():
            for step in (*STEPS, stop_anchor):
                await step(at, load)
                assert load.failures == [], step.__name__
    assert all(load.answered[pair] for pair in load.pairs)
