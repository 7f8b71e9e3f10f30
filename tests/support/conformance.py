"""A relying party as the conformance suite of the OpenID Foundation has it: off the shelf, registered by the operator,
with a browser at its command. The provider under test is one real node with its identity provider.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from node.store.clients import LoginTerms
from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account
from simulators.login_walk import finish_login
from tests.support.delta import ANHUI
from tests.support.federation import free_ports
from tests.support.login_country import LoginCountry, add_login_client, at_work, found_login_country, serving

__all__ = ["CLIENT", "SECOND", "SIGNING", "Case", "Cases", "Suite", "running_suite"]

CLIENT, SECOND, SIGNING = "conformance", "conformance-2", "conformance-3"


@dataclass
class RelyingParty:
    """Where the provider answers. `told` is the last logout token."""

    base: str
    told: str = ""
    was_told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def redirect_uri(self) -> str:
        """Where codes go."""
        return f"{self.base}/callback"

    def app(self) -> web.Application:
        """What listens there."""
        app = web.Application()
        app.router.add_route("*", "/callback", self._answer)
        app.router.add_get("/signed-out", self._answer)
        app.router.add_get("/post", self._form)
        app.router.add_post("/backchannel", self._logout)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        said = {**dict(request.query), **{name: str(value) for name, value in form.items()}}
        return web.json_response({"method": request.method, "path": request.path, "said": said})

    async def _form(self, request: web.Request) -> web.Response:
        """A page whose form posts its own query to the address in ``to``."""
        inputs = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in request.query.items()
            if name != "to"
        )
        page = (
            f'<form method="post" action="{escape(request.query["to"])}">{inputs}<button>Go</button></form>'
        )
        return web.Response(text=page, content_type="text/html")

    async def _logout(self, request: web.Request) -> web.Response:
        self.told = str((await request.post())["logout_token"])
        self.was_told.set()
        return web.Response()


@dataclass
class Suite:
    """The provider under test and what its tester knows of it."""

    country: LoginCountry
    party: RelyingParty
    secrets: dict[str, str]
    key: ECKey
    metadata: dict[str, Any] = field(default_factory=dict)
    jwks: Any = None
    mode: str = "query"
    people: int = 0

    @property
    def http(self) -> aiohttp.ClientSession:
        """Its own connections, beside the browser."""
        return self.country.http

    @property
    def keys(self) -> KeySet:
        """What its jwks_uri has."""
        return KeySet.import_key_set(self.jwks)

    @property
    def issuer(self) -> str:
        """The provider."""
        return self.country.provinces[ANHUI].entity_id

    def somebody(self) -> tuple[LoginBrowser, Account]:
        """A citizen whom no other case knows, with a verified account."""
        self.people += 1
        account = self.country.account(ANHUI, self.people + (self.people + 2) // 9)
        assert account.is_verified, "of ten accounts the one ending in 7 is not"
        return self.country.browser(), account

    def request(self, **changes: str | None) -> dict[str, str]:
        """A good authorization request, with changes."""
        said = {
            "client_id": CLIENT,
            "redirect_uri": self.party.redirect_uri,
            "response_type": "code",
            "scope": "openid",
            "state": "the-state",
            "nonce": "the-nonce",
            "province": ANHUI,
            "response_mode": None if self.mode == "query" else self.mode,
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    async def open(self, browser: LoginBrowser, **changes: str | None) -> Page:
        """Send the browser to the provider."""
        return await browser.open(
            f"{self.metadata['authorization_endpoint']}?{urlencode(self.request(**changes))}"
        )

    async def finish(self, browser: LoginBrowser, account: Account) -> dict[str, str]:
        """What comes back to the relying party, after whatever the citizen is asked."""
        page = await finish_login(browser, account)
        if any(form.action.startswith(self.party.base) for form in page.forms):
            page = await browser.submit(self.party.base)
        assert page.origin == self.party.base, (page.url, page.text[:600])
        back = json.loads(page.html)
        assert back["method"] == ("POST" if self.mode == "form_post" else "GET")
        said: dict[str, str] = back["said"]
        assert said["iss"] == self.issuer
        return said

    async def answer(self, browser: LoginBrowser, account: Account, **changes: str | None) -> dict[str, str]:
        await self.open(browser, **changes)
        return await self.finish(browser, account)

    async def token(self, form: dict[str, str], client: str = CLIENT) -> tuple[int, dict[str, Any]]:
        auth = aiohttp.encode_basic_auth(client, self.secrets[client])
        async with self.http.post(
            self.metadata["token_endpoint"], data=form, headers={"Authorization": auth}
        ) as answer:
            return answer.status, await answer.json()

    async def redeem(self, said: dict[str, str], **more: str) -> dict[str, Any]:
        """Tokens, with an ID token that was checked."""
        assert "code" in said, said
        form = {
            "grant_type": "authorization_code",
            "code": said["code"],
            "redirect_uri": self.party.redirect_uri,
        }
        status, tokens = await self.token({**form, **more})
        assert status == 200, tokens
        tokens["claims"] = self.claims(tokens["id_token"])
        return tokens

    def claims(self, id_token: str) -> dict[str, Any]:
        """The claims of an ID token that was checked."""
        token = jwt.decode(id_token, self.keys, algorithms=["ES256"])
        registry = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": CLIENT},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            auth_time={"essential": True},
        )
        registry.validate(token.claims)
        return token.claims

    async def log_in(self, **changes: str | None) -> dict[str, Any]:
        """Tokens of a citizen who logs in for the first time."""
        browser, account = self.somebody()
        return await self.redeem(await self.answer(browser, account, **changes))

    async def userinfo(self, token: str, method: str = "GET", *, in_body: bool = False) -> dict[str, Any]:
        headers = {} if in_body else {"Authorization": f"Bearer {token}"}
        data = {"access_token": token} if in_body else None
        url = self.metadata["userinfo_endpoint"]
        async with self.http.request(method, url, headers=headers, data=data) as answer:
            assert answer.status == 200
            said: dict[str, Any] = await answer.json()
            return said


@asynccontextmanager
async def running_suite(folder: Path) -> AsyncIterator[Suite]:
    """The provider at work, and what discovery says of it."""
    made = await found_login_country(folder, [ANHUI])
    party = RelyingParty(f"http://127.0.0.1:{free_ports(1)}")
    key = ECKey.generate_key("P-256", {"kid": "suite"})
    terms = LoginTerms(
        redirect_uris=(party.redirect_uri,),
        post_logout_redirect_uris=(f"{party.base}/signed-out", f"{party.base}/signed-out?kept=yes"),
        backchannel_logout_uri=f"{party.base}/backchannel",
        scopes=frozenset({"openid", "profile", "offline_access"}),
    )
    config = made[ANHUI].config
    secrets = {name: await add_login_client(config, name, name, terms) for name in (CLIENT, SECOND)}
    await add_login_client(config, SIGNING, SIGNING, terms, {"keys": [key.as_dict(private=False)]})
    async with at_work(folder, made) as country, serving(party.app(), party.base):
        suite = Suite(country, party, secrets, key)
        url = f"{suite.issuer}/.well-known/openid-configuration"
        async with country.http.get(url) as answer:
            suite.metadata = await answer.json()
        async with country.http.get(suite.metadata["jwks_uri"]) as answer:
            suite.jwks = await answer.json()
        yield suite


Case = Callable[[Suite], Awaitable[None]]


class Cases(dict[str, Case]):
    """Test cases by the names of the suite's modules."""

    def add(self, name: str) -> Callable[[Case], Case]:
        """The decorator of a case."""

        def added(run: Case) -> Case:
            assert name not in self
            self[name] = run
            return run

        return added
