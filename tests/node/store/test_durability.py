"""Release follows the sync: what a caller was given survives a power cut at that very moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_nothing_is_released_before_it_is_synced(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-m", "tests.node.store.power_cut_run", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["commits"] > 30
    assert found["released"] == 240
    assert found["released_before_synced"] == []
    assert found["too_few"] == []
    assert found["damaged"] == []
    assert found["records_at_end"] == 480
    # A claim by itself is not worth a sync (check 7), and so shows that the layer does drop what was not
    # synced.
    assert found["claim_survived_alone"] is False
