"""What `yrd verify` found, written as it comes: for programs as JSON, for people as one page."""

from __future__ import annotations

import tempfile
from shutil import copyfileobj
from typing import IO, Any, Final

import msgspec

from federation.evidence_page import page_begin, page_end, render_broken, render_exchange
from node.verifying import CheckedFile, Tally

__all__ = ["PAGE_EXCHANGES", "HtmlReport", "JsonReport"]

PAGE_EXCHANGES: Final = 2000
"""What one page tells in full; of the others it only says how many there are."""
_IN_MEMORY: Final = 4 * 1024 * 1024


class JsonReport:
    """One JSON object: ``files``, in the order in which they were checked, and ``summary``."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._lead = b'{"files":[\n'

    def add(self, checked: CheckedFile) -> None:
        """Write one file."""
        path = checked.path.encode(errors="surrogateescape").decode(errors="replace")  # any bytes are a name
        said: dict[str, Any] = {"path": path, "holds": checked.holds}
        if checked.detail:
            said |= {"error": checked.detail, "unknown": checked.unknown}
        if checked.file is not None:
            said |= {"file": checked.file, "exchanges": checked.exchanges, "failures": checked.failures}
        self._out.write(self._lead + msgspec.json.encode(said))
        self._lead = b",\n"

    def finish(self, tally: Tally) -> None:
        """Write the sum."""
        lead = self._lead if self._lead.startswith(b"{") else b"\n"
        self._out.write(lead + b'],"summary":' + msgspec.json.encode(tally) + b"}\n")
        self._out.flush()


class HtmlReport:
    """One page. What comes first in it is known last, so the rest waits in a temporary file when it is long."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._rest: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed in finish
        self._shown = self._left_out = 0

    def add(self, checked: CheckedFile) -> None:
        """Take one file in."""
        if checked.detail:
            self._show(render_broken(checked.path, "", checked.detail, unknown=checked.unknown))
        for failure in checked.failures:
            self._show(
                render_broken(checked.path, failure.request_id, failure.detail, unknown=failure.unknown)
            )
        if checked.file is not None:
            for summary in checked.exchanges:
                self._show(render_exchange(checked.path, checked.file, summary))

    def _show(self, text: str) -> None:
        if self._shown < PAGE_EXCHANGES:
            self._shown += 1
            self._rest.write(text.encode(errors="replace"))
        else:
            self._left_out += 1

    def finish(self, tally: Tally) -> None:
        """Write the page."""
        self._rest.seek(0)
        self._out.write(page_begin(msgspec.to_builtins(tally), left_out=self._left_out).encode())
        copyfileobj(self._rest, self._out)
        self._out.write(page_end().encode())
        self._rest.close()
