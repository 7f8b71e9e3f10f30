"""The visited side: this node goes to a home node as relying party, and comes back with a verified identity.

Who the home nodes are, where they are and which keys they sign with comes from the trust chains in memory: no request
is made for it, and a chain that has expired or was revoked meanwhile ends a login that is on its way.

What the platform demands of the login (level, age, prompt) is passed on, and checked once more in what comes back. The
citizen agrees at home; here nothing is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec.structs import replace

from federation.errors import FederationError
from federation.login.attempt import Attempt
from federation.login.claims import (
    VERIFIED_CLAIMS,
    VERIFIED_LEVEL,
    ClaimsUnusable,
    peer_claims,
    platform_claims,
)
from federation.login.levels import demanded_level, require_level
from federation.login.model import LEVELS, OFFLINE, Agreed, AuthRequest, AuthResponse, Identity, meets
from federation.login.ports import Answers, Subjects
from federation.login.refusals import OAuthRefusal
from federation.login.relying_party import (
    Authenticated,
    ClientAuthentication,
    OpenedIdToken,
    Provider,
    ProviderWrong,
)
from federation.login.steps import ProvinceView, Respond
from federation.login.writes import Writes
from federation.peers import Directory, Peer
from federation.ports import Clock
from federation.translator import Translator
from trust.consent import read_consent
from trust.errors import TrustError
from trust.keys import VerificationKey
from trust.tokens import read_token, verify_token

__all__ = ["HomeNodes", "VisitedFlow", "account_hint"]

_PROVINCE = re.compile(r"[0-9]{6}", re.ASCII)
_ID_TOKEN_TYPE = "JWT"  # noqa: S105  no password


def account_hint(request: AuthRequest) -> str:
    """What the request says of the account to whoever asks for it; a province says something of the chooser."""
    hint = request.login_hint
    return "" if _PROVINCE.fullmatch(hint) else hint


@dataclass(frozen=True, slots=True)
class _ChainKeys:
    """A node's keys for logins, as its chain names them."""

    keys: Mapping[str, VerificationKey]

    async def open(self, id_token: str) -> OpenedIdToken:
        """See `ProviderKeys.open`."""
        try:
            token = read_token(id_token)
            signed = verify_token(token, keys=self.keys, typ=_ID_TOKEN_TYPE)
        except TrustError as error:
            raise ProviderWrong(f"the ID token does not verify: {error.detail}") from None
        return OpenedIdToken(token.header, signed.claims)


@dataclass(frozen=True, slots=True)
class HomeNodes:
    """The nodes of the other provinces as OpenID providers. `authentication` makes that for an issuer."""

    directory: Directory
    own_entity: str
    authentication: Callable[[str], ClientAuthentication]
    clock: Clock

    def choices(self) -> Sequence[ProvinceView]:
        """The other provinces, by code; one that cannot be used now is away."""
        now = self.clock.now()
        peers = {peer.province: peer for peer in self.directory.current.peers.values()}
        return [
            ProvinceView(code=code, name=peer.name, is_away=not _is_usable(peer, now))
            for code, peer in sorted(peers.items())
        ]

    def in_province(self, province: str) -> tuple[Peer, Provider]:
        """The node of a province. Raises FederationError: none, revoked, denied, expired; ProviderWrong when it offers
        no logins.
        """
        peer = self.directory.current.peer_in(province)
        return peer, self._provider(peer)

    def with_issuer(self, issuer: str) -> tuple[Peer, Provider]:
        """The node with an entity id. Raises as `in_province`."""
        peer = self.directory.current.peer(issuer)
        return peer, self._provider(peer)

    def name_of(self, entity_id: str) -> tuple[str, str]:
        """Name and province of a peer, or the entity id and nothing."""
        peer = self.directory.current.peers.get(entity_id)
        return (peer.name, peer.province) if peer else (entity_id, "")

    def _provider(self, peer: Peer) -> Provider:
        peer.require_standing(self.clock.now())
        openid = peer.openid
        if openid is None:
            raise ProviderWrong(f"{peer.entity_id} offers no logins")
        return Provider(
            issuer=openid.issuer,
            client_id=self.own_entity,
            authorization_endpoint=openid.authorization_endpoint,
            token_endpoint=openid.token_endpoint,
            pushed_endpoint=openid.pushed_authorization_request_endpoint,
            end_session_endpoint=openid.end_session_endpoint,
            authentication=self.authentication(openid.issuer),
            keys=_ChainKeys(openid.provider_keys),
            is_node=True,
        )


def _is_usable(peer: Peer, now: Any) -> bool:
    try:
        peer.require_standing(now)
    except FederationError:
        return False
    return peer.openid is not None


@dataclass(frozen=True, slots=True)
class VisitedFlow:
    """Takes a login that began at an own platform to a home node and back."""

    homes: HomeNodes
    subjects: Subjects
    answers: Answers
    translator: Callable[[], Translator]
    translated: Callable[[Translator], None]
    offline_days: int = 30
    """How long a platform's refresh tokens are good for: what the citizen agrees to at home."""

    def wanted(self, request: AuthRequest) -> Mapping[str, str]:
        """What the home node is asked, beside what every request has. Raises OAuthRefusal."""
        demanded = demanded_level(request)
        claims = {"id_token": dict.fromkeys(sorted(request.claims))} if request.claims else {}
        return {
            "scope": "openid",
            "prompt": " ".join(sorted(request.prompt)),
            "max_age": "" if request.max_age_s is None else str(request.max_age_s),
            "acr_values": " ".join(level for level in LEVELS if meets(level, demanded)),
            "claims": orjson.dumps(claims).decode() if claims else "",
            "authorization_details": request.authorization_details,
            "ui_locales": " ".join(request.ui_locales),
            "login_hint": account_hint(request),
            "yrd_platform": request.client_id,
            "yrd_platform_name": request.client_name,
            "yrd_offline_days": str(self.offline_days) if OFFLINE in request.scopes else "",
        }

    async def returned(self, attempt: Attempt, found: Authenticated, issuer: str) -> Respond:
        """The home node said who it is: keep a session, and answer the platform.

        Raises ProviderWrong, OAuthRefusal, PageRefusal, OwnStoreUnavailable.
        """
        request = attempt.request
        identity = self._identity(request, found, issuer)
        require_level(identity.acr, demanded_level(request))
        await self._require_subject(request, identity)
        papers = self._papers(request, found, issuer)
        grant = await self.answers.granting(request)

        def end(writes: Writes) -> tuple[str, AuthResponse]:
            token, session = writes.begin_session(
                identity, id_token=found.id_token, replaces=attempt.visitor.session
            )
            agreed = Agreed(
                identity=replace(identity, claims={}),  # what goes to the platform is beside it
                session_id=session.session_id,
                claims=identity.claims,
                authorization_details=papers,
            )
            return token, grant(writes, agreed)

        attempt.session, response = await attempt.finish(end)
        return attempt.answered(response, acr=identity.acr)

    def _identity(self, request: AuthRequest, found: Authenticated, issuer: str) -> Identity:
        origin = found.claims.get("origin")
        if not isinstance(origin, str) or not 0 < len(origin) <= 255:
            raise ProviderWrong("the ID token does not say who authenticated the citizen (origin)")
        if found.acr not in LEVELS:
            raise ProviderWrong("the ID token has no known level (acr)")
        try:
            shared = peer_claims(found.claims, request.claims)
        except ClaimsUnusable as error:
            raise ProviderWrong(str(error)) from None
        if not VERIFIED_CLAIMS.isdisjoint(shared) and not meets(found.acr, VERIFIED_LEVEL):
            raise ProviderWrong(f"the ID token has claims that need {VERIFIED_LEVEL}")
        words = self.translator()
        claims = platform_claims(words, shared)
        self.translated(words)
        return Identity(
            issuer=issuer,
            subject=found.subject,
            acr=found.acr,
            amr=found.amr,
            auth_time=found.auth_time,
            origin=origin,
            claims=claims,
            upstream_sid=found.sid,
        )

    def _papers(self, request: AuthRequest, found: Authenticated, issuer: str) -> tuple[dict[str, Any], ...]:
        """The consents that were asked for and granted (RFC 9396 §7); what nobody asked for goes no further."""
        if not request.authorization_details:
            return ()
        asked = orjson.loads(request.authorization_details)
        if len(found.authorization_details) > len(asked):
            raise ProviderWrong("there are more consents than were asked for (authorization_details)")
        for_whom = (issuer, self.homes.own_entity, request.client_id)
        return tuple([_paper(one, asked, for_whom) for one in found.authorization_details])

    async def _require_subject(self, request: AuthRequest, identity: Identity) -> None:
        expected = request.id_token_hint_sub
        if not expected:
            return
        subject = await self.subjects.subject_for(identity.issuer, identity.subject, request.sector)
        if subject != expected:
            raise OAuthRefusal("login_required", "somebody else logged in than the request names")


def _paper(
    granted: Mapping[str, Any], asked: Sequence[Any], for_whom: tuple[str, str, str]
) -> dict[str, Any]:
    """One of those asked for, with a consent that `for_whom` (issuer, asking node, platform) may show."""
    use = {name: value for name, value in granted.items() if name not in ("consent", "expires_at")}
    token = granted.get("consent")
    if use not in asked or not isinstance(token, str):
        raise ProviderWrong("there is something else than the consents asked for (authorization_details)")
    try:
        consent = read_consent(token).consent
    except TrustError as error:
        raise ProviderWrong(f"what should be a consent is none: {error.detail}") from None
    if (consent.iss, consent.asking, consent.platform) != for_whom:
        raise ProviderWrong("the consent is another node's, or for another node or platform")
    return {**use, "consent": token, "expires_at": int(consent.expires_at.timestamp())}
