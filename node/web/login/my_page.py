"""My page over HTTP, below the entity id:

    GET  /me               who looked, my consents, my logins (``?before=`` pages back in the record)
    POST /me/sessions      end a login
    POST /me/agreements    withdraw what was agreed to at logins
    POST /me/papers        withdraw a consent to fetch certificates
    POST /me/logout        log out of this one

Each form carries what no other site can know; the answer to each is the page again, with what was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from msgspec.structs import replace

from federation.login.end_session import EndSession
from federation.login.model import Session
from federation.login.my_page import MY_PAGE, MyPage, MySession, MyView
from federation.login.refusals import PageRefusal, Turn
from federation.login.steps import LoginFlow
from federation.query import HolderUse
from node.web.login.cookies import LoginCookies, new_secret
from node.web.login.flow import LoginBorder, read_form, read_pairs
from node.web.login.steps import StepAnswers
from node.web.oidc.logout import see_other
from node.web.pages import Form, NotAskedShown, Pages, PartyShown, SessionShown, UseShown
from node.web.pages import MyPage as MyPageShown

__all__ = ["MyPages", "add_my_page"]

_DONE: Final = {
    "session": "session_ended",
    "agreement": "agreement_withdrawn",
    "paper": "paper_withdrawn",
}
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MyPages:
    """The handlers. `path` is the path of the entity id; `type_names` gives the names of certificate types by code."""

    rules: MyPage
    end: EndSession
    flow: LoginFlow
    answers: StepAnswers
    pages: Pages
    cookies: LoginCookies
    border: LoginBorder
    type_names: Callable[[], Mapping[str, str]] = field(default=dict)
    path: str = ""

    async def show(self, request: web.Request) -> web.Response:
        """GET /me."""
        token = self.cookies.visitor(request).session
        session = await self.rules.whose(token)
        if session is None:
            return await self._log_in(request, token)
        asked = read_pairs(request.query_string)
        before = asked.get("before", "")
        if len(before) > _LONGEST_ID:
            raise PageRefusal("login.bad_request", turn=Turn.CITIZEN, detail="before is no query's number")
        view = await self.rules.view(session, token, before=before)
        return self.pages.render(self._page(view, asked.get("done", "")), request)

    async def _log_in(self, request: web.Request, token: str) -> web.Response:
        if there := await self.rules.elsewhere(token):
            return see_other(there)
        visitor = self.cookies.visitor(request)
        if not visitor.browser:
            visitor = replace(visitor, browser=new_secret())
        return self.answers.answer(request, await self.flow.begin(self.rules.login(), visitor), visitor)

    async def end_session(self, request: web.Request) -> web.Response:
        """POST /me/sessions. This browser's own goes the way of a log-out."""

        async def end(session: Session, handle: str, token: str) -> web.Response | bool:
            mine = await self.rules.my_sessions(session)
            if any(one.is_this and one.handle == handle for one in mine):
                return await self._leave(token)
            return await self.rules.end_session(session, handle)

        return await self._change(request, "session", end)

    async def withdraw_agreement(self, request: web.Request) -> web.Response:
        """POST /me/agreements."""
        return await self._change(
            request, "agreement", lambda session, named, _token: self.rules.withdraw_agreement(session, named)
        )

    async def withdraw_paper(self, request: web.Request) -> web.Response:
        """POST /me/papers."""
        return await self._change(
            request, "paper", lambda session, named, _token: self.rules.withdraw_paper(session, named)
        )

    async def log_out(self, request: web.Request) -> web.Response:
        """POST /me/logout."""
        form = await read_form(request)
        token = self.cookies.visitor(request).session
        self.rules.check_form(token, form.get("csrf", ""))
        return await self._leave(token)

    async def _leave(self, token: str) -> web.Response:
        return see_other((await self.end.leave_by_page(token)).url)

    async def _change(
        self,
        request: web.Request,
        kind: str,
        change: Callable[[Session, str, str], Awaitable[web.Response | bool]],
    ) -> web.Response:
        form = await read_form(request)
        token = self.cookies.visitor(request).session
        session = await self.rules.whose(token)
        if session is None:
            return see_other(self.path + MY_PAGE)
        self.rules.check_form(token, form.get("csrf", ""))
        done = await change(session, form.get(kind, "")[:_LONGEST_ID], token)
        if not isinstance(done, bool):
            return done
        said = f"?{urlencode({'done': _DONE[kind]})}" if done else ""
        return see_other(self.path + MY_PAGE + said)

    # --- what the page shows ------------------------------------------------------------------------------------------

    def _page(self, view: MyView, done: str) -> MyPageShown:
        record, csrf, path = view.record, view.csrf, self.path + MY_PAGE
        missing = () if record is None else record.missing
        words: Any = done if done in _DONE.values() else ""
        return MyPageShown(
            account_name=str(view.session.identity.claims.get("name", "")),
            sessions=[_session(one) for one in view.sessions],
            agreements=view.agreements,
            papers=view.papers,
            uses=None if record is None else [self._use(one, view) for one in record.uses],
            missing=[NotAskedShown(province=one.province, name=one.name) for one in missing],
            more=""
            if record is None or not record.next
            else f"{path}?{urlencode({'before': record.next})}#uses",
            end_session=Form(f"{path}/sessions", csrf),
            withdraw_agreement=Form(f"{path}/agreements", csrf),
            withdraw_paper=Form(f"{path}/papers", csrf),
            logout=Form(f"{path}/logout", csrf),
            recipients=view.names,
            now=view.now,
            done=words,
        )

    def _use(self, use: HolderUse, view: MyView) -> UseShown:
        types, names = self.type_names(), view.names
        name = view.platforms.get((use.asking, use.platform), "")
        outcome: Any = "" if use.outcome is None else use.outcome.word
        return UseShown(
            request_id=use.request_id,
            asked_at=use.asked_at,
            asking=names.get(use.asking, use.asking),
            answering=names.get(use.answering, use.answering),
            operation=use.operation,
            platform=PartyShown(name, use.platform) if use.platform else None,
            certificate_types=[types.get(code, code) for code in use.certificate_types],
            basis="" if use.basis is None else use.basis.word,
            service_item=use.service_item_name or use.service_item_code,
            case_number=use.case_number,
            purpose=use.purpose,
            outcome=outcome,
            is_forgotten=use.forgotten,
        )


def _session(one: MySession) -> SessionShown:
    identity = one.session.identity
    return SessionShown(
        session=one.handle,
        began_at=one.session.created_at,
        expires_at=one.session.expires_at,
        acr=identity.acr,
        origin=identity.origin,
        parties=[PartyShown(party.name, party.client_id) for party in one.parties],
        is_this=one.is_this,
    )


def add_my_page(app: web.Application, pages: MyPages) -> None:
    """Serve it."""
    guarded, at = pages.border.guarded, pages.path + MY_PAGE
    app.router.add_get(at, guarded(pages.show), allow_head=False)
    app.router.add_post(f"{at}/sessions", guarded(pages.end_session))
    app.router.add_post(f"{at}/agreements", guarded(pages.withdraw_agreement))
    app.router.add_post(f"{at}/papers", guarded(pages.withdraw_paper))
    app.router.add_post(f"{at}/logout", guarded(pages.log_out))
