"""The witness on the public listener (C2SP tlog-witness), below the entity id:

    POST /witness/add-checkpoint          a log asks for a cosignature
    GET  /witness/checkpoint?entity=…     the newest checkpoint that was cosigned for an entity's log

Whoever asks is nobody: what counts is who signed the checkpoint. The second is not in the standard: a log that starts
asks it, to learn whether it ever signed more than its store holds.
"""

from __future__ import annotations

import asyncio
import math

from aiohttp import web

from federation.errors import FederationError
from federation.witness import TooManyRequests, Witness
from node.web.senders import sender_of
from trust.witnessing import MAX_ADD_CHECKPOINT_BYTES, CheckpointRefused, WrongOldSize

__all__ = ["ADD_CHECKPOINT_PATH", "KNOWN_CHECKPOINT_PATH", "SIZE_MEDIA", "add_witness"]

ADD_CHECKPOINT_PATH = "/witness/add-checkpoint"
KNOWN_CHECKPOINT_PATH = "/witness/checkpoint"
SIZE_MEDIA = "text/x.tlog.size"
_TEXT = "text/plain"
_READ_S = 5.0
"""How long a body may take to arrive."""
_LONGEST_ENTITY = 255
_NO_STORE = {"Cache-Control": "no-store"}


def add_witness(app: web.Application, witness: Witness, *, path: str = "", proxies: int = 0) -> None:
    """Serve a witness. `path` is the path of the entity id when it has one; `proxies` as `sender_of`."""

    async def add_checkpoint(request: web.Request) -> web.Response:
        try:
            body = await _body(request)
            lines = await witness.add_checkpoint(body, sender=sender_of(request, proxies=proxies))
        except CheckpointRefused as refusal:
            return _refused(refusal)
        except FederationError as error:
            return _unavailable(error)
        return _text(lines)

    async def known(request: web.Request) -> web.Response:
        entity_id = request.query.get("entity", "")
        if not 0 < len(entity_id) <= _LONGEST_ENTITY:
            return _text("entity names the log's entity id\n", status=400)
        try:
            note = await witness.known_of(entity_id)
        except FederationError as error:
            return _unavailable(error)
        return _text("nothing of this log was cosigned here\n", status=404) if note is None else _text(note)

    app.router.add_post(path + ADD_CHECKPOINT_PATH, add_checkpoint)
    app.router.add_get(path + KNOWN_CHECKPOINT_PATH, known)


async def _body(request: web.Request) -> bytes:
    """At most so many bytes, in so much time."""
    if (request.content_length or 0) > MAX_ADD_CHECKPOINT_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_ADD_CHECKPOINT_BYTES, request.content_length or 0)
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_ADD_CHECKPOINT_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_ADD_CHECKPOINT_BYTES, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)


def _refused(refusal: CheckpointRefused) -> web.Response:
    """The standard's status; with 409 the size at which the witness stands, as it asks for."""
    if isinstance(refusal, WrongOldSize):
        return _text(f"{refusal.known_size}\n", status=refusal.status, media=SIZE_MEDIA)
    response = _text(f"{refusal.detail}\n", status=refusal.status)
    if isinstance(refusal, TooManyRequests):
        response.headers["Retry-After"] = str(math.ceil(refusal.retry_after_s))
    return response


def _unavailable(error: FederationError) -> web.Response:
    return _text(f"{error.code}\n", status=503)


def _text(text: str, *, status: int = 200, media: str = _TEXT) -> web.Response:
    charset = "utf-8" if media == _TEXT else None
    body = text.encode()
    return web.Response(body=body, status=status, content_type=media, charset=charset, headers=_NO_STORE)
