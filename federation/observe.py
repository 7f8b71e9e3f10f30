"""What can be seen of the exchange from outside: counts, durations and log lines. Never a person's data."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Protocol

from federation.query import Operation

__all__ = ["Calls", "ExchangeObserver", "Side", "SilentObserver", "place_of", "trace_id"]


class Side(StrEnum):
    """At which end of an exchange something was seen."""

    ASK = "ask"
    ANSWER = "answer"


@dataclass(slots=True)
class Calls:
    """gRPC calls that began at this node, and those of them of which the message was read.

    The others were larger than the transport takes, which refuses these by itself, or were broken off.
    """

    begun: int = 0
    read: int = 0


class ExchangeObserver(Protocol):
    """Told what happens; it must be quick and must not raise.

    `province` is the peer's, or ``unknown`` for who is in no trust list, so that there are never more values
    than provinces. Stages of asking: ``translate``, ``store_request``, ``send``, ``open``, ``store_answer``,
    ``translate_back``. Stages of answering: ``admit`` (checks 1-6), ``claim`` (7), ``look_up`` (8-11),
    ``seal_and_store`` (12-13).
    """

    def began(self, side: Side) -> None:
        """One more exchange in flight."""
        ...

    def stage(self, side: Side, stage: str, seconds: float) -> None:
        """A stage is over."""
        ...

    def finished(self, side: Side, operation: Operation, province: str, outcome: str, seconds: float) -> None:
        """An exchange that `began` is over. `outcome` is ``answered`` or the error code."""
        ...

    def turned_away(self, side: Side, province: str, code: str) -> None:
        """A message was refused without a signed answer, or an answer was not believed."""
        ...


class SilentObserver:
    """Sees nothing."""

    def began(self, side: Side) -> None:
        """Nothing."""

    def stage(self, side: Side, stage: str, seconds: float) -> None:
        """Nothing."""

    def finished(self, side: Side, operation: Operation, province: str, outcome: str, seconds: float) -> None:
        """Nothing."""

    def turned_away(self, side: Side, province: str, code: str) -> None:
        """Nothing."""


def place_of(error: BaseException) -> list[str]:
    """Where an error came from, innermost last: kind, then files, lines and functions.

    Not its text and no values: either may hold a person's data, and this goes into the log.
    """
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [type(error).__name__, *(f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in frames)]


def trace_id(traceparent: str) -> str:
    """The trace id in a W3C traceparent (``00-<32 hex>-<16 hex>-<flags>``), or empty."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""
