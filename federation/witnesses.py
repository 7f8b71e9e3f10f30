"""What a log asks of its witnesses, as a port: other members' nodes, each by its entity id."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

__all__ = ["Cosigned", "StandsAt", "WitnessAnswer", "WitnessRefused", "Witnesses"]


class Cosigned(Struct, frozen=True):
    """Signature lines, of which nothing is verified."""

    lines: bytes


class StandsAt(Struct, frozen=True):
    """The witness knows the log at this size; None: it says conflict and no size."""

    size: int | None


class WitnessRefused(Struct, frozen=True):
    """Any other answer: its HTTP status, and what it says, cut short and printable."""

    status: int
    said: str


WitnessAnswer = Cosigned | StandsAt | WitnessRefused


class Witnesses(Protocol):
    """Carries requests to witnesses. Both methods raise PeerUnreachable, PeerTimeout; a repeat is safe."""

    async def add_checkpoint(self, entity_id: str, body: bytes, *, timeout_s: float) -> WitnessAnswer:
        """Ask a witness to cosign."""
        ...

    async def known(self, entity_id: str, log: str, *, timeout_s: float) -> bytes | None:
        """The newest checkpoint that the witness cosigned for the log of the entity `log`: a note of which nothing
        is verified; None when it knows none. Raises PeerMalformed when it answers something else.
        """
        ...
