"""The control socket: how an operator steers a running node.

A Unix socket of mode 0600 in the node's folder. One JSON object a line each way: ``{"command": …,
"arguments": {…}}``, answered by ``{"ok": true, "result": {…}}`` or ``{"ok": false, "code": …, "zh": …, "en":
…, "faults": […]}``. Who may connect is decided by the file system; who did is read from the kernel
(SO_PEERCRED, unix(7)) and goes into the audit row that every command leaves, whether it succeeded or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import structlog

from federation.errors import code_of, detail_of, row_of

__all__ = ["Audit", "Caller", "CommandRefused", "ControlInUse", "Handler", "call_control", "serve_control"]

LINE_BYTES = 64 * 1024
IDLE_S = 30.0
_TICKS_TO_CONNECT = 10
"""More turns of the loop than lie between a connection that was accepted and the task that will close it."""
_PEER_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

log = structlog.get_logger()


class Caller(NamedTuple):
    """Who is at the other end of the socket, as the kernel says."""

    pid: int
    uid: int
    gid: int


class CommandRefused(Exception):
    """A command that was not carried out; `faults` are the single things that were wrong, where there are
    several.
    """

    def __init__(self, code: str, zh: str, en: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(en)
        self.code, self.zh, self.en, self.faults = code, zh, en, faults


class ControlInUse(Exception):
    """Another process serves this socket: the node is already running."""


Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Carries out one command. Raises CommandRefused or an error of the vocabulary."""

Audit = Callable[[Caller, str, Mapping[str, Any], str], Awaitable[None]]
"""Keeps one row: who, which command, with what, and how it ended (``ok`` or a code)."""


@asynccontextmanager
async def serve_control(path: Path, handlers: Mapping[str, Handler], audit: Audit) -> AsyncIterator[None]:
    """Serve the socket while inside. Raises ControlInUse when another process does; a left-over file is
    replaced.
    """
    listening = _bind(path)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections.add(task)
            task.add_done_callback(connections.discard)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
                await _talk(reader, writer, handlers, audit)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(connected, sock=listening, limit=LINE_BYTES)
    try:
        yield
    finally:
        # A server that is closed drops what it has just accepted without closing it, so that goes first.
        await _let_connect()
        server.close()
        await _let_connect()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            _remove(path)


async def _let_connect() -> None:
    for _ in range(_TICKS_TO_CONNECT):
        await asyncio.sleep(0)


def _bind(path: Path) -> socket.socket:
    with _short_address(path) as address:
        if path.is_socket():
            if _is_served(address):
                raise ControlInUse(str(path))
            path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            umask = os.umask(0o177)  # so that there is no moment in which others could connect
            try:
                listening.bind(address)
            finally:
                os.umask(umask)
        except BaseException:
            listening.close()
            raise
    return listening


def _remove(path: Path) -> None:
    path.unlink()


def _is_served(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(address) == 0


@contextmanager
def _short_address(path: Path) -> Iterator[str]:
    """A socket's address holds 107 bytes; a deeper folder is reached through its descriptor (proc(5))."""
    if len(os.fsencode(path)) <= 107:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _caller_of(writer: asyncio.StreamWriter) -> Caller:
    connection = writer.get_extra_info("socket")
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    return Caller(*_PEER_CREDENTIALS.unpack(data))


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Mapping[str, Handler], audit: Audit
) -> None:
    caller = _caller_of(writer)
    while line := await asyncio.wait_for(reader.readline(), IDLE_S):
        answer = await _carry_out(line, caller, handlers, audit)
        writer.write(orjson.dumps(answer, default=str) + b"\n")
        await writer.drain()


async def _carry_out(
    line: bytes, caller: Caller, handlers: Mapping[str, Handler], audit: Audit
) -> Mapping[str, Any]:
    command = ""
    arguments: dict[str, Any] = {}
    try:
        command, arguments = _read(line)
        handler = handlers.get(command)
        if handler is None:
            raise CommandRefused("control.unknown", f"没有命令 {command}", f"there is no command {command}")
        result = await handler(arguments)
        await audit(caller, command, arguments, "ok")
    except Exception as error:
        answer = _refusal(command, error)
        with contextlib.suppress(Exception):  # the store may be what is down; the operator is still told why
            await audit(caller, command, arguments, answer["code"])
        return answer
    log.info("control.done", command=command, uid=caller.uid, pid=caller.pid)
    return {"ok": True, "result": result}


def _read(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        message = orjson.loads(line)
        command, arguments = message["command"], message.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandRefused("control.malformed", "命令格式有误", "the command is malformed") from None
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise CommandRefused("control.malformed", "命令格式有误", "the command is malformed")
    return command[:100], arguments


def _refusal(command: str, error: Exception) -> dict[str, Any]:
    if isinstance(error, CommandRefused):
        return {
            "ok": False,
            "code": error.code,
            "zh": error.zh,
            "en": error.en,
            "faults": list(error.faults),
        }
    row = row_of(error)
    if row.code == "internal":
        log.error("control.failed", command=command, exc_info=error)
    detail = detail_of(error)
    return {
        "ok": False,
        "code": code_of(error),
        "zh": row.zh,
        "en": f"{row.en}: {detail}" if detail else row.en,
        "faults": [],
    }


def call_control(path: Path, command: str, *, timeout_s: float = 30.0, **arguments: Any) -> dict[str, Any]:
    """Ask a running node to do something and return its result.

    Raises CommandRefused when it says no, ConnectionError or FileNotFoundError when no node serves the
    socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short_address(path) as address:
        connection.settimeout(timeout_s)
        connection.connect(address)
        connection.sendall(orjson.dumps({"command": command, "arguments": arguments}) + b"\n")
        with connection.makefile("rb") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionError("the node closed the control socket")
    answer: dict[str, Any] = orjson.loads(line)
    if not answer["ok"]:
        raise CommandRefused(answer["code"], answer["zh"], answer["en"], tuple(answer["faults"]))
    result: dict[str, Any] = answer["result"]
    return result
