"""A provider to log in at: the real endpoints, rules and rows, with a flow that asks nobody anything.

`Provider.person` is who logs in and what they agreed to; `Provider.refusal` an error that the flow ends with instead.
The node is Anhui's, its peer is Jiangsu's, and its platforms are `PORTAL` (a secret), `HALL` (keys) and `BANK` (keys,
profile ``fapi2``).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from joserfc import jwt
from joserfc.jwk import ECKey

from federation.login.granting import Granting
from federation.login.id_tokens import TokenKeys
from federation.login.model import (
    Agreed,
    AuthRequest,
    AuthResponse,
    Grant,
    Identity,
    Interaction,
    OnBehalf,
    RelyingParty,
)
from federation.login.refusals import PageRefusal
from federation.login.steps import GoTo, Respond, Step, Visitor
from federation.peers import Directory, Peer, TrustSnapshot
from node.config import NodeSection
from node.config.login import IdentityProviderSection, LoginSection
from node.store.clients import ClientRows, LoginTerms
from node.store.database import Database, open_database
from node.store.login_grants import GrantRows
from node.store.replay import ReplayRows
from node.store.short import Run
from node.web.login.cookies import LoginCookies
from node.web.login.steps import StepAnswers
from node.web.oidc.app import add_provider
from node.web.oidc.parts import ProviderGround, ProviderParts
from node.web.pages import Pages
from tests.support.clock import NOON, FixedClock
from trust.keys import SigningKey
from trust.openid_profile import OpenIdProfile

__all__ = [
    "ASSERTION_TYPE",
    "BACK",
    "BANK",
    "CLAIMS",
    "HALL",
    "IDENTITY",
    "ISSUER",
    "PATH",
    "PEER",
    "PERSON",
    "PORTAL",
    "Key",
    "PlainSeal",
    "Provider",
    "challenge_of",
    "running_provider",
]

ISSUER = "https://node.ah.example/yrd"
PATH = "/yrd"
PEER = "https://node.js.example"
PORTAL, HALL, BANK = "portal", "hall", "bank"
BACK: Mapping[str, str] = {
    PORTAL: "https://portal.ah.example/back",
    HALL: "https://hall.ah.example/back?from=yrd",
    BANK: "https://bank.ah.example/back",
    PEER: f"{PEER}/login/callback",
}
IDENTITY = Identity(
    issuer="https://id.ah.example",
    subject="account-7",
    acr="yrd.l2",
    amr=("pwd", "otp"),
    auth_time=int(NOON.timestamp()) - 30,
    origin="https://id.ah.example",
    claims={"name": "王芳"},
)
CLAIMS = {"name": "王芳", "gender": "female", "birthdate": "1990-01-02"}
PERSON = Agreed(identity=IDENTITY, session_id="session-1", claims=CLAIMS)
_SCOPES = frozenset({"openid", "profile", "identity", "offline_access"})
_FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Key:
    """A key of a client's, as other software holds it."""

    def __init__(self, kid: str = "") -> None:
        key = ECKey.generate_key("P-256")
        self.kid = kid or key.thumbprint()
        self.jwk = ECKey.import_key({**key.as_dict(private=True), "kid": self.kid})

    @property
    def public(self) -> dict[str, Any]:
        """The public half as a JWK."""
        return dict(self.jwk.as_dict(private=False))

    @property
    def thumbprint(self) -> str:
        """RFC 7638."""
        return self.jwk.thumbprint()

    def sign(
        self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None, typ: str = "JWT"
    ) -> str:
        """A JWT; `header` says more, or otherwise."""
        said = {"alg": "ES256", "kid": self.kid, "typ": typ, **(header or {})}
        return jwt.encode({k: v for k, v in said.items() if v is not None}, dict(claims), self.jwk)

    def proof(self, url: str, at_s: float, *, method: str = "POST", token: str = "", **claims: Any) -> str:
        """A DPoP proof (RFC 9449 §4.2)."""
        said = {"htm": method, "htu": url, "iat": int(at_s), "jti": secrets.token_hex(8)}
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            said["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        public = {name: value for name, value in self.public.items() if name in ("kty", "crv", "x", "y")}
        return self.sign({**said, **claims}, header={"kid": None, "jwk": public}, typ="dpop+jwt")


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class PlainSeal:
    """Seals with the context in clear: what is opened under another one is noticed."""

    def seal(self, context: str, plain: bytes) -> bytes:
        """The context in front."""
        return f"{context}|".encode() + plain

    def open(self, context: str, sealed: bytes) -> bytes:
        """Without it."""
        assert sealed.startswith(f"{context}|".encode())
        return sealed[len(context) + 1 :]


@dataclass
class Sessions:
    """Remembers who took part."""

    parties: list[tuple[str, str, str]] = field(default_factory=list)
    has_ended: bool = False


@dataclass(frozen=True)
class _Writes:
    """A transaction with real grants, and one name per person and audience."""

    run: Run
    grants: GrantRows
    sessions: Sessions

    def goes_on(self, _session_id: str) -> bool:
        return not self.sessions.has_ended

    def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        """Stable, and different for each audience."""
        return hashlib.sha256(f"{issuer}|{subject}|{audience}".encode()).hexdigest()[:24]

    def open_grant(self, grant: Grant, *, code_life_s: int) -> str:
        return self.grants.open_in(self.run, grant, code_life_s=code_life_s)

    def take_part(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        self.sessions.parties.append((session_id, party.client_id, sid))
        return True

    def begin_session(self, identity: Identity, *, id_token: str = "", replaces: str = "") -> Any:
        raise AssertionError("no session begins here")

    def remember(self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]) -> Any:
        raise AssertionError("nobody is asked here")

    def replace(self, interaction: Interaction) -> bool:
        raise AssertionError("there is no second step")


class Flow:
    """A flow in which nobody is asked: it ends at its first step."""

    def __init__(self, provider: Provider, granting: Granting) -> None:
        self._provider = provider
        self._granting = granting

    async def begin(self, request: AuthRequest, visitor: Visitor) -> Step:
        """The end: the code, or the error that the test wishes."""
        self._provider.asked.append((request, visitor))
        if self._provider.away is not None:
            raise self._provider.away
        if not visitor.browser:
            return GoTo(url=f"{ISSUER}/login/i/next")
        if self._provider.refusal:
            return Respond(response=self._granting.refuse(request, self._provider.refusal, "no"))
        grant = await self._granting.granting(request)
        provider = self._provider

        def end(run: Run) -> AuthResponse:
            return grant(_Writes(run, provider.parts.grants, provider.sessions), provider.person)

        return Respond(response=await provider.database.change(end))

    async def show(self, interaction_id: str, visitor: Visitor) -> Step:
        """There is no second step."""
        raise AssertionError(interaction_id, visitor)

    async def act(self, interaction_id: str, form: Mapping[str, str], visitor: Visitor) -> Step:
        """There is no second step."""
        raise AssertionError(interaction_id, form, visitor)

    async def callback(self, parameters: Mapping[str, str], visitor: Visitor) -> Step:
        """There is no second step."""
        raise AssertionError(parameters, visitor)


@dataclass
class Provider:
    """A running provider, seen by its clients."""

    database: Database
    clock: FixedClock
    directory: Directory
    signing: SigningKey
    keys: Mapping[str, Key]
    secret: str = ""
    person: Agreed = PERSON
    refusal: str = ""
    away: Exception | None = None
    asked: list[tuple[AuthRequest, Visitor]] = field(default_factory=list)
    refused: list[PageRefusal] = field(default_factory=list)
    sessions: Sessions = field(default_factory=Sessions)
    client: TestClient[web.Request, web.Application] = field(init=False)
    parts: ProviderParts = field(init=False)

    @property
    def clients(self) -> ClientRows:
        """The rows of clients."""
        return ClientRows(self.database, self.clock)

    def request(self, client: str = PORTAL, **changes: Any) -> dict[str, str]:
        """A good authorization request, with changes; None takes a parameter away."""
        said = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": BACK[client],
            "scope": "openid profile",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": challenge_of("v" * 43),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**said, **changes}.items() if value is not None}

    async def authorize(self, parameters: Mapping[str, str] | str, *, method: str = "GET") -> ClientResponse:
        """Go to the authorization endpoint as a browser does, without following it."""
        query = parameters if isinstance(parameters, str) else urlencode(parameters)
        if method == "GET":
            return await self.client.get(f"{PATH}/oidc/authorize?{query}", allow_redirects=False)
        return await self.client.post(
            f"{PATH}/oidc/authorize", data=query, headers={"Content-Type": _FORM}, allow_redirects=False
        )

    async def answer(self, parameters: Mapping[str, str] | str) -> dict[str, str]:
        """What comes back at the client's redirect URI."""
        response = await self.authorize(parameters)
        assert response.status == 303, await response.text()
        url = response.headers["Location"]
        query = dict(parse_qsl(urlsplit(url).query))
        known = [uri for uri in BACK.values() if url.partition("?")[0] == uri.partition("?")[0]]
        assert known, url
        return query

    async def code(self, client_id: str = PORTAL, **changes: Any) -> str:
        """A code by a good request; pushed where that must be."""
        parameters = self.request(client_id, **changes)
        if client_id in (BANK, PEER):
            pushed = await self.push(client_id, parameters)
            assert pushed.status == 201, await pushed.text()
            request_uri = (await pushed.json())["request_uri"]
            parameters = {"client_id": client_id, "request_uri": request_uri}
        answered = await self.answer(parameters)
        assert "code" in answered, answered
        return answered["code"]

    def assertion(self, client_id: str, **claims: Any) -> str:
        """A client assertion of RFC 7523, with changes; None takes a claim away."""
        now_s = int(self.clock.now().timestamp())
        said = {
            "iss": client_id,
            "sub": client_id,
            "aud": ISSUER,
            "iat": now_s,
            "exp": now_s + 60,
            "jti": secrets.token_hex(8),
            **claims,
        }
        good = {name: value for name, value in said.items() if value is not None}
        return self.keys[client_id].sign(good, typ="client-authentication+jwt")

    def credentials(self, client_id: str, **claims: Any) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form parameters that authenticate a client."""
        if client_id == PORTAL:
            pair = base64.b64encode(f"{client_id}:{self.secret}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}, {}
        assertion = self.assertion(client_id, **claims)
        return {}, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}

    def proof(self, client_id: str, endpoint: str, **options: Any) -> str:
        """A DPoP proof of that client for an endpoint."""
        return self.keys[client_id].proof(
            f"{ISSUER}/oidc/{endpoint}", self.clock.now().timestamp(), **options
        )

    async def post(
        self, endpoint: str, client_id: str, form: Mapping[str, str], **headers: str
    ) -> ClientResponse:
        """Call an endpoint as that client."""
        own_headers, own_form = self.credentials(client_id)
        return await self.client.post(
            f"{PATH}/oidc/{endpoint}", data={**own_form, **form}, headers={**own_headers, **headers}
        )

    async def push(self, client_id: str, parameters: Mapping[str, str], **headers: str) -> ClientResponse:
        """Push a request."""
        return await self.post("par", client_id, parameters, **headers)

    async def redeem(
        self, client: str, brought: str, *, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> ClientResponse:
        """Bring a code to the token endpoint."""
        if client in (BANK, PEER) and headers is None:
            headers = {"DPoP": self.proof(client, "token")}
        form = {
            "grant_type": "authorization_code",
            "code": brought,
            "redirect_uri": BACK[client],
            "code_verifier": "v" * 43,
            **changes,
        }
        said = {name: value for name, value in form.items() if value is not None}
        return await self.post("token", client, said, **(headers or {}))

    async def tokens(self, client_id: str = PORTAL, **changes: Any) -> dict[str, Any]:
        """Tokens by a whole good login."""
        response = await self.redeem(client_id, await self.code(client_id, **changes))
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer

    async def userinfo(self, token: str, *, method: str = "GET", **headers: str) -> ClientResponse:
        """Ask for userinfo with a bearer token, or as the headers say."""
        said = headers or {"Authorization": f"Bearer {token}"}
        return await self.client.request(method, f"{PATH}/oidc/userinfo", headers=said)

    def revoke_peer(self, standing: str = "revoked") -> None:
        """The peer is no member in good standing any more."""
        snapshot = self.directory.current
        self.directory.swap(_snapshot(self.keys[PEER], standing=standing, of=snapshot))


def _snapshot(key: Key, *, standing: str = "member", of: TrustSnapshot | None = None) -> TrustSnapshot:
    verification = SigningKey.from_pem(key.jwk.as_pem(private=True)).verification_key
    openid = OpenIdProfile(
        issuer=PEER,
        authorization_endpoint=f"{PEER}/oidc/authorize",
        pushed_authorization_request_endpoint=f"{PEER}/oidc/par",
        token_endpoint=f"{PEER}/oidc/token",
        end_session_endpoint=f"{PEER}/oidc/logout",
        provider_keys={verification.kid: verification},
        client_keys={verification.kid: verification},
        redirect_uris=(BACK[PEER],),
        post_logout_redirect_uris=(f"{PEER}/login/signed-out",),
        backchannel_logout_uri=f"{PEER}/login/backchannel-logout",
    )
    peer = Peer(
        entity_id=PEER,
        province="320000",
        name="江苏省节点",
        grpc_target="node.js.example:443",
        tls_name="x.peer.yrd",
        envelope_keys={},
        expires_at=NOON.replace(year=NOON.year + 1),
        standing=standing,
        openid=openid,
    )
    own = of or TrustSnapshot(own_entity=ISSUER, own_province="340000")
    return TrustSnapshot(own_entity=own.own_entity, own_province=own.own_province, peers={PEER: peer})


NODE = NodeSection(province="340000", name="安徽省节点", entity_id=ISSUER)
LOGIN = LoginSection(
    identity_provider=IdentityProviderSection(
        issuer="https://id.ah.example", client_id="node", acr={"2": "yrd.l2"}
    )
)


async def _register(provider: Provider) -> None:
    clients, keys = provider.clients, provider.keys
    provider.secret = await clients.add_with_secret(PORTAL, "安徽门户", {"*"}, _terms(PORTAL))
    await clients.add_with_keys(HALL, "大厅", set(), {"keys": [keys[HALL].public]}, _terms(HALL))
    await clients.add_with_keys(
        BANK, "银行", set(), {"keys": [keys[BANK].public]}, _terms(BANK, profile="fapi2")
    )


def _terms(client_id: str, **more: Any) -> LoginTerms:
    return LoginTerms(redirect_uris=(BACK[client_id],), scopes=_SCOPES, **more)


@asynccontextmanager
async def running_provider(folder: Path, database: Database | None = None) -> AsyncIterator[Provider]:
    """A provider with its clients registered. Its store is a new SQLite file in `folder`, unless one is given."""
    opened = database or open_database(f"sqlite:///{folder / 'provider.db'}")
    signing, clock = SigningKey.generate(), FixedClock()
    keys = {HALL: Key("hall-1"), BANK: Key("bank-1"), PEER: Key()}
    directory = Directory(_snapshot(keys[PEER]))
    provider = Provider(opened, clock, directory, signing, keys)
    parts = ProviderParts(
        ProviderGround(
            issuer=ISSUER,
            login=LOGIN,
            database=opened,
            seal=PlainSeal(),
            directory=directory,
            keys=TokenKeys(lambda: signing, lambda: {signing.kid: signing.verification_key}),
            replays=ReplayRows(opened, clock),
            clock=clock,
        )
    )

    def refuse(_request: web.Request, refusal: PageRefusal) -> web.Response:
        provider.refused.append(refusal)
        return web.Response(text=refusal.code, status=refusal.status)

    answers = StepAnswers(LoginCookies("340000", ISSUER, 60), Pages(NODE))
    app = web.Application()
    add_provider(app, parts.deps(Flow(provider, parts.granting), answers, refuse), path=PATH)
    provider.parts = parts
    try:
        await _register(provider)
        async with TestClient(TestServer(app)) as served:
            provider.client = served
            yield provider
    finally:
        if database is None:
            await opened.close()
