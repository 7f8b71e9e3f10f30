"""From a page's content to the answer: Jinja2, everything escaped, an unknown name in a template is an error.

Templates are compiled once in a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from federation.login.model import AuthResponse
from federation.login.refusals import PageRefusal
from federation.login.steps import ChooserView, Show
from node.config import NodeSection
from node.web.login.cookies import LANGUAGES, LoginCookies
from node.web.pages.contexts import (
    ChooserPage,
    ConsentPage,
    ErrorPage,
    Form,
    FormPostPage,
    Page,
    ProvinceChoice,
)
from node.web.pages.headers import content_policy
from node.web.pages.language import LONGEST_PATH, choose_language, is_own_path
from node.web.pages.phrases import BADGES, Lang
from node.web.pages.problems import problem
from node.web.pages.showing import filters, place, province, say, visible
from node.web.pages.static_files import STATIC_PATH, add_static_files, static_name

__all__ = ["LANGUAGE_PATH", "Pages"]

LANGUAGE_PATH: Final = "/login/language"
_TAGS: Final[dict[Lang, str]] = {"zh": "zh-CN", "en": "en"}


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Pages:
    """Renders the pages of one node."""

    def __init__(self, node: NodeSection, *, has_login: bool = True) -> None:
        parts = urlsplit(node.entity_id)
        self._node = node
        self._path = parts.path
        self._host = parts.netloc
        self._has_login = has_login
        self._cookies = LoginCookies(node.province, node.entity_id, remember_province_s=0)

    def render(
        self,
        page: Page,
        request: web.Request,
        *,
        ui_locales: Sequence[str] = (),
        status: int | None = None,
    ) -> web.Response:
        """The page as an answer to `request`, never stored by anybody. An error page has its own status by default."""
        lang = choose_language(
            self._cookies.language(request), ui_locales, request.headers.get("Accept-Language", "")
        )
        here = request.path_qs if request.method == "GET" else request.path
        if status is None:
            status = page.status if isinstance(page, ErrorPage) else 200
        has_script = isinstance(page, FormPostPage)
        return web.Response(
            text=self.html(page, lang, here=here),
            status=status,
            content_type="text/html",
            charset="utf-8",
            headers={
                "Content-Security-Policy": content_policy(has_script=has_script),
                "Content-Language": _TAGS[lang],
                "Cache-Control": "no-store",
                "Vary": "Cookie, Accept-Language",
            },
        )

    def show(self, request: web.Request, step: Show) -> web.Response:
        """The page of a step of a login."""
        view = step.view
        form = Form(f"{self._path}/login/i/{view.interaction_id}", view.csrf)
        page: Page
        if isinstance(view, ChooserView):
            page = ChooserPage(
                form=form,
                platform_name=view.platform_name,
                provinces=[
                    ProvinceChoice(code=one.code, name=one.name, is_away=one.is_away)
                    for one in view.provinces
                ],
                is_remembered=view.is_remembered,
            )
        else:
            page = ConsentPage(
                form=form,
                platform=view.platform,
                recipient_province=view.recipient_province,
                recipient_name=view.recipient_name,
                claims=view.claims,
                papers=view.papers,
                account_name=view.account_name,
            )
        return self.render(page, request, ui_locales=view.ui_locales)

    def form_post(self, request: web.Request, response: AuthResponse) -> web.Response:
        """An authorization response that the browser sends on as a form (OAuth 2.0 Form Post Response Mode §2)."""
        page = FormPostPage(redirect_uri=response.redirect_uri, parameters=response.parameters)
        return self.render(page, request)

    def refuse(self, request: web.Request, refusal: PageRefusal, *, number: str = "") -> web.Response:
        """The page of a refusal; `number` is what the citizen quotes and the log line has, where the refusal has none
        of its own.
        """
        return self.render(ErrorPage.of(refusal, number=number), request)

    def html(self, page: Page, lang: Lang, *, here: str = "") -> str:
        """The page's text. `here` is where the language switch leads back to; empty: no switch."""
        words: dict[str, object] = dict(filters(lang))
        words["say"] = partial(say, lang)
        if isinstance(page, ErrorPage):
            words["problem"] = problem(page.code, page.turn)
            words["say_in"] = say
            words["names_in"] = partial(_names, page)
        template = _environment().get_template(page.template)
        return template.render(
            words,
            page=page,
            lang=lang,
            tag=_TAGS[lang],
            other_tag=_TAGS["en" if lang == "zh" else "zh"],
            switch=self._switch(lang, here),
            node=self._node,
            node_name=province(self._node.province, self._node.name, lang),
            badges=BADGES,
            base=self._path,
            host=self._host,
            has_login=self._has_login,
            static=self._static,
        )

    def _static(self, name: str) -> str:
        return f"{self._path}{STATIC_PATH}/{static_name(name)}"

    def _switch(self, lang: Lang, here: str) -> str:
        if not is_own_path(here, self._path):
            return ""
        query = urlencode({"lang": "en" if lang == "zh" else "zh", "to": here})
        return f"{self._path}{LANGUAGE_PATH}?{query}"

    def add_to(self, app: web.Application) -> None:
        """Serve the static files and the language switch."""
        add_static_files(app, path=self._path)
        app.router.add_get(f"{self._path}{LANGUAGE_PATH}", self._change_language)

    async def _change_language(self, request: web.Request) -> web.Response:
        """Keep the language and lead back, to this node's own front page when asked to lead anywhere else."""
        to = request.query.get("to", "")[: LONGEST_PATH + 1]
        response = web.Response(status=303)
        response.headers["Location"] = to if is_own_path(to, self._path) else f"{self._path}/"
        response.headers["Cache-Control"] = "no-store"
        lang = request.query.get("lang", "")
        if lang in LANGUAGES:
            self._cookies.keep_language(response, lang)
        return response


def _names(page: ErrorPage, lang: Lang) -> dict[str, object]:
    """Whom an error's texts are about."""
    platform, peer = page.platform_name, place(page.peer_name, lang)
    return {
        "platform": platform or say(lang, "error.platform"),
        "Platform": platform or say(lang, "error.platform.first"),
        "peer": peer or say(lang, "error.peer"),
        "Peer": peer or say(lang, "error.peer.first"),
    }
