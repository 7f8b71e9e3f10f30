"""A citizen logs out in the browser: OpenID Connect RP-Initiated Logout 1.0, and the way on from here.

What a relying party asks is checked in this order; the code carries the same numbers:

 1. `id_token_hint` is an ID token of this node's, expired or not (§2); one that is not counts as none at all
 2. `client_id` is a client's, and the one that the hint was issued to (§2)
 3. `post_logout_redirect_uri` is exactly one that this client registered (§3); without a client there is none
 4. the login that is meant: the one that the hint, or the client's session id in `logout_hint`, stands for. Either is
    known to that client only
 5. the login of this browser is that one, or there is none; otherwise, and where nothing was proven, the citizen is
    asked (§2, §6)

Then the session ends, all who took part are told (`logout`), and whoever asked is sent to ``/login/signed-out``. To end
a login, what a client knows is enough. To learn anything of it is not, since whoever asks need be no browser: the rest
takes the cookie of that very login, which comes along there also after another site's form.

 6. the browser goes on to whoever logged the citizen in, with what names that login there: from a visited node to the
    home node, from there to the identity provider, and the same way back to ``/login/signed-out``
 7. it is shown what else ended, unless that is nothing new: where nothing else ended than what the citizen left, and
    all were told, it goes straight on to where the platform wants it, as everybody does who has not that cookie

The way is in `state`, sealed by this node, so that any replica knows it again and nobody can make one up.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from federation.errors import OwnRecordDamaged
from federation.login.discovery import SIGNED_OUT
from federation.login.logout import EndedWith, Logout
from federation.login.model import RelyingParty
from federation.login.ports import RelyingParties, Seal
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from federation.login.sessions import EndedSession, SessionEndings, form_token
from federation.ports import Clock
from trust.algorithms import b64url

__all__ = [
    "MOST_STATE",
    "Asked",
    "EndSession",
    "Hints",
    "Leave",
    "SignedOut",
    "Upstream",
    "Upstreams",
]

END_SESSION: Final = "/oidc/logout"
FORM_USE: Final = "logout"
RETURN_LIFE_S: Final = 3600
"""How long the way back is known."""
UPWARDS_LIFE_S: Final = 900
"""How long after a session ended the browser is still sent to whoever logged the citizen in."""

MOST_HINT: Final = 16_384
MOST_STATE: Final = 4096
"""Characters. A visited node's own `state` is as long as a platform's and a third, and the same again at home."""
_MOST_PLATFORM_STATE: Final = 1024
_MOST_URI: Final = 512
_MOST_ID: Final = 255
_CONTEXT: Final = "logout:return"


class Hints(Protocol):
    """Reads ID tokens of this node's (`federation.login.id_tokens.IdTokens`)."""

    def read_hint(self, token: str, client_id: str = "") -> HintSaid:
        """What it says, also when it has expired. Raises OAuthRefusal."""
        ...


class HintSaid(Protocol):
    """To which client an ID token was issued, and which session it was told."""

    @property
    def client_id(self) -> str:
        """Its audience."""
        ...

    @property
    def sid(self) -> str:
        """The session id; empty when it had none."""
        ...


class Upstream(Struct, frozen=True, kw_only=True):
    """Whoever logs citizens in for this node, as far as ending that login goes. `is_node` for a home node."""

    end_session_endpoint: str
    client_id: str
    is_node: bool


class Upstreams(Protocol):
    """Where the logins come from that sessions hang on."""

    async def upstream(self, issuer: str) -> Upstream | None:
        """It, or None: not known any more, away, or it has no address for that."""
        ...


class Asked(Struct, frozen=True, kw_only=True):
    """The citizen has to say whether to log out. The form goes to `action`, with `csrf`."""

    action: str
    csrf: str
    platform_name: str
    parties: tuple[str, ...]
    ui_locales: tuple[str, ...] = ()


class Leave(Struct, frozen=True, kw_only=True):
    """Go on to a URL: to the page after, from there to whoever logged the citizen in, or to the platform. `is_last`
    where nothing is left for which the cookie of the login that ended is needed.
    """

    url: str
    is_last: bool = False


class SignedOut(Struct, frozen=True, kw_only=True):
    """What has ended, and the way back: verified, or empty."""

    ended: Sequence[EndedWith]
    onward: str
    platform_name: str


class _Return(Struct, frozen=True, omit_defaults=True):
    """What is sealed in `state`: which session ended, for whom, where to, when."""

    at: int
    session_id: str = ""
    client_id: str = ""
    uri: str = ""
    issuer: str = ""
    """Who logged the citizen in, and whether the browser was sent there to end it."""
    is_sent: bool = False


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that was checked as far as it says who asks. `proves` is whether it stands for a login."""

    party: RelyingParty | None
    uri: str
    sid: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndSession:
    """The rules of the end_session endpoint, and of the page after it."""

    entity_id: str
    sessions: SessionEndings
    logout: Logout
    parties: RelyingParties
    hints: Hints
    upstreams: Upstreams
    seal: Seal
    clock: Clock

    # --- the request --------------------------------------------------------------------------------------------------

    async def request(self, parameters: Mapping[str, str], session_token: str) -> Asked | Leave:
        """What to do with a request, from whomever, by a browser with this cookie.

        Raises PageRefusal where it is not in order, OwnStoreUnavailable.
        """
        asked = await self._read(parameters)
        mine = await self._of_browser(session_token)
        meant = await self._meant(asked)  # 4
        if mine is not None and (meant is None or mine.session.session_id != meant.session.session_id):  # 5
            return await self._ask(asked, mine, session_token)
        return await self._leave(asked, meant)

    async def confirm(self, parameters: Mapping[str, str], session_token: str, *, csrf: str) -> Leave:
        """The citizen said yes, on the page of this node's. Raises PageRefusal as `request`, and for a form that this
        node did not make for this browser.
        """
        asked = await self._read(parameters)
        if not session_token or not hmac.compare_digest(
            csrf.encode(), form_token(session_token, FORM_USE).encode()
        ):
            raise PageRefusal(
                "login.csrf", turn=Turn.CITIZEN, status=403, retry=urlsplit(self.entity_id + END_SESSION).path
            )
        return await self._leave(asked, await self._of_browser(session_token))

    async def leave_by_page(self, session_token: str) -> Leave:
        """As `confirm`, for a page of this node's that has checked its form already."""
        return await self._leave(_Request(None, "", "", {}), await self._of_browser(session_token))

    async def _read(self, parameters: Mapping[str, str]) -> _Request:
        hint = self._hint(parameters.get("id_token_hint", ""))  # 1
        client_id = parameters.get("client_id", "")
        if hint is not None and client_id not in ("", hint.client_id):  # 2
            raise _refused("id_token_hint was issued to another client than client_id")
        client_id = client_id or (hint.client_id if hint is not None else "")
        party = await self.parties.find(client_id) if 0 < len(client_id) <= _MOST_ID else None
        if client_id and party is None:
            raise _refused("client_id is no client of this node")
        uri = parameters.get("post_logout_redirect_uri", "")  # 3
        if uri and (party is None or len(uri) > _MOST_URI or uri not in party.post_logout_redirect_uris):
            why = "no client is named" if party is None else "this client did not register it"
            raise _refused(f"post_logout_redirect_uri cannot be used: {why}")
        state = parameters.get("state", "")
        if len(state) > (MOST_STATE if party is not None and party.is_peer else _MOST_PLATFORM_STATE):
            raise _refused("state is too long")
        sid = hint.sid if hint is not None else parameters.get("logout_hint", "")
        return _Request(party, _with(uri, {"state": state}) if uri else "", sid[:_MOST_ID], parameters)

    def _hint(self, token: str) -> HintSaid | None:
        if not token or len(token) > MOST_HINT:
            return None
        try:
            return self.hints.read_hint(token)
        except OAuthRefusal:
            return None

    async def _of_browser(self, token: str) -> EndedSession | None:
        """The login of this browser, while it goes on."""
        found = await self.sessions.by_token(token) if token else None
        return None if found is None or found.has_ended else found

    async def _meant(self, asked: _Request) -> EndedSession | None:
        if asked.party is None or not asked.sid:
            return None
        return await self.sessions.by_party(asked.party.client_id, asked.sid)

    async def _ask(self, asked: _Request, mine: EndedSession, session_token: str) -> Asked:
        kept = ("client_id", "post_logout_redirect_uri", "state", "ui_locales")
        carried = {name: asked.parameters[name] for name in kept if asked.parameters.get(name)}
        if asked.party is not None:
            carried["client_id"] = asked.party.client_id
        return Asked(
            action=_with(urlsplit(self.entity_id + END_SESSION).path, carried),
            csrf=form_token(session_token, FORM_USE),
            platform_name="" if asked.party is None else asked.party.name,
            parties=tuple(await self.logout.taking_part(mine)),
            ui_locales=tuple(asked.parameters.get("ui_locales", "").split()[:8]),
        )

    # --- the way on ---------------------------------------------------------------------------------------------------

    async def _leave(self, asked: _Request, ended: EndedSession | None) -> Leave:
        """End it, and send whoever asks to the page after."""
        back = _Return(
            at=self._now(),
            client_id="" if asked.party is None else asked.party.client_id,
            uri=asked.uri,
        )
        if ended is not None:
            await self.logout.end(ended.session.session_id)
            back = msgspec.structs.replace(
                back, session_id=ended.session.session_id, issuer=ended.session.identity.issuer
            )
        return Leave(url=_with(self.entity_id + SIGNED_OUT, {"state": self._sealed(back)}))

    async def _upwards(self, ended: EndedSession, back: _Return) -> str:
        """The end_session of whoever logged the citizen in; empty when there is nowhere to go, or no more.

        A home node knows the login by the session id that this node had from it: its ID token holds what the citizen
        agreed to give, which should stand in no browser's history.
        """
        if back.is_sent or self._now() - ended.ended_at >= UPWARDS_LIFE_S:
            return ""
        identity = ended.session.identity
        upstream = await self.upstreams.upstream(identity.issuer)
        if upstream is None or (upstream.is_node and not await self._was_told(ended)):
            return ""
        hint = {"id_token_hint": ended.session.id_token}
        if upstream.is_node or not ended.session.id_token:
            hint = {"logout_hint": identity.upstream_sid}
        parameters = {
            **hint,
            "client_id": upstream.client_id,
            "post_logout_redirect_uri": self.entity_id + SIGNED_OUT,
            "state": self._sealed(msgspec.structs.replace(back, is_sent=True)),
        }
        return _with(upstream.end_session_endpoint, parameters)

    async def _was_told(self, ended: EndedSession) -> bool:
        """Whether the home node answered a moment ago: the browser is sent to no node that is away."""
        told = await self.logout.ended_with(ended.session.session_id)
        return any(one.is_told for one in told if one.client_id == ended.session.identity.issuer)

    # --- the page after -----------------------------------------------------------------------------------------------

    async def signed_out(self, state: str, session_token: str) -> SignedOut | Leave:
        """What ended, by the `state` that came back and the cookie of the login that it is about; without both, and
        without a `state` that this node sealed, no more than that something did. Raises OwnStoreUnavailable.
        """
        back = self._opened(state)
        if back is None:
            return SignedOut(ended=(), onward="", platform_name="")
        mine = await self._left_by(back, session_token)
        if mine is None:
            return Leave(url=back.uri) if back.uri else SignedOut(ended=(), onward="", platform_name="")
        if url := await self._upwards(mine, back):  # 6
            return Leave(url=url)
        return await self._told(back)  # 7

    async def _left_by(self, back: _Return, session_token: str) -> EndedSession | None:
        """The login that ended, where it was this browser's."""
        found = await self.sessions.by_token(session_token) if back.session_id and session_token else None
        if found is None or not found.has_ended or found.session.session_id != back.session_id:
            return None
        return found

    async def _told(self, back: _Return) -> SignedOut | Leave:
        ended = list(await self.logout.ended_with(back.session_id))
        if back.uri and not _is_news(ended, back):
            return Leave(url=back.uri, is_last=True)
        if back.is_sent and all(one.client_id != back.issuer for one in ended):
            host = urlsplit(back.issuer).hostname or back.issuer
            ended.append(EndedWith(client_id=back.issuer, name=host, is_told=True))
        name = await self.logout.name_of(back.client_id) if back.client_id else ""
        return SignedOut(ended=ended, onward=back.uri, platform_name=name)

    def _now(self) -> int:
        return int(self.clock.now().timestamp())

    def _sealed(self, back: _Return) -> str:
        return b64url(self.seal.seal(_CONTEXT, msgspec.json.encode(back)))

    def _opened(self, state: str) -> _Return | None:
        if not 0 < len(state) <= 2 * MOST_STATE:
            return None
        try:
            sealed = urlsafe_b64decode(state + "=" * (-len(state) % 4))
            back = msgspec.json.decode(self.seal.open(_CONTEXT, sealed), type=_Return)
        except (ValueError, OwnRecordDamaged):
            return None
        return back if back.at + RETURN_LIFE_S > self._now() else None


def _is_news(ended: Sequence[EndedWith], back: _Return) -> bool:
    """Whether the page would say something that the citizen does not know: another platform's login ended as well, or
    the home node is still being told. Who asked for it knows.
    """
    others = [one for one in ended if one.client_id != back.client_id]
    return any(one.client_id != back.issuer or not one.is_told for one in others)


def _refused(detail: str) -> PageRefusal:
    return PageRefusal("login.logout_request", turn=Turn.PLATFORM, detail=detail)


def _with(uri: str, parameters: Mapping[str, Any]) -> str:
    """A URI with parameters behind those that it has; empty ones are left out."""
    said = [(name, value) for name, value in parameters.items() if value]
    if not said:
        return uri
    parts = urlsplit(uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *said])
    return urlunsplit(parts._replace(query=query))
