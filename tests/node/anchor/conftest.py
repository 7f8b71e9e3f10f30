from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from node.anchor import init_anchor
from tests.node.anchor.scene import Served
from tests.support.clock import NOON, FixedClock


@pytest.fixture
async def anchor(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Served]:
    """An anchor on loopback at noon."""
    url, clock, directory = f"http://127.0.0.1:{unused_tcp_port}", FixedClock(), tmp_path / "anchor"
    init_anchor(directory, url, name="长三角锚", now=NOON, allow_http_on_loopback=True)
    async with aiohttp.ClientSession() as http:
        served = Served(url, directory, clock, http, [])
        await served.serve_itself()
        yield served
        for runner in served.runners:
            await runner.cleanup()
