"""Has a served log read by independent implementations, each in a process of its own: JSON in, JSON out.

- `by_tlog_scales`: Python's tlog-scales (PyPI): checkpoint, cosignatures, tiles, entry bundles, proofs
- `by_sumdb`: Go's golang.org/x/mod/sumdb, the reference of signed notes and tiles (Debian's packages): checkpoint,
  tiles, proofs
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson

__all__ = ["ReaderRefused", "by_sumdb", "by_tlog_scales"]

_HERE = Path(__file__).parent
_PYTHON = _HERE.parents[1] / ".venv" / "interop" / "bin" / "python"
_LONGEST_S = 120
_GO_PACKAGES = "/usr/share/gocode"
"""Where Debian's golang-…-dev packages put their sources."""


class ReaderRefused(AssertionError):
    """The independent implementation does not believe the log; what it said is the message."""


async def by_tlog_scales(question: dict[str, Any]) -> dict[str, Any]:
    """What tlog-scales makes of a log. Raises ReaderRefused."""
    return await _read((str(_PYTHON), str(_HERE / "read_log.py")), question, {})


async def by_sumdb(question: dict[str, Any]) -> dict[str, Any]:
    """What Go's packages make of a log; `entry` is given to them. Raises ReaderRefused."""
    without_modules = {"GO111MODULE": "off", "GOPATH": _GO_PACKAGES, "GOFLAGS": ""}
    return await _read(("go", "run", str(_HERE / "sumdb.go")), question, without_modules)


async def _read(command: tuple[str, ...], question: dict[str, Any], more: dict[str, str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **more},
    )
    async with asyncio.timeout(_LONGEST_S):
        said, errors = await process.communicate(orjson.dumps(question))
    if process.returncode != 0:
        raise ReaderRefused(errors.decode("utf-8", "replace"))
    answer: dict[str, Any] = orjson.loads(said)
    return answer
