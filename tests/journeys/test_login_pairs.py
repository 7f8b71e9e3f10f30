"""A citizen of each province logs in to a portal of each other one; the anchor is away all the while.

Without a browser of flesh: what is walked are the same pages and redirects. Each login goes through both nodes.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from simulators.browser import LoginBrowser, Page
from simulators.identity.accounts import Account
from tests.support.delta import ANHUI, JIANGSU, PROVINCES, SHANGHAI, ZHEJIANG
from tests.support.login_country import LoginCountry, Province, at_work, found_login_country

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("login-pairs")]
UNVERIFIED = 7


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Province]]:
    """The four provinces, made once; each test has citizens of its own."""
    folder = tmp_path_factory.mktemp("pairs")
    with ThreadPoolExecutor(1) as thread:
        return folder, thread.submit(lambda: asyncio.run(found_login_country(folder, PROVINCES))).result()


@pytest_asyncio.fixture
async def country(made: tuple[Path, Mapping[str, Province]]) -> AsyncIterator[LoginCountry]:
    async with at_work(*made) as country:
        await country.stop_anchor()
        yield country


def told(page: Page) -> dict[str, Any]:
    """What the portal says that it was told."""
    assert "You are logged in" in page.text, page.text[:1000]
    return dict(page.facts)


async def log_in(country: LoginCountry, visited: str, account: Account, **wish: str) -> dict[str, Any]:
    """In a browser of its own."""
    return told(await country.log_in(country.browser(), visited, account, **wish))


async def test_all_twelve_pairs_and_the_four_at_home(country: LoginCountry) -> None:
    subjects: dict[tuple[str, str], str] = {}
    for home, visited in [*permutations(PROVINCES, 2), *((one, one) for one in PROVINCES)]:
        account = country.account(home)
        said = await log_in(country, visited, account)
        assert said["name"] == account.resident.name, (home, visited)
        assert said["citizen_number"] == account.resident.citizen_number
        assert (said["acr"], said["amr"]) == ("yrd.l2", '["pwd"]')
        assert said["origin"] == country.provinces[home].identity_provider
        assert said["iss"] == country.provinces[visited].entity_id
        assert local_number_field(visited) in said["face"], "the visited province reads its own field names"
        subjects[home, visited] = said["sub"]
    idp_subjects = {country.account(home).subject for home in PROVINCES}
    assert len(set(subjects.values()) | idp_subjects) == 16 + 4, "nobody can link what two portals were told"


def local_number_field(province: str) -> str:
    return {SHANGHAI: "idNo", JIANGSU: "id_no", ZHEJIANG: "GMSFHM", ANHUI: "sfzh"}[province]


async def test_a_citizen_keeps_the_subject_and_is_asked_only_once(country: LoginCountry) -> None:
    account, browser = country.account(JIANGSU, 1), country.browser()
    first = told(await country.log_in(browser, ANHUI, account))
    fresh = await log_in(country, ANHUI, account)
    assert fresh["sub"] == first["sub"]
    assert fresh["sid"] != first["sid"]

    page = await country.begin(browser_without_portal(country, browser, ANHUI), ANHUI, province=JIANGSU)

    assert told(page)["sub"] == first["sub"], (
        "session, province and consent are remembered: no page on the way"
    )
    assert told(page)["auth_time"] == first["auth_time"]
    neighbour = await log_in(country, ANHUI, country.account(JIANGSU, 2))
    assert neighbour["sub"] != first["sub"]


def browser_without_portal(country: LoginCountry, browser: LoginBrowser, province: str) -> LoginBrowser:
    """The same browser after it forgot the portal."""
    browser.forget(country.provinces[province].portal)
    return browser


async def test_levels_are_reached_or_refused_and_never_lowered(country: LoginCountry) -> None:
    account, browser = country.account(ZHEJIANG, 1), country.browser()
    plain = told(await country.log_in(browser, SHANGHAI, account))
    assert plain["acr"] == "yrd.l2"
    browser_without_portal(country, browser, SHANGHAI)
    more = told(await country.log_in(browser, SHANGHAI, account, acr_values="yrd.l3", province=ZHEJIANG))
    assert (more["acr"], ast.literal_eval(more["amr"])) == ("yrd.l3", ["pwd", "sms", "mfa"])
    assert more["sub"] == plain["sub"]

    unverified = country.account(ZHEJIANG, UNVERIFIED)
    refused = await country.log_in(country.browser(), SHANGHAI, unverified, acr_values="yrd.l3")
    assert "unmet_authentication_requirements" in refused.text
    refused = await country.log_in(country.browser(), SHANGHAI, unverified)
    assert "unmet_authentication_requirements" in refused.text, "the portal asks for the citizen number"


async def test_who_denies_or_cancels_is_back_at_the_portal_not_logged_in(country: LoginCountry) -> None:
    account = country.account(ANHUI, 1)
    page = await country.log_in(country.browser(), ZHEJIANG, account, decision="deny")
    assert page.url.startswith(country.provinces[ZHEJIANG].portal)
    assert "access_denied" in page.text

    browser = country.browser()
    await country.begin(browser, ZHEJIANG)
    page = await browser.submit("province", button="cancel")
    assert "access_denied" in page.text
    page = await country.begin(browser, ZHEJIANG, province=ANHUI)
    assert page.origin == country.provinces[ANHUI].identity_provider
    page = await browser.submit("/login/", button="cancel")
    assert page.origin == country.provinces[ZHEJIANG].portal
    assert "access_denied" in page.text
    assert await country.portal_sessions(ZHEJIANG) == 0
