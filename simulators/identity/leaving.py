"""How a session at a simulated identity provider ends: at the end_session endpoint, or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from simulators.identity.state import State
from simulators.identity.tokens import TokenRejectedError
from simulators.pages import page, see_other

__all__ = ["Leaving"]


class Leaving:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """GET or POST /logout (OpenID Connect RP-Initiated Logout 1.0). Without a hint the citizen is asked first."""
        said: Mapping[str, Any] = request.query if request.method == "GET" else await request.post()
        cookie = request.cookies.get(self._state.cookie, "")
        hint: Mapping[str, Any] = {}
        if said.get("id_token_hint"):
            try:
                hint = self._state.signing.own_claims(str(said["id_token_hint"]))
            except TokenRejectedError as refused:
                return self._trouble(f"id_token_hint: {refused}")
        link = str(said.get("post_logout_redirect_uri", ""))
        if link and (not hint or link not in self._state.client.post_logout_redirect_uris):
            return self._trouble(
                "post_logout_redirect_uri 未登记，或无 id_token_hint / is not registered, or no hint"
            )
        if not hint and said.get("agreed") != cookie:
            return page("leave", place=self._state.place, agreed=cookie)
        ended = [
            name
            for name, who in self._state.sessions.items()
            if (who.sid == hint.get("sid") if hint else name == cookie)
        ]
        for name in ended:
            self._state.end(name)
        if not link:
            return page("said", place=self._state.place, zh="已退出登录", en="You are logged out", link="")
        state = str(said.get("state", ""))
        return see_other(f"{link}?{urlencode({'state': state})}" if state else link)

    async def end_elsewhere(self, request: web.Request) -> web.StreamResponse:
        """POST /_sessions/end {"user_name"}: all sessions of an account end, as if the citizen did so elsewhere."""
        account = self._state.accounts.find((await request.json())["user_name"])
        names = [name for name, who in self._state.sessions.items() if who.account == account]
        for name in names:
            self._state.end(name)
        return web.json_response({"ended": len(names)})

    def _trouble(self, detail: str) -> web.Response:
        zh, en = "请求有误", "That request is not right"
        return page("trouble", status=400, place=self._state.place, zh=zh, en=en, detail=detail)
