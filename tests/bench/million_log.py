"""A log of a million records, made by the journal's own writer and the sequencer, as fast as they go.

Its messages are as many bytes as those of a query; nothing is in them. It spans three hundred days, three peers, five
operations, a case a hundred exchanges, and as many holders as exchanges by ten; one exchange in a thousand was refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from federation.ports import ExchangeMeta
from federation.query import Operation
from node.cli.evidence_ground import EvidenceGround
from node.keystore.encrypted_bodies import EncryptedBodies
from node.sequencer import Sequencer
from node.store.batch import BatchStore, NoMetrics, OpenGate
from node.store.jobs import StoreExchange
from node.store.log_gate import StoreLogGate
from node.store.log_mark import FileMark
from node.store.tree_growth import TreeGrowth
from trust.envelope import Sealed, seal
from trust.keys import SigningKey

__all__ = ["CASES", "HOLDER", "NUMBERS", "PEERS", "Exchanges", "fill", "sequence"]

PEERS: Final = tuple(f"https://node.{name}.example" for name in ("sh", "js", "ah"))
CASES: Final = "办件-{}"
HOLDER: Final = "111"
NUMBERS: Final = "33010619900101{:04d}X"
_OPERATIONS: Final = (
    *(Operation.CERTIFICATES_QUERY,) * 5,
    Operation.CERTIFICATES_GET,
    Operation.CERTIFICATES_VERIFY,
    Operation.SERVICES_SEARCH,
)
_REQUEST_BYTES: Final = 500
_ANSWER_BYTES: Final = 800
_DAYS: Final = 300
_BATCH: Final = 256


class MovedClock:
    """Stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Where it was put."""
        return self.at


@dataclass
class Exchanges:
    """Exchanges that this node answered, one after the other. The same request bytes every time: nobody opens them."""

    entity_id: str
    holder_hash: Callable[[str, str], bytes]
    number: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(7)
        self.request: Sealed = seal("application/x", bytes(_REQUEST_BYTES), SigningKey.generate())
        self.answer = bytes(_ANSWER_BYTES)
        self._holders = [self.holder_hash(HOLDER, NUMBERS.format(index)) for index in range(10_000)]

    def next_meta(self, at: datetime) -> ExchangeMeta:
        """The next one's, at that time."""
        number = self.number
        self.number += 1
        operation = _OPERATIONS[number % len(_OPERATIONS)] if number % 10_000 else Operation.NODE_STATE
        return ExchangeMeta(
            request_id=self._request_id(at),
            asking=PEERS[self._random.choice((0, 0, 0, 0, 0, 1, 1, 1, 2))],
            answering=self.entity_id,
            operation=operation,
            outcome="refused" if number % 1000 == 999 else "answered",
            case_number=CASES.format(number // 100),
            holders=(self._holders[number * 7919 % len(self._holders)],),
        )

    def _request_id(self, at: datetime) -> str:
        stamp = int(at.timestamp() * 1000) << 80
        return str(
            UUID(
                int=stamp
                | 0x7 << 76
                | self._random.getrandbits(12) << 64
                | 0x2 << 62
                | self._random.getrandbits(62)
            )
        )

    def next_jobs(self, count: int, at: datetime) -> list[StoreExchange]:
        """That many, as the writer takes them, each with a future that nobody waits for."""
        loop = asyncio.get_running_loop()
        kind = Operation.CERTIFICATES_QUERY.answer_type
        return [
            StoreExchange(
                loop.create_future(),
                self.next_meta(at),
                self.request.envelope,
                self.request.identity,
                kind,
                self.answer,
            )
            for _ in range(count)
        ]


async def fill(ground: EvidenceGround, records: int) -> Exchanges:
    """So many records, and the tree over them with a signed checkpoint."""
    until = datetime.now(UTC) - timedelta(minutes=5)
    clock = MovedClock(until - timedelta(days=_DAYS))
    signer = ground.keystore.signing_key("envelope")
    exchanges = Exchanges(ground.config.node.entity_id, ground.holders)
    store = BatchStore(
        ground.database,
        lambda: signer,
        clock,
        NoMetrics(),
        bodies=EncryptedBodies(ground.data_keys),
        gate=OpenGate(),
        process="bench",
        sign_batches=True,
    )
    step = (until - clock.at) / max(1, records // 2 // _BATCH)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as writer:  # a connection to SQLite belongs to one thread
        for count in _counts(records // 2):
            jobs = exchanges.next_jobs(count, clock.at)
            await loop.run_in_executor(writer, store.store, jobs)
            if any(job.error for job in jobs):
                raise RuntimeError(f"a record could not be stored: {jobs[0].error!r}")
            clock.at += step
        await loop.run_in_executor(writer, store.close)
    await sequence(ground)
    return exchanges


def _counts(exchanges: int) -> Iterator[int]:
    for start in range(0, exchanges, _BATCH):
        yield min(_BATCH, exchanges - start)


async def sequence(ground: EvidenceGround) -> None:
    """Take all records into the tree, and sign."""
    key = ground.keystore.signing_key("log")
    growth = TreeGrowth(ground.database)
    mark = FileMark(Path(ground.config.path).with_name("log.mark"))
    clock = MovedClock(datetime.now(UTC))
    sequencer = Sequencer(
        growth, mark, StoreLogGate(), lambda: key, clock, entity_id=ground.config.node.entity_id
    )
    try:
        while await sequencer.turn():
            pass
    finally:
        growth.close()
