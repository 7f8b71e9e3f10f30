"""The steps of docs/operating.md, run as they stand: every block that is marked `sh`, in its order, in an empty folder.

What the page needs of its reader is what it gets here: the `yrd` command, curl and sqlite3, and `BASE`, the
first of some free ports. A block fails where any line of it fails.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.federation import free_ports

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = 32
LOGS_SHOWN = 1500
ENDS_WITH_THE_TEST = """exec 3<&0 < /dev/null
( (read -r _ <&3 || kill -KILL 0) > /dev/null 2>&1 &)
exec 3<&-"""
"""However the test ends, also when it is killed, its end of the script's input is closed: then the whole group goes. A
`wait` of the script does not wait for that.
"""


def steps() -> str:
    """The blocks as one script, which says where it is by the page's own line numbers."""
    text = PAGE.read_text("utf-8")
    script = [ENDS_WITH_THE_TEST, "set -euo pipefail"]
    for found in BLOCK.finditer(text):
        script += [f"echo '=== docs/operating.md:{text.count(chr(10), 0, found.start()) + 1}'", found[1]]
    return "\n".join(script)


def test_every_chapter_of_trust_has_steps_that_are_run() -> None:
    text = PAGE.read_text("utf-8")
    chapter = text[text.index("\n## Trust, step by step") :]
    chapter = chapter[: chapter.index("\n## ", 1)]
    parts = chapter.split("\n### ")[1:]
    assert [part.partition("\n")[0] for part in parts] == [
        "The anchor's ceremony",
        "Enrolment",
        "Renewal",
        "Rotation at the anchor",
        "Rotation at a node",
        "A key that leaked",
        "Revocation",
        "Disaster at a node",
        "Disaster at the anchor",
    ]
    assert all("```sh\n" in part for part in parts)


@pytest.mark.journey
@pytest.mark.timeout(900)  # some hundred processes, one after the other, on whatever machine there is
async def test_the_steps_hold(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BASE": str(free_ports(PORTS)),
    }
    output = (
        tmp_path / "steps.log"
    )  # and no pipe, which whatever a failed script leaves running would keep open
    with output.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", steps()),
            cwd=tmp_path,
            env=environment,
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=said,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        await process.wait()
    finally:
        end_group(process.pid)
    assert process.returncode == 0, f"{output.read_text('utf-8', 'replace')}\n{logs(tmp_path)}"


def end_group(leader: int) -> None:
    """End whatever the script left running; its group is its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def logs(folder: Path) -> str:
    """The end of each process's log."""
    return "\n".join(f"{path.name}: {path.read_text('utf-8')[-LOGS_SHOWN:]}" for path in folder.glob("*.log"))
