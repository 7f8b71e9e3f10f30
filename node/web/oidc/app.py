"""The routes of the provider, below the path of the entity id."""

from __future__ import annotations

import orjson
from aiohttp import web

from federation.login.discovery import discovery
from node.web.oidc.authorize import Authorization
from node.web.oidc.border import Handler, guarded, on_page
from node.web.oidc.deps import ProviderDeps
from node.web.oidc.tokens import TokenEndpoints
from trust.keys import jwks_of

__all__ = ["ProviderDeps", "add_provider"]


def add_provider(app: web.Application, deps: ProviderDeps, *, path: str = "") -> None:
    """Serve the provider. `path` is the path of the entity id when it has one. RFC 8414 §3.1 puts the same metadata at
    another well-known name; OAuth clients of the login look there.
    """
    begins, tokens = Authorization(deps), TokenEndpoints(deps)
    metadata = orjson.dumps(discovery(deps.issuer))

    async def serve_metadata(_request: web.Request) -> web.StreamResponse:
        return _public(metadata)

    async def serve_jwks(_request: web.Request) -> web.StreamResponse:
        return _public(orjson.dumps(jwks_of(deps.keys.verifiers().values())))

    def post(name: str, handler: Handler) -> web.RouteDef:
        return web.post(f"{path}/oidc/{name}", guarded(handler))

    authorize = f"{path}/oidc/authorize"
    app.router.add_routes(
        [
            web.get(f"{path}/.well-known/openid-configuration", serve_metadata),
            web.get(f"/.well-known/oauth-authorization-server{path}", serve_metadata),
            web.get(f"{path}/oidc/jwks", serve_jwks),
            web.get(authorize, on_page(begins.get, deps.refuse), allow_head=False),
            web.post(authorize, on_page(begins.post, deps.refuse)),
            post("par", begins.push),
            post("token", tokens.token),
            post("introspect", tokens.introspect),
            post("revoke", tokens.revoke),
            web.get(f"{path}/oidc/userinfo", guarded(tokens.userinfo), allow_head=False),
            post("userinfo", tokens.userinfo),
        ]
    )


def _public(body: bytes) -> web.Response:
    """What everyone may read, from any page (Fetch: CORS protocol)."""
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return web.Response(body=body, content_type="application/json", headers=headers)
