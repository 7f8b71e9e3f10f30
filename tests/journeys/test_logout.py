"""One login ends everywhere, wherever its citizen ends it: at a platform, at home, or at the identity provider.

A citizen of Jiangsu is logged in at the portals of Anhui, Zhejiang and Jiangsu with one browser: three nodes, one
identity provider. Each test has a citizen of its own, so that nobody else's login is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account
from tests.journeys.rotations import until_async
from tests.support.delta import ANHUI, JIANGSU, ZHEJIANG
from tests.support.login_country import LoginCountry, Province, at_work, found_login_country

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("logout")]
PORTALS = (ANHUI, ZHEJIANG, JIANGSU)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Province]]:
    """Three provinces, made once."""
    folder = tmp_path_factory.mktemp("logout")
    with ThreadPoolExecutor(1) as thread:
        return folder, thread.submit(lambda: asyncio.run(found_login_country(folder, PORTALS))).result()


@pytest_asyncio.fixture
async def country(made: tuple[Path, Mapping[str, Province]]) -> AsyncIterator[LoginCountry]:
    async with at_work(*made) as country:
        yield country


async def logged_in_everywhere(country: LoginCountry, account: Account) -> LoginBrowser:
    """A browser that is logged in at all three portals."""
    browser = country.browser("en")
    for province in PORTALS:
        page = await country.log_in(browser, province, account, province=JIANGSU)
        assert "You are logged in" in page.text
    assert await sessions(country) == [1, 1, 1]
    return browser


async def sessions(country: LoginCountry) -> list[int]:
    return [await country.portal_sessions(province) for province in PORTALS]


async def until_all_ended(country: LoginCountry) -> None:
    async def is_over() -> bool:
        return await sessions(country) == [0, 0, 0]

    await until_async(is_over)


async def assert_asked_for_the_password(country: LoginCountry, browser: LoginBrowser) -> None:
    """Neither the node nor the identity provider know this browser any more."""
    for visited in (ANHUI, JIANGSU):
        page = await country.begin(browser, visited, province=JIANGSU)
        assert page.origin == country.provinces[JIANGSU].identity_provider
        assert "password" in page.form().fields


def hosts(page: Page) -> list[str]:
    return [f"http://{urlsplit(url).netloc}{urlsplit(url).path}" for url in page.visited]


async def test_a_log_out_at_a_visited_platform_ends_all_of_it(country: LoginCountry) -> None:
    browser = await logged_in_everywhere(country, country.account(JIANGSU, 11))
    anhui, jiangsu = country.provinces[ANHUI], country.provinces[JIANGSU]
    portal = await browser.open(f"{anhui.portal}/")
    page = await browser.submit("/logout", page=portal)
    assert hosts(page)[-7:] == [
        f"{anhui.portal}/logout",
        f"{anhui.entity_id}/oidc/logout",
        f"{anhui.entity_id}/login/signed-out",
        f"{jiangsu.entity_id}/oidc/logout",
        f"{jiangsu.entity_id}/login/signed-out",
        f"{jiangsu.identity_provider}/logout",
        f"{jiangsu.entity_id}/login/signed-out",
    ], "up to whoever logged the citizen in"
    assert country.account(JIANGSU, 11).resident.citizen_number not in " ".join(page.visited)
    assert "Zhejiang" in page.text, "the citizen sees what else was ended"
    await until_all_ended(country)
    page = await browser.follow("/login/signed-out")
    assert hosts(page) == [f"{anhui.entity_id}/login/signed-out", f"{anhui.portal}/logged-out"]
    await assert_asked_for_the_password(country, browser)


async def test_a_log_out_at_home_ends_all_visited_ones(country: LoginCountry) -> None:
    account = country.account(JIANGSU, 12)
    browser = await logged_in_everywhere(country, account)
    jiangsu = country.provinces[JIANGSU]
    page = await browser.open(f"{jiangsu.entity_id}/me")
    assert account.resident.name in page.text
    page = await browser.submit("/me/logout")
    assert hosts(page) == [
        f"{jiangsu.entity_id}/me/logout",
        f"{jiangsu.entity_id}/login/signed-out",
        f"{jiangsu.identity_provider}/logout",
        f"{jiangsu.entity_id}/login/signed-out",
    ]
    await until_all_ended(country)
    await assert_asked_for_the_password(country, browser)


async def test_a_log_out_at_the_identity_provider_ends_all_of_it(country: LoginCountry) -> None:
    account = country.account(JIANGSU, 13)
    browser = await logged_in_everywhere(country, account)
    jiangsu = country.provinces[JIANGSU]
    url = f"{jiangsu.identity_provider}/_sessions/end"
    async with country.http.post(url, json={"user_name": account.user_name}) as answer:
        assert (await answer.json())["ended"] == 1
    await until_all_ended(country)
    page = await browser.open(f"{jiangsu.entity_id}/me")
    assert page.origin == jiangsu.identity_provider, "nobody is logged in at home either"


async def test_a_planted_session_is_never_the_one_that_somebody_logs_in_with(country: LoginCountry) -> None:
    """Session fixation: an attacker's cookies in the victim's browser, before the victim logs in."""
    jiangsu = country.provinces[JIANGSU]
    attacker, victim = country.browser("en"), country.browser("en")
    await country.log_in(attacker, JIANGSU, country.account(JIANGSU, 15), province=JIANGSU)
    planted = attacker.cookies(jiangsu.entity_id)
    for name, value in planted.items():
        victim.set_cookie(jiangsu.entity_id, name, value)

    account = country.account(JIANGSU, 16)
    page = await country.log_in(victim, JIANGSU, account, province=JIANGSU, acr_values="yrd.l3")
    assert account.resident.name in page.text

    name = next(name for name in planted if name.endswith("-session"))
    assert victim.cookies(jiangsu.entity_id)[name] != planted[name]
    page = await attacker.open(f"{jiangsu.entity_id}/me")
    assert account.resident.name not in page.text


async def test_my_page_of_a_visited_node_is_at_home(country: LoginCountry) -> None:
    browser = country.browser("en")
    account = country.account(JIANGSU, 18)
    await country.log_in(browser, ANHUI, account, province=JIANGSU)
    page = await browser.open(f"{country.provinces[ANHUI].entity_id}/me")
    assert page.url == f"{country.provinces[JIANGSU].entity_id}/me"
    assert account.resident.name in page.text
    anhui = country.nodes[ANHUI].node.config.node.name
    assert anhui in page.html or "Anhui" in page.text, "where this login is in use"
    page = await browser.submit("/me/sessions")
    assert "/login/signed-out" in page.url
