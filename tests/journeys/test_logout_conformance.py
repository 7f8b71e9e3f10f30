"""The OpenID Foundation's test cases for providers, written anew as ours: RP-Initiated Logout and Back-Channel Logout.

Names are those of the conformance suite's modules; `docs/conformance.md` says of each whether it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import pytest_asyncio
from joserfc import jwt

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account
from tests.support.conformance import CLIENT, Cases, Suite, running_suite

_TOLD_WITHIN_S = 10.0

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("logout-conformance"),
]
CASES = Cases()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    async with running_suite(tmp_path_factory.mktemp("conformance")) as suite:
        yield suite


async def leave(suite: Suite, browser: LoginBrowser, **parameters: str | None) -> Page:
    """Send the browser to the end_session_endpoint; what it asks is answered with yes."""
    said = {name: value for name, value in parameters.items() if value is not None}
    page = await browser.open(f"{suite.metadata['end_session_endpoint']}?{urlencode(said)}")
    if any(("decision", "logout") in form.buttons for form in page.forms):
        page = await browser.submit("decision", button="logout")
    return page


async def still_logged_in(suite: Suite, browser: LoginBrowser, account: Account) -> bool:
    said = await suite.answer(browser, account, prompt="none")
    assert ("code" in said) is not ("error" in said)
    return "code" in said


async def logged_in(suite: Suite) -> tuple[LoginBrowser, Account, str]:
    browser, account = suite.somebody()
    tokens = await suite.redeem(await suite.answer(browser, account))
    return browser, account, tokens["id_token"]


def came_back(suite: Suite, page: Page) -> dict[str, str]:
    assert page.url.partition("?")[0] == f"{suite.party.base}/signed-out", (page.url, page.text[:500])
    return dict(parse_qsl(urlsplit(page.url).query))


@CASES.add("oidcc-rp-initiated-logout-discovery-endpoint-verification")
async def _(suite: Suite) -> None:
    assert suite.metadata["end_session_endpoint"].startswith(suite.issuer)


@CASES.add("oidcc-rp-initiated-logout")
async def _(suite: Suite) -> None:
    browser, account, hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out"
    page = await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back, state="bye")
    assert came_back(suite, page) == {"state": "bye"}
    assert not await still_logged_in(suite, browser, account)


@CASES.add("oidcc-rp-initiated-logout-bad-post-logout-redirect-uri")
async def _(suite: Suite) -> None:
    browser, _account, hint = await logged_in(suite)
    back = f"{suite.party.base}/elsewhere"
    page = await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back, state="bye")
    assert page.origin == suite.issuer


@CASES.add("oidcc-rp-initiated-logout-modified-id-token-hint")
async def _(suite: Suite) -> None:
    browser, _account, hint = await logged_in(suite)
    head, body, signature = hint.split(".")
    back = f"{suite.party.base}/signed-out"
    page = await leave(
        suite,
        browser,
        id_token_hint=f"{head}.{body}.{signature[::-1]}",
        post_logout_redirect_uri=back,
        state="bye",
    )
    assert page.origin == suite.issuer


@CASES.add("oidcc-rp-initiated-logout-bad-id-token-hint")
async def _(suite: Suite) -> None:
    browser, _account, _hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out"
    page = await leave(suite, browser, id_token_hint="bad", post_logout_redirect_uri=back, state="bye")
    assert page.origin == suite.issuer


@CASES.add("oidcc-rp-initiated-logout-no-id-token-hint")
async def _(suite: Suite) -> None:
    browser, _account, _hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out"
    page = await leave(suite, browser, post_logout_redirect_uri=back, state="bye")
    assert page.origin == suite.issuer, "nobody proved which relying party asks"


@CASES.add("oidcc-rp-initiated-logout-no-params")
async def _(suite: Suite) -> None:
    browser, account, _hint = await logged_in(suite)
    page = await leave(suite, browser)
    assert (page.status, page.origin) == (200, suite.issuer)
    assert not await still_logged_in(suite, browser, account)


@CASES.add("oidcc-rp-initiated-logout-no-post-logout-redirect-uri")
async def _(suite: Suite) -> None:
    browser, account, hint = await logged_in(suite)
    page = await leave(suite, browser, id_token_hint=hint, state="bye")
    assert (page.status, page.origin) == (200, suite.issuer)
    assert not await still_logged_in(suite, browser, account)


@CASES.add("oidcc-rp-initiated-logout-no-state")
async def _(suite: Suite) -> None:
    browser, account, hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out"
    page = await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back)
    assert came_back(suite, page) == {}
    assert not await still_logged_in(suite, browser, account)


@CASES.add("oidcc-rp-initiated-logout-only-state")
async def _(suite: Suite) -> None:
    browser, account, _hint = await logged_in(suite)
    page = await leave(suite, browser, state="bye")
    assert (page.status, page.origin) == (200, suite.issuer)
    assert not await still_logged_in(suite, browser, account)


@CASES.add("oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri")
async def _(suite: Suite) -> None:
    browser, _account, hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out?foo=bar"
    page = await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back, state="bye")
    assert page.origin == suite.issuer, "a registered address with something added is another one"
    browser, _account, hint = await logged_in(suite)
    back = f"{suite.party.base}/signed-out?kept=yes"
    page = await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back, state="bye")
    assert came_back(suite, page) == {"kept": "yes", "state": "bye"}


@CASES.add("oidcc-backchannel-logout-discovery-endpoint-verification")
async def _(suite: Suite) -> None:
    assert suite.metadata["backchannel_logout_supported"] is True
    assert suite.metadata["backchannel_logout_session_supported"] is True


@CASES.add("oidcc-backchannel-rp-initiated-logout")
async def _(suite: Suite) -> None:
    browser, _account, hint = await logged_in(suite)
    expected = suite.claims(hint)
    suite.party.was_told.clear()
    back = f"{suite.party.base}/signed-out"
    await leave(suite, browser, id_token_hint=hint, post_logout_redirect_uri=back, state="bye")
    async with asyncio.timeout(_TOLD_WITHIN_S):
        await suite.party.was_told.wait()
    token = jwt.decode(suite.party.told, suite.keys, algorithms=["ES256"])
    claims = token.claims
    assert token.header["typ"] == "logout+jwt"
    assert (claims["iss"], claims["aud"], claims["sid"]) == (suite.issuer, CLIENT, expected["sid"])
    assert claims.get("sub", expected["sub"]) == expected["sub"]
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert "nonce" not in claims
    assert {"iat", "exp", "jti"} <= claims.keys()


@pytest.mark.parametrize("name", CASES)
async def test_logout_op(running: Suite, name: str) -> None:
    await CASES[name](running)
