"""``make bench``: the nodes against the bare chain, in one run. Prints a table; asserts nothing.

The two chains take turns, so that a noisy machine is noisy for both; the ratios are what to compare between runs.
``--quick`` runs a tenth of the load, to try it out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from aiohttp import web

from simulators.population import Population
from simulators.registry import make_registry
from simulators.softhsm import SoftHsmMissingError
from tests.bench.algorithms import run_algorithms
from tests.bench.chain_verify import run_chains
from tests.bench.chains import ANSWERING, BareChain, NodeChain, Sizes, card_holders, questions
from tests.bench.evidence_cost import run_evidence_cost
from tests.bench.load import Outcome, closed_loop, open_loop
from tests.bench.mapping_cost import run_mapping
from tests.bench.million import run_million
from tests.bench.mix import padding, run_mix
from tests.bench.pkcs11 import run_tokens
from tests.bench.processes import Process, ended
from tests.bench.verify_cost import run_verify

__all__ = ["main"]

_BASE_PORT = 18_300
_RATES = (200, 600, 1000)
_FRAMES, _UNARY, _SINGLE = "frames", "unary", "frames, a signature each"
_UNARY_SECTION = "\n[exchange]\nframes = false\n"
_SINGLE_SECTION = "\n[exchange]\nsign_batches = false\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    load: str
    turn: int
    chain: str
    outcome: Outcome
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Contender:
    """A chain under its name, with how to ask it."""

    name: str
    port: int
    nodes: tuple[Process, Process]
    request: Callable[[int], bytes]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def _closed(contender: Contender, concurrency: int, total: int, turn: int = 0) -> Row:
    before = sum(process.cpu_s for process in contender.nodes)
    outcome = await closed_loop(
        "127.0.0.1", contender.port, contender.request, concurrency=concurrency, total=total
    )
    return _row(f"{concurrency} in flight", turn, contender, outcome, before)


async def _open(contender: Contender, rate: int, seconds: float) -> Row:
    before = sum(process.cpu_s for process in contender.nodes)
    outcome = await open_loop("127.0.0.1", contender.port, contender.request, rate=rate, seconds=seconds)
    return _row(f"{rate}/s open", 0, contender, outcome, before)


def _row(load: str, turn: int, contender: Contender, outcome: Outcome, before: float) -> Row:
    spent = sum(process.cpu_s for process in contender.nodes) - before
    return Row(load, turn, contender.name, outcome, spent / max(1, len(outcome.latencies)) * 1e6)


def _print_table(rows: list[Row]) -> None:
    bare = {(row.load, row.turn): row for row in rows if row.chain == "bare"}
    _say(
        f"\n{'load':<14}{'chain':<28}{'q/s':>7}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs/q':>10}{'CPU ×':>8}{'p50 ×':>8}"
    )
    for row in rows:
        floor, outcome = bare[row.load, row.turn], row.outcome
        _say(
            f"{row.load:<14}{row.chain:<28}{outcome.per_second:>7.0f}{outcome.percentile(0.5) * 1e3:>9.2f}"
            f"{outcome.percentile(0.99) * 1e3:>9.2f}{row.cpu_us:>10.0f}{row.cpu_us / floor.cpu_us:>8.2f}"
            f"{outcome.percentile(0.5) / floor.outcome.percentile(0.5):>8.2f}"
        )
        for failure, count in outcome.failures.items():
            _say(f"    {count} × {failure}")


async def _serve_origin(stack: AsyncExitStack, population: Population, port: int) -> str:
    """The simulated registry, here: the stub asks it once for each question."""
    registry = make_registry(ANSWERING, population)
    registry.middlewares.append(padding(population))
    runner = web.AppRunner(registry, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return f"http://127.0.0.1:{port}"


async def _started_nodes(
    folder: Path, base: int, origin: str, section: str, all_of: list[Process]
) -> NodeChain:
    chain = NodeChain(folder, base, origin, section)
    await asyncio.to_thread(chain.make)
    try:
        await asyncio.to_thread(chain.start)
    finally:
        all_of.extend(chain.processes.values())
    return chain


async def _sizes(chain: NodeChain, bodies: list[bytes]) -> Sizes:
    request = chain.requests(bodies)
    probe = await closed_loop("127.0.0.1", chain.port, request, concurrency=1, total=1)
    if probe.failures:
        raise RuntimeError(f"the first query failed: {probe.failures}")
    return chain.sizes(request(0), probe.bytes_in, 900)


async def _compare(contenders: list[Contender], share: float) -> list[Row]:
    for contender in contenders:
        await _closed(contender, 32, int(1000 * share))  # warm
    rows: list[Row] = []
    for turn, (concurrency, total) in enumerate(((1, 600), (32, 4000), (32, 4000))):
        rows += [await _closed(one, concurrency, int(total * share), turn) for one in contenders]
    for rate in _RATES:
        rows += [await _open(one, rate, 8 * share) for one in contenders]
    return rows


async def _memory(contender: Contender, share: float) -> None:
    """Resident memory after 10,000 queries and after as many again."""
    marks = []
    for _ in range(2):
        await _closed(contender, 32, int(10_000 * share))
        marks.append([process.memory_bytes / 2**20 for process in contender.nodes])
    (asking, answering), (asking_later, answering_later) = marks
    _say(
        f"\nmemory after 10,000 queries: asking {asking:.0f} MiB, answering {answering:.0f} MiB; "
        f"after 10,000 more: {asking_later:.0f} MiB, {answering_later:.0f} MiB"
    )


async def _run(share: float) -> None:
    population = Population()
    bodies = questions(card_holders(population, 200))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yrd-bench-")))
        processes = stack.enter_context(ended([]))
        origin = await _serve_origin(stack, population, _BASE_PORT - 1)
        chains = {}
        for number, (name, section) in enumerate(
            ((_FRAMES, ""), (_SINGLE, _SINGLE_SECTION), (_UNARY, _UNARY_SECTION))
        ):
            _say(f"starting two nodes ({name}) …")
            base = _BASE_PORT + 50 * number
            chains[name] = await _started_nodes(folder / f"nodes{number}", base, origin, section, processes)
        frames = chains[_FRAMES]
        _say("ready after " + ", ".join(f"{s:.2f} s" for s in frames.starts_s.values()))
        sizes = await _sizes(frames, bodies)
        _say(f"bytes of one query: {sizes}")
        bare = BareChain(folder / "bare", _BASE_PORT + 150, sizes)
        try:
            await asyncio.to_thread(bare.start)
        finally:
            processes.extend(bare.processes.values())
        contenders = [Contender("bare", bare.port, bare.nodes, bare.requests(frames.requests(bodies)(0)))] + [
            Contender(name, chain.port, chain.nodes, chain.requests(bodies)) for name, chain in chains.items()
        ]
        _say("measuring …")
        _print_table(await _compare(contenders, share))
        await _memory(contenders[1], share)
        await run_mix(frames, bare, share, _say)
        await run_million(folder / "million", _BASE_PORT + 200, origin, bodies, share, _say, processes)
        run_chains(share, _say)
        run_algorithms(share, _say)
        await asyncio.to_thread(run_verify, share, _say)
        await asyncio.to_thread(run_mapping, share, _say)
        await run_evidence_cost(folder / "evidence", origin, bodies, share, _say)
        _say("\nthe envelope key in a PKCS#11 token:")
        try:
            await run_tokens(folder / "tokens", origin, bodies, share, _say)
        except SoftHsmMissingError as missing:
            _say(str(missing))


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    options = parser.parse_args()
    uvloop.run(_run(0.1 if options.quick else 1.0))


if __name__ == "__main__":
    main()
