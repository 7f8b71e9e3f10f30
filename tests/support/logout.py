"""A node at which logins end: the real rows, rules and pages, with platforms and peers that hear of it or are away.

The node is Jiangsu's (`HOME`), its peer is Anhui's (`VISITED`), its platforms are ``portal`` and ``hall``; ``quiet``
has no address for log-outs. `Heard` stands for all of them: what reaches whom, and who is away.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from federation.login.end_session import EndSession, Upstream
from federation.login.id_tokens import IdTokens, TokenKeys
from federation.login.logout import Logout, PartyAway
from federation.login.logout_receiver import LogoutReceiver
from federation.login.logout_tokens import EVENT, LOGOUT_TYP
from federation.login.model import Identity, RelyingParty, Session
from federation.login.relying_party import OpenedIdToken, Provider, ProviderAway, ProviderWrong
from federation.login.sessions import sid_of
from federation.peers import Directory, Peer, TrustSnapshot
from node.config import NodeSection
from node.store.database import open_database
from node.web.login.backchannel import add_backchannel
from node.web.login.cookies import LoginCookies
from node.web.login.flow import LoginBorder
from node.web.oidc.logout import LogoutPages, add_logout
from node.web.pages import Pages
from tests.support.clock import NOON, FixedClock
from tests.support.login_people import (
    HOME,
    IDENTITY_PROVIDER,
    VISITED,
    LoginRows,
    identity,
    open_login_rows,
    party,
    peer_party,
)
from trust.errors import TrustError
from trust.keys import SigningKey
from trust.openid_profile import OpenIdProfile
from trust.tokens import read_token, sign_token, verify_token

__all__ = [
    "CLIENT_ID",
    "NODE",
    "Heard",
    "LogoutNode",
    "OwnProvider",
    "location",
    "logout_of",
    "make_logout_node",
    "peer_of",
    "receiver_of",
    "running_logout_node",
    "standing",
]

CLIENT_ID = "node-320000"
NODE = NodeSection(entity_id=HOME, province="320000", name="江苏省节点", allow_http_on_loopback=False)


@dataclass
class Heard:
    """Where log-outs go. `away` are addresses that do not answer, `status` what the others answer."""

    taken: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    tries: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)

    async def post(self, uri: str, logout_token: str, *, timeout_s: float) -> int:
        """As `LogoutPoster.post`."""
        assert timeout_s <= 5
        name = urlsplit(uri).hostname or ""
        self.tries.append(name)
        if name in self.away:
            raise PartyAway("cannot be reached")
        token = read_token(logout_token)
        assert token.header["typ"] == LOGOUT_TYP
        status = self.status.get(name, 200)
        if status == 200:
            self.taken.append((name, token.claims))
        return status


@dataclass
class Parties:
    """Who is registered."""

    known: dict[str, RelyingParty]

    async def find(self, client_id: str) -> RelyingParty | None:
        """As `RelyingParties.find`."""
        return self.known.get(client_id)

    async def name_of(self, client_id: str) -> str:
        """As `Registered.name_of`."""
        party = self.known.get(client_id)
        return "" if party is None or party.is_peer else party.name


@dataclass
class OwnProvider:
    """The identity provider: its key, its addresses; `is_away` when it cannot be asked."""

    key: SigningKey = field(default_factory=SigningKey.generate)
    end_session_endpoint: str = f"{IDENTITY_PROVIDER}/logout?tenant=js"
    is_away: bool = False

    async def current(self) -> Provider:
        """As `federation.login.flow.OwnProvider.current`."""
        if self.is_away:
            raise ProviderAway("no discovery")
        return Provider(
            issuer=IDENTITY_PROVIDER,
            client_id=CLIENT_ID,
            authorization_endpoint=f"{IDENTITY_PROVIDER}/authorize",
            token_endpoint=f"{IDENTITY_PROVIDER}/token",
            authentication=NoAuthentication(),
            keys=self,
            end_session_endpoint=self.end_session_endpoint,
        )

    async def open(self, id_token: str) -> OpenedIdToken:
        """As `ProviderKeys.open`: any type of token that it signed."""
        try:
            token = read_token(id_token)
            keys = {self.key.kid: self.key.verification_key}
            return OpenedIdToken(token.header, verify_token(token, keys=keys, typ=token.header["typ"]).claims)
        except TrustError as error:
            raise ProviderWrong(error.detail) from None


class NoAuthentication:
    """Nothing is asked with it here."""

    async def authenticate(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Never called."""
        raise AssertionError(form, headers)


@dataclass
class Upstreams:
    """Where logins came from."""

    own: OwnProvider
    issuer: str = IDENTITY_PROVIDER

    async def upstream(self, issuer: str) -> Upstream | None:
        """As `federation.login.end_session.Upstreams`."""
        if issuer == VISITED:
            return Upstream(end_session_endpoint=f"{VISITED}/oidc/logout", client_id=HOME, is_node=True)
        if issuer != IDENTITY_PROVIDER or not self.own.end_session_endpoint:
            return None
        endpoint = self.own.end_session_endpoint
        return Upstream(end_session_endpoint=endpoint, client_id=CLIENT_ID, is_node=False)


@dataclass
class LogoutNode:
    """The node, its surroundings, and a browser's view of it."""

    rows: LoginRows
    clock: FixedClock
    heard: Heard
    parties: Parties
    directory: Directory
    own: OwnProvider
    key: SigningKey
    peer_key: SigningKey
    logout: Logout
    end: EndSession
    client: TestClient[web.Request, web.Application] = field(init=False)

    @property
    def cookies(self) -> LoginCookies:
        """The names of its cookies."""
        return LoginCookies(NODE.province, HOME, 0)

    async def calm_down(self) -> None:
        """As at the beginning: everybody answers, and nobody is still to be told."""
        self.heard.away.clear()
        self.heard.status.clear()
        self.own.is_away = False
        standing(self.directory, self.directory.current.peers[VISITED])
        self.clock.advance(minutes=6)
        await self.logout.tell_due()
        self.heard.taken.clear()
        self.heard.tries.clear()

    # --- citizens -----------------------------------------------------------------------------------------------------

    async def logged_in(
        self, subject: str, *client_ids: str, whose: Identity | None = None
    ) -> tuple[str, Session]:
        """A citizen with a session in which these take part: the cookie's token, and the session."""
        token, session = await self.rows.sessions.begin(whose or identity(subject), id_token="idp.id.token")
        for client_id in client_ids:
            taking = self.parties.known[client_id]
            await self.rows.subjects.subject_for(
                session.identity.issuer, session.identity.subject, taking.sector
            )
            assert await self.rows.sessions.add_party(
                session.session_id, taking, sid_of(session.session_id, client_id)
            )
        return token, session

    async def is_over(self, token: str) -> bool:
        """Whether the session of a cookie is no more."""
        return await self.rows.sessions.find(token) is None

    def hint(self, session: Session, client_id: str = "portal", **claims: Any) -> str:
        """The ID token that a client had in a session."""
        now_s = int(self.clock.now().timestamp())
        said = {
            "iss": HOME,
            "sub": "subject-there",
            "aud": client_id,
            "iat": now_s - 7200,
            "exp": now_s - 6600,
            "sid": sid_of(session.session_id, client_id),
            **claims,
        }
        return sign_token(said, self.key, typ="JWT")

    def logout_token(self, **changes: Any) -> str:
        """A logout token of the peer's, good but for the changes; None takes a claim away, `key` and `typ` sign it."""
        key, typ = changes.pop("key", self.peer_key), changes.pop("typ", LOGOUT_TYP)
        return sign_token(logout_of(self.clock, **changes), key, typ=typ)

    # --- the browser --------------------------------------------------------------------------------------------------

    async def get(self, path: str, query: Mapping[str, str] | str = "", *, token: str = "") -> ClientResponse:
        """Go to a page, with the session's cookie."""
        return await self.client.get(
            path,
            params=query or None,
            headers=self._headers(token),
            allow_redirects=False,
        )

    async def post(self, path: str, form: Mapping[str, str], *, token: str = "") -> ClientResponse:
        """Send a form, with the session's cookie unless it comes from another site."""
        return await self.client.post(path, data=form, headers=self._headers(token), allow_redirects=False)

    def _headers(self, token: str) -> dict[str, str]:
        cookie = {"Cookie": f"{self.cookies.name('session')}={token}"} if token else {}
        return {"Accept-Language": "en", **cookie}


def logout_of(clock: FixedClock, **changes: Any) -> dict[str, Any]:
    """The claims of a logout token for `HOME` by `VISITED`, with changes; None takes one away."""
    now_s = int(clock.now().timestamp())
    said = {
        "iss": VISITED,
        "aud": HOME,
        "iat": now_s,
        "exp": now_s + 120,
        "jti": f"jti-{json.dumps(changes, sort_keys=True, default=str)}"[:200],
        "sid": "sid-1",
        "events": {EVENT: {}},
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def location(response: ClientResponse) -> tuple[str, dict[str, str]]:
    """Where a redirect leads, without its query, and the query."""
    assert response.status == 303
    parts = urlsplit(response.headers["Location"])
    return parts._replace(query="").geturl(), dict(parse_qsl(parts.query))


def peer_of(key: SigningKey) -> Peer:
    """Anhui's node, as its chain describes it."""
    keys = {key.kid: key.verification_key}
    openid = OpenIdProfile(
        issuer=VISITED,
        authorization_endpoint=f"{VISITED}/oidc/authorize",
        pushed_authorization_request_endpoint=f"{VISITED}/oidc/par",
        token_endpoint=f"{VISITED}/oidc/token",
        end_session_endpoint=f"{VISITED}/oidc/logout",
        provider_keys=keys,
        client_keys=keys,
        redirect_uris=(f"{VISITED}/login/callback",),
        post_logout_redirect_uris=(f"{VISITED}/login/signed-out",),
        backchannel_logout_uri=f"{VISITED}/login/backchannel-logout",
    )
    return Peer(
        entity_id=VISITED,
        province="340000",
        name="安徽省节点",
        grpc_target="127.0.0.1:1",
        tls_name="x.peer.yrd",
        envelope_keys={},
        expires_at=NOON.replace(year=NOON.year + 1),
        openid=openid,
    )


def standing(directory: Directory, peer: Peer, name: str = "member") -> None:
    """Give the peer another standing."""
    directory.swap(TrustSnapshot(HOME, "320000", {VISITED: replace(peer, standing=name)}))


@asynccontextmanager
async def running_logout_node(folder: Path) -> AsyncIterator[LogoutNode]:
    """The node, at work."""
    clock, heard, own = FixedClock(), Heard(), OwnProvider()
    database = open_database(f"sqlite:///{folder / 'logout.db'}")
    try:
        rows = await open_login_rows(database, clock)
        node = make_logout_node(rows, clock, heard, own)
        app = web.Application()
        pages = Pages(NODE)
        border = LoginBorder(pages, node.cookies)
        add_logout(app, LogoutPages(node.end, pages, node.cookies, border))
        add_backchannel(app, receiver_of(node))
        async with TestClient(TestServer(app)) as client:
            node.client = client
            yield node
    finally:
        await database.close()


def make_logout_node(rows: LoginRows, clock: FixedClock, heard: Heard, own: OwnProvider) -> LogoutNode:
    """The rules over these rows: as one replica has them."""
    key, peer_key = SigningKey.generate(), SigningKey.generate()
    directory = Directory(TrustSnapshot(HOME, "320000", {VISITED: peer_of(peer_key)}))
    known = {
        "portal": party("portal"),
        "hall": party("hall"),
        "quiet": party("quiet", backchannel_logout_uri=""),
        VISITED: peer_party(),
    }
    parties = Parties(known)
    logout = Logout(HOME, rows.sessions, rows.logouts, parties, heard, rows.replays, lambda: key, clock)
    keys = TokenKeys(signer=lambda: key, verifiers=lambda: {key.kid: key.verification_key})
    end = EndSession(
        entity_id=HOME,
        sessions=rows.sessions,
        logout=logout,
        parties=parties,
        hints=IdTokens(HOME, keys, clock, life_s=600),
        upstreams=Upstreams(own),
        seal=rows.seal,
        clock=clock,
    )
    return LogoutNode(rows, clock, heard, parties, directory, own, key, peer_key, logout, end)


def receiver_of(node: LogoutNode) -> LogoutReceiver:
    """What takes logout tokens."""
    return LogoutReceiver(
        entity_id=HOME,
        identity_provider=IDENTITY_PROVIDER,
        client_id=CLIENT_ID,
        own=node.own,
        directory=node.directory,
        logout=node.logout,
        clock=node.clock,
        skew_s=60,
    )
