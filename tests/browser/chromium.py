"""Debian's Chromium, driven by Playwright, and what a test looks for in it.

Pages are tested as citizens have them: on a phone and on a large screen, with and without JavaScript.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from node.web.pages.phrases import Lang

__all__ = [
    "LOCALES",
    "SCREENS",
    "SIZES",
    "Scripts",
    "a_browser",
    "a_context",
    "axe_findings",
    "expect_no_sideways_scrolling",
    "tab_to",
    "take_picture",
]

SCREENS: Final = Path(__file__).parent / "screens"
"""Where the pictures go; not kept in the repository."""
SIZES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({"375": (375, 740), "1280": (1280, 900)})
LOCALES: Final[Mapping[Lang, str]] = MappingProxyType({"zh": "zh-CN", "en": "en-GB"})
_AXE: Final = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LONGEST_MS: Final = 20_000


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """A headless browser of its own profile. Raises RuntimeError when there is none to start."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("chromium is missing: apt install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_context(
    browser: Browser, *, lang: Lang = "zh", size: str = "375", has_script: bool = True, is_dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """Somebody's browser window: cookies of its own."""
    width, height = SIZES[size]
    context = await browser.new_context(
        locale=LOCALES[lang],
        viewport={"width": width, "height": height},
        java_script_enabled=has_script,
        color_scheme="dark" if is_dark else "light",
    )
    context.set_default_timeout(_LONGEST_MS)
    try:
        yield context
    finally:
        await context.close()


async def axe_findings(page: Page) -> list[str]:
    """What axe-core finds, all rules, best practices too: a line each."""
    await page.evaluate(_AXE.read_text("utf-8"))
    result: dict[str, Any] = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:160]} ({node.get('failureSummary', '')})"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


class Scripts:
    """Whether a page may run JavaScript, changed while it is open: axe-core needs it on pages that are walked without.

    A context that has none at all runs no timers for axe-core either.
    """

    def __init__(self, session: CDPSession, *, is_on: bool) -> None:
        self._session = session
        self._is_on = is_on

    @classmethod
    async def of(cls, page: Page, *, is_on: bool) -> Scripts:
        """Set it for everything that the page will open."""
        made = cls(await page.context.new_cdp_session(page), is_on=is_on)
        await made._turn(is_on)
        return made

    @asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        """Let them run for a while."""
        await self._turn(True)
        try:
            yield
        finally:
            await self._turn(self._is_on)

    async def _turn(self, is_on: bool) -> None:
        await self._session.send("Emulation.setScriptExecutionDisabled", {"value": not is_on})


async def expect_no_sideways_scrolling(page: Page) -> None:
    """Nothing is wider than the screen (WCAG 2.2, 1.4.10)."""
    wide = await page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.url} is {wide} px too wide"


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until it is reached. Raises AssertionError when it is not."""
    for _stop in range(60):
        await page.keyboard.press("Tab")
        if await page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"Tab does not reach {selector}")


async def take_picture(page: Page, name: str) -> None:
    """The whole page as a PNG among the pictures."""
    SCREENS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENS / f"{re.sub('[^a-z0-9-]+', '-', name.lower())}.png", full_page=True)
