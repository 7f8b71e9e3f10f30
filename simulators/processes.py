"""Child processes that never outlive the demonstration, and operator's commands run to their end.

Each child leads its own process group, so a Ctrl-C in the terminal reaches the demonstration alone, which then stops
them in order. Should the demonstration be killed, the kernel sends each child SIGTERM (PR_SET_PDEATHSIG, Linux).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

__all__ = ["Child", "CommandFailedError", "Household", "run_command", "run_commands", "yrd"]

NOTHING_MORE: Mapping[str, str] = MappingProxyType({})
_PR_SET_PDEATHSIG = 1
_STOP_S = 15.0
_IN_TURN = """
import json, sys
from node.cli import main
for sys.argv in json.load(sys.stdin):
    main()
"""
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class CommandFailedError(Exception):
    """A command ended with an error; its output is the message."""


def yrd(*arguments: str) -> list[str]:
    """The command line of `yrd` as this interpreter has it installed."""
    script = Path(sys.executable).with_name("yrd")
    start = [str(script)] if script.exists() else [sys.executable, "-c", "from node.cli import main; main()"]
    return [*start, *arguments]


async def run_command(*arguments: str, environment: Mapping[str, str] = NOTHING_MORE) -> str:
    """Run `yrd` with these arguments and give its standard output. Raises CommandFailedError.

    `environment` comes on top of this process's own.
    """
    return await _run(yrd(*arguments), f"yrd {' '.join(arguments)}", environment)


async def run_commands(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str] = NOTHING_MORE
) -> str:
    """Run `yrd` with each of these argument lists, one after the other in one interpreter, since starting it takes
    longer than most commands. Stops at the first that fails and raises CommandFailedError.
    """
    asked = json.dumps([["yrd", *arguments] for arguments in commands]).encode()
    return await _run(
        [sys.executable, "-c", _IN_TURN], f"yrd {' '.join(commands[0][:2])} …", environment, asked
    )


async def _run(command: Sequence[str], name: str, environment: Mapping[str, str], asked: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    try:
        out, err = await process.communicate(asked)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        told = (err or out).decode(errors="replace").strip()
        raise CommandFailedError(f"{name}: {told}")
    return out.decode()


@dataclass(frozen=True, slots=True)
class Child:
    """One running process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Household:
    """The children of this process."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._files: list[IO[bytes]] = []

    @property
    def children(self) -> tuple[Child, ...]:
        """In the order in which they were started."""
        return tuple(self._children)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE
    ) -> Child:
        """Start a child; what it says goes to ``logs/NAME.log``. `environment` as for `run_command`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        file = log.open("ab")
        self._files.append(file)
        parent = os.getpid()
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
            preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509 - only this thread exists yet
        )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Return while all children run. Raises CommandFailedError with the last line of one that ended."""
        for child in self._children:
            if child.process.poll() is not None:
                lines = child.log.read_text(errors="replace").strip().splitlines() or ["(no output)"]
                raise CommandFailedError(f"{child.name} 已退出 / ended: {lines[-1]} ({child.log})")

    def stop(self) -> None:
        """End all children, last started first: SIGTERM, then SIGKILL for who does not go in time."""
        for child in reversed(self._children):
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for child in reversed(self._children):
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.process.wait()
        for file in self._files:
            file.close()
        self._children.clear()
        self._files.clear()


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(number)


def _die_with(parent: int) -> None:
    """In the child, before it becomes the command: go when the parent goes."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
