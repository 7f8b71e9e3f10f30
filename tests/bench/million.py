"""A million records on SQLite: does appending keep its pace, and what do a proof, a search and the node itself cost.

Made by the journal's writer and the sequencer (`million_log`), measured through the same parts that a node is made of;
the memory is that of a real node, started on that database, after some queries.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from federation.query import Operation
from node.cli.evidence_ground import EvidenceGround, opened_evidence
from node.clock import SystemClock
from node.config import read_config
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.database import Database, open_database
from node.store.journal import StoreJournal
from node.store.search import EvidenceSearch, Wanted
from node.store.tree import TreeStore
from tests.bench.chains import ANSWERING, NodeChain
from tests.bench.load import closed_loop
from tests.bench.million_log import CASES, HOLDER, NUMBERS, PEERS, Exchanges, fill
from tests.bench.processes import Process

__all__ = ["run_million"]

_RECORDS = 1_000_000
_IN_FLIGHT = 32
_TURNS = 5
Say = Callable[[str], None]


async def run_million(
    folder: Path,
    base_port: int,
    origin: str,
    bodies: list[bytes],
    share: float,
    say: Say,
    processes: list[Process],
) -> None:
    """Print the figures; with a share of less than one, of a twentieth of the records."""
    records = _RECORDS if share >= 1 else _RECORDS // 20
    chain = NodeChain(folder, base_port, origin)
    await asyncio.to_thread(chain.make)
    config = read_config(folder / ANSWERING / "node.toml")
    say(f"\na log of {records:,} records on SQLite:")
    async with opened_evidence(config) as ground:
        began = time.perf_counter()
        exchanges = await fill(ground, records)
        took = time.perf_counter() - began
        size = sum(file.stat().st_size for file in (folder / ANSWERING).glob("node.db*"))
        say(f"made in {took:.0f} s; {size / 2**20:.0f} MiB, {size / records:.0f} bytes a record")
        await _append(ground, exchanges, folder, int(3000 * min(1.0, share * 4)), say)
        await _proofs(ground, say)
        await _pages(ground, exchanges, records, say)
    await _memory(chain, bodies, share, say, processes)


async def _append(ground: EvidenceGround, exchanges: Exchanges, folder: Path, count: int, say: Say) -> None:
    """The empty log and the full one in turns, so that a noisy machine is noisy for both."""
    paces: dict[str, list[float]] = {"empty": [], "full": []}
    for turn in range(_TURNS):
        fresh = open_database(f"sqlite:///{folder / f'empty{turn}.db'}")
        try:
            for name, database in (("empty", fresh), ("full", ground.database)):
                async with _journal(ground, database) as journal:
                    await _append_all(journal, exchanges, count // 10)  # warm
                    paces[name].append(await _append_all(journal, exchanges, count))
        finally:
            await fresh.close()
    before, after = (statistics.median(paces[name]) for name in ("empty", "full"))
    say(
        f"append, {_IN_FLIGHT} in flight: {before:.0f} exchanges/s to an empty log, {after:.0f}/s to the full one "
        f"({after / before:.2f} ×; median of {_TURNS} turns)"
    )


@asynccontextmanager
async def _journal(ground: EvidenceGround, database: Database) -> AsyncIterator[StoreJournal]:
    signer = ground.keystore.signing_key("envelope")
    journal = StoreJournal(
        database,
        lambda: signer,
        SystemClock(),
        bodies=EncryptedBodies(ground.data_keys),
        sign_batches=True,
    )
    try:
        yield journal
    finally:
        await journal.close()


async def _append_all(journal: StoreJournal, exchanges: Exchanges, count: int) -> float:
    """Exchanges a second."""
    left = iter(range(count))
    request, kind = exchanges.request, Operation.CERTIFICATES_QUERY.answer_type

    async def one_after_the_other() -> None:
        for _ in left:
            meta = exchanges.next_meta(datetime.now(UTC))
            await journal.store_exchange(meta, request, request.identity, kind, exchanges.answer)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(_IN_FLIGHT)))
    return count / (time.perf_counter() - began)


async def _timed(name: str, work: Sequence[Callable[[], Awaitable[object]]], say: Say) -> None:
    """Each once; median, 99 % and the longest."""
    await work[0]()
    times = []
    for one in work:
        began = time.perf_counter()
        await one()
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    say(
        f"{name:<44}{statistics.median(times):>8.2f} ms{times[int(len(times) * 0.99)]:>8.2f} ms (99 %)"
        f"{times[-1]:>8.2f} ms (longest)"
    )


async def _proofs(ground: EvidenceGround, say: Say) -> None:
    tree = TreeStore(ground.database)
    latest = await tree.latest()
    assert latest is not None
    picked, size = random.Random(3), latest.size
    leaves = [picked.randrange(size) for _ in range(300)]
    await _timed("inclusion proof", [partial(tree.inclusion, 1, leaf, size) for leaf in leaves], say)
    sizes = [picked.randrange(1, size) for _ in range(300)]
    await _timed("consistency proof", [partial(tree.consistency, 1, old, size) for old in sizes], say)


async def _pages(ground: EvidenceGround, exchanges: Exchanges, records: int, say: Say) -> None:
    search, now = EvidenceSearch(ground.database), datetime.now(UTC)
    picked = random.Random(5)

    def some(*wanted: Wanted) -> list[Wanted]:
        return [wanted[number % len(wanted)] for number in range(60)]

    cases = [CASES.format(picked.randrange(records // 200)) for _ in range(60)]
    holders = [(exchanges.holder_hash(HOLDER, NUMBERS.format(picked.randrange(10_000))),) for _ in range(60)]
    days = [now - timedelta(days=picked.randrange(2, 299)) for _ in range(60)]
    filters = {
        "newest": some(Wanted()),
        "by peer": some(*(Wanted(peer=peer) for peer in PEERS)),
        "by operation, one in ten thousand": some(Wanted(operation="node.state")),
        "by outcome, one in a thousand": some(Wanted(outcome="refused")),
        "by peer, operation, outcome": some(
            Wanted(peer=PEERS[2], operation="services.search", outcome="refused")
        ),
        "never answered (none)": some(Wanted(outcome="unanswered")),
        "by case": [Wanted(case_number=case) for case in cases],
        "by holder": [Wanted(holders=hashes) for hashes in holders],
        "by holder and outcome": [Wanted(holders=hashes, outcome="refused") for hashes in holders],
        "of one day": [Wanted(since=day, until=day + timedelta(days=1)) for day in days],
        "of one day, refused": [
            Wanted(since=day, until=day + timedelta(days=1), outcome="refused") for day in days
        ],
        "of nobody": some(Wanted(peer="https://node.nobody.example")),
    }
    say("search, a page of 50:")
    for name, all_wanted in filters.items():
        await _timed(f"  {name}", [partial(search.page, wanted) for wanted in all_wanted], say)
    await _timed("  the next page, ever further", _walk(search, Wanted(outcome="refused")), say)


def _walk(search: EvidenceSearch, wanted: Wanted) -> list[Callable[[], Awaitable[object]]]:
    """Steps that each take the page after the last one."""
    at = [""]

    async def step() -> None:
        at[0] = (await search.page(wanted, after=at[0])).next

    return [step] * 8


async def _memory(
    chain: NodeChain, bodies: list[bytes], share: float, say: Say, processes: list[Process]
) -> None:
    try:
        await asyncio.to_thread(chain.start)
    finally:
        processes.extend(chain.processes.values())
    answering = chain.processes[ANSWERING]
    begun = answering.memory_bytes / 2**20
    outcome = await closed_loop(
        "127.0.0.1", chain.port, chain.requests(bodies), concurrency=_IN_FLIGHT, total=int(4000 * share)
    )
    say(
        f"the node on that log: {begun:.0f} MiB when ready, {answering.memory_bytes / 2**20:.0f} MiB after "
        f"{len(outcome.latencies)} queries ({outcome.per_second:.0f}/s); ready after {chain.starts_s[ANSWERING]:.2f} s"
    )
    for failure, count in outcome.failures.items():
        say(f"    {count} × {failure}")
    for process in chain.processes.values():
        process.end()
