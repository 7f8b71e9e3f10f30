"""The own log over HTTP, as C2SP tlog-tiles lays it out, for whoever wants to check it with tools of their own.

Below ``<entity id>/log/<generation>``: ``checkpoint``, ``tile/<L>/<N>[.p/<W>]``, ``tile/entries/<N>[.p/<W>]``. There
are hashes and salted leaf data in it and never bodies, so nothing says what was exchanged. Only what the newest signed
checkpoint of the generation covers is there; generations that were closed stay.

What is under a tile's name never changes, so it may be kept for ever; the checkpoint is asked for each time.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import ETag, web

from federation.errors import FederationError
from federation.ports import CheckpointRow, Tree
from trust.errors import TileRejected
from trust.tiles import ENTRIES, Tile, cut_bundle, cut_tile, parse_tile_path, tile_width

__all__ = ["LOG_PATH", "add_log"]

LOG_PATH = "/log"
_FOR_EVER = "public, max-age=31536000, immutable"
_GENERATION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def add_log(app: web.Application, tree: Tree, *, path: str = "") -> None:
    """Serve the log. `path` is the path of the entity id when it has one."""

    async def checkpoint(request: web.Request) -> web.Response:
        row = await _signed(tree, request)
        cosignatures = await tree.cosignatures_of(row.generation, row.size)
        text = row.note + "".join(f"{cosignature.line}\n" for cosignature in cosignatures)
        tag = ETag(f"{row.generation}.{row.size}.{len(cosignatures)}")
        if any(candidate.value in ("*", tag.value) for candidate in request.if_none_match or ()):
            response = web.Response(status=304)
        else:
            response = web.Response(text=text, content_type="text/plain", charset="utf-8")
        response.etag = tag
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def tile(request: web.Request) -> web.Response:
        wanted = _wanted(request)
        row = await _signed(tree, request)
        if wanted.width > tile_width(wanted.level, wanted.position, row.size):
            raise web.HTTPNotFound
        stored = await tree.tile(row.generation, wanted.level, wanted.position)
        return web.Response(
            body=_cut(stored or b"", wanted),
            content_type="application/octet-stream",
            headers={"Cache-Control": _FOR_EVER},
        )

    base = f"{path}{LOG_PATH}/{{generation}}"
    app.router.add_get(f"{base}/checkpoint", _unless_away(checkpoint))
    app.router.add_get(f"{base}/{{tile:tile/.*}}", _unless_away(tile))


_Serve = Callable[[web.Request], Awaitable[web.Response]]


def _unless_away(serve: _Serve) -> _Serve:
    async def served(request: web.Request) -> web.Response:
        try:
            return await serve(request)
        except FederationError:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from None

    return served


async def _signed(tree: Tree, request: web.Request) -> CheckpointRow:
    """The newest signed checkpoint of the generation in the path. Raises HTTPNotFound."""
    generation = request.match_info["generation"]
    row = await tree.latest(int(generation)) if _GENERATION.fullmatch(generation) else None
    if row is None:
        raise web.HTTPNotFound
    return row


def _wanted(request: web.Request) -> Tile:
    try:
        return parse_tile_path(request.match_info["tile"])
    except TileRejected:
        raise web.HTTPNotFound from None


def _cut(stored: bytes, wanted: Tile) -> bytes:
    """The stored tile may have grown since. Raises HTTPInternalServerError when it is not what was signed."""
    try:
        return (cut_bundle if wanted.level == ENTRIES else cut_tile)(stored, wanted.width)
    except TileRejected:
        raise web.HTTPInternalServerError from None
