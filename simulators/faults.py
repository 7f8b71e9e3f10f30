"""Faults that a registry shows on demand, until they are taken back or have been shown often enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "FaultMode", "Faults"]


class FaultMode(StrEnum):
    """What goes wrong."""

    NONE = "none"
    SLOW = "slow"
    """The answer comes after `delay_s`."""
    DOWN = "down"
    """The connection is cut without an answer."""
    WRONG_JSON = "wrong_json"
    """The answer breaks off in the middle of its JSON."""
    UNKNOWN_CODE = "unknown_code"
    """State, sex and item type carry a code that no dialect knows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `count` is how many calls still show it, None for all."""

    mode: FaultMode = FaultMode.NONE
    delay_s: float = 10.0
    count: int | None = None

    @classmethod
    def read(cls, said: object) -> Fault:
        """A fault as JSON says it: ``{"mode": …, "delay_s": …, "count": …}``. Raises ValueError."""
        if not isinstance(said, dict) or not set(said) <= {"mode", "delay_s", "count"}:
            raise ValueError("a fault is {mode, delay_s, count}")
        modes = ", ".join(FaultMode)
        if said.get("mode") not in tuple(FaultMode):
            raise ValueError(f"mode must be one of {modes}")
        delay_s, count = said.get("delay_s", 10.0), said.get("count")
        if not isinstance(delay_s, int | float) or not 0 <= delay_s <= 600:
            raise ValueError("delay_s must be a number from 0 to 600")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ValueError("count must be a whole number from 1")
        return cls(FaultMode(said["mode"]), float(delay_s), count)

    def as_json(self) -> dict[str, object]:
        """The fault as `read` takes it."""
        return {"mode": self.mode.value, "delay_s": self.delay_s, "count": self.count}


class Faults:
    """The fault that is on now."""

    def __init__(self) -> None:
        self.current = Fault()

    def next(self) -> Fault:
        """The fault for one call; counts it."""
        fault = self.current
        if fault.count is not None:
            left = fault.count - 1
            self.current = Fault(fault.mode, fault.delay_s, left) if left else Fault()
        return fault
