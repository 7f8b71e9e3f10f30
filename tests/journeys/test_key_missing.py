"""A node that has no key for its tokens any more: the platform is told which part is missing, and all else works."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.support.federation import command, make_anchor, make_node, running, serving_anchor

pytestmark = pytest.mark.journey


async def test_without_an_openid_key_there_is_no_token_and_the_error_says_so(tmp_path: Path) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    config = await make_node(public, tmp_path / "zj", "330000")
    with closing(sqlite3.connect(tmp_path / "zj" / "node.db")) as store, store:
        store.execute("UPDATE keys SET state = 'retired', retired_at = 1 WHERE purpose = 'openid'")
    async with serving_anchor(tmp_path / "anchor"), running(config) as (node,):
        secret = await node.add_client("portal")
        asked = node.http.post(
            f"{node.platform}/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": aiohttp.encode_basic_auth("portal", secret)},
        )
        async with asked as answer:
            problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"]) == (503, "own.key_unavailable")
        assert "yrd keys list" in problem["detail"]
        assert answer.headers["Retry-After"] == "1"
        await command("keys", "rotate", "openid", "--config", config)
        assert await node.log_in("portal", secret)
