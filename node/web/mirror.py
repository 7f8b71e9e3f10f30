"""This node's mirror of the anchor's documents, for peers that start or go on while the anchor is away.

Below ``/trust/mirror`` are the paths of `trust.documents` with what this node itself took in: the anchor's
configuration, its status, its roll-overs, its statements about members. They are signed, so whoever reads them
believes the anchor and not this node. Each comes from memory, by its exact path; anything else is not found.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from federation.statements import StatementKind, StoredStatement
from node.web.federation import STATEMENT_MEDIA, STATUS_MEDIA, statement_response
from trust.documents import MIRROR_PATH

__all__ = ["add_mirror"]

_MEDIA = {
    StatementKind.CONFIGURATION: STATEMENT_MEDIA,
    StatementKind.SUBORDINATE: STATEMENT_MEDIA,
    StatementKind.STATUS: STATUS_MEDIA,
    StatementKind.ROLL_OVERS: "application/json",
}


def add_mirror(
    app: web.Application, mirrored: Callable[[str], StoredStatement | None], *, path: str = ""
) -> None:
    """Serve what `mirrored` gives for a path below the mirror. `path` is that of the entity id, if any."""
    base = path + MIRROR_PATH

    async def serve(request: web.Request) -> web.Response:
        row = mirrored(request.path.removeprefix(base))
        if row is None:
            raise web.HTTPNotFound
        return statement_response(request, row.token, media=_MEDIA[row.kind])

    app.router.add_get(base + "/{rest:.*}", serve)
