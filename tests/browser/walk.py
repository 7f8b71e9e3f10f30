"""A login in Chromium from end to end: a citizen of Jiangsu at the portal of Anhui, with a certificate of Zhejiang.

Real nodes, identity providers and portals. Walked on a phone in Chinese without JavaScript, the nodes' pages by
keyboard, and on a large screen in English; each page on the way is checked by axe-core and leaves its picture. `make
browser` runs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from node.web.pages.phrases import LANGUAGES, Lang
from simulators.identity.accounts import Account
from tests.browser.chromium import (
    Scripts,
    a_browser,
    a_context,
    axe_findings,
    expect_no_sideways_scrolling,
    tab_to,
    take_picture,
)
from tests.support.delta import ANHUI, JIANGSU, ZHEJIANG
from tests.support.login_country import POPULATION, LoginCountry, running_login_country

MOST_RESIDENTS = 500
CODE_OUTPUT = "#shown"
HOME = f"button[value='{JIANGSU}']"
AGREE = "button[value=agree]"


@dataclass(slots=True)
class Walk:
    """One citizen with one browser, step by step."""

    country: LoginCountry
    page: Page
    scripts: Scripts
    lang: Lang
    size: str
    steps: int = 0
    findings: list[str] = field(default_factory=list)

    def say(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def is_at(self, url: str) -> bool:
        return self.page.url.startswith(f"{url}/")

    async def look(self, name: str) -> None:
        """Check the page that is there, and keep its picture."""
        self.steps += 1
        async with self.scripts.on():
            self.findings += [f"{name}: {finding}" for finding in await axe_findings(self.page)]
        await expect_no_sideways_scrolling(self.page)
        await take_picture(self.page, f"walk-{self.steps:02}-{name}-{self.lang}-{self.size}")

    async def press(self, button: str) -> None:
        """A button of a node's page: by keyboard on the phone, else by a click."""
        if self.size == "375":
            await tab_to(self.page, button)
            async with self.page.expect_navigation():
                await self.page.keyboard.press("Enter")
        else:
            await self.page.locator(button).first.click()

    async def submit(self, action: str) -> None:
        """The form of a portal's page that goes there."""
        await self.page.locator(f"form[action='{action}'] button[type=submit]").click()

    async def text(self) -> str:
        return await self.page.locator("main").inner_text()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as started:
        yield started


@pytest.fixture
async def country(tmp_path: Path, browser: Browser) -> AsyncIterator[LoginCountry]:
    """After the browser: a process that gRPC runs in had better not start others."""
    async with running_login_country(tmp_path, (JIANGSU, ZHEJIANG, ANHUI)) as started:
        yield started


def traveller(country: LoginCountry) -> tuple[Account, str]:
    """A verified citizen of Jiangsu with a certificate in Zhejiang, and its type."""
    for index in range(MOST_RESIDENTS):
        account = country.account(JIANGSU, index)
        if account.is_verified:
            for paper in POPULATION.papers_of(account.resident):
                if paper.province == ZHEJIANG and not paper.fault:
                    return account, paper.certificate_type
    raise AssertionError("nobody of Jiangsu has a certificate in Zhejiang")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.timeout(300)
async def test_from_the_portal_to_the_certificate_to_my_page_and_out(
    country: LoginCountry, lang: Lang
) -> None:
    account, certificate_type = traveller(country)
    size = "375" if lang == "zh" else "1280"
    async with (
        a_browser() as browser,
        a_context(browser, lang=lang, size=size) as context,
    ):
        page = await context.new_page()
        walk = Walk(country, page, await Scripts.of(page, is_on=lang == "en"), lang, size)
        for province in (ANHUI, ZHEJIANG):
            assert await country.nodes[province].node.consents.lists.refresh_once() == {}
        await log_in(walk, account)
        await fetch_with_consent(walk, account, certificate_type)
        await see_my_page(walk, account)
        await withdraw(walk)
        await log_out(walk)
    assert walk.findings == []


async def log_in(walk: Walk, account: Account) -> None:
    """Portal, chooser, identity provider with its second step, consent, portal."""
    page, provinces = walk.page, walk.country.provinces
    await page.goto(f"{provinces[ANHUI].portal}/")
    await walk.look("portal")
    await page.locator("select[name=acr_values]").select_option("yrd.l3")
    await walk.submit("/login")
    assert walk.is_at(provinces[ANHUI].entity_id)
    await walk.look("chooser")
    await walk.press(HOME)
    assert walk.is_at(provinces[JIANGSU].identity_provider)
    await walk.look("password")
    await page.locator("input[name=user_name]").fill(account.user_name)
    await page.locator("input[name=password]").fill(account.password)
    await page.locator("button[value=log_in]").click()
    await walk.look("code")
    await page.locator("input[name=code]").fill((await page.locator(CODE_OUTPUT).inner_text()).strip())
    await page.locator("button[value=log_in]").click()
    assert walk.is_at(provinces[JIANGSU].entity_id)
    await walk.look("consent")
    said = await walk.text()
    assert account.resident.name in said
    assert walk.say("安徽省", "Anhui") in said
    assert account.resident.citizen_number not in said, "the number is hidden on the screen"
    await walk.press(AGREE)
    assert walk.is_at(provinces[ANHUI].portal)
    await walk.look("logged-in")
    said = await walk.text()
    assert "You are logged in" in said
    assert account.resident.name in said
    assert account.resident.citizen_number in said


async def fetch_with_consent(walk: Walk, account: Account, certificate_type: str) -> None:
    """Ask at the portal, agree at home, fetch from Zhejiang."""
    page, provinces = walk.page, walk.country.provinces
    await page.locator("select[name=answering]").select_option(ZHEJIANG)
    await page.locator("select[name=certificate_type]").select_option(certificate_type)
    await walk.submit("/ask")
    if walk.is_at(provinces[ANHUI].entity_id):
        await walk.press(HOME)
    assert walk.is_at(provinces[JIANGSU].entity_id)
    await walk.look("consent-papers")
    assert walk.say("浙江省", "Zhejiang") in await walk.text()
    await walk.press(AGREE)
    assert walk.is_at(provinces[ANHUI].portal)
    await walk.look("consent-given")
    await walk.submit("/fetch")
    await walk.look("certificate")
    assert account.resident.name in await walk.text()


async def see_my_page(walk: Walk, account: Account) -> None:
    """At home: the login, both consents, and who looked."""
    await walk.page.goto(f"{walk.country.provinces[JIANGSU].entity_id}/me")
    await walk.look("me")
    said = await walk.text()
    assert account.resident.name in said
    assert walk.say("安徽省向浙江省查询证照", "Anhui looked for certificates at Zhejiang") in said
    assert f"{ANHUI} 门户" in said
    assert walk.say("当前设备", "This device") in said
    for part in ("papers", "agreements"):
        assert await walk.page.locator(f"section[aria-labelledby={part}] article button").count() == 1


async def withdraw(walk: Walk) -> None:
    """The consent for the certificate: from now on it is one that was."""
    await walk.press("section[aria-labelledby=papers] article button")
    await walk.look("me-withdrawn")
    assert walk.say("已撤回", "Withdrawn") in await walk.text()
    assert await walk.page.locator("section[aria-labelledby=papers] article button").count() == 0


async def log_out(walk: Walk) -> None:
    """At the portal: nobody is logged in anywhere any more."""
    page, provinces = walk.page, walk.country.provinces
    await page.goto(f"{provinces[ANHUI].portal}/")
    await walk.submit("/logout")
    for _page in range(3):
        if not await page.locator("button[value=logout]").count():
            break
        await walk.look("log-out")
        await page.locator("button[value=logout]").click()
    await walk.look("logged-out")
    assert await walk.country.portal_sessions(ANHUI) == 0
    await page.goto(f"{provinces[JIANGSU].entity_id}/me")
    assert walk.is_at(provinces[JIANGSU].identity_provider), "my page asks for a new login"
    assert await page.locator("input[name=password]").count() == 1, (
        "at the identity provider it has ended, too"
    )
