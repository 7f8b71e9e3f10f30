"""A login from one end to the other as a citizen walks it, page by page, with a browser that knows no script."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account, Accounts
from simulators.layout import Layout, Seat
from simulators.population import Population

__all__ = ["code_shown", "finish_login", "next_step", "walk_login"]

Tell = Callable[[str, str], None]

_MOST_PAGES = 12
_SHOWN = '<output id="shown">'


async def finish_login(browser: LoginBrowser, account: Account, *, decision: str = "agree") -> Page:
    """Go on from wherever a login is until a page comes that asks nothing more of the citizen: usually the portal's.

    Chooses the account's province, gives its password and code at the identity provider, and at the consent says
    `decision` (``agree`` or ``deny``).
    """
    for _ in range(_MOST_PAGES):
        page = await next_step(browser, account, decision)
        if page is None:
            return browser.page
    raise AssertionError(f"a login of more than {_MOST_PAGES} pages, now at {browser.page.url}")


async def next_step(browser: LoginBrowser, account: Account, decision: str = "agree") -> Page | None:
    """Do what the page asks for; None when it asks for nothing that a login asks for."""
    page = browser.page
    buttons = {button for form in page.forms for button in form.buttons}
    fields = {name for form in page.forms for name in form.fields}
    if ("province", account.resident.home) in buttons:
        return await browser.submit("province", button=account.resident.home)
    if {"user_name", "password"} <= fields:
        said = {"user_name": account.user_name, "password": account.password}
        return await browser.submit("/login/", said, button="log_in")
    if "code" in fields and _SHOWN in page.html:
        return await browser.submit("/code", {"code": code_shown(page)}, button="log_in")
    if ("decision", decision) in buttons and page.status == 200:
        return await browser.submit("decision", button=decision)
    return None


def code_shown(page: Page) -> str:
    """The code that the identity provider's page shows as if it came by SMS."""
    return page.html.split(_SHOWN, 1)[1][:6]


async def walk_login(tell: Tell, layout: Layout, home: Seat, visited: Seat, population: Population) -> bool:
    """Log a citizen of one province in at the portal of another, and tell in a line how it went; whether it did."""
    account = Accounts(home.province, population).account(0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        browser = LoginBrowser(http)
        try:
            await browser.open(f"{visited.portal_url}/")
            await browser.submit("/login", {"province": home.province})
            page = await finish_login(browser, account)
        except (aiohttp.ClientError, AssertionError, TimeoutError) as error:
            tell(f"跨省登录未成：{error}", "the login across provinces failed")
            return False
    facts = dict(page.facts)
    if facts.get("name") != account.resident.name:
        tell(f"跨省登录未成：{page.url} {page.text[:300]}", "the login across provinces failed")
        return False
    ways = " → ".join(_stops(layout, browser.visited))
    tell(
        f"跨省登录：{home.name}居民 {account.resident.name} 登录{visited.name}门户，等级 {facts['acr']}：{ways}",
        f"a citizen of {home.province} logged in at {visited.province}'s portal",
    )
    return True


def _stops(layout: Layout, visited: list[str]) -> list[str]:
    """Where the browser was, in words, each place once in a row."""
    names = {}
    for seat in layout.seats:
        names[seat.public_url] = f"{seat.name}节点"
        names[seat.identity_provider_url] = f"{seat.name}身份认证"
        names[seat.portal_url] = f"{seat.name}门户"
    stops: list[str] = []
    for url in visited:
        parts = urlsplit(url)
        name = names.get(f"{parts.scheme}://{parts.netloc}", parts.netloc)
        if stops[-1:] != [name]:
            stops.append(name)
    return stops
