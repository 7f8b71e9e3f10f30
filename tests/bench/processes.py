"""Processes of the bench: started, waited for, measured, ended."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

__all__ = ["Process", "ended", "start", "wait_until_ready", "yrd"]

_READY_WITHIN_S = 30.0


class Process:
    """One process of the bench."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._process = psutil.Process(popen.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU, user and system, since it began."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        return int(self._process.memory_info().rss)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End it at once, wherever it is (SIGKILL)."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """Ask it to end; make it after ten seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def yrd(*arguments: str | Path) -> str:
    """Run a command as an operator would; its output. Raises CalledProcessError with what it said."""
    command = [str(Path(sys.executable).with_name("yrd")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def start(arguments: Sequence[str | Path], log: Path) -> Process:
    """Start a process; what it says goes to `log`."""
    with log.open("ab") as out:
        return Process(subprocess.Popen([str(one) for one in arguments], stdout=out, stderr=out))


def wait_until_ready(url: str, process: Process) -> float:
    """Seconds until `url` answers 200. Raises RuntimeError when the process ends or time runs out."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < _READY_WITHIN_S:
        if not process.is_running:
            raise RuntimeError(f"the process behind {url} ended; see its log")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.perf_counter() - begun
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise RuntimeError(f"{url} was not ready within {_READY_WITHIN_S:g} s; see the process's log")


@contextlib.contextmanager
def ended(processes: list[Process]) -> Iterator[list[Process]]:
    """All processes that are in the list when the block ends are ended."""
    with ExitStack() as stack:

        def end_all() -> None:
            for process in reversed(processes):
                process.end()

        stack.callback(end_all)
        yield processes
