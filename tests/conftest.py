"""What holds for every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Property tests judge values, never speed: a busy machine must not fail them.
settings.register_profile("house", deadline=None, print_blob=True)
# `make soak`: many examples of what has no number of its own; a slow draw is no fault.
settings.register_profile(
    "soak",
    deadline=None,
    print_blob=True,
    max_examples=10_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A process has one log; a command that a test runs in this process sets it, and the next test starts afresh."""
    level = logging.getLogger().level
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if type(handler).__module__ != "node.logs"]
    root.setLevel(level)
    logging.captureWarnings(False)
