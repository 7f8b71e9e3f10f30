"""Each page alone, in Chromium: axe-core finds nothing, nothing sticks out at any width, keyboard alone reaches and
works everything, and it all holds without JavaScript. `make browser` runs it and leaves a picture of each page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from node.web.pages import FormPostPage, Pages, with_headers
from node.web.pages.phrases import LANGUAGES, Lang
from tests.browser.chromium import (
    SIZES,
    a_browser,
    a_context,
    axe_findings,
    expect_no_sideways_scrolling,
    tab_to,
    take_picture,
)
from tests.support.page_samples import HOSTILE_PAGES, NODE, PAGES

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDTHS = (320, 375, 768, 1280)
NOWHERE = "/sample/signed-out-plain"
"""Where a form leads when it is sent."""
WORKED = "a[href], button:not([disabled]), input:not([type=hidden]), summary"
"""What somebody can work."""


class Served:
    """The pages behind a server; what is posted to it is kept."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, str]]] = []
        self._pages = Pages(NODE)
        self.app = web.Application(middlewares=[with_headers(NODE.entity_id)])
        self._pages.add_to(self.app)
        self.app.router.add_get("/sample/{name}", self._sample)
        self.app.router.add_get("/hostile/{name}", self._hostile)
        self.app.router.add_get("/form-post", self._form_post)
        self.app.router.add_post("/{tail:.*}", self._take)
        self.url = ""
        self.leads_to = NOWHERE

    async def _sample(self, request: web.Request) -> web.Response:
        return self._pages.render(PAGES[request.match_info["name"]], request, status=200)

    async def _hostile(self, request: web.Request) -> web.Response:
        return self._pages.render(HOSTILE_PAGES[request.match_info["name"]], request, status=200)

    async def _take(self, request: web.Request) -> web.Response:
        self.posted.append((request.path, dict(parse_qsl(await request.text(), keep_blank_values=True))))
        raise web.HTTPSeeOther(self.leads_to)

    async def _form_post(self, request: web.Request) -> web.Response:
        content = PAGES["form-post"]
        assert isinstance(content, FormPostPage)
        return self._pages.render(replace(content, redirect_uri=f"{self.url}/callback"), request)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Served]:
    site = Served()
    async with TestServer(site.app) as server:
        site.url = str(server.make_url("/")).rstrip("/")
        yield site


async def opened(page: Page, served: Served, name: str) -> Page:
    """The page, standing still: a form_post page would go on by itself."""
    if isinstance(PAGES[name], FormPostPage):
        await page.route("**/submit.*.js", lambda route: route.abort())
    await page.goto(f"{served.url}/sample/{name}")
    return page


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
async def test_axe_finds_nothing_and_nothing_sticks_out(
    browser: Browser, served: Served, name: str, lang: Lang
) -> None:
    for is_dark in (False, True):
        async with a_context(browser, lang=lang, is_dark=is_dark) as context:
            page = await opened(await context.new_page(), served, name)
            assert await axe_findings(page) == []
            for width in WIDTHS if not is_dark else ():
                await page.set_viewport_size({"width": width, "height": 800})
                await expect_no_sideways_scrolling(page)
            for size, (width, height) in SIZES.items() if not is_dark else ():
                await page.set_viewport_size({"width": width, "height": height})
                await take_picture(page, f"{name}-{lang}-{size}")


FORMS = {
    "chooser": ("310000", {"csrf": "c5-token", "province": "310000"}),
    "consent": ("agree", {"csrf": "c5-token", "decision": "agree"}),
    "consent-papers": ("deny", {"csrf": "c5-token", "decision": "deny"}),
    "logout": ("logout", {"csrf": "c5-token", "decision": "logout"}),
    "me": ("p1", {"csrf": "c5-token", "paper": "p1"}),
}
"""What the button with a value sends, page by page."""


@pytest.mark.parametrize("name", FORMS)
async def test_every_form_is_sent_by_keyboard_alone_without_javascript(
    browser: Browser, served: Served, name: str
) -> None:
    value, expected = FORMS[name]
    async with a_context(browser, has_script=False) as context:
        page = await opened(await context.new_page(), served, name)
        await tab_to(page, f"button[value='{value}']")
        served.posted.clear()
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
    assert [fields for _path, fields in served.posted] == [expected]


async def test_the_box_of_the_chooser_is_ticked_by_keyboard(browser: Browser, served: Served) -> None:
    async with a_context(browser, has_script=False) as context:
        page = await opened(await context.new_page(), served, "chooser")
        await tab_to(page, "input[name=remember]")
        await page.keyboard.press("Space")
        await tab_to(page, "button[value='340000']")
        served.posted.clear()
        async with page.expect_navigation():
            await page.keyboard.press("Space")
    assert served.posted[0][1] == {"csrf": "c5-token", "remember": "1", "province": "340000"}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
async def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    browser: Browser, served: Served, name: str, lang: Lang
) -> None:
    async with a_context(browser, lang=lang, has_script=False) as context:
        page = await opened(await context.new_page(), served, name)
        count = await page.locator(WORKED).count()
        assert count
        await page.keyboard.press("Tab")
        assert await page.locator("a.skip:focus").count() == 1, "the first stop leads past the header"
        for place in range(1, count):
            await page.keyboard.press("Tab")
            here = page.locator(WORKED).nth(place)
            assert await here.evaluate("it => it === document.activeElement"), f"stop {place}"
            outline = await here.evaluate("it => getComputedStyle(it).outlineStyle")
            assert outline != "none", f"stop {place} does not show that it is reached"


async def test_the_skip_link_leads_to_the_content(browser: Browser, served: Served) -> None:
    async with a_context(browser, has_script=False) as context:
        page = await opened(await context.new_page(), served, "consent")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert await page.locator("main:focus").count() == 1
        await page.keyboard.press("Tab")
        assert await page.locator("button[value=agree]:focus").count() == 1


async def test_the_language_is_switched_and_stays_without_javascript(
    browser: Browser, served: Served
) -> None:
    async with a_context(browser, has_script=False) as context:
        page = await opened(await context.new_page(), served, "consent")
        await page.get_by_role("link", name="English").click()
        assert page.url.endswith("/sample/consent")
        assert await page.get_by_role("button", name="Agree and continue").count() == 1
        await page.goto(f"{served.url}/sample/me")
        assert await page.locator("html").get_attribute("lang") == "en"
        await page.get_by_role("link", name="中文").click()
        assert await page.locator("html").get_attribute("lang") == "zh-CN"


async def test_a_form_post_answer_goes_on_by_itself_and_by_its_button_without_javascript(
    browser: Browser, served: Served
) -> None:
    sent = {"code": "abc", "state": "xyz", "iss": "http://127.0.0.1:8320"}
    async with a_context(browser) as context:
        page = await context.new_page()
        served.posted.clear()
        await page.goto(f"{served.url}/form-post")
        await page.wait_for_url("**/sample/signed-out-plain")
        assert served.posted == [("/callback", sent)]
    async with a_context(browser, has_script=False) as context:
        page = await context.new_page()
        served.posted.clear()
        await page.goto(f"{served.url}/form-post")
        assert served.posted == []
        await page.get_by_role("button", name="继续").click()
        assert served.posted == [("/callback", sent)]


@pytest.mark.parametrize("name", HOSTILE_PAGES)
async def test_hostile_text_runs_nothing_and_breaks_nothing(
    browser: Browser, served: Served, name: str
) -> None:
    said: list[str] = []
    async with a_context(browser) as context:
        page = await context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        await page.route(
            "**/submit.*.js", lambda route: route.fulfill(content_type="text/javascript", body="")
        )
        await page.goto(f"{served.url}/hostile/{name}")
        await expect_no_sideways_scrolling(page)
        assert await page.locator("img").count() == 1
    assert said == []


async def test_nothing_is_asked_of_anybody_else(browser: Browser, served: Served) -> None:
    asked: set[str] = set()
    async with a_context(browser) as context:
        page = await context.new_page()
        page.on("request", lambda request: asked.add(request.url))
        for name, content in PAGES.items():
            if not isinstance(content, FormPostPage):
                await page.goto(f"{served.url}/sample/{name}")
    assert {url for url in asked if not url.startswith(f"{served.url}/")} == set()


async def test_a_form_may_lead_on_by_redirects_to_addresses_that_no_policy_names(
    browser: Browser, served: Served
) -> None:
    """Chromium holds each hop after a form to the policy of the page that the form was on."""
    onward = web.Application()

    async def arrive(_request: web.Request) -> web.Response:
        return web.Response(text="arrived")

    onward.router.add_get("/arrived", arrive)
    async with TestServer(onward) as platform:
        served.leads_to = str(platform.make_url("/arrived"))
        try:
            async with a_context(browser, has_script=False) as context:
                page = await opened(await context.new_page(), served, "consent")
                await page.locator("button[value=agree]").click()
                assert page.url == served.leads_to
        finally:
            served.leads_to = NOWHERE
