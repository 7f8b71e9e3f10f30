"""Where the citizen is: the authorization endpoint, the password, the code."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlencode

from aiohttp import web

from simulators.identity.misbehaviour import Misdeed
from simulators.identity.requests import (
    Asked,
    BadRequestError,
    LoggedIn,
    RefusedError,
    Transaction,
    read_request,
)
from simulators.identity.state import Code, State
from simulators.pages import page, see_other

__all__ = ["Front"]


class Front:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """GET or POST /authorize."""
        said = {
            name: str(value)
            for name, value in (request.query if request.method == "GET" else await request.post()).items()
        }
        try:
            asked = read_request(self._state.client, self._state.province, said)
        except BadRequestError as bad:
            return self._trouble("请求有误", "That request is not right", str(bad))
        except RefusedError as refused:
            return self._refuse(said["redirect_uri"], said.get("state", ""), refused)
        return self._begin(asked, request.cookies.get(self._state.cookie, ""))

    def _begin(self, asked: Asked, cookie: str) -> web.StreamResponse:
        who = self._state.sessions.find(cookie)
        if who is not None and who.satisfies(asked, self._state.now()):
            return self._answer(asked, who)
        if "none" in asked.prompt:
            return self._refuse(
                asked.redirect_uri, asked.state, RefusedError("login_required", "nobody is logged in so")
            )
        transaction = Transaction(asked, cookie if who else secrets.token_urlsafe(24))
        if who is not None and who.may_stay(asked, self._state.now()):
            transaction.so_far, transaction.code = who, _new_code()
        answer = see_other(f"/login/{self._state.transactions.keep(transaction)}")
        self._set_cookie(answer, transaction.browser)
        return answer

    async def show_login(self, request: web.Request) -> web.StreamResponse:
        """GET /login/TRANSACTION: the password's page or the code's."""
        transaction = self._transaction(request)
        return self._over() if transaction is None else self._show(request, transaction)

    async def take_password(self, request: web.Request) -> web.StreamResponse:
        """POST /login/TRANSACTION."""
        transaction, form = self._transaction(request), await request.post()
        if transaction is None or form.get("csrf") != transaction.csrf:
            return self._over()
        if form.get("action") == "cancel":
            return self._cancel(request, transaction)
        user_name = str(form.get("user_name", ""))
        account = self._state.accounts.find(user_name)
        given = str(form.get("password", "")).encode()
        if account is None or not hmac.compare_digest(given, account.password.encode()):
            return self._show(request, transaction, user_name=user_name, wrong=True)
        level = 1 if account.is_verified else 0
        transaction.so_far = LoggedIn(account, self._state.now(), level)
        if transaction.asked.level == 2 and account.is_verified:
            transaction.code = _new_code()
            return see_other(request.path)
        return self._finish(request, transaction, transaction.so_far)

    async def take_code(self, request: web.Request) -> web.StreamResponse:
        """POST /login/TRANSACTION/code."""
        transaction, form = self._transaction(request), await request.post()
        if transaction is None or transaction.so_far is None or form.get("csrf") != transaction.csrf:
            return self._over()
        if form.get("action") == "cancel":
            return self._cancel(request, transaction)
        given = str(form.get("code", "")).strip().encode()
        if not transaction.code or not hmac.compare_digest(given, transaction.code.encode()):
            transaction.code = _new_code()
            return self._show(request, transaction, wrong=True)
        return self._finish(request, transaction, transaction.so_far.with_code(self._state.now()))

    def _transaction(self, request: web.Request) -> Transaction | None:
        found = self._state.transactions.find(request.match_info["transaction"])
        return found if found and found.browser == request.cookies.get(self._state.cookie) else None

    def _show(
        self, request: web.Request, transaction: Transaction, *, user_name: str = "", wrong: bool = False
    ) -> web.Response:
        said = {
            "place": self._state.place,
            "transaction": request.match_info["transaction"],
            "csrf": transaction.csrf,
            "wrong": wrong,
        }
        status = 422 if wrong else 200
        if transaction.so_far is not None:
            return page("code", status=status, code=transaction.code, **said)
        sample = self._state.accounts.account(0)
        hint = user_name or transaction.asked.login_hint
        return page("password", status=status, user_name=hint, sample=sample, **said)

    def _finish(self, request: web.Request, transaction: Transaction, who: LoggedIn) -> web.StreamResponse:
        """A new session under a new cookie: one that somebody else knew before is worth nothing."""
        self._state.transactions.take(request.match_info["transaction"])
        before = self._state.sessions.find(transaction.browser)
        if before is not None and before.account != who.account:
            self._state.end(transaction.browser)
        self._state.sessions.take(transaction.browser)
        answer = self._answer(transaction.asked, who)
        self._set_cookie(answer, self._state.sessions.keep(who))
        return answer

    def _cancel(self, request: web.Request, transaction: Transaction) -> web.StreamResponse:
        self._state.transactions.take(request.match_info["transaction"])
        refused = RefusedError("access_denied", "the citizen did not want to")
        return self._refuse(transaction.asked.redirect_uri, transaction.asked.state, refused)

    def _answer(self, asked: Asked, who: LoggedIn) -> web.StreamResponse:
        code = self._state.codes.keep(Code(asked, who, self._state.now()))
        return self._redirect(asked.redirect_uri, asked.state, {"code": code})

    def _refuse(self, redirect_uri: str, state: str, refused: RefusedError) -> web.StreamResponse:
        said = {"error": refused.error, "error_description": refused.description}
        return self._redirect(redirect_uri, state, said)

    def _redirect(self, redirect_uri: str, state: str, said: dict[str, str]) -> web.StreamResponse:
        does = self._state.misbehaving.does
        if not does(Misdeed.NO_ANSWERING_ISSUER):
            other = does(Misdeed.OTHER_ANSWERING_ISSUER)
            said["iss"] = "https://idp.elsewhere.example" if other else self._state.issuer
        if state:
            said["state"] = secrets.token_urlsafe(16) if does(Misdeed.OTHER_STATE) else state
        return see_other(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(said)}")

    def _set_cookie(self, answer: web.StreamResponse, value: str) -> None:
        answer.set_cookie(self._state.cookie, value, httponly=True, samesite="Lax")

    def _over(self) -> web.Response:
        return self._trouble(
            "登录已结束或过期", "This login is over", "请回到原来的页面再试 / go back to where you came from"
        )

    def _trouble(self, zh: str, en: str, detail: str) -> web.Response:
        return page("trouble", status=400, place=self._state.place, zh=zh, en=en, detail=detail)


def _new_code() -> str:
    return f"{secrets.randbelow(1_000_000):06d}"
