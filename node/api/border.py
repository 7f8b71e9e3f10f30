"""The border of the platform API: every request gets its id, and nothing goes out that is not in the table.

A wrapper around each handler and no middleware: aiohttp puts two more coroutines around a request as soon as
an application has one. So what no route takes has a handler here too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from node.api.gate import REQUEST_ID
from node.api.problems import from_http, problem_response

__all__ = ["Border", "Handler"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Border:
    """Puts routes behind the border."""

    def __init__(self, new_request_id: Callable[[], str]) -> None:
        self._new_request_id = new_request_id

    def enclose(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes, and one that takes every other path."""
        rest = web.route("*", "/{path:(?s:.*)}", _no_route)
        return [
            web.RouteDef(route.method, route.path, self._guarded(route.handler), route.kwargs)
            for route in (*routes, rest)
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            request_id = self._new_request_id()
            request[REQUEST_ID] = request_id
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = _problem_of_http(error, request_id)
            except Exception as error:  # the border: nothing goes out that is not in the table
                response = problem_response(error, request_id)
            response.headers.setdefault("X-Request-Id", request_id)
            return response

        return guarded


def _problem_of_http(error: web.HTTPException, request_id: str) -> web.Response:
    """aiohttp's own refusal as a problem; what is no refusal goes on as it is."""
    refusal = from_http(error)
    if refusal is None:
        raise error
    response = problem_response(refusal, request_id)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


async def _no_route(request: web.Request) -> web.StreamResponse:
    """404, or 405 when another method would have done (RFC 9110 §15.5.6)."""
    own = request.match_info.route.resource
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not own:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, sorted(allowed))
    raise web.HTTPNotFound
