"""A flow of logins without HTTP and rows: everything in memory, with a scripted provider on the other side.

`Wayside` is a node of Anhui whose peer is Jiangsu's. `Scripted` plays whoever this node goes to (the home node, or
Anhui's identity provider): it takes requests as they come, signs ID tokens with keys of its own, and lets a test change
what it says.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey
from msgspec.structs import replace

from federation.login.flow import Flow
from federation.login.home import HomeFlow, ProviderWords
from federation.login.levels import ProviderLevels
from federation.login.model import (
    AuthRequest,
)
from federation.login.relying_party import (
    KeyAuthentication,
    OpenedIdToken,
    Provider,
    ProviderRefused,
    ProviderWrong,
    RelyingPartySide,
)
from federation.login.steps import GoTo, Respond, Step, Visitor
from federation.login.visited import HomeNodes, VisitedFlow
from federation.peers import Directory, Peer, TrustSnapshot
from federation.quota import TokenBuckets
from federation.translator import Translator
from mapping.translate import load_dialect
from tests.support.clock import FixedClock
from tests.support.login_rows import (
    Agreements,
    Answers,
    Interactions,
    Sessions,
    Subjects,
    Together,
    read_interaction,
)
from trust.keys import SigningKey
from trust.openid_profile import OpenIdProfile
from trust.tokens import sign_token

__all__ = [
    "ACCOUNT",
    "AH",
    "HOME_CLAIMS",
    "IDP",
    "JS",
    "Scripted",
    "Wayside",
    "claims_parameter",
    "parameters_of",
    "platform_request",
]

AH, JS = "https://node.ah.example", "https://node.js.example"
IDP = "https://id.ah.example"
_PROVIDER_KEY, _OWN_KEY, _DPOP_KEY = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()

ACCOUNT: Mapping[str, Any] = {
    "xm": "袁波东",
    "xb": "男性",
    "csrq": 549734400000,
    "sfzh": "340224198706046198",
}
"""What Anhui's identity provider says of somebody, in Anhui's words."""

HOME_CLAIMS: Mapping[str, Any] = {
    "name": "曾菊洁",
    "gender": "female",
    "citizen_number": "320522194108054464",
    "holder_id_type": "111",
    "face": {"姓名": "曾菊洁", "性别": "2"},
}
"""What Jiangsu's node says of somebody, in shared words."""


def platform_request(**changes: Any) -> AuthRequest:
    """What Anhui's portal asks of its node."""
    asked: dict[str, Any] = {
        "client_id": "portal",
        "client_name": "安徽政务服务网",
        "is_peer": False,
        "sector": "portal",
        "redirect_uri": "https://portal.ah.example/cb",
        "state": "the-platform's-state",
    }
    return AuthRequest(**{**asked, **changes})


@dataclass
class Scripted:
    """An OpenID provider that says what a test wants. `claims` are added to the ID token, `change` changes it last."""

    issuer: str
    clock: FixedClock
    key: SigningKey = field(default_factory=lambda: _PROVIDER_KEY)
    claims: dict[str, Any] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], None] = lambda _claims: None
    userinfo_claims: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    failure: Exception | None = None
    forms: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """A pushed request, or a code to redeem."""
        if self.failure is not None:
            raise self.failure
        self.forms.append((url, dict(form), dict(headers)))
        if url.endswith("/par"):
            self.asked = dict(form)
            return {"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60}
        code, verifier = form["code"], form["code_verifier"]
        digest = hashlib.sha256(verifier.encode()).digest()
        if code in self.used or _b64(digest) != self.asked["code_challenge"]:
            raise ProviderRefused("invalid_grant", "no")
        self.used.add(code)
        return {"access_token": "at-1", "id_token": self.id_token(), "token_type": "DPoP", **self.tokens}

    async def userinfo(self, _url: str, _access_token: str) -> Mapping[str, Any]:
        """What it says beside the ID token."""
        return self.userinfo_claims

    def id_token(self) -> str:
        """For whom asked last."""
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "sub": "citizen-1",
            "aud": self.asked["client_id"],
            "iat": now,
            "exp": now + 600,
            "nonce": self.asked["nonce"],
            "auth_time": now,
            "amr": ["pwd"],
            "sid": "session-1",
            **self.claims,
        }
        self.change(claims)
        return sign_token(claims, self.key, typ="JWT")

    async def open(self, id_token: str) -> OpenedIdToken:
        """As `ProviderKeys.open`, for the identity provider."""
        try:
            opened = jwt.decode(id_token, ECKey.import_key(dict(_PROVIDER_KEY.verification_key.jwk)))
        except ValueError as error:
            raise ProviderWrong(str(error)) from None
        return OpenedIdToken(opened.header, opened.claims)

    def came(self, url: str) -> dict[str, str]:
        """The browser came with this URL; its parameters, for the identity provider those of the request."""
        parameters = dict(parse_qsl(urlsplit(url).query))
        if "request_uri" not in parameters:
            self.asked = parameters
        return parameters

    def answer(self, **changes: str) -> dict[str, str]:
        """The authorization response that it sends the browser back with."""
        return {"code": "code-1", "state": self.asked["state"], "iss": self.issuer, **changes}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_dialect = cache(load_dialect)


class Wayside:
    """Anhui's node as far as the flow goes. `home` and `idp` are who it goes to; `browser` is a citizen's."""

    def __init__(self, *, begun_per_minute: int = 1000, per_sender: int = 1000, path: str = "") -> None:
        self.per_sender = per_sender
        self.path = path
        self.clock = FixedClock()
        self.home = Scripted(JS, self.clock, claims={"acr": "yrd.l2", "origin": "https://id.js.example"})
        self.idp = Scripted(IDP, self.clock, claims={"acr": "verified"})
        self.idp.userinfo_claims = {"sub": "citizen-1", **ACCOUNT}
        self.directory = Directory(TrustSnapshot(AH, "340000", {JS: self.peer()}))
        self.rows, self.sessions = Interactions(self.clock), Sessions(self.clock)
        self.agreements, self.answers = Agreements(), Answers()
        self.together = Together(self.rows, self.sessions, self.agreements, self.answers)
        self.browser = Visitor(browser="browser-1")
        self.idp_is_away: Exception | None = None
        self.ended: list[tuple[str, str, str]] = []
        self.flow = self._flow(begun_per_minute)

    def peer(self, **changes: Any) -> Peer:
        """Jiangsu's node."""
        profile = OpenIdProfile(
            issuer=JS,
            authorization_endpoint=f"{JS}/oidc/authorize",
            pushed_authorization_request_endpoint=f"{JS}/oidc/par",
            token_endpoint=f"{JS}/oidc/token",
            end_session_endpoint=f"{JS}/oidc/logout",
            provider_keys={_PROVIDER_KEY.kid: _PROVIDER_KEY.verification_key},
            client_keys={},
            redirect_uris=(f"{JS}/login/callback",),
            post_logout_redirect_uris=(),
            backchannel_logout_uri=f"{JS}/login/backchannel-logout",
        )
        described: dict[str, Any] = {
            "entity_id": JS,
            "province": "320000",
            "name": "江苏省节点",
            "grpc_target": "127.0.0.1:1",
            "tls_name": "x.peer.yrd",
            "envelope_keys": {},
            "expires_at": self.clock.now().replace(year=2030),
            "openid": profile,
        }
        return Peer(**{**described, **changes})

    def trust(self, peer: Peer | None) -> None:
        """From now on the trust list has this of Jiangsu."""
        self.directory.swap(TrustSnapshot(AH, "340000", {JS: peer} if peer else {}))

    def call_instead_of_home(self, scripted: Scripted) -> None:
        """Somebody else sits where Jiangsu's node is."""
        self.home = scripted
        self.flow = self._flow(1000)

    async def current(self) -> Provider:
        """The identity provider, as `OwnProvider` gives it."""
        if self.idp_is_away is not None:
            raise self.idp_is_away
        return Provider(
            issuer=IDP,
            client_id="node",
            authorization_endpoint=f"{IDP}/authorize",
            token_endpoint=f"{IDP}/token",
            userinfo_endpoint=f"{IDP}/userinfo",
            authentication=KeyAuthentication("node", IDP, lambda: _OWN_KEY, self.clock),
            keys=self.idp,
        )

    def _flow(self, per_minute: int) -> Flow:
        def translator() -> Translator:
            return Translator(_dialect("340000"))

        homes = HomeNodes(
            self.directory,
            AH,
            lambda issuer: KeyAuthentication(AH, issuer, lambda: _OWN_KEY, self.clock),
            self.clock,
        )
        subjects = Subjects()

        def now_s() -> float:
            return self.clock.now().timestamp()

        return Flow(
            rows=self.rows,
            together=self.together,
            answers=self.answers,
            home=HomeFlow(
                entity_id=AH,
                province="340000",
                name="安徽省节点",
                words=ProviderWords(
                    issuer=IDP,
                    levels=ProviderLevels({"plain": "yrd.l1", "verified": "yrd.l2", "strong": "yrd.l3"}),
                    claims={name: name for name in ACCOUNT},
                    scopes=("openid", "profile"),
                    session_s=28800,
                ),
                calls=self.idp,
                sessions=self.sessions,
                subjects=subjects,
                agreements=self.agreements,
                answers=self.answers,
                homes=homes,
                clock=self.clock,
                translator=translator,
                translated=lambda _words: None,
            ),
            visited=VisitedFlow(
                homes=homes,
                subjects=subjects,
                answers=self.answers,
                translator=translator,
                translated=lambda _words: None,
            ),
            homes=homes,
            own=self,
            side=self._side(self.home),
            own_side=self._side(self.idp),
            clock=self.clock,
            province="340000",
            name="安徽省节点",
            path=self.path,
            interaction_s=900,
            begun=TokenBuckets(per_minute / 60, per_minute, now_s=now_s),
            senders=TokenBuckets(self.per_sender / 60, self.per_sender, now_s=now_s),
            ended=lambda *said: self.ended.append(said),
        )

    def _side(self, calls: Scripted) -> RelyingPartySide:
        return RelyingPartySide(
            calls=calls, dpop_signer=lambda: _DPOP_KEY, clock=self.clock, redirect_uri=f"{AH}/login/callback"
        )

    # --- what a citizen does ---

    async def begin(self, request: AuthRequest | None = None) -> Step:
        """Come from the platform."""
        return self._seen(await self.flow.begin(request or platform_request(), self.browser))

    async def open(self, step: Step) -> Step:
        """Follow a redirect within the node."""
        assert isinstance(step, GoTo), step
        return self._seen(await self.flow.show(step.url.rpartition("/")[2], self.browser))

    async def act(self, page: str, **form: str) -> Step:
        """Send a form of the page at that URL, with its token."""
        interaction_id = page.rpartition("/")[2]
        csrf = read_interaction(self.rows.kept[interaction_id][0]).csrf
        return self._seen(await self.flow.act(interaction_id, {"csrf": csrf, **form}, self.browser))

    async def back(self, answer: Mapping[str, str]) -> Step:
        """Come back from a provider with its answer."""
        return self._seen(await self.flow.callback(answer, self.browser))

    def _seen(self, step: Step) -> Step:
        """The browser keeps the cookies that it is given."""
        if isinstance(step, GoTo | Respond) and step.session:
            self.browser = replace(self.browser, session=step.session)
        if isinstance(step, GoTo) and step.province:
            self.browser = replace(self.browser, province=step.province)
        return step


def parameters_of(step: Step) -> dict[str, str]:
    """What the platform is answered."""
    assert isinstance(step, Respond), step
    return dict(step.response.parameters)


def claims_parameter(form: Mapping[str, str]) -> Any:
    """The claims parameter of a request."""
    return orjson.loads(form["claims"])
