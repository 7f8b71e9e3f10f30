"""X-Road's own load mix: 30 % of 2 kB, 60 % of 10 kB, 9 % of 100 kB, 0.9 % of 2 MB, 0.1 % of 10 MB.

The registry's answer for a few residents is padded to those sizes (a remark that no dialect knows, so it is
carried as it is); the bare chain carries as many bytes more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from simulators.population import Population
from tests.bench.chains import BareChain, NodeChain, card_holders, questions
from tests.bench.load import closed_loop
from tests.bench.processes import Process

__all__ = ["padding", "run_mix"]

_MIX = ((0.300, 2_000), (0.600, 10_000), (0.090, 100_000), (0.009, 2_000_000), (0.001, 10_000_000))
_FIRST_HOLDER = 200
_CONCURRENCY = 16
_SEED = 6
_LEAST = 2_000
"""What an answer has without padding, about."""


def padding(population: Population) -> Any:
    """A middleware for the registry: the certificates of five residents carry a remark of the mix's sizes."""
    sizes = {
        number.encode(): size - _LEAST
        for number, (_, size) in zip(_padded(population), _MIX, strict=True)
        if size > _LEAST
    }

    @web.middleware
    async def pad(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        body = await request.read()
        found = [size for number, size in sizes.items() if number in body]
        if not found or not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            return response
        said = orjson.loads(response.body)
        said["datas"][0]["remark"] = "x" * found[0]
        return web.Response(body=orjson.dumps(said), content_type="application/json")

    return pad


def _padded(population: Population) -> list[str]:
    """One holder for each size; others than those of the bench's other loads."""
    return card_holders(population, _FIRST_HOLDER + len(_MIX))[_FIRST_HOLDER:]


def _order(total: int) -> list[int]:
    """Which size each request asks for: the mix's shares, in a fixed random order."""
    order = [number for number, (share, _) in enumerate(_MIX) for _ in range(round(share * total))]
    random.Random(_SEED).shuffle(order)
    return order


async def run_mix(nodes: NodeChain, bare: BareChain, share: float, say: Callable[[str], None]) -> None:
    """Run the mix through both chains and print what it cost."""
    order = _order(max(1000, int(2000 * share)))
    bodies = questions(_padded(Population()))
    made = [nodes.requests([body])(0) for body in bodies]
    sized = [bare.sized_request(size - _LEAST) for _, size in _MIX]
    say(f"\nX-Road's mix, {len(order)} queries, {_CONCURRENCY} in flight")
    floor = await _measure(bare.port, bare.nodes, lambda n: sized[order[n]], len(order))
    cost = await _measure(nodes.port, nodes.nodes, lambda n: made[order[n]], len(order))
    for name, (per_second, p50_ms, p99_ms, cpu_us, failures) in (("bare", floor), ("frames", cost)):
        say(
            f"  {name:<8}{per_second:>6.0f} q/s  p50 {p50_ms:.1f} ms  p99 {p99_ms:.1f} ms  "
            f"CPU {cpu_us:.0f} µs/q ({cpu_us / floor[3]:.2f} ×)  failures {failures or 'none'}"
        )


async def _measure(
    port: int, processes: tuple[Process, Process], request: Callable[[int], bytes], total: int
) -> tuple[float, float, float, float, dict[str, int]]:
    before = sum(process.cpu_s for process in processes)
    outcome = await closed_loop("127.0.0.1", port, request, concurrency=_CONCURRENCY, total=total)
    spent_us = (sum(process.cpu_s for process in processes) - before) / total * 1e6
    return (
        outcome.per_second,
        outcome.percentile(0.5) * 1e3,
        outcome.percentile(0.99) * 1e3,
        spent_us,
        outcome.failures,
    )
