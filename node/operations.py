"""The operations listener: metrics and health, for the people and machines that run this node. Loopback by
default.

`/livez` says that the event loop answers, `/readyz` whether work should come here and if not why, `/metrics`
has the figures in Prometheus' text format. Nothing here holds personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

from node.health import Health

__all__ = ["make_operations_app"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_operations_app(health: Health, render_metrics: Callable[[], bytes]) -> web.Application:
    """The application of the operations listener."""

    async def livez(_request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        reasons = health.reasons()
        body = {
            "ready": not reasons,
            "stage": health.stage.value,
            "reasons": [{"code": r.code, "zh": r.zh, "en": r.en} for r in reasons],
        }
        return _json(body, status=503 if reasons else 200)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=render_metrics(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def _json(body: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
