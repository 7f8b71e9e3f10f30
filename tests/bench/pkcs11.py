"""``python -m tests.bench.pkcs11``: the envelope key in a SoftHSM token beside the one in memory, in one run.

Each is measured with one signature for all that wait (batch) and with a signature each (single). The four take
turns, so that a noisy machine is noisy for all; the ratios are what to compare. SoftHSM is a token without hardware;
what batch signing saves with one that takes longer is shown on the journal alone. ``--quick`` runs a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from aiohttp import web

from node.clock import SystemClock
from node.keystore.pkcs11 import Pkcs11Source
from node.store.database import open_database
from node.store.journal import StoreJournal
from simulators.population import Population
from simulators.registry import make_registry
from simulators.softhsm import SoftHsm, SoftHsmMissingError, SoftToken
from tests.bench.chains import ANSWERING, NodeChain, card_holders, questions
from tests.bench.load import closed_loop
from tests.bench.processes import Process, ended
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from trust.keys import Signer, SigningKey

__all__ = ["run_tokens"]

_BASE_PORT = 18_600
_SINGLE_SECTION = "\n[exchange]\nsign_batches = false\n"
_TURNS = 3
_LOADS = ((1, 300), (32, 2500))
_PAUSES_MS = (0, 1, 5)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Contender:
    place: str
    way: str
    chain: NodeChain


@dataclass(frozen=True, slots=True)
class _Figures:
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def _init_in(token: SoftToken | None) -> Callable[[str], tuple[str | Path, ...]]:
    def arguments(_province: str) -> tuple[str | Path, ...]:
        if token is None:
            return ()
        return (
            *("--pkcs11-module", token.module, "--pkcs11-token", token.label),
            *("--pkcs11-pin-file", token.pin_file),
        )

    return arguments


def _signature_us(signer: Signer, count: int) -> float:
    signer.sign(b"warm")
    began = time.perf_counter()
    for number in range(count):
        signer.sign(b"%d" % number)
    return (time.perf_counter() - began) / count * 1e6


class _Slow:
    """A signer that takes `pause_s` more for a signature, as a token on a network does."""

    def __init__(self, signer: Signer, pause_s: float) -> None:
        self._signer = signer
        self._pause_s = pause_s
        self.kid, self.alg, self.verification_key = signer.kid, signer.alg, signer.verification_key
        self.signatures = 0

    def sign(self, message: bytes) -> bytes:
        """The signature, later."""
        self.signatures += 1
        time.sleep(self._pause_s)
        return self._signer.sign(message)


async def _journal_alone(path: Path, signer: _Slow, total: int, *, batch: bool) -> float:
    """Requests that one journal signs and stores in a second, with 32 at a time."""
    database = open_database(f"sqlite:///{path}")
    journal = StoreJournal(database, lambda: signer, SystemClock(), sign_batches=batch)
    numbers = iter(range(total))

    async def store() -> None:
        for _ in numbers:
            await journal.store_request(meta_of(next_request_id()), OPERATION.request_type, bytes(500))

    await journal.start()
    began = time.perf_counter()
    await asyncio.gather(*(store() for _ in range(32)))
    seconds = time.perf_counter() - began
    await journal.close()
    await database.close()
    return total / seconds


async def _say_slow_tokens(folder: Path, token: SoftToken, share: float, say: Say) -> None:
    """What batch signing saves as signatures take longer: the journal alone, 32 requests at a time."""
    source = Pkcs11Source.open(token.module, token.label, token.pin_file)
    reference, public = source.generate("bench", "ES256")
    in_token = source.signer(reference, public.jwk, purpose="bench")
    say(
        f"\n{'the journal alone, 32 at a time':<34}{'batch /s':>10}{'signatures':>12}{'single /s':>11}{'× single':>10}"
    )
    for pause_ms in _PAUSES_MS:
        total = int((4000 if pause_ms == 0 else 1500) * share)
        found = {}
        for batch in (True, False):
            signer = _Slow(in_token, pause_ms / 1000)
            path = folder / f"journal-{pause_ms}-{batch}.db"
            found[batch] = await _journal_alone(path, signer, total, batch=batch), signer.signatures
        (batched, signatures), (single, _) = found[True], found[False]
        say(
            f"{f'SoftHSM token and {pause_ms} ms':<34}{batched:>10.0f}{signatures / total:>12.2f}{single:>11.0f}"
            f"{batched / single:>10.2f}"
        )
    source.close()


def _say_signatures(token: SoftToken, share: float, say: Say) -> None:
    """What one signature costs by itself, in memory and in the token."""
    source = Pkcs11Source.open(token.module, token.label, token.pin_file)
    reference, public = source.generate("bench", "ES256")
    in_token = _signature_us(source.signer(reference, public.jwk, purpose="bench"), int(3000 * share))
    in_memory = _signature_us(SigningKey.generate(), int(3000 * share))
    source.close()
    say(f"one ES256 signature: {in_memory:.0f} µs in memory, {in_token:.0f} µs in the SoftHSM token")


async def _measure(chain: NodeChain, bodies: list[bytes], concurrency: int, total: int) -> _Figures:
    before = sum(process.cpu_s for process in chain.nodes)
    outcome = await closed_loop(
        "127.0.0.1", chain.port, chain.requests(bodies), concurrency=concurrency, total=total
    )
    if outcome.failures:
        raise RuntimeError(f"queries failed: {outcome.failures}")
    spent = sum(process.cpu_s for process in chain.nodes) - before
    p50, p99 = (outcome.percentile(part) * 1e3 for part in (0.5, 0.99))
    return _Figures(outcome.per_second, p50, p99, spent / total * 1e6)


def _middle(turns: list[_Figures]) -> _Figures:
    return _Figures(
        *(
            median(getattr(one, name) for one in turns)
            for name in ("per_second", "p50_ms", "p99_ms", "cpu_us")
        )
    )


async def _compare(contenders: list[_Contender], bodies: list[bytes], share: float, say: Say) -> None:
    for one in contenders:
        await _measure(one.chain, bodies, 32, int(1000 * share))  # warm
    say(
        f"\n{'load':<14}{'envelope key':<16}{'signed':<10}{'q/s':>7}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs/q':>10}"
        f"{'CPU × memory':>14}{'CPU × batch':>13}{'q/s × single':>14}"
    )
    for concurrency, total in _LOADS:
        seen: dict[tuple[str, str], list[_Figures]] = {}
        for _ in range(_TURNS):
            for one in contenders:
                figures = await _measure(one.chain, bodies, concurrency, int(total * share))
                seen.setdefault((one.place, one.way), []).append(figures)
        found = {key: _middle(turns) for key, turns in seen.items()}
        for (place, way), row in found.items():
            say(
                f"{f'{concurrency} in flight':<14}{place:<16}{way:<10}{row.per_second:>7.0f}{row.p50_ms:>9.2f}"
                f"{row.p99_ms:>9.2f}{row.cpu_us:>10.0f}{row.cpu_us / found['memory', way].cpu_us:>14.2f}"
                f"{row.cpu_us / found[place, 'batch'].cpu_us:>13.2f}"
                f"{row.per_second / found[place, 'single'].per_second:>14.2f}"
            )


async def run_tokens(folder: Path, origin: str, bodies: list[bytes], share: float, say: Say) -> None:
    """Measure and say. `folder` is made; `origin` is the simulated registry. Raises SoftHsmMissingError."""
    softhsm = SoftHsm(folder / "softhsm")
    os.environ.update(softhsm.environment)
    token = softhsm.make_token("bench")
    processes: list[Process] = []
    with ended(processes):
        contenders = []
        for number, (place, way) in enumerate(
            (place, way) for place in ("memory", "SoftHSM token") for way in ("batch", "single")
        ):
            say(f"starting two nodes (envelope key in {place}, {way}) …")
            chain = NodeChain(
                folder / f"nodes{number}",
                _BASE_PORT + 50 * number,
                origin,
                _SINGLE_SECTION if way == "single" else "",
                init=_init_in(None if place == "memory" else token),
            )
            await asyncio.to_thread(chain.make)
            try:
                await asyncio.to_thread(chain.start)
            finally:
                processes.extend(chain.processes.values())
            contenders.append(_Contender(place, way, chain))
        await asyncio.to_thread(_say_signatures, token, share, say)
        await _compare(contenders, bodies, share, say)
        await _say_slow_tokens(folder, token, share, say)


async def _run(share: float) -> None:
    population = Population()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yrd-bench-")))
        runner = web.AppRunner(make_registry(ANSWERING, population), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", _BASE_PORT - 1).start()
        bodies = questions(card_holders(population, 200))
        await run_tokens(folder, f"http://127.0.0.1:{_BASE_PORT - 1}", bodies, share, _say)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run this part of the bench."""
    parser = argparse.ArgumentParser(prog="tests.bench.pkcs11", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    options = parser.parse_args()
    try:
        uvloop.run(_run(0.1 if options.quick else 1.0))
    except SoftHsmMissingError as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
