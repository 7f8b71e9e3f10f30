from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from node.anchor import authority_request, enroll, init_anchor
from tests.node.anchor.scene import PortFactory, Served
from tests.support.clock import NOON, FixedClock

TYPES = ("openid_provider", "openid_relying_party")


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


@pytest.fixture
async def authority(anchor: Served, tmp_path: Path, unused_tcp_port_factory: PortFactory) -> Served:
    """Zhejiang's authority, taken in by the anchor and serving."""
    url, directory = f"http://127.0.0.1:{unused_tcp_port_factory()}", tmp_path / "authority"
    init_anchor(
        directory,
        url,
        name="浙江省统一身份机构",
        now=NOON,
        allow_http_on_loopback=True,
        superior=anchor.url,
        entity_types=TYPES,
    )
    bundle = enroll(anchor.directory, authority_request(directory), now=NOON)
    assert set(bundle) == {"entity_id", "anchor", "anchor_jwks", "statement"}
    served = Served(url, directory, anchor.clock, anchor.http, anchor.runners)
    await served.serve_itself()
    return served
