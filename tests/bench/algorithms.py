"""What each algorithm costs a node: one signature, one verification, and a batch that shares a signature.

CPU time of one thread with warm caches; in a node's stream caches are cold and each costs up to twice as much.
Prints; asserts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from trust.algorithms import ALGORITHMS
from trust.envelope import seal_batch
from trust.errors import AlgorithmUnavailable
from trust.keys import SigningKey

__all__ = ["run_algorithms"]

_MESSAGE = bytes(2000)
_BATCH = [("application/vnd.yrd.certificates.query.v1+protobuf", _MESSAGE)] * 32


def run_algorithms(share: float, say: Callable[[str], None]) -> None:
    """Measure and print a line for each algorithm that this machine has."""
    rounds = max(20, int(1000 * share))
    say(f"\n{'CPU µs':<10}{'sign':>9}{'verify':>9}{'a message of a batch of 32':>30}")
    for alg in ALGORITHMS:
        try:
            key = SigningKey.generate(alg)
        except AlgorithmUnavailable as error:
            say(f"{alg:<10}{error.detail}")
            continue
        say(f"{alg:<10}{_sign(key, rounds):>9.0f}{_verify(key, rounds):>9.0f}{_batch(key, rounds):>30.0f}")


def _sign(key: SigningKey, rounds: int) -> float:
    return _cost_us(lambda: key.sign(_MESSAGE), rounds)


def _verify(key: SigningKey, rounds: int) -> float:
    signature, verify = key.sign(_MESSAGE), key.verification_key.verify
    return _cost_us(lambda: verify(signature, _MESSAGE), rounds)


def _batch(key: SigningKey, rounds: int) -> float:
    return _cost_us(lambda: seal_batch(_BATCH, key), max(1, rounds // 10)) / len(_BATCH)


def _cost_us(work: Callable[[], object], times: int) -> float:
    work()
    before = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - before) / times * 1e6
