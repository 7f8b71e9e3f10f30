"""A small registry over HTTP that the connector's tests talk to, with faults that a test can switch on."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

from aiohttp import web


class RegistryServer:
    """Serves certificates by POST (documents as JSON in a string) and items by GET, on a port of its own.

    `fault` is one of: "" (none), slow (never answers), garbage (half a JSON text), long (more than any
    bound), drop (closes the first connection without an answer), status (500), away (503), refused (its own
    code says no).
    """

    def __init__(self, certificates: list[dict[str, str]], items: list[dict[str, str]]) -> None:
        self._certificates = certificates
        self._items = items
        self.fault = ""
        self.url = ""
        self.seen: list[dict[str, Any]] = []
        self._closing = asyncio.Event()

    async def __aenter__(self) -> RegistryServer:
        app = web.Application()
        app.router.add_post("/certificates", self._find)
        app.router.add_get("/items", self._search)
        app.router.add_get("/items/{code}", self._item)
        app.router.add_post("/form", self._form)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def _find(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        wanted = body.get("query", {})
        found = [row for row in self._certificates if all(row[name] == wanted[name] for name in wanted)]
        return await self._answer(
            request, {"code": 200, "data": {"list": json.dumps(found) if found else None}}
        )

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(request.query))
        found = [item for item in self._items if request.query.get("q", "") in item["title"]]
        page, size = int(request.query.get("page", 1)), int(request.query.get("size", 20))
        rows = found[(page - 1) * size : page * size]
        return await self._answer(request, {"rows": rows, "count": str(len(found))})

    async def _item(self, request: web.Request) -> web.StreamResponse:
        self.seen.append({"path": request.raw_path})
        found = [item for item in self._items if item["code"] == request.match_info["code"]]
        if not found:
            return web.json_response({"message": "none"}, status=404)
        return await self._answer(request, {"item": found[0]})

    async def _form(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(await request.post()))
        return await self._answer(request, {"rows": []})

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        match self.fault:
            case "slow":
                await self._closing.wait()
            case "drop" if len(self.seen) == 1 and request.transport is not None:
                request.transport.abort()
            case "garbage":
                return web.Response(text='{"code": 200, "data": {"li', content_type="application/json")
            case "long":
                return web.Response(body=b'"' + b"x" * 9_000_000 + b'"')
            case "status":
                return web.Response(status=500, text="stack trace with 330102199003076534")
            case "away":
                return web.Response(status=503)
            case "refused":
                return web.json_response({"code": 500, "message": "no"})
        return web.json_response(body)
