"""Each page alone, in Chromium: axe-core finds nothing, nothing sticks out at any width, keyboard alone reaches and
works everything, and it all holds without JavaScript. `make browser` runs it and leaves a picture of each page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
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
    take_picture,
)
from tests.support.page_samples import HOSTILE_PAGES, NODE, PAGES

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDTHS = (320, 375, 768, 1280)


class Served:
    """The pages behind a server; what is posted to it is kept."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, str]]] = []
        self._pages = Pages(NODE)
        self.app = web.Application(middlewares=[with_headers(NODE.entity_id)])
        self._pages.add_to(self.app)
        self.app.router.add_get("/sample/{name}", self._sample)
        self.app.router.add_get("/hostile/{name}", self._hostile)
        self.app.router.add_post("/{tail:.*}", self._take)
        self.url = ""

    async def _sample(self, request: web.Request) -> web.Response:
        return self._pages.render(PAGES[request.match_info["name"]], request, status=200)

    async def _hostile(self, request: web.Request) -> web.Response:
        return self._pages.render(HOSTILE_PAGES[request.match_info["name"]], request, status=200)

    async def _take(self, request: web.Request) -> web.Response:
        self.posted.append((request.path, dict(parse_qsl(await request.text(), keep_blank_values=True))))
        raise web.HTTPSeeOther("/sample/signed-out-plain")


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
