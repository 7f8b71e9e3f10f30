"""The operations listener: metrics and health, for the people and machines that run this node. Loopback by
default.

`/livez` says that the event loop answers, `/readyz` whether work should come here and if not why, beside what
will go wrong if nobody looks; `/metrics` has the figures in Prometheus' text format, `/trust` is the tree of trust
as a page, `/translations` what was translated and which codes have no row, `/evidence` the log, its witnesses and how
it compares with the peers', and `/` leads to all of them. Nothing here holds personal data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web

from federation.errors import OwnStoreUnavailable
from federation.trust_picture import TrustPicture
from node.evidence_page import evidence_page
from node.evidence_view import EvidenceView
from node.health import Health, Reason
from node.operations_index import INDEX_PAGE
from node.translation_view import TranslationView
from node.translations_page import translations_page
from node.trust_page import trust_page

__all__ = ["make_operations_app"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_operations_app(
    health: Health,
    render_metrics: Callable[[], bytes],
    picture: Callable[[], TrustPicture],
    translations: Callable[[], TranslationView],
    evidence: Callable[[], Awaitable[EvidenceView]],
) -> web.Application:
    """The application of the operations listener."""
    operations = _Operations(health, render_metrics, picture, translations, evidence)
    app = web.Application()
    app.add_routes(
        [
            web.get("/", operations.index),
            web.get("/livez", operations.livez),
            web.get("/readyz", operations.readyz),
            web.get("/metrics", operations.metrics),
            web.get("/trust", operations.trust),
            web.get("/translations", operations.translated),
            web.get("/evidence", operations.kept),
        ]
    )
    return app


@dataclass(frozen=True, slots=True)
class _Operations:
    """What answers on each path, from what is given to ask."""

    health: Health
    render_metrics: Callable[[], bytes]
    picture: Callable[[], TrustPicture]
    translations: Callable[[], TranslationView]
    evidence: Callable[[], Awaitable[EvidenceView]]

    async def index(self, _request: web.Request) -> web.Response:
        return _page(INDEX_PAGE)

    async def livez(self, _request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        reasons = self.health.reasons()
        body = {
            "ready": not reasons,
            "stage": self.health.stage.value,
            "reasons": _told(reasons),
            "warnings": _told(self.health.warnings()),
        }
        return _json(body, status=503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.render_metrics(), headers={"Content-Type": METRICS_TYPE})

    async def trust(self, _request: web.Request) -> web.Response:
        return _page(trust_page(self.picture()))

    async def translated(self, _request: web.Request) -> web.Response:
        return _page(translations_page(self.translations()))

    async def kept(self, _request: web.Request) -> web.Response:
        try:
            view = await self.evidence()
        except OwnStoreUnavailable as error:
            return _json({"code": error.code, "en": error.detail}, status=503)
        return _page(evidence_page(view))


def _page(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)


def _told(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "zh": reason.zh, "en": reason.en} for reason in reasons]


def _json(body: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
