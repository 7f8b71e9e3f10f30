"""From nothing to a federation that answers, by the commands of an operator, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.federation import (
    RunningNode,
    allow_all,
    edited,
    make_anchor,
    make_node,
    running,
    serving_anchor,
    yrd,
)

pytestmark = pytest.mark.journey


@pytest.fixture
async def country(tmp_path: Path) -> tuple[Path, Path]:
    """Two enrolled nodes, Zhejiang's and Shanghai's, that let everything through. Nothing runs yet."""
    public, _ = await make_anchor(tmp_path / "anchor")
    paths = []
    for province in ("330000", "310000"):
        path = await make_node(public, tmp_path / province, province)
        allow_all(path.parent / "access.toml")
        paths.append(path)
    return paths[0], paths[1]


async def ask_types(node: RunningNode, province: str, token: str) -> tuple[int, dict[str, Any]]:
    return await node.get(f"/v1/certificates/types/{province}?officer=%E5%BC%A0", token)


async def control(*arguments: str | Path) -> tuple[int, str]:
    result = await asyncio.to_thread(yrd, *arguments)
    return result.exit_code, result.output


async def test_two_nodes_made_by_commands_answer_each_other(
    tmp_path: Path, country: tuple[Path, Path]
) -> None:
    async with serving_anchor(tmp_path / "anchor"), running(*country) as (zhejiang, shanghai):
        token = await zhejiang.token("portal")
        status, body = await ask_types(zhejiang, "310000", token)
        assert status == 200, body
        assert body["answering"] == f"http://{shanghai.at.public}"
        assert body["decision"]["rule"] == "answer"
        async with zhejiang.http.get(f"http://{zhejiang.at.operations}/metrics") as answer:
            text = await answer.text()
        labels = 'operation="certificates.types",outcome="answered",province="310000",side="ask"'
        assert f"yrd_exchanges_total{{{labels}}} 1.0" in text.splitlines()
        assert "portal" not in text
        assert "张" not in text
        async with zhejiang.http.get(f"http://{zhejiang.at.public}/") as page:
            assert "浙江省节点" in await page.text()


async def test_the_evidence_of_both_sides_verifies_with_the_anchors_key_alone(
    tmp_path: Path, country: tuple[Path, Path]
) -> None:
    async with serving_anchor(tmp_path / "anchor"), running(*country) as (zhejiang, _):
        _, body = await ask_types(zhejiang, "310000", await zhejiang.token("portal"))
    files = [tmp_path / "asked.zip", tmp_path / "answered.zip"]
    for path, out in zip(country, files, strict=True):
        code, output = await control("evidence", "export", body["request_id"], "--config", path, "--out", out)
        assert code == 0, output
    anchor = tmp_path / "anchor" / "anchor.public.json"
    code, output = await control("verify", *files, "--anchor", anchor)
    assert code == 0
    assert output.count("存证成立") == 2
    assert body["request_id"] in output
    broken = bytearray(files[0].read_bytes())
    broken[len(broken) // 2] ^= 1
    files[0].write_bytes(bytes(broken))
    code, output = await asyncio.to_thread(told_by_verify, files, anchor)
    assert code == 1
    assert "does not hold" in output


def told_by_verify(files: list[Path], anchor: Path) -> tuple[int, str]:
    result = yrd("verify", *files, "--anchor", anchor, "--quiet")
    return result.exit_code, result.output


async def test_operators_steer_a_running_node(tmp_path: Path, country: tuple[Path, Path]) -> None:
    path, _ = country
    async with serving_anchor(tmp_path / "anchor"), running(*country) as (zhejiang, shanghai):
        token = await zhejiang.token("portal")
        peer = f"http://{shanghai.at.public}"
        code, output = await control("status", "--config", path, "--json")
        assert code == 0
        state = orjson.loads(output)
        assert [found["entity_id"] for found in state["trust"]["peers"]] == [peer]
        assert state["access"]["version"] == "all"

        assert (await control("trust", "deny", peer, "--reason", "test", "--config", path))[0] == 0
        status, body = await ask_types(zhejiang, "310000", token)
        assert (status, body["code"]) == (502, "peer.denied")
        assert (await control("trust", "allow", peer, "--config", path))[0] == 0
        assert (await ask_types(zhejiang, "310000", token))[0] == 200

        rows = await zhejiang.node.audit_rows.latest()
        done = [(row.action, row.actor, row.detail.get("outcome")) for row in rows]
        assert ("trust.deny", f"uid:{_uid()}", "ok") in done
        assert ("trust.allow", f"uid:{_uid()}", "ok") in done


async def test_a_line_of_access_taken_out_is_refused_and_a_faulty_file_changes_nothing(
    tmp_path: Path, country: tuple[Path, Path]
) -> None:
    _, path = country
    rules = path.parent / "access.toml"
    async with serving_anchor(tmp_path / "anchor"), running(*country) as (zhejiang, _):
        token = await zhejiang.token("portal")
        with edited(rules, "answering = [", "answering = [] #"):
            assert (await control("reload", "access", "--config", path))[0] == 0
            status, body = await ask_types(zhejiang, "310000", token)
            assert (status, body["code"]) == (403, "access.denied")
        assert (await control("reload", "access", "--config", path))[0] == 0
        assert (await ask_types(zhejiang, "310000", token))[0] == 200
        with edited(rules, 'platform = "*", operations', 'platform = "p*", operations'):
            code, output = await control_failing("reload", "access", "--config", path)
            assert code == 1
            assert f"{rules}: line 3" in output
        assert (await ask_types(zhejiang, "310000", token))[0] == 200
        assert (await control("reload", "maps", "--config", path))[0] == 0


async def control_failing(*arguments: str | Path) -> tuple[int, str]:
    """A command as a process of its own, since what went wrong is told at the very end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from node.cli import main; main()",
        *map(str, arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


async def test_a_node_alone_says_why_it_is_not_ready(country: tuple[Path, Path]) -> None:
    async with running(country[0]) as (zhejiang,):
        async with zhejiang.http.get(f"http://{zhejiang.at.operations}/readyz") as answer:
            body = await answer.json()
        assert answer.status == 503
        assert [reason["code"] for reason in body["reasons"]] == ["trust_unresolved"]
        async with zhejiang.http.get(f"http://{zhejiang.at.operations}/livez") as answer:
            assert answer.status == 200


async def test_what_was_once_known_holds_without_the_anchor(
    tmp_path: Path, country: tuple[Path, Path]
) -> None:
    async with serving_anchor(tmp_path / "anchor"), running(*country):
        pass
    async with running(*country) as (zhejiang, _):
        status, body = await ask_types(zhejiang, "310000", await zhejiang.token("portal"))
        assert status == 200, body


async def test_a_served_process_stops_in_order_on_sigterm(country: tuple[Path, Path]) -> None:
    path, _ = country
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from node.cli import main; main()",
        "serve",
        "--config",
        str(path),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    messages = []
    async for line in process.stderr:
        messages.append(orjson.loads(line)["message"])
        if messages[-1] == "node.serving":
            mode = (path.parent / "control.sock").stat().st_mode
            assert stat.S_IMODE(mode) == 0o600
            process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert messages[-2:] == ["node.stopping", "node.stopped"]
    assert not (path.parent / "control.sock").exists()


async def test_a_second_process_for_the_same_node_is_refused(country: tuple[Path, Path]) -> None:
    async with running(country[0]):
        code, output = await control_failing("serve", "--config", country[0])
    assert code == 1
    assert "already running" in output


def _uid() -> int:
    import os

    return os.getuid()


async def test_an_http_client_can_keep_its_connection_while_the_node_drains(
    country: tuple[Path, Path],
) -> None:
    async with aiohttp.ClientSession() as http:
        async with (
            running(country[0]) as (zhejiang,),
            http.get(f"{zhejiang.platform}/openapi.json") as answer,
        ):
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{zhejiang.platform}/openapi.json")
