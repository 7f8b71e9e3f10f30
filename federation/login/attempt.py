"""One step of one login: the state that it begins in, the browser that takes it, and how it is kept or refused.

Whatever is found on the way is in the interaction, so that the next step may be another replica's. Each `keep` is one
conditional write: when the login went on elsewhere meanwhile (another tab, a double click), nothing is changed and the
citizen is told.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from msgspec.structs import replace

from federation.login.model import AuthRequest, AuthResponse, Interaction
from federation.login.ports import Answers, Interactions
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from federation.login.steps import Respond, Visitor
from federation.login.writes import Together, Writes

__all__ = ["Attempt", "new_number"]

_log = structlog.get_logger("yrd.login")
_DIGITS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Those that nobody mistakes for each other when a number is read out."""
_OVER: Final[Mapping[str, Any]] = {"step": "done", "identity": None, "upstream": None}
_T = TypeVar("_T")


def new_number() -> str:
    """What a citizen quotes: eight characters that say nothing."""
    return "".join(secrets.choice(_DIGITS) for _ in range(8))


class _WentOn(Exception):
    """Another step was taken meanwhile."""


@dataclass(slots=True)
class Attempt:
    """`page` is the path at which the login goes on; `session` the token of a session that began in this step."""

    rows: Interactions
    together: Together
    answers: Answers
    interaction: Interaction
    visitor: Visitor
    page: str
    is_stored: bool
    ended: Callable[[Interaction, str], None]
    """Told the outcome when the login is over."""
    session: str = ""

    @property
    def request(self) -> AuthRequest:
        """What was asked for."""
        return self.interaction.request

    async def keep(self, **changes: Any) -> None:
        """Keep the next state. Raises PageRefusal when this login went on elsewhere, OwnStoreUnavailable."""
        if not self.is_stored:
            self.interaction = replace(self.interaction, **changes)
            await self.rows.create(self.interaction, self.visitor.browser)
            self.is_stored = True
            return
        following = self._following(changes)
        if not await self.rows.replace(following):
            raise self._outdated()
        self.interaction = following

    async def keep_with(self, steps: Callable[[Writes], tuple[Mapping[str, Any], _T]]) -> _T:
        """Keep the next state of a login that is stored, together with what `steps` write: they return what changes in
        it, and what is to be returned. Raises as `keep`; then nothing was written.
        """

        def write(writes: Writes) -> tuple[Interaction, _T]:
            changes, result = steps(writes)
            following = self._following(changes)
            if not writes.replace(following):
                raise _WentOn
            return following, result

        try:
            self.interaction, result = await self.together.write(write)
        except _WentOn:
            raise self._outdated() from None
        return result

    async def finish(self, last: Callable[[Writes], _T]) -> _T:
        """The login is over, together with what `last` writes; what that returns. Nothing of the citizen's stays in its
        row. Raises as `keep_with`. Whoever calls it has the outcome told: by `answered` or `note_end`.
        """
        if self.is_stored:
            return await self.keep_with(lambda writes: (_OVER, last(writes)))
        return await self.together.write(last)

    def answered(self, response: AuthResponse, **facts: str) -> Respond:
        """The client is told `response`, which is the outcome: a code, or the error that came instead."""
        error = dict(response.parameters).get("error")
        self.note_end(error or "granted", **facts)
        return Respond(response=response, session=self.session)

    def note_end(self, outcome: str, **facts: str) -> None:
        """Have the outcome counted and logged."""
        self.ended(self.interaction, outcome)
        _log.info("login.finished", outcome=outcome, **self.facts(), **facts)

    def _following(self, changes: Mapping[str, Any]) -> Interaction:
        return replace(self.interaction, version=self.interaction.version + 1, **changes)

    def _outdated(self) -> PageRefusal:
        return self.page_refusal("login.outdated", Turn.CITIZEN, status=409, can_retry=True)

    async def refuse(self, refusal: OAuthRefusal) -> Respond:
        """End it by an error that goes to the client. Raises as `keep`; PageRefusal where none is, since
        this node's own page asked.
        """
        if self.is_stored:
            await self.keep(**_OVER)
        self.note_end(refusal.error, detail=refusal.description)
        if self.request.own_page:
            raise self.page_refusal(f"login.{refusal.error}", Turn.CITIZEN, detail=refusal.description)
        response = self.answers.refuse(self.request, refusal.error, refusal.description)
        return Respond(response=response, session=self.session)

    def page_refusal(
        self, code: str, turn: Turn, *, detail: str = "", status: int = 400, can_retry: bool = False
    ) -> PageRefusal:
        """A refusal that the citizen reads, with the number of this login."""
        retry = self.page if can_retry and self.is_stored else ""
        refusal = PageRefusal(code, turn=turn, detail=detail, status=status, retry=retry)
        refusal.number = self.interaction.number
        refusal.platform_name = self.platform_name
        refusal.browser = self.visitor.browser
        return refusal

    @property
    def platform_name(self) -> str:
        """The platform that the citizen came from, by name."""
        on_behalf = self.request.on_behalf
        return on_behalf.name if on_behalf else self.request.client_name

    def facts(self) -> dict[str, str]:
        """What a log line says of this login; nothing of it is the citizen's."""
        return {
            "number": self.interaction.number,
            "client_id": self.request.client_id,
            "province": self.interaction.province,
        }
