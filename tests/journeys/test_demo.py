"""`yrd demo`, as a stranger runs it: in a process of its own, on ports that are free, twice in a row."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from simulators.divisions import PROVINCES
from tests.support.federation import free_ports

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]

YRD = str(Path(sys.executable).with_name("yrd"))
PORTS = 60
LAST_LINE = "12 of 12 pairs answered, 24 of 24 records verified"


def demo(folder: Path, base_port: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [YRD, "demo", "--dir", str(folder), "--base-port", str(base_port), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@contextmanager
def staying(
    folder: Path, base_port: int, until: str = "Ctrl-C"
) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A demonstration that stays up, once it has said `until`, and its children."""
    command = [YRD, "demo", "--dir", str(folder), "--base-port", str(base_port), "--residents", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if until in line:
                    break
            assert process.poll() is None, "".join(lines)
            yield process, psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not alive


def test_the_check_holds_twice_in_a_row_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder, base_port = tmp_path / "demo", free_ports(PORTS)

    for _ in range(2):
        done = demo(folder, base_port, "--check")

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == LAST_LINE
    for word in ("【一】", "【六】", "存证成立", "The evidence holds", "logged in at 340000's portal"):
        assert word in done.stdout
    assert not [port for port in range(base_port, base_port + PORTS) if _listens(port)]


def test_two_provinces_of_the_four_sign_with_sm2(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    done = demo(folder, free_ports(PORTS), "--suite", "sm2", "--residents", "50", "--check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == LAST_LINE
    signing = {province: _envelope_algorithm(folder / province) for province in PROVINCES}
    assert signing == {"310000": "ES256", "320000": "ES256", "330000": "SM2", "340000": "SM2"}


def test_it_stays_until_ctrl_c_and_then_stops_all(tmp_path: Path) -> None:
    folder, base_port = tmp_path / "demo", free_ports(PORTS)
    with staying(folder, base_port) as (process, children):
        assert len(children) == 17
        assert all(_listens(base_port + port) for port in (11, 15, 16))
        for province in ("310000", "320000", "330000", "340000"):
            assert stat.S_IMODE((folder / province / "client.json").stat().st_mode) == 0o600
        assert (folder / "hostile" / "enrolled.json").exists()

        second = demo(tmp_path / "second", base_port, "--check")
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        assert f"port {base_port} is in use" in second.stderr

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert gone(children)


def test_no_child_outlives_a_demonstration_that_is_killed(tmp_path: Path) -> None:
    with staying(tmp_path / "demo", free_ports(PORTS), "four nodes are up") as (process, children):
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        assert gone(children)


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    done = demo(tmp_path, free_ports(PORTS), "--check")

    assert done.returncode == 1
    assert "name another --dir" in done.stderr
    assert (tmp_path / "mine").read_text() == "precious"


def _envelope_algorithm(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "node.db")) as connection:
        (found,) = connection.execute("SELECT alg FROM keys WHERE purpose = 'envelope'").fetchone()
    return str(found)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
