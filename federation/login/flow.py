"""The way of a login through this node, from a checked request to its answer: `federation.login.steps.LoginFlow`.

An own platform's login asks for the home province unless the platform named it or the browser remembers it; then it
is a home login here, or goes to that province's node. A peer's login, and one of this node's own pages, is always a
home login: a home node sends nobody on to a third.

Every step begins with the row of the login and ends with one conditional write, so that "back", a reload, a second tab
or another replica never take a login where it was not. What the client can act upon reaches it as an OAuth error; the
rest is a page, unless the client forbade pages (``prompt=none``).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from federation.errors import (
    FederationError,
    OwnBusy,
    OwnOwnProvince,
    OwnStoreUnavailable,
    OwnUnknownProvince,
)
from federation.login.attempt import Attempt, new_number
from federation.login.home import HomeFlow
from federation.login.model import AuthRequest, Interaction, Upstream
from federation.login.ports import Answers, Interactions
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from federation.login.relying_party import (
    Provider,
    ProviderAway,
    ProviderRefused,
    ProviderWrong,
    RelyingPartySide,
    new_secret,
)
from federation.login.steps import ChooserView, GoTo, ProvinceView, Show, Step, Visitor
from federation.login.visited import HomeNodes, VisitedFlow
from federation.login.writes import Together
from federation.ports import Clock
from federation.quota import TokenBuckets

__all__ = ["Flow", "OwnProvider"]

_log = structlog.get_logger("yrd.login")

_PASSED_ON = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "login_required",
        "unmet_authentication_requirements",
    }
)
"""Errors of a home node or identity provider that are about the citizen, and so are the client's to know."""
_AWAY = frozenset({"server_error", "temporarily_unavailable"})
_LONGEST_ID = 64


class OwnProvider(Protocol):
    """The identity provider of the own province."""

    async def current(self) -> Provider:
        """It, as it describes itself. Raises ProviderAway, ProviderWrong."""
        ...


@dataclass(frozen=True, slots=True)
class Flow:
    """`path` is that of the entity id; `interaction_s` the life of a login; `begun` bounds how many a client begins,
    `senders` how many are begun, and taken to a provider, from one network: who floods shuts out nobody else.
    `side` goes to home nodes, `own_side` to the identity provider. `ended` is told of each login that is over: side
    (``home`` or ``visited``), the citizen's province, outcome.
    """

    rows: Interactions
    together: Together
    answers: Answers
    home: HomeFlow
    visited: VisitedFlow
    homes: HomeNodes
    own: OwnProvider
    side: RelyingPartySide
    own_side: RelyingPartySide
    clock: Clock
    province: str
    name: str
    path: str
    interaction_s: int
    begun: TokenBuckets
    senders: TokenBuckets
    ended: Callable[[str, str, str], None] = lambda _side, _province, _outcome: None

    # --- the four ways in ---------------------------------------------------------------------------------------

    async def begin(self, request: AuthRequest, visitor: Visitor) -> Step:
        """See `LoginFlow.begin`."""
        attempt = self._attempt(self._new(request), visitor, is_stored=False)
        self._take(attempt)
        if self.begun.take(request.client_id) > 0:
            refusal = OAuthRefusal("temporarily_unavailable", "this client begins too many logins at once")
            return await attempt.refuse(refusal)
        if not visitor.browser:
            await attempt.keep()
            return GoTo(url=attempt.page)
        return await self._guarded(attempt, self._onward)

    async def show(self, interaction_id: str, visitor: Visitor) -> Step:
        """See `LoginFlow.show`."""
        attempt = await self._found(interaction_id, visitor)
        step, was_asked = attempt.interaction.step, attempt.interaction.was_asked
        if step == "consent":
            return await self._guarded(attempt, self.home.show)
        if step == "province" or (step == "upstream" and was_asked):
            return self._chooser(attempt)
        onward = await self._guarded(attempt, self._onward)
        return self._chooser(attempt) if attempt.interaction.step == "province" else onward

    async def act(self, interaction_id: str, form: Mapping[str, str], visitor: Visitor) -> Step:
        """See `LoginFlow.act`."""
        attempt = await self._found(interaction_id, visitor)
        if not _is_same(form.get("csrf", ""), attempt.interaction.csrf):
            raise attempt.page_refusal("login.csrf", Turn.CITIZEN, status=403, can_retry=True)
        decision = form.get("decision", "")
        if attempt.interaction.step == "consent":
            return await self._guarded(attempt, lambda one: self.home.decide(one, decision))
        if attempt.interaction.step == "start" or not attempt.interaction.was_asked:
            return GoTo(url=attempt.page)
        if decision == "cancel":
            return await attempt.refuse(OAuthRefusal("access_denied", "the citizen went back"))
        return await self._guarded(attempt, lambda one: self._choose(one, form))

    async def callback(self, parameters: Mapping[str, str], visitor: Visitor) -> Step:
        """See `LoginFlow.callback`."""
        interaction_id, _, _ = parameters.get("state", "").partition(".")
        attempt = await self._found(interaction_id, visitor)
        upstream = attempt.interaction.upstream
        if attempt.interaction.step == "consent":
            return GoTo(url=attempt.page)
        if upstream is None or not _is_same(parameters.get("state", ""), upstream.state):
            raise attempt.page_refusal("login.outdated", Turn.CITIZEN, status=409, can_retry=True)
        return await self._guarded(attempt, lambda one: self._returned(one, upstream, parameters))

    # --- finding ------------------------------------------------------------------------------------------------

    def _new(self, request: AuthRequest) -> Interaction:
        now = int(self.clock.now().timestamp())
        return Interaction(
            interaction_id=new_secret(),
            request=request,
            csrf=new_secret(),
            created_at=now,
            expires_at=now + self.interaction_s,
            number=new_number(),
        )

    def _take(self, attempt: Attempt) -> None:
        """Raises PageRefusal: too much comes from where this comes from."""
        if self.senders.take(attempt.visitor.sender) > 0:
            detail = "too many logins are begun from one network"
            raise attempt.page_refusal(
                "login.too_often", Turn.CITIZEN, detail=detail, status=429, can_retry=True
            )

    def _attempt(self, interaction: Interaction, visitor: Visitor, *, is_stored: bool) -> Attempt:
        page = f"{self.path}/login/i/{interaction.interaction_id}"
        return Attempt(
            self.rows, self.together, self.answers, interaction, visitor, page, is_stored, self._ended
        )

    def _ended(self, interaction: Interaction, outcome: str) -> None:
        request = interaction.request
        at_home = request.is_peer or bool(request.own_page)
        province = self.province if at_home else interaction.province
        side = "home" if province == self.province else "visited"
        self.ended(side, province or "unknown", outcome)

    async def _found(self, interaction_id: str, visitor: Visitor) -> Attempt:
        """Raises PageRefusal: none of this browser's, expired, or over."""
        found = None
        if visitor.browser and 0 < len(interaction_id) <= _LONGEST_ID:
            found = await self.rows.find(interaction_id, visitor.browser)
        if found is None:
            raise PageRefusal("login.expired", turn=Turn.CITIZEN, status=400)
        attempt = self._attempt(found, visitor, is_stored=True)
        if found.step == "done":
            raise attempt.page_refusal("login.finished", Turn.CITIZEN, status=409)
        return attempt

    # --- where to -----------------------------------------------------------------------------------------------

    async def _onward(self, attempt: Attempt) -> Step:
        """To whom this login goes, as far as that is known."""
        request = attempt.request
        if request.is_peer or request.own_page:
            return await self._at_home(attempt)
        province = attempt.interaction.province or self._known_province(request, attempt.visitor)
        if province:
            return await self._to_province(attempt, province)
        if "none" in request.prompt:
            raise OAuthRefusal(
                "account_selection_required",
                "the citizen has to choose a province, and prompt=none forbids it",
            )
        await attempt.keep(step="province", was_asked=True)
        return GoTo(url=attempt.page)

    def _known_province(self, request: AuthRequest, visitor: Visitor) -> str:
        codes = {one.code for one in self._choices()}
        if "select_account" in request.prompt:
            return ""
        named = request.province or request.login_hint
        if request.province and request.province not in codes:
            raise OAuthRefusal("invalid_request", "province names none of this federation")
        return next((code for code in (named, visitor.province) if code in codes), "")

    def _choices(self) -> list[ProvinceView]:
        own = ProvinceView(code=self.province, name=self.name)
        return sorted([own, *self.homes.choices()], key=lambda one: one.code)

    def _chooser(self, attempt: Attempt) -> Show:
        interaction = attempt.interaction
        view = ChooserView(
            interaction_id=interaction.interaction_id,
            csrf=interaction.csrf,
            number=interaction.number,
            platform_name=attempt.platform_name,
            provinces=tuple(self._choices()),
            is_remembered=bool(attempt.visitor.province),
            ui_locales=interaction.request.ui_locales,
        )
        return Show(view=view)

    async def _choose(self, attempt: Attempt, form: Mapping[str, str]) -> Step:
        province = form.get("province", "")
        if province not in {one.code for one in self._choices()}:
            return GoTo(url=attempt.page)
        step = await self._to_province(attempt, province)
        if form.get("remember") == "1" and isinstance(step, GoTo):
            return GoTo(url=step.url, session=step.session, province=province)
        return step

    async def _to_province(self, attempt: Attempt, province: str) -> Step:
        if province == self.province:
            return await self._at_home(attempt)
        wanted = self.visited.wanted(attempt.request)
        return await self._send(attempt, self.side, lambda: self._home_node(province), wanted, province)

    async def _at_home(self, attempt: Attempt) -> Step:
        session = await self.home.session_for(attempt)
        if session is not None:
            return await self.home.agree(attempt, session)
        if "none" in attempt.request.prompt:
            raise OAuthRefusal("login_required", "nobody is logged in here as the request asks")
        wanted = self.home.wanted(attempt)
        return await self._send(attempt, self.own_side, self.own.current, wanted, self.province)

    async def _home_node(self, province: str) -> Provider:
        return self.homes.in_province(province)[1]

    async def _send(
        self,
        attempt: Attempt,
        side: RelyingPartySide,
        find: Callable[[], Awaitable[Provider]],
        wanted: Mapping[str, str],
        province: str,
    ) -> GoTo:
        """To a provider. When it cannot be reached the login is kept, so that the citizen can try again."""
        if attempt.is_stored:  # else its beginning was counted
            self._take(attempt)
        try:
            provider = await find()
            upstream = side.prepare(provider, attempt.interaction.interaction_id)
            url = await side.send(provider, upstream, wanted)
        except (FederationError, ProviderAway, ProviderRefused, ProviderWrong):
            if "none" not in attempt.request.prompt:
                await attempt.keep(step="start", province=province, upstream=None)
            raise
        await attempt.keep(step="upstream", province=province, upstream=upstream)
        return GoTo(url=url)

    # --- back ---------------------------------------------------------------------------------------------------

    async def _returned(self, attempt: Attempt, upstream: Upstream, parameters: Mapping[str, str]) -> Step:
        max_age_s = self._max_age_s(attempt)
        if attempt.interaction.province == self.province:
            provider = await self.own.current()
            found = await self.own_side.receive(provider, upstream, parameters, max_age_s=max_age_s)
            return await self.home.returned(attempt, provider, found)
        _, provider = self.homes.with_issuer(upstream.issuer)
        found = await self.side.receive(provider, upstream, parameters, max_age_s=max_age_s)
        return await self.visited.returned(attempt, found, upstream.issuer)

    def _max_age_s(self, attempt: Attempt) -> int | None:
        """How long ago the citizen may have authenticated at most; where a new login was asked for, not before this
        one began.
        """
        request = attempt.request
        if "login" in request.prompt or request.max_age_s == 0:
            return int(self.clock.now().timestamp()) - attempt.interaction.created_at
        return request.max_age_s

    # --- what goes wrong ----------------------------------------------------------------------------------------

    async def _guarded(self, attempt: Attempt, work: Callable[[Attempt], Awaitable[Step]]) -> Step:
        """Do a step; what goes wrong becomes an answer to the client, or a page."""
        try:
            return await work(attempt)
        except OAuthRefusal as refusal:
            return await attempt.refuse(refusal)
        except ProviderRefused as error:
            if error.error in _PASSED_ON:
                # What it wrote may name the citizen's account: that is for this node's log alone.
                _log.info("login.upstream_refused", detail=str(error), **attempt.facts())
                said = "the citizen's side refused the login, for the reason that error names"
                return await attempt.refuse(OAuthRefusal(error.error, said))
            away = error.error in _AWAY
            return await self._failed(attempt, "away" if away else "refused", str(error))
        except ProviderAway as error:
            return await self._failed(attempt, "away", str(error))
        except ProviderWrong as error:
            return await self._failed(attempt, "wrong", str(error))
        except (OwnStoreUnavailable, OwnBusy):
            raise
        except FederationError as error:
            if isinstance(error, OwnUnknownProvince | OwnOwnProvince):
                return await attempt.refuse(
                    OAuthRefusal("invalid_request", "province names none to log in with")
                )
            return await self._failed(attempt, "no_trust", f"{error.code}: {error.detail}")

    async def _failed(self, attempt: Attempt, how: str, detail: str) -> Step:
        """The other side could not do its part. Raises PageRefusal unless the client forbade pages."""
        at_home = attempt.interaction.province in ("", self.province)
        turn = Turn.IDENTITY_PROVIDER if at_home else Turn.PEER_NODE
        _log.warning("login.upstream_failed", how=how, detail=detail, **attempt.facts())
        if "none" in attempt.request.prompt:
            return await attempt.refuse(
                OAuthRefusal("temporarily_unavailable", "the login cannot be done now")
            )
        if attempt.interaction.step == "upstream":
            await attempt.keep(step="start", upstream=None)
        status = 503 if how == "away" else 502
        refusal = attempt.page_refusal(f"login.{turn}_{how}", turn, status=status, can_retry=True)
        if not at_home:
            refusal.peer_name = self._name_of(attempt.interaction.province)
        raise refusal

    def _name_of(self, province: str) -> str:
        return next((one.name for one in self._choices() if one.code == province), province)


def _is_same(said: str, expected: str) -> bool:
    return secrets.compare_digest(said.encode(), expected.encode())
