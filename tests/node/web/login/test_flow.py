"""The steps of a login over HTTP: cookies, forms, redirects, and what becomes a page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from federation.errors import OwnStoreUnavailable
from federation.login.relying_party import ProviderAway
from federation.login.steps import GoTo, Visitor
from node.config import NodeSection
from node.web.login.cookies import LoginCookies
from node.web.login.flow import MOST_FORM_BYTES, LoginBorder, LoginPages, add_login_flow
from node.web.login.steps import StepAnswers
from node.web.pages import Pages
from tests.support.login_flow import Wayside, platform_request

PATH = "/node"
ENTITY = f"http://127.0.0.1:8340{PATH}"


@dataclass
class Site:
    """The pages of Anhui's node, and a browser that follows nothing by itself."""

    wayside: Wayside
    client: TestClient[web.Request, web.Application]
    cookies: LoginCookies

    async def begin(self, **asked: object) -> str:
        """A login that a form of another site began, without cookies: the path of its page."""
        step = await self.wayside.flow.begin(platform_request(**asked), Visitor())
        assert isinstance(step, GoTo)
        return step.url

    async def get(self, path: str) -> ClientResponse:
        return await self.client.get(path, allow_redirects=False)

    async def post(self, path: str, **form: str) -> ClientResponse:
        return await self.client.post(path, data=form, allow_redirects=False)

    async def form(self, path: str) -> dict[str, str]:
        """The hidden fields of a page."""
        text = await (await self.get(path)).text()
        found = re.search(r'name="csrf" value="([^"]+)"', text)
        assert found is not None, text
        return {"csrf": found[1]}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    wayside = Wayside(path=PATH)
    node = NodeSection(province="340000", name="安徽省节点", entity_id=ENTITY, allow_http_on_loopback=True)
    cookies, pages = LoginCookies("340000", ENTITY, 3600), Pages(node)
    app = web.Application()
    handlers = LoginPages(wayside.flow, cookies, StepAnswers(cookies, pages), LoginBorder(pages, cookies))
    add_login_flow(app, handlers, path=PATH)
    async with TestClient(TestServer(app)) as client:
        yield Site(wayside, client, cookies)


def cookie(answer: ClientResponse, kind: str) -> str:
    found = answer.cookies.get(f"yrd-340000-{kind}")
    return found.value if found else ""


async def test_who_comes_first_to_a_login_begun_without_cookies_is_given_a_name(site: Site) -> None:
    page = await site.begin()
    answer = await site.get(page)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(cookie(answer, "browser")) == 43
    again = await site.get(page)
    assert (again.status, cookie(again, "browser")) == (200, "")


async def test_a_form_leads_on_by_a_redirect_that_sends_no_form(site: Site) -> None:
    page = await site.begin()
    form = await site.form(page)
    answer = await site.post(page, **form, province="320000", remember="1")
    assert answer.status == 303
    assert answer.headers["Location"].startswith("https://node.js.example/oidc/authorize?")
    assert cookie(answer, "home") == "320000"


async def test_the_callback_ends_at_the_platform_with_a_session(site: Site) -> None:
    page = await site.begin()
    form = await site.form(page)
    await site.post(page, **form, province="320000")
    answer = await site.client.get(
        f"{PATH}/login/callback", params=site.wayside.home.answer(), allow_redirects=False
    )
    assert answer.status == 303
    url = urlsplit(answer.headers["Location"])
    assert url.netloc == "portal.ah.example"
    assert dict(parse_qsl(url.query)) == {"code": "the-code", "state": "the-platform's-state"}
    assert cookie(answer, "session") == "token-1"


async def test_a_platform_may_be_answered_by_a_form(site: Site) -> None:
    page = await site.begin(response_mode="form_post")
    form = await site.form(page)
    answers = site.wayside.answers
    refuse = answers.refuse
    answers.refuse = lambda *said: replace(refuse(*said), mode="form_post")  # type: ignore[method-assign]
    answer = await site.post(page, **form, decision="cancel")
    text = await answer.text()
    assert answer.status == 200
    assert 'action="https://portal.ah.example/cb"' in text
    assert "access_denied" in text


async def test_a_parameter_that_comes_twice_is_refused(site: Site) -> None:
    page = await site.begin()
    csrf = (await site.form(page))["csrf"]
    body = f"csrf={csrf}&province=320000&province=340000"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await site.client.post(page, data=body, headers=headers)
    assert answer.status == 400
    answer = await site.get(f"{PATH}/login/callback?state=a&state=b")
    assert answer.status == 400


async def test_a_parameter_that_no_store_takes_is_refused(site: Site) -> None:
    page = await site.begin()
    answer = await site.post(page, **await site.form(page) | {"province": "32\0"})
    assert answer.status == 400
    assert (await site.get(f"{PATH}/login/callback?state=%00")).status == 400


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"csrf=" + b"x" * MOST_FORM_BYTES, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % number for number in range(40)), "application/x-www-form-urlencoded"),
        (b'{"csrf":"x"}', "application/json"),
        (b"csrf=x", "text/plain"),
    ],
    ids=["large", "many", "JSON", "text"],
)
async def test_what_is_no_form_of_ours_is_refused(site: Site, body: bytes, media: str) -> None:
    page = await site.begin()
    answer = await site.client.post(page, data=body, headers={"Content-Type": media})
    assert answer.status == 400
    assert "<main" in await answer.text()


async def test_a_form_of_another_site_is_refused(site: Site) -> None:
    page = await site.begin()
    await site.get(page)
    answer = await site.post(page, province="320000")
    assert answer.status == 403
    assert not site.wayside.home.forms


async def test_a_refusal_has_a_number_that_the_log_has(site: Site) -> None:
    site.wayside.home.failure = ProviderAway("refused")
    page = await site.begin(province="320000")
    with structlog.testing.capture_logs() as lines:
        answer = await site.get(page)
    text = await answer.text()
    assert answer.status == 503
    (line,) = [line for line in lines if line["event"] == "login.refused"]
    assert (line["code"], line["log_level"]) == ("login.peer_node_away", "warning")
    assert line["number"] in text
    retry = re.search(r'href="(/node/login/i/[^"?]+)"', text)
    assert retry is not None
    site.wayside.home.failure = None
    again = await site.get(retry[1])
    assert again.status == 303, "the browser was told what the login is bound to"


@pytest.mark.parametrize(
    ("error", "status", "event"),
    [(OwnStoreUnavailable("away"), 503, "login.refused"), (RuntimeError("s3cret"), 500, "login.failed")],
    ids=["store", "bug"],
)
async def test_whatever_goes_wrong_is_a_page_that_says_nothing_of_it(
    site: Site, error: Exception, status: int, event: str
) -> None:
    page = await site.begin()

    async def find(_id: str, _browser: str) -> None:
        raise error

    site.wayside.rows.find = find  # type: ignore[assignment,method-assign]
    with structlog.testing.capture_logs() as lines:
        answer = await site.get(page)
    text = await answer.text()
    assert answer.status == status
    assert "s3cret" not in text
    (line,) = [line for line in lines if line["event"] == event]
    assert line["number"] in text


async def test_an_unknown_login_is_a_page_and_sets_nothing(site: Site) -> None:
    for path in (f"{PATH}/login/i/nothing", f"{PATH}/login/callback?code=x&state=nothing"):
        answer = await site.get(path)
        assert answer.status == 400
        assert not answer.cookies
