"""A login from one end to the other as a citizen walks it, page by page, with a browser that knows no script."""

from __future__ import annotations

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account

__all__ = ["code_shown", "finish_login", "next_step"]

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
