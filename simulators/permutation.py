"""A keyed permutation of the numbers below a bound, and draws that are a pure function of their key.

The population is never held in memory: a resident's number is the image of the index under a permutation, so
the index is found again by the inverse, without a table. Both rest on BLAKE2b as a keyed function; this hides
nothing (the seed is public), it only spreads the indices evenly over birth days and divisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import TypeVar

__all__ = ["Draws", "Permutation"]

T = TypeVar("T")
_ROUNDS = 6


def _hash(key: bytes, text: bytes) -> int:
    return int.from_bytes(blake2b(text, key=key, digest_size=8).digest(), "big")


def _key(*parts: object) -> bytes:
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=32).digest()


@dataclass(frozen=True)
class Permutation:
    """One-to-one between ``range(bound)`` and itself; the same for the same key, for ever.

    A balanced Feistel network over the next even number of bits, walking the cycle until the image is below
    the bound (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002: method 2 and 3).
    """

    bound: int
    key: tuple[object, ...]

    @cached_property
    def _secret(self) -> bytes:
        return _key("permutation", *self.key)

    @cached_property
    def _half_bits(self) -> int:
        return max(1, ((self.bound - 1).bit_length() + 1) // 2)

    def image(self, index: int) -> int:
        """Where `index` goes. Raises ValueError unless 0 <= index < bound."""
        return self._walk(index, range(_ROUNDS))

    def index(self, image: int) -> int:
        """The index whose image this is. Raises ValueError unless 0 <= image < bound."""
        return self._walk(image, range(_ROUNDS - 1, -1, -1))

    def _walk(self, value: int, rounds: range) -> int:
        if not 0 <= value < self.bound:
            raise ValueError(f"{value} is not in range({self.bound})")
        value = self._network(value, rounds)
        while value >= self.bound:
            value = self._network(value, rounds)
        return value

    def _network(self, value: int, rounds: range) -> int:
        half = self._half_bits
        mask = (1 << half) - 1
        left, right = value >> half, value & mask
        if rounds.step < 0:
            for number in rounds:
                left, right = right ^ self._round(number, left, mask), left
        else:
            for number in rounds:
                left, right = right, left ^ self._round(number, right, mask)
        return left << half | right

    def _round(self, number: int, half: int, mask: int) -> int:
        return _hash(self._secret, b"%d|%d" % (number, half)) & mask


class Draws:
    """Choices for one subject. Each is named, so that a new choice changes none of the old ones."""

    __slots__ = ("_secret",)

    def __init__(self, *key: object) -> None:
        self._secret = _key("draws", *key)

    def below(self, name: str, bound: int) -> int:
        """A number in ``range(bound)``."""
        return _hash(self._secret, name.encode()) % bound

    def happens(self, name: str, per_mille: int) -> bool:
        """True in so many of a thousand subjects."""
        return self.below(name, 1000) < per_mille

    def pick(self, name: str, choices: Sequence[T]) -> T:
        """One of the choices, evenly."""
        return choices[self.below(name, len(choices))]

    def weigh(self, name: str, choices: Sequence[tuple[T, int]]) -> T:
        """One of the choices, by weight."""
        left = self.below(name, sum(weight for _, weight in choices))
        for choice, weight in choices:
            if left < weight:
                return choice
            left -= weight
        raise AssertionError("the weights are not positive")

    def day(self, name: str, first: date, last: date) -> date:
        """A day from `first` to `last`, both included; `first` when they are the wrong way round."""
        span = max((last - first).days, 0)
        return first + timedelta(days=self.below(name, span + 1))

    def digits(self, name: str, count: int) -> str:
        """So many decimal digits."""
        return str(self.below(name, 10**count)).zfill(count)
