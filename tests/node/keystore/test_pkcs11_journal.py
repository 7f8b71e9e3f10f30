"""The journal with its key in a token: one signature for all that wait, none more for one alone, and a slow or
absent token stops neither the loop nor what needs no signature.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from federation.errors import OwnKeyUnavailable
from node.keystore.pkcs11 import Pkcs11Source, TokenSigner
from node.keystore.pkcs11_session import RETRY_S, TokenSession
from node.store.batch import NoMetrics
from node.store.database import open_database
from node.store.journal import StoreJournal
from tests.support.clock import FixedClock
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from tests.support.softhsm import TestToken, new_token
from trust.envelope import Sealed, parse, unseal
from trust.keys import VerificationKey

WAIT_S = 60


class Gate:
    """A signer that counts its calls; while it is shut, a signature waits as in a slow token."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self._open = threading.Event()
        self._open.set()
        self.entered = threading.Event()
        self.signatures = 0
        self.threads: set[str] = set()

    @property
    def kid(self) -> str:
        return self._signer.kid

    @property
    def alg(self) -> str:
        return self._signer.alg

    @property
    def verification_key(self) -> VerificationKey:
        return self._signer.verification_key

    def shut(self) -> None:
        self.entered.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def sign(self, message: bytes) -> bytes:
        self.entered.set()
        assert self._open.wait(WAIT_S)
        self.signatures += 1
        self.threads.add(threading.current_thread().name)
        return self._signer.sign(message)


class Counts(NoMetrics):
    """What the journal tells of what it could not sign."""

    def __init__(self) -> None:
        self.jobs = 0

    def unsigned(self, *, jobs: int) -> None:
        self.jobs += jobs


class Setting:
    """A journal on a file, its key in a token."""

    def __init__(self, journal: StoreJournal, gate: Gate, counts: Counts) -> None:
        self.journal = journal
        self.gate = gate
        self.counts = counts

    async def store(self, number: int) -> Sealed:
        return await self.journal.store_request(
            meta_of(next_request_id()), OPERATION.request_type, b"question %d" % number
        )

    def check(self, sealed: list[Sealed]) -> None:
        keys = {self.gate.kid: self.gate.verification_key}
        payloads = [unseal(parse(one.envelope, max_bytes=65536), keys=keys).payload for one in sealed]
        assert payloads == [b"question %d" % number for number in range(len(sealed))]


@pytest.fixture
def token() -> TestToken:
    return new_token()


class Ticks:
    """A monotonic clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def setting(token: TestToken, ticks: Ticks, tmp_path: Path) -> AsyncIterator[Setting]:
    session = TokenSession(token.module, token.label, lambda: token.pin, monotonic=ticks)
    source = Pkcs11Source(session)
    reference, public = source.generate("envelope", "ES256")
    gate, counts = Gate(source.signer(reference, public.jwk, purpose="envelope")), Counts()
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    journal = StoreJournal(database, lambda: gate, FixedClock(), counts, sign_batches=True)
    yield Setting(journal, gate, counts)
    gate.open()
    await journal.close()
    await database.close()
    source.close()


async def test_many_at_once_share_signatures(setting: Setting) -> None:
    sealed = await asyncio.gather(*(setting.store(number) for number in range(64)))
    setting.check(list(sealed))
    assert setting.gate.signatures < 64  # how many fewer is up to the machine; the next but one is exact
    assert setting.gate.threads == {"journal"}


async def test_one_alone_costs_one_signature_and_carries_no_path(setting: Setting) -> None:
    for number in range(3):
        alone = await setting.store(number)
        assert alone.batch is None
        assert setting.gate.signatures == number + 1


async def test_all_that_wait_for_a_slow_token_share_one_root(setting: Setting) -> None:
    setting.gate.shut()
    first = asyncio.create_task(setting.store(0))
    assert await asyncio.to_thread(setting.gate.entered.wait, WAIT_S)
    waiting = [asyncio.create_task(setting.store(number)) for number in range(1, 31)]
    for _ in range(100):  # the loop goes on while the token is at work
        await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *waiting))
    setting.gate.open()
    sealed = await asyncio.gather(first, *waiting)
    setting.check(list(sealed))
    assert setting.gate.signatures == 2
    assert len({one.batch.root for one in sealed[1:] if one.batch}) == 1
    assert [one.batch.leaf_index for one in sealed[1:] if one.batch] == list(range(30))


async def test_while_the_token_is_away_only_what_is_signed_is_refused(
    setting: Setting, token: TestToken, ticks: Ticks
) -> None:
    with token.away():
        refused, stored = await asyncio.gather(
            setting.store(0),
            setting.journal.store_answer(meta_of(next_request_id()), b"i" * 32, b"envelope"),
            return_exceptions=True,
        )
    assert isinstance(refused, OwnKeyUnavailable)
    assert stored is None
    assert setting.counts.jobs == 1
    ticks.now += RETRY_S
    setting.check([await setting.store(0)])
