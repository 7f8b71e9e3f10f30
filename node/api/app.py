"""The application of the platform listener."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from federation.quota import TokenBuckets
from node.api import convert, models
from node.api.access_tokens import AccessTokens
from node.api.asking import Asking, Question, service_guide
from node.api.assertions import Assertions
from node.api.border import Border, Handler
from node.api.client_directory import ClientDirectory
from node.api.deps import PlatformDeps
from node.api.examples import Examples
from node.api.gate import Gate, Repeats
from node.api.oauth import AuthorizationServer
from node.api.openapi import Document, openapi_document
from node.api.page import docs_page
from node.api.reads import EvidenceReads, PeerReads
from node.api.type_names import TypeNames

__all__ = ["CLIENTS", "platform_app"]

CLIENTS = web.AppKey("clients", ClientDirectory)
"""The application's view of the clients; `refresh_once` makes a change hold at once."""

QUERY = Question(
    models.CertificatesQuery,
    "certificates.query",
    lambda model: convert.basis_of(model.basis),
    convert.body_of_query,
)
GET = Question(
    models.CertificatesGet,
    "certificates.get",
    lambda model: convert.basis_of(model.basis),
    convert.body_of_get,
)
VERIFY = Question(
    models.CertificatesVerify,
    "certificates.verify",
    lambda model: convert.basis_of(model.basis),
    convert.body_of_verify,
)
SEARCH = Question(models.ServicesQuery, "services.search", service_guide, convert.body_of_search)


def platform_app(deps: PlatformDeps) -> web.Application:
    """Every route of the platform API. While it runs, it follows the rows of the clients."""
    settings = deps.settings
    clients = ClientDirectory(deps.clients, poll_s=settings.client_poll_s, now_s=deps.now_s)
    tokens = AccessTokens(settings.issuer, deps.keys, deps.clock, life_s=settings.token_life_s)
    reads = TokenBuckets(settings.reads_per_s, settings.reads_burst, now_s=deps.now_s)
    gate = Gate(tokens, clients, reads)
    type_names = TypeNames()
    app = web.Application(client_max_size=settings.request_body_bytes)
    app[CLIENTS] = clients
    app.cleanup_ctx.append(_following(clients))
    assertions = Assertions(
        settings.issuer,
        f"{settings.issuer}/oauth/token",
        deps.replays,
        deps.clock,
        skew_s=settings.skew_s,
    )
    server = AuthorizationServer(settings.issuer, clients, deps.secrets, tokens, assertions, deps.keys)
    asking = Asking(settings, gate, Repeats(deps.idempotency), deps.asker, type_names)
    evidence = EvidenceReads(settings, gate, deps.asker, deps.records, deps.evidence, type_names)
    examples = Examples.of(deps.asker.peers().own_province, deps.dialect.current)
    routes = [
        *_oauth_routes(server),
        *_asking_routes(asking),
        *_read_routes(PeerReads(gate, deps.asker), evidence),
        *_document_routes(openapi_document(settings.issuer, settings.version, examples)),
    ]
    app.add_routes(Border(deps.asker.new_request_id).enclose(routes))
    return app


def _oauth_routes(server: AuthorizationServer) -> list[web.RouteDef]:
    return [
        web.post("/oauth/token", server.token),
        _get("/oauth/jwks", server.jwks),
        _get("/.well-known/oauth-authorization-server", server.metadata),
    ]


def _asking_routes(asking: Asking) -> list[web.RouteDef]:
    return [
        web.post("/v1/certificates/query", asking.post(QUERY)),
        web.post("/v1/certificates/get", asking.post(GET)),
        web.post("/v1/certificates/verify", asking.post(VERIFY)),
        _get("/v1/certificates/types/{province}", asking.certificate_types),
        web.post("/v1/services/query", asking.post(SEARCH)),
        _get("/v1/services/{province}/{item_code}", asking.service_item),
    ]


def _read_routes(peers: PeerReads, evidence: EvidenceReads) -> list[web.RouteDef]:
    return [
        _get("/v1/peers", peers.peers),
        _get("/v1/evidence/{request_id}", evidence.evidence),
    ]


def _document_routes(document: Document) -> list[web.RouteDef]:
    page = docs_page(document)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=document.text, content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(
            body=page,
            content_type="text/html",
            charset="utf-8",
            headers={
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )

    return [_get("/openapi.json", openapi), _get("/docs", docs)]


def _get(path: str, handler: Handler) -> web.RouteDef:
    return web.get(path, handler, allow_head=False)


def _following(clients: ClientDirectory) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_app: web.Application) -> AsyncIterator[None]:
        await clients.refresh_once()
        task = asyncio.create_task(clients.follow())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return context
