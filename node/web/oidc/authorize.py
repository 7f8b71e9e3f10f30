"""Where logins begin: the authorization endpoint, and pushed requests (OpenID Connect Core §3.1.2, RFC 9126)."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from aiohttp import web
from msgspec.structs import replace

from federation.login.model import RelyingParty
from federation.login.refusals import OAuthRefusal
from federation.login.requests import RefusedToClient
from federation.login.steps import Respond, Step, Visitor
from federation.login.uses import UsedBefore, Uses
from node.web.login.cookies import new_secret
from node.web.oidc.border import as_json
from node.web.oidc.deps import ProviderDeps
from node.web.oidc.reading import read_form, read_pairs, read_query

__all__ = ["Authorization"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The handlers. What they raise, the border turns into an answer."""

    deps: ProviderDeps

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET /oidc/authorize. A browser that has no name yet is given one, which the login is bound to."""
        visitor = self.deps.answers.cookies.visitor(request)
        if not visitor.browser:
            visitor = replace(visitor, browser=new_secret())
        return await self._begin(request, read_query(request), visitor)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """POST /oidc/authorize. A form from another site brings no cookies: the next step reads them."""
        sender = self.deps.answers.cookies.visitor(request).sender
        return await self._begin(request, await read_pairs(request), Visitor(sender=sender))

    async def push(self, request: web.Request) -> web.StreamResponse:
        """POST /oidc/par."""
        form = await read_form(request)
        async with self.deps.uses() as uses:
            party = await self.deps.client(request, form, "par", uses)
            wait_s = self.deps.pushes.wait_s(party.client_id)
            if wait_s:
                return _too_many(wait_s)
            # Counted once it is known that nothing was used before: whoever copied an assertion takes nothing from
            # whose it is. What is in flight together may so be more than is left, by as much as that is.
            try:
                answer = await self._push(request, form, party, uses)
            except UsedBefore:
                raise
            except OAuthRefusal:
                self.deps.pushes.take(party.client_id)
                raise
            self.deps.pushes.take(party.client_id)
            return answer

    async def _push(
        self, request: web.Request, form: dict[str, str], party: RelyingParty, uses: Uses
    ) -> web.Response:
        async with uses:
            jkt = self.deps.proven(request, "par", uses)
            life_s = self.deps.pushed_s
            request_uri = await self.deps.requests.push(
                form.items(), party, jkt=jkt, life_s=life_s, uses=uses
            )
            return as_json({"request_uri": request_uri, "expires_in": life_s}, status=201)

    async def _begin(
        self, request: web.Request, pairs: list[tuple[str, str]], visitor: Visitor
    ) -> web.StreamResponse:
        step: Step
        try:
            asked = await self.deps.requests.read(pairs)
        except RefusedToClient as refused:
            self._note(refused.refusal, pairs)
            step = Respond(response=refused.response)
        else:
            step = await self.deps.flow.begin(asked, visitor)
        return self.deps.answers.answer(request, step, visitor)

    def _note(self, refusal: OAuthRefusal, pairs: list[tuple[str, str]]) -> None:
        client = next((value for name, value in pairs if name == "client_id"), "")
        _log.info(
            "login.request_refused", client=client, error=refusal.error, description=refusal.description
        )


def _too_many(wait_s: float) -> web.Response:
    response = as_json(
        {"error": "temporarily_unavailable", "error_description": "too many requests at once"}, status=429
    )
    response.headers["Retry-After"] = str(max(1, round(wait_s)))
    return response
