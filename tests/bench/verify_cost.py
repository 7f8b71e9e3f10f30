"""What checking evidence costs: exchanges a second and core, against bare ES256 verifications in the same run.

The signatures counted are those that differ from exchange to exchange, as files have them: request and answer, and the
manifest of a file of one. What files share (chains, checkpoints, lists) is verified once and costs next to nothing when
there are many. The aim is at least half as many exchanges as the machine's bare verifications of as many signatures
would allow. Prints; asserts nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from federation.evidence import EvidenceFile, EvidenceVerifier
from federation.evidence_ports import ExchangeRef
from federation.ports import StoredRecord
from node.verifying import HEAP
from tests.support.evidence import ASKING, CODEC, Exchange, Log, World, exporter_of
from tests.support.replacing import replace
from trust.keys import SigningKey

__all__ = ["run_verify"]

_AIM = 0.5
_MESSAGE = bytes(2000)
_TURN = HEAP


class _Book:
    """Exchanges of one log."""

    def __init__(self, world: World, count: int) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self.records: list[StoredRecord] = []
        for place in range(count):
            one = Exchange(world)
            one.records[:] = [
                replace(record, log_index=2 * place + at) for at, record in enumerate(one.records)
            ]
            self.exchanges[one.request_id] = one
            self.records += one.records

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        """See Records."""
        return self.exchanges[request_id].records

    async def refs(self) -> AsyncIterator[ExchangeRef]:
        """All of them."""
        for request_id in self.exchanges:
            yield ExchangeRef(request_id, True)


def run_verify(share: float, say: Callable[[str], None]) -> None:
    """Measure and print a line for files of one exchange each and for one file of many."""
    count = max(50, int(1000 * share))
    world = World()
    book = _Book(world, count)
    log = Log(world, ASKING, book.records)
    say(f"\n{'yrd verify':<28}{'µs':>9}{'1/s':>9}{'bare × n µs':>13}{'ratio':>8}   aim ≥ {_AIM}")
    for name, signatures, split in (("files of one exchange each", 3, 1), ("files of a hundred", 2, 100)):
        files = asyncio.run(_files(world, book, log, split))
        verifier = EvidenceVerifier(world.anchor_jwks, CODEC)
        verifier.verify(files[0])  # what all share, and the first use of everything
        cost_us, floor_us = _compared(verifier, files, signatures)
        ratio = floor_us / cost_us
        say(
            f"{name:<28}{cost_us:>9.0f}{1e6 / cost_us:>9.0f}{floor_us:>13.0f}{ratio:>8.2f}   "
            f"{'pass' if ratio >= _AIM else 'FAIL'}"
        )


def _verified(verifier: EvidenceVerifier, files: Sequence[bytes]) -> int:
    """How many exchanges are in them, all checked as `yrd verify` checks the files of a folder."""
    done = 0
    for file in verifier.open_all(files):
        if not isinstance(file, EvidenceFile):
            raise file
        for report in file.reports():
            done += 1
            if report.verdict != "proven":
                raise RuntimeError("the bench's own evidence is not proven")
    return done


async def _files(world: World, book: _Book, log: Log, split: int) -> list[bytes]:
    exporter = exporter_of(world, book, ASKING, log)
    return [file.data async for file in exporter.export_many(book.refs(), "period", split_exchanges=split)]


def _compared(verifier: EvidenceVerifier, files: Sequence[bytes], signatures: int) -> tuple[float, float]:
    """CPU µs an exchange, and of as many bare verifications; by turns, so that a noisy machine is noisy for both."""
    key = SigningKey.generate()
    signature, verify = key.sign(_MESSAGE), key.verification_key.verify
    spent = bare = 0.0
    done = 0
    for start in range(0, len(files), _TURN):
        began = time.process_time()
        turn = _verified(verifier, files[start : start + _TURN])
        middle = time.process_time()
        for _ in range(signatures * turn):
            verify(signature, _MESSAGE)
        spent, bare, done = spent + middle - began, bare + time.process_time() - middle, done + turn
    return spent / done * 1e6, bare / done * 1e6
