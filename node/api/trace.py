"""W3C Trace Context (https://www.w3.org/TR/trace-context/): taken from the caller, or begun here."""

from __future__ import annotations

import re
import secrets

__all__ = ["traceparent_of"]

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)


def traceparent_of(header: str | None) -> str:
    """The traceparent to hand on: the caller's trace with a span of this node, or a new trace.

    A header that breaks the form counts as none (§3.2.2.3); a later version is read as version 00 (§3.2.4).
    """
    new = secrets.token_hex(24)
    span, trace = new[:16], new[16:]
    found = _TRACEPARENT.fullmatch(header) if header and len(header) <= 512 else None
    if found is None or (found[1] == "00" and found[4]):
        return f"00-{trace}-{span}-01"
    return f"00-{found[2]}-{span}-{found[3]}"
