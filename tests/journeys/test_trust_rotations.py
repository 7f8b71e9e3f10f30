"""Keys change under load, one kind after the other, and the anchor goes away: no query fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.rotations import MORE_STEPS, SETTINGS, STEPS, Step, stop_anchor
from tests.support.delta import found_delta

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("delta"), pytest.mark.timeout(600)]


async def go_through(folder: Path, *steps: Step) -> None:
    delta = await found_delta(folder, SETTINGS)
    async with delta.running() as at:
        load = at.load()
        async with load.running():
            for step in steps:
                await step(at, load)
                assert load.failures == [], step.__name__
    assert all(load.answered[pair] for pair in load.pairs)


async def test_no_query_fails_while_keys_of_node_and_anchor_change_and_the_anchor_goes_away(
    tmp_path: Path,
) -> None:
    await go_through(tmp_path, *STEPS, stop_anchor)


async def test_no_query_fails_while_what_changes_more_seldom_does(tmp_path: Path) -> None:
    await go_through(tmp_path, *MORE_STEPS)
