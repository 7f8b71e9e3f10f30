"""How much may travel between two nodes at once; the names are those of ``[limits]`` in node.toml."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RpcLimits"]


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """Design §11.

    `message_in_bytes` bounds a request message or a frame of requests, `message_out_bytes` an answer
    message or a frame of answers; `frame_items` and `frame_bytes` are what this node puts into one frame,
    while it takes any number of items up to `frame_items_in`. `in_flight` is how many requests are at
    work at once, on each side. `unreachable_after_s` is how long a broken connection may stay broken
    before callers are told; until then open items are sent again.
    """

    message_in_bytes: int = 1024 * 1024
    message_out_bytes: int = 4 * 1024 * 1024
    frame_items: int = 64
    frame_bytes: int = 512 * 1024
    frame_items_in: int = 1024
    in_flight: int = 512
    deadline_s: float = 5.0
    unreachable_after_s: float = 2.0
    max_connection_age_s: float = 300.0
    drain_s: float = 5.0
