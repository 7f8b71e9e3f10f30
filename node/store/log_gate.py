"""The gate before the log: while it is closed no record is written, so nothing is released (design §6).

It is closed by whoever finds that this node's log is not the one that others know: an older database than the one
that was signed last, tiles that do not make the root, a witness that knows more. One object a process; the
sequencer keeps the reason with the open generation, where every replica finds it, and opens the gate again
when a next generation is open.
"""

from __future__ import annotations

import structlog

from federation.errors import OwnLogClosed

__all__ = ["StoreLogGate"]

_log = structlog.get_logger("yrd.log")

_LONGEST = 500


class StoreLogGate:
    """Implements `federation.ports.LogGate`: a reason in memory, so that asking costs nothing."""

    def __init__(self) -> None:
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why it is closed; empty while it is open."""
        return self._reason

    def require_open(self) -> None:
        """Raises OwnLogClosed with the reason."""
        if self._reason:
            raise OwnLogClosed(f"{self._reason}; find out why, then yrd log restart --reason …")

    def close(self, reason: str) -> None:
        """Stop the log at once; the first reason stays."""
        if not self._reason:
            self._reason = " ".join(reason.split())[:_LONGEST] or "closed without a reason"
            _log.error("log.closed", reason=self._reason)

    def open(self) -> None:
        """Let records in again. For the sequencer only: a next generation is open."""
        if self._reason:
            _log.warning("log.opened", before=self._reason)
        self._reason = ""
