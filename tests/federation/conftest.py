from __future__ import annotations

from pathlib import Path

import pytest

from tests.federation.trust_doubles import Country, Own
from tests.support.clock import FixedClock
from tests.support.evidence import World


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def country(tmp_path: Path, clock: FixedClock) -> Country:
    return Country(tmp_path / "anchor", clock)


@pytest.fixture
def own(country: Country) -> Own:
    return Own(country)


@pytest.fixture
def world() -> World:
    return World()
