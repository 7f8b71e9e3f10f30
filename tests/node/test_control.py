from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from federation.errors import OwnStoreUnavailable
from node.control import Caller, CommandRefused, ControlInUse, call_control, serve_control

Rows = list[tuple[Caller, str, Mapping[str, Any], str]]


async def echo(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"heard": dict(arguments)}


async def refuse(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    raise CommandRefused("access.faults", "规则有误", "the rules have faults", ("line 3: x", "line 4: y"))


async def lose_store(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    raise OwnStoreUnavailable("try again")


async def crash(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    raise RuntimeError("330106199001011234")


HANDLERS = {"echo": echo, "refuse": refuse, "lose_store": lose_store, "crash": crash}


@pytest.fixture
def rows() -> Rows:
    return []


@pytest.fixture
async def control(tmp_path: Path, rows: Rows) -> AsyncIterator[Path]:
    async def audit(caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str) -> None:
        rows.append((caller, command, arguments, outcome))

    path = tmp_path / "control.sock"
    async with serve_control(path, HANDLERS, audit):
        yield path


async def call(path: Path, command: str, **arguments: Any) -> dict[str, Any]:
    return await asyncio.to_thread(call_control, path, command, **arguments)


async def test_only_the_owner_may_connect(control: Path) -> None:
    mode = os.stat(control).st_mode  # noqa: PTH116
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_command_is_carried_out_and_leaves_a_row_with_the_callers_uid(
    control: Path, rows: Rows
) -> None:
    assert await call(control, "echo", entity="https://sh.example") == {
        "heard": {"entity": "https://sh.example"}
    }
    ((caller, command, arguments, outcome),) = rows
    assert (caller.uid, caller.pid) == (os.getuid(), os.getpid())
    assert (command, arguments, outcome) == ("echo", {"entity": "https://sh.example"}, "ok")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("refuse", "access.faults"),
        ("lose_store", "own.store_unavailable"),
        ("crash", "internal"),
        ("no_such", "control.unknown"),
    ],
)
async def test_what_is_refused_leaves_a_row_too(control: Path, rows: Rows, command: str, code: str) -> None:
    with pytest.raises(CommandRefused) as refused:
        await call(control, command)
    assert refused.value.code == code
    assert "3301" not in refused.value.en
    assert [(row[1], row[3]) for row in rows] == [(command, code)]


async def test_all_faults_come_back(control: Path) -> None:
    with pytest.raises(CommandRefused) as refused:
        await call(control, "refuse")
    assert refused.value.faults == ("line 3: x", "line 4: y")
    assert refused.value.zh == "规则有误"


@pytest.mark.parametrize(
    "line", [b"not json\n", b"[]\n", b'{"command": 1}\n', b'{"command":"echo","arguments":3}\n']
)
async def test_a_malformed_line_is_refused_and_the_socket_stays(control: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(control)
    writer.write(line)
    assert b"control.malformed" in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert await call(control, "echo") == {"heard": {}}


async def test_a_line_without_end_is_cut_off(control: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(control)
    writer.write(b"x" * 200_000)
    assert await reader.read() == b""
    writer.close()
    assert await call(control, "echo") == {"heard": {}}


async def test_a_second_node_does_not_take_the_socket(control: Path) -> None:
    with pytest.raises(ControlInUse):
        async with serve_control(control, HANDLERS, _no_audit):
            pass
    assert await call(control, "echo") == {"heard": {}}


async def test_what_a_killed_node_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with serve_control(path, HANDLERS, _no_audit):
        assert await call(path, "echo") == {"heard": {}}
    assert not path.exists()


async def test_a_folder_too_deep_for_a_sockets_address(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    async with serve_control(folder / "control.sock", HANDLERS, _no_audit):
        assert await call(folder / "control.sock", "echo") == {"heard": {}}


def test_no_node_no_answer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        call_control(tmp_path / "control.sock", "status")


async def _no_audit(caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str) -> None:
    pass
