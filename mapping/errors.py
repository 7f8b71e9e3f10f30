"""Why an identifier, a document or a rule set was refused. Translating a value never raises."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["InvalidIdentifier", "MappingError", "RuleSetFaults", "UnknownDocument", "UnknownList"]


class MappingError(Exception):
    """What the words mean could not be said. `detail` says why; it never repeats a holder's number."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidIdentifier(MappingError):
    """An identifier breaks its standard; `rule` names the part: `form`, `date`, `check`, `organisation`.

    `position` is the place of the first wrong character, counted from 1, with what was `expected` there and
    what was `found`; 0 when the identifier is wrong as a whole. Nothing else of the identifier is told.
    """

    def __init__(
        self, rule: str, detail: str, *, position: int = 0, expected: str = "", found: str = ""
    ) -> None:
        place = f" at character {position}" if position else ""
        instead = f", {found!r} found" if position and found else f", {found} found" if found else ""
        super().__init__(f"{detail}: {expected} expected{place}{instead}" if expected else detail)
        self.rule = rule
        self.position = position
        self.expected = expected
        self.found = found


class UnknownDocument(MappingError):
    """A document does not say which certificate it is, or names a type that the dialect does not know."""


class UnknownList(MappingError):
    """There is no code list, code map or document kind of that name."""


class RuleSetFaults(MappingError):
    """A dialect's data is not acceptable; `faults` lists everything that is wrong with it, one line each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))
