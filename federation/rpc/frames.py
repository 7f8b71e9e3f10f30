"""Frames: several messages in one, so that a call costs once what it would cost for each.

Limits on the way in are checked here: a frame has at least one item, not too many, and no call id twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.message import DecodeError
from yrd.exchange.v1 import exchange_pb2 as wire

from federation.errors import PeerMalformed, PeerTooLarge
from federation.rpc.faults import Refusal

__all__ = ["Answered", "read_frame", "read_request_frame", "write_answers"]

ITEM_OVERHEAD_BYTES: Final = 32
"""At least what an item adds to its envelope: tags, lengths, call id, timeout."""

Answered = tuple[int, bytes | Refusal]
"""A call id and what became of it."""


def read_frame(raw: bytes) -> wire.Frame:
    """The frame in these bytes. Raises PeerMalformed."""
    try:
        return wire.Frame.FromString(raw)
    except DecodeError:
        raise PeerMalformed("the bytes are not a frame") from None


def read_request_frame(raw: bytes, *, max_items: int) -> wire.Frame:
    """A frame of requests.

    Raises PeerMalformed: not a frame, empty, a call id twice; PeerTooLarge: too many items.
    """
    frame = read_frame(raw)
    count = len(frame.items)
    if not count:
        raise PeerMalformed("the frame is empty")
    if count > max_items:
        raise PeerTooLarge(f"the frame has {count} items; at most {max_items} are taken")
    if len({item.call_id for item in frame.items}) != count:
        raise PeerMalformed("the frame has a call id twice")
    return frame


def write_answers(answers: Iterable[Answered], *, max_bytes: int) -> Iterator[bytes]:
    """Frames with these answers, each of at most `max_bytes` unless a single answer is longer than that."""
    frame, size = wire.Frame(), 0
    for call_id, answer in answers:
        length = ITEM_OVERHEAD_BYTES + (len(answer) if isinstance(answer, bytes) else 4 * len(answer.detail))
        if size and size + length > max_bytes:
            yield frame.SerializeToString()
            frame, size = wire.Frame(), 0
        size += length
        item = frame.items.add()
        item.call_id = call_id
        if isinstance(answer, bytes):
            item.envelope = answer
        else:
            item.fault.code = answer.code
            item.fault.detail = answer.detail
    if size:
        yield frame.SerializeToString()
