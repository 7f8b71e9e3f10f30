"""What the parts of a node are made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import read_config
from node.ground import exchange_limits
from tests.node.config.samples import write_node_files


@pytest.mark.parametrize("deadline_s", [5, 60, 300])
def test_a_claim_is_held_beyond_every_deadline_that_can_be_set(tmp_path: Path, deadline_s: int) -> None:
    path = write_node_files(tmp_path)
    path.write_text(path.read_text() + f"\n[limits]\ndeadline_s = {deadline_s}\n")
    limits = exchange_limits(read_config(path))
    assert limits.lease_s >= limits.deadline_s + 5
