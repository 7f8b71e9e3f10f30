"""Takes a request's body in: at most so many bytes, JSON, and of the form that the endpoint asks for."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from federation.errors import OwnMalformedRequest, OwnTooLarge, OwnUnsupportedMedia
from node.api.problems import from_validation

__all__ = ["decode_body", "read_body"]

T = TypeVar("T")


async def read_body(request: web.Request, *, limit_bytes: int) -> bytes:
    """The body, which must be JSON by its content type.

    One that says that it is longer than the limit is refused before any of it is read; one that does not say
    (chunked) as soon as it is longer. Raises OwnUnsupportedMedia, OwnTooLarge.
    """
    if request.content_type != "application/json":
        raise OwnUnsupportedMedia("send the body as application/json")
    if (request.content_length or 0) > limit_bytes:
        raise OwnTooLarge(f"the body has {request.content_length} bytes; at most {limit_bytes} are taken")
    if request.content.is_eof():  # it came with its head, as most do: nothing to wait for
        return _within(request.content.read_nowait(-1), limit_bytes)
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        _within(data, limit_bytes)
    return bytes(data)


_Bytes = TypeVar("_Bytes", bytes, bytearray)


def _within(data: _Bytes, limit_bytes: int) -> _Bytes:
    if len(data) > limit_bytes:
        raise OwnTooLarge(f"the body is longer than {limit_bytes} bytes")
    return data


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as the endpoint's model.

    Raises OwnMalformedRequest when it is not JSON, or a field is missing, unknown or of another type;
    OwnBadValue when a value breaks its rule. Neither says what was sent.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise from_validation(error) from None
    except msgspec.DecodeError as error:
        raise OwnMalformedRequest(
            f"the body is not JSON: {str(error).removeprefix('JSON is malformed: ')}"
        ) from None
    except UnicodeDecodeError as error:
        raise OwnMalformedRequest(f"the body is not UTF-8 (byte {error.start} of a text)") from None
    except RecursionError:
        raise OwnMalformedRequest("the body is nested too deeply") from None
