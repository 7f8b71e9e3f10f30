"""The home side: the citizen logs in at the province's own identity provider, agrees, and is answered for.

Who is logged in here already need not log in again, unless the request asks for it (`prompt`, `max_age`, a level, a
subject). Then each attribute is shown, and to whom it goes; what was agreed to once is not asked again until it is
withdrawn. Consents to fetch certificates are asked for each time.

What is agreed to is what was shown: the identity is kept with the login, and the session that agrees must be the one
that was shown the page.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from federation.login.attempt import Attempt
from federation.login.claims import (
    VERIFIED_CLAIMS,
    ClaimsUnusable,
    account_claims,
    minimised,
    platform_claims,
)
from federation.login.levels import UNMET, ProviderLevels, demanded_level, require_level
from federation.login.model import (
    OFFLINE,
    Agreed,
    AuthRequest,
    AuthResponse,
    Identity,
    OnBehalf,
    Session,
    meets,
)
from federation.login.ports import Agreements, Answers, Papers, Sessions, Subjects
from federation.login.refusals import OAuthRefusal, Turn
from federation.login.relying_party import (
    Authenticated,
    Provider,
    ProviderCalls,
    ProviderWrong,
)
from federation.login.steps import ConsentView, GoTo, Respond, Show, Step
from federation.login.visited import HomeNodes, account_hint
from federation.login.writes import Writes
from federation.ports import Clock
from federation.translator import Translator

__all__ = ["HomeFlow", "ProviderWords"]

_FRESH = frozenset({"login", "select_account"})
AGREE, DENY = "agree", "deny"


@dataclass(frozen=True, slots=True)
class ProviderWords:
    """How the identity provider's words become ours, and what it is asked for: ``[login.identity_provider]``."""

    issuer: str
    levels: ProviderLevels
    claims: Mapping[str, str]
    scopes: tuple[str, ...]
    session_s: int


_Enter = Callable[[Writes], tuple[str, str]]
"""Writes what goes with the next state of a login; the token of a session that begins with it, or empty, and the id of
the session that the citizen is in."""


@dataclass(frozen=True, slots=True)
class _Way:
    """What is handed over, and whether it was agreed to."""

    claims: dict[str, Any]
    has_agreed: bool


@dataclass(frozen=True, slots=True)
class HomeFlow:
    """Logs in, asks, answers. `papers` is None where consents are not issued."""

    entity_id: str
    province: str
    name: str
    words: ProviderWords
    calls: ProviderCalls
    sessions: Sessions
    subjects: Subjects
    agreements: Agreements
    answers: Answers
    homes: HomeNodes
    clock: Clock
    translator: Callable[[], Translator]
    translated: Callable[[Translator], None]
    papers: Papers | None = None
    offline_days: int = 30
    """How long own platforms' refresh tokens are good for."""

    # --- logging in ---------------------------------------------------------------------------------------------

    async def session_for(self, attempt: Attempt) -> Session | None:
        """The session of this browser when it meets the request; None when the citizen has to log in.

        Raises OAuthRefusal when nothing can meet it, OwnStoreUnavailable.
        """
        request = attempt.request
        demanded = demanded_level(request)
        if not attempt.visitor.session or _FRESH & request.prompt:
            return None
        session = await self.sessions.find(attempt.visitor.session)
        if session is None or session.identity.issuer != self.words.issuer:
            return None
        if not meets(session.identity.acr, demanded) or self._is_too_old(request, session.identity):
            return None
        return session if await self._is_expected(request, session.identity) else None

    def _is_too_old(self, request: AuthRequest, identity: Identity) -> bool:
        if request.max_age_s is None:
            return False
        # A max_age of 0 is the same as prompt=login (OpenID Connect Core §15.1 in its errata): never from a session.
        return request.max_age_s == 0 or self._now_s() - identity.auth_time > request.max_age_s

    async def _is_expected(self, request: AuthRequest, identity: Identity) -> bool:
        if not request.id_token_hint_sub:
            return True
        subject = await self.subjects.subject_for(identity.issuer, identity.subject, request.sector)
        return subject == request.id_token_hint_sub

    def wanted(self, attempt: Attempt) -> Mapping[str, str]:
        """What the identity provider is asked, beside what every request has. Raises OAuthRefusal.

        A `max_age` is always in it, so that it must say when the citizen authenticated (OpenID Connect Core §2).
        """
        request = attempt.request
        demanded = demanded_level(request)
        values = self.words.levels.values_for(demanded)
        if not values and not meets(self.words.levels.when_absent, demanded):
            raise OAuthRefusal(
                UNMET, f"the identity provider of {self.province} offers nothing of {demanded}"
            )
        return {
            "scope": " ".join(self.words.scopes),
            "prompt": self._prompt(attempt),
            "max_age": str(min(self.words.session_s, request.max_age_s or self.words.session_s)),
            "acr_values": " ".join(values),
            "ui_locales": " ".join(request.ui_locales),
            "login_hint": account_hint(request),
        }

    def _prompt(self, attempt: Attempt) -> str:
        request = attempt.request
        asked = request.prompt & _FRESH
        if request.max_age_s == 0 or request.id_token_hint_sub:
            asked |= {"login"}
        return " ".join(sorted(asked))

    async def returned(self, attempt: Attempt, provider: Provider, found: Authenticated) -> Step:
        """The identity provider said who it is: begin a session, and go on with the consent.

        Raises ProviderWrong, ProviderAway, ProviderRefused, OAuthRefusal, PageRefusal, OwnStoreUnavailable.
        """
        identity = await self._identity(provider, found)
        require_level(identity.acr, demanded_level(attempt.request))
        said = {"id_token": found.id_token, "replaces": attempt.visitor.session}
        try:
            if not await self._is_expected(attempt.request, identity):
                raise OAuthRefusal("login_required", "somebody else logged in than the request names")
            way = await self._way(attempt.request, identity)
        except OAuthRefusal:  # the client is refused; the citizen is logged in all the same
            attempt.session, _ = await self.sessions.begin(identity, **said)
            raise

        def enter(writes: Writes) -> tuple[str, str]:
            token, session = writes.begin_session(identity, **said)
            return token, session.session_id

        def ask(writes: Writes) -> tuple[dict[str, Any], str]:
            token, session_id = enter(writes)
            return _asking(identity, session_id), token

        if way.has_agreed:
            return await self._end(attempt, identity, way.claims, enter)
        attempt.session = await attempt.keep_with(ask)
        return GoTo(url=attempt.page, session=attempt.session)

    async def _identity(self, provider: Provider, found: Authenticated) -> Identity:
        said = dict(found.claims)
        if provider.userinfo_endpoint and not said.keys() >= set(self.words.claims.values()):
            told = await self.calls.userinfo(provider.userinfo_endpoint, found.access_token)
            if told.get("sub") != found.subject:  # OpenID Connect Core §5.3.2
                raise ProviderWrong("userinfo is about somebody else than the ID token (sub)")
            said = {**told, **said}
        words = self.translator()
        try:
            claims = account_claims(words, self.words.claims, said)
        except ClaimsUnusable as error:
            raise ProviderWrong(str(error)) from None
        self.translated(words)
        return Identity(
            issuer=provider.issuer,
            subject=found.subject,
            acr=self.words.levels.level_of(found.acr),
            amr=found.amr,
            auth_time=found.auth_time,
            origin=provider.issuer,
            claims=claims,
            upstream_sid=found.sid,
        )

    # --- agreeing -----------------------------------------------------------------------------------------------

    async def agree(self, attempt: Attempt, session: Session) -> Step:
        """Ask the citizen of a session where it has to be asked, else answer.

        Raises OAuthRefusal, PageRefusal, OwnStoreUnavailable.
        """
        identity, session_id = session.identity, session.session_id
        way = await self._way(attempt.request, identity)
        if way.has_agreed:
            return await self._end(attempt, identity, way.claims, lambda _writes: ("", session_id))
        await attempt.keep(**_asking(identity, session_id))
        return GoTo(url=attempt.page)

    async def _way(self, request: AuthRequest, identity: Identity) -> _Way:
        """Raises OAuthRefusal, OwnStoreUnavailable."""
        if request.own_page:
            return _Way({}, has_agreed=True)
        claims = self._handed_over(request, identity)
        has_agreed = await self._has_agreed(request, identity, claims)
        if not has_agreed and "none" in request.prompt:
            raise OAuthRefusal("consent_required", "the citizen has to be asked, and prompt=none forbids it")
        return _Way(claims, has_agreed)

    async def _end(self, attempt: Attempt, identity: Identity, claims: dict[str, Any], enter: _Enter) -> Step:
        """The end of a login that nothing is to be asked in, with what `enter` writes."""
        if not attempt.request.own_page:
            return await self._answer(attempt, identity, claims, enter)
        attempt.session, _ = await attempt.finish(enter)
        attempt.note_end("own_page", acr=identity.acr)
        return GoTo(url=attempt.request.own_page, session=attempt.session)

    def _handed_over(self, request: AuthRequest, identity: Identity) -> dict[str, Any]:
        """What was asked for and is there. Raises OAuthRefusal when it is about who somebody is, and that is not
        known: then nothing less will do.
        """
        claims = minimised(identity.claims, request.claims)
        missing = sorted((VERIFIED_CLAIMS & request.claims) - claims.keys())
        if missing:
            raise OAuthRefusal(UNMET, f"nothing verified is known of this account: {' '.join(missing)}")
        return claims

    async def _has_agreed(self, request: AuthRequest, identity: Identity, claims: Mapping[str, Any]) -> bool:
        if "consent" in request.prompt or request.authorization_details:
            return False
        recipient, platform = self._to_whom(request)
        agreement = await self.agreements.find(identity, recipient, platform.client_id)
        return agreement is not None and _names(claims, platform) <= agreement.claims

    def _to_whom(self, request: AuthRequest) -> tuple[str, OnBehalf]:
        if request.is_peer:
            return request.client_id, request.on_behalf or OnBehalf(request.client_id, request.client_name)
        offline_days = self.offline_days if OFFLINE in request.scopes else 0
        return self.entity_id, OnBehalf(request.client_id, request.client_name, offline_days)

    async def show(self, attempt: Attempt) -> Step:
        """The consent page. Raises PageRefusal as `_own_session`, OwnStoreUnavailable."""
        identity = await self._own_identity(attempt)
        request = attempt.request
        recipient, platform = self._to_whom(request)
        name, province = self.homes.name_of(recipient) if request.is_peer else (self.name, self.province)
        claims = self._handed_over(request, identity)
        view = ConsentView(
            interaction_id=attempt.interaction.interaction_id,
            csrf=attempt.interaction.csrf,
            number=attempt.interaction.number,
            recipient=recipient,
            recipient_name=name,
            recipient_province=province,
            platform=platform,
            account_name=str(identity.claims.get("name", "")),
            claims=claims,
            papers=self._papers_of(request),
            ui_locales=request.ui_locales,
        )
        return Show(view=view)

    def _papers_of(self, request: AuthRequest) -> tuple[Any, ...]:
        if not request.authorization_details or self.papers is None:
            return ()
        return tuple(self.papers.describe(request))

    async def decide(self, attempt: Attempt, decision: str) -> Step:
        """The citizen agreed, or did not. Raises OAuthRefusal, PageRefusal, OwnStoreUnavailable."""
        identity = await self._own_identity(attempt)
        if decision != AGREE:
            raise OAuthRefusal("access_denied", "the citizen did not agree")
        request = attempt.request
        claims = self._handed_over(request, identity)
        recipient, platform = self._to_whom(request)

        def remember(writes: Writes) -> tuple[str, str]:
            writes.remember(identity, recipient, platform, _names(claims, platform))
            return "", attempt.interaction.session_id

        return await self._answer(attempt, identity, claims, remember)

    async def _own_identity(self, attempt: Attempt) -> Identity:
        """Who was shown the page, when the browser is still logged in as that one.

        Raises PageRefusal: the login is then where it began, so that "try again" logs in anew and asks again.
        """
        session = await self.sessions.find(attempt.visitor.session) if attempt.visitor.session else None
        identity = attempt.interaction.identity
        expected = attempt.interaction.session_id
        if session is None or identity is None or not secrets.compare_digest(session.session_id, expected):
            await attempt.keep(step="start", identity=None, session_id="")
            raise attempt.page_refusal("login.session_ended", Turn.CITIZEN, status=403, can_retry=True)
        return identity

    async def _answer(
        self, attempt: Attempt, identity: Identity, claims: dict[str, Any], enter: _Enter
    ) -> Respond:
        request = attempt.request
        grant = await self.answers.granting(request)
        agreed = partial(
            Agreed,
            identity=replace(identity, claims={}),  # no more than what goes to the client is kept for it
            claims=claims if request.is_peer else self._in_own_words(claims),
        )

        def end(writes: Writes) -> tuple[str, AuthResponse]:
            token, session_id = enter(writes)
            return token, grant(writes, agreed(session_id=session_id))

        if not request.authorization_details:
            attempt.session, response = await attempt.finish(end)
            return attempt.answered(response, acr=identity.acr)
        # Consents are signed once the login is over: of two that agree at once, one has them.
        attempt.session, session_id = await attempt.finish(enter)
        whole = agreed(session_id=session_id, authorization_details=await self._issue(request, identity))
        response = await attempt.together.write(lambda writes: grant(writes, whole))
        return attempt.answered(response, acr=identity.acr)

    async def _issue(self, request: AuthRequest, identity: Identity) -> tuple[dict[str, Any], ...]:
        if self.papers is None:
            raise OAuthRefusal("invalid_authorization_details", "this node issues no consents")
        return tuple(dict(one) for one in await self.papers.issue(request, identity))

    def _in_own_words(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        words = self.translator()
        own = platform_claims(words, claims)
        self.translated(words)
        return own

    def _now_s(self) -> float:
        return self.clock.now().timestamp()


def _asking(identity: Identity, session_id: str) -> dict[str, Any]:
    return {"step": "consent", "identity": identity, "session_id": session_id, "upstream": None}


def _names(claims: Mapping[str, Any], platform: OnBehalf) -> frozenset[str]:
    """What is agreed to: the claims (how one was translated is no claim), and to stay logged in (OpenID Connect Core
    §11: not without consent).
    """
    return frozenset(claims) - {"face_relations"} | ({OFFLINE} if platform.offline_days else set())
