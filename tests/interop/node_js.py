"""Runs the scripts beside this file: JSON in, JSON out, each in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

__all__ = ["ScriptFailed", "run_script"]

_HERE = Path(__file__).parent
_LONGEST_S = 60


class ScriptFailed(AssertionError):
    """The independent implementation refused; what it said is the message."""


async def run_script(name: str, question: dict[str, Any]) -> dict[str, Any]:
    """What the script makes of the question. Raises ScriptFailed."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(_HERE / name)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_LONGEST_S):
        said, errors = await process.communicate(orjson.dumps(question))
    if process.returncode != 0:
        raise ScriptFailed(errors.decode("utf-8"))
    answer: dict[str, Any] = orjson.loads(said)
    return answer
