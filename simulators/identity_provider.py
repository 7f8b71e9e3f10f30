"""A province's identity provider: an OpenID provider with one client, the province's node, and its own login page.

Small but strict: code flow with PKCE only, client_secret_basic or private_key_jwt, one redirect URI. A password is
worth the second of three levels (the first for accounts that were never verified), a code on top of it the third; the
page shows the code as if it came by SMS. `max_age`, `prompt` and `acr_values` are honoured. Userinfo speaks the
province's own words. A log-out, wherever it begins, reaches the node by a logout token.

Four paths are for people who test: ``/_about``, ``/_people?index=0`` (an account and its password), ``/_misbehave``
(GET shows, POST sets, see `simulators.identity.misbehaviour`), and ``/_sessions/end`` (POST {"user_name"}: all
sessions of that account end, as if the citizen did so elsewhere).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulators.identity.accounts import ACR_VALUES, Accounts, field_names
from simulators.identity.back import Back
from simulators.identity.client import ProviderClient
from simulators.identity.front import Front
from simulators.identity.leaving import Leaving
from simulators.identity.misbehaviour import Misbehaving, Misbehaviour, Misdeed
from simulators.identity.state import State
from simulators.identity.tokens import Signing
from simulators.pages import style
from simulators.population import Population

__all__ = ["login_toml", "make_identity_provider"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ENDPOINTS = ("/token", "/userinfo", "/jwks", "/.well-known/")
_LEVELS = ("yrd.l1", "yrd.l2", "yrd.l3")


def make_identity_provider(
    province: str, population: Population, issuer: str, client: ProviderClient, *, algorithm: str = "ES256"
) -> web.Application:
    """The identity provider of a province (6 digits) as an application; `issuer` is the origin that it is served at.

    `algorithm` signs its tokens: ES256, RS256 or PS256.
    """
    misbehaving = Misbehaving()
    accounts = Accounts(province, population)
    state = State(accounts, issuer, client, Signing(issuer, misbehaving, algorithm), misbehaving)
    app = web.Application(client_max_size=64 * 1024, middlewares=[_middleware(misbehaving)])
    app.cleanup_ctx.append(state.run)
    front, back, leaving = Front(state), Back(state), Leaving(state)
    for method in ("GET", "POST"):
        app.router.add_route(method, "/authorize", front.authorize)
        app.router.add_route(method, "/userinfo", back.userinfo)
        app.router.add_route(method, "/logout", leaving.log_out)
    app.router.add_get("/login/{transaction}", front.show_login)
    app.router.add_post("/login/{transaction}", front.take_password)
    app.router.add_post("/login/{transaction}/code", front.take_code)
    app.router.add_get("/.well-known/openid-configuration", back.discovery)
    app.router.add_get("/jwks", back.jwks)
    app.router.add_post("/token", back.token)
    app.router.add_get("/style.css", style)
    app.router.add_get("/_about", _about(state))
    app.router.add_get("/_people", _people(accounts))
    app.router.add_get("/_misbehave", _show(misbehaving))
    app.router.add_post("/_misbehave", _set(misbehaving))
    app.router.add_post("/_sessions/end", leaving.end_elsewhere)
    return app


def login_toml(province: str, issuer: str, client_id: str, secret_file: str = "") -> str:
    """The `[login]` part of a node.toml that goes to this identity provider, on loopback."""
    levels = "\n".join(
        f'"{value}" = "{level}"' for value, level in zip(ACR_VALUES[province], _LEVELS, strict=True)
    )
    claims = "\n".join(f'"{name}" = "{name}"' for name in field_names(province))
    secret = f'client_secret_file = "{secret_file}"\n' if secret_file else ""
    return (
        f'[login.identity_provider]\nissuer = "{issuer}"\nclient_id = "{client_id}"\n{secret}'
        'scopes = ["openid", "profile"]\nallow_http_on_loopback = true\n\n'
        f"[login.identity_provider.acr]\n{levels}\n\n[login.identity_provider.claims]\n{claims}\n"
    )


def _middleware(misbehaving: Misbehaving) -> Any:
    @web.middleware
    async def slow_or_away(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path.startswith("/_"):
            return await handler(request)
        if misbehaving.does(Misdeed.AWAY):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPServiceUnavailable
        if request.path.startswith(_ENDPOINTS):
            delay_s = misbehaving.current.delay_s
            if misbehaving.does(Misdeed.SLOW):
                await asyncio.sleep(delay_s)
        return await handler(request)

    return slow_or_away


def _about(state: State) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        said = {"province": state.province, "name": state.place, "issuer": state.issuer, "synthetic": True}
        return web.json_response({**said, "client_id": state.client.client_id})

    return handle


def _people(accounts: Accounts) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            account = accounts.account(int(request.query.get("index", "0")))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        said = {
            "synthetic": True,
            "user_name": account.user_name,
            "password": account.password,
            "name": account.resident.name,
            "citizen_number": account.resident.citizen_number,
            "is_verified": account.is_verified,
        }
        return web.json_response(said)

    return handle


def _show(misbehaving: Misbehaving) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(misbehaving.current.as_json())

    return handle


def _set(misbehaving: Misbehaving) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            misbehaving.current = Misbehaviour.read(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(misbehaving.current.as_json())

    return handle
