"""What evidence costs: the same query with the log and without, taking turns, and bytes on disk for each exchange.

``python -m tests.bench.evidence_cost`` runs this alone; ``--quick`` with a tenth of the load.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from aiohttp import web

from simulators.population import Population
from simulators.registry import make_registry
from tests.bench.chains import ANSWERING, ASKING, NodeChain, card_holders, questions
from tests.bench.load import closed_loop
from tests.bench.processes import ended

__all__ = ["MOST_BYTES", "MOST_CPU", "run_evidence_cost"]

MOST_CPU = 1.15
"""The processor time of a query with the log, over that without, that is aimed at."""
MOST_BYTES = 2.0
"""Bytes on disk of an exchange over those of its two envelopes, likewise."""

_TURNS, _QUERIES, _IN_FLIGHT = 16, 500, 32
"""Short turns, so that a busier minute of the machine falls on all of them."""
_LOG, _CLAIMS, _NOTHING = "with the log", "claims only", "nothing stored"
_NULL_LOG = (sys.executable, "-m", "tests.bench.null_log")
_SERVED_BY: Mapping[str, Sequence[str]] = {
    _LOG: (str(Path(sys.executable).with_name("yrd")),),
    _CLAIMS: (*_NULL_LOG, "--claims"),
    _NOTHING: _NULL_LOG,
}
_BASE_PORT = 18_700


async def run_evidence_cost(
    folder: Path, origin: str, bodies: list[bytes], share: float, say: Callable[[str], None]
) -> None:
    """Start the chains, measure, end them; prints what came of it."""
    await asyncio.to_thread(folder.mkdir)
    with ended([]) as processes:
        chains = {}
        for number, (name, command) in enumerate(_SERVED_BY.items()):
            chain = NodeChain(folder / f"log{number}", _BASE_PORT + 50 * number, origin, command=command)
            chains[name] = chain
            await asyncio.to_thread(chain.make)
            try:
                await asyncio.to_thread(chain.start)
            finally:
                processes.extend(chain.processes.values())
            await _cpu_us(chain, bodies, 500)
        spent = await _take_turns(chains, bodies, int(_QUERIES * share))
        _say_cpu(spent, say)
        for province in (ASKING, ANSWERING):
            held = chains[_LOG].evidence(province)
            kind = "asking" if province == ASKING else "answering"
            say(
                f"{kind} node: {held['disk']:.0f} bytes on disk for each of {held['exchanges']:.0f} exchanges with"
                f" {held['envelopes']:.0f} bytes of envelopes: {held['disk'] / held['envelopes']:.2f} ×"
                f" (at most {MOST_BYTES})"
            )


async def _take_turns(
    chains: Mapping[str, NodeChain], bodies: list[bytes], queries: int
) -> Mapping[str, list[float]]:
    """CPU µs of both nodes a query, turn by turn; who begins changes, so that a busier minute is shared."""
    spent: dict[str, list[float]] = {name: [] for name in chains}
    names = list(chains)
    for turn in range(_TURNS):
        for name in names if turn % 2 == 0 else reversed(names):
            spent[name].append(await _cpu_us(chains[name], bodies, queries))
    return spent


async def _cpu_us(chain: NodeChain, bodies: list[bytes], queries: int) -> float:
    before = sum(process.cpu_s for process in chain.nodes)
    request = chain.requests(bodies)
    outcome = await closed_loop("127.0.0.1", chain.port, request, concurrency=_IN_FLIGHT, total=queries)
    if outcome.failures:
        raise RuntimeError(f"queries failed: {outcome.failures}")
    return (sum(process.cpu_s for process in chain.nodes) - before) / queries * 1e6


def _say_cpu(spent: Mapping[str, list[float]], say: Callable[[str], None]) -> None:
    say(f"\nCPU µs of both nodes for a query, {_IN_FLIGHT} in flight, by turns:")
    for name, turns in spent.items():
        say(f"  {name:<16}{''.join(f'{one:>7.0f}' for one in turns)}   mean {sum(turns) / len(turns):.0f}")
    whole = sum(spent[_LOG])
    say(
        f"evidence costs {whole / sum(spent[_CLAIMS]):.2f} × a query that keeps claims only,"
        f" {whole / sum(spent[_NOTHING]):.2f} × one that stores nothing (at most {MOST_CPU})"
    )


async def _alone(share: float) -> None:
    population = Population()
    bodies = questions(card_holders(population, 200))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yrd-bench-")))
        runner = web.AppRunner(make_registry(ANSWERING, population), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", _BASE_PORT - 1).start()
        origin = f"http://127.0.0.1:{_BASE_PORT - 1}"
        await run_evidence_cost(folder / "cost", origin, bodies, share, print)


if __name__ == "__main__":
    uvloop.run(_alone(0.1 if "--quick" in sys.argv else 1.0))
