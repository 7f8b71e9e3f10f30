"""The portals as a citizen uses them: a certificate by consent, seen on my page, and everything over at log-out.

At home in Jiangsu, at a portal of Anhui, for a certificate that lies in Zhejiang.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mapping.translate import load_dialect
from simulators.identity.accounts import Account
from simulators.login_walk import finish_login
from tests.support.delta import ANHUI, JIANGSU, ZHEJIANG
from tests.support.login_country import POPULATION, LoginCountry, running_login_country

pytestmark = [pytest.mark.journey]
_PATIENCE, _PAUSE_S = 200, 0.05


def citizen_with_papers(country: LoginCountry) -> tuple[Account, str, str]:
    """A verified resident of Jiangsu with a certificate in Zhejiang: the account, the type and the certificate's id."""
    for index in range(POPULATION.residents):
        account = country.account(JIANGSU, index)
        for paper in POPULATION.papers_in(ZHEJIANG, "111", account.resident.citizen_number):
            if account.is_verified and not paper.fault:
                return account, paper.certificate_type, paper.certificate_id
    raise AssertionError("nobody of Jiangsu has papers in Zhejiang")


async def test_a_certificate_is_asked_for_fetched_and_seen_and_log_out_ends_it_all(tmp_path: Path) -> None:
    async with running_login_country(tmp_path, (JIANGSU, ZHEJIANG, ANHUI)) as country:
        account, kind, certificate_id = citizen_with_papers(country)
        browser, portal = country.browser(), country.provinces[ANHUI].portal
        page = await country.log_in(browser, ANHUI, account)
        assert page.url == f"{portal}/", page.text[:800]

        said = {"answering": ZHEJIANG, "certificate_type": kind, "case_number": "SIM-1"}
        await browser.submit("/ask", said)
        page = await finish_login(browser, account, decision="not yet")
        assert "SIM-1" in page.text, "the citizen sees the case before anything is signed"
        page = await finish_login(browser, account)
        assert page.url == f"{portal}/", page.text[:800]
        assert dict(page.facts)["case_number"] == "SIM-1"

        for province in (ANHUI, ZHEJIANG):
            assert await country.nodes[province].node.consents.lists.refresh_once() == {}
        page = await browser.submit("/fetch")
        local = load_dialect(ANHUI).field_name(kind, "证照标识")
        assert dict(page.facts).get(local) == certificate_id, page.text[:800]

        home = country.provinces[JIANGSU].entity_id
        page = await browser.open(f"{home}/me")
        assert "SIM-1" in page.text

        await browser.open(f"{portal}/")
        page = await browser.submit("/logout")
        assert "已退出登录" in page.text
        await until_nobody_is_logged_in(country)
        page = await country.begin(browser, ANHUI, province=JIANGSU)
        assert page.origin == country.provinces[JIANGSU].identity_provider, "all have forgotten the login"


async def until_nobody_is_logged_in(country: LoginCountry) -> None:
    """Portals are told by the nodes, in the background."""
    for _ in range(_PATIENCE):
        if await country.portal_sessions(ANHUI) == 0:
            return
        await asyncio.sleep(_PAUSE_S)
    raise AssertionError("the portal was not told")
