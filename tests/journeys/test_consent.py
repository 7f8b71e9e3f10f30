"""Home Jiangsu, visited Anhui, the certificate in Zhejiang: a consent from the citizen's word to its withdrawal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from federation.login.model import AuthRequest, Identity, OnBehalf
from mapping.identifiers import make_citizen_number
from mapping.translate import load_dialect
from simulators.identity.accounts import Account
from simulators.layout import PLATFORM
from simulators.login_walk import finish_login
from simulators.relying.certificate_use import consent_question, wished
from tests.support.clock import NOON
from tests.support.delta import ANHUI, JIANGSU, ZHEJIANG
from tests.support.login_country import POPULATION, LoginCountry, client_of, running_login_country

pytestmark = [pytest.mark.journey]

MARRIAGE, HOUSEHOLD = "111000000000131433001", "11100000000013127D901"
CASE = "C-2026-7"
STRANGER = make_citizen_number("330106", NOON.date().replace(year=1980), 31)


def traveller(country: LoginCountry) -> tuple[Account, str]:
    """Somebody of Jiangsu with a verified account and a certificate in Zhejiang, and its type."""
    for index in range(500):
        account = country.account(JIANGSU, index)
        for paper in POPULATION.papers_of(account.resident):
            if account.is_verified and paper.province == ZHEJIANG and not paper.fault:
                return account, paper.certificate_type
    raise AssertionError("nobody of Jiangsu has a certificate in Zhejiang")


def identity(country: LoginCountry, account: Account) -> Identity:
    """The account as Jiangsu's node knows it."""
    issuer = country.provinces[JIANGSU].identity_provider
    return Identity(
        issuer=issuer,
        subject=account.subject,
        acr="yrd.l2",
        amr=("pwd",),
        auth_time=0,
        origin=issuer,
        claims={"citizen_number": account.resident.citizen_number, "holder_id_type": "111"},
    )


async def issue(
    country: LoginCountry, by: str, account: Account, certificate_type: str, *, uses: int = 1
) -> Mapping[str, Any]:
    """A consent for Anhui's portal, as the node of `by` issues it at the end of a login."""
    papers, anhui = country.nodes[by].node.consents.papers, country.provinces[ANHUI].entity_id
    use = wished(ZHEJIANG, certificate_type, CASE) | {"uses": uses}
    request = AuthRequest(
        client_id=PLATFORM if by == ANHUI else anhui,
        client_name="安徽省节点",
        is_peer=by != ANHUI,
        sector=anhui,
        redirect_uri=f"{anhui}/login/callback",
        authorization_details=papers.read(json.dumps([use])),
        on_behalf=None if by == ANHUI else OnBehalf(PLATFORM, "皖事通"),
    )
    (granted,) = await papers.issue(request, identity(country, account))
    return granted


def question(paper: Mapping[str, Any], number: str, **basis: str) -> dict[str, Any]:
    """What Anhui's portal asks its node on a paper."""
    id_type = load_dialect(ANHUI).code_to_local("holder_id_type", "111").value
    asked = consent_question(paper, {"holder_id_type": id_type, "citizen_number": number}, ANHUI)
    return asked | {"basis": asked["basis"] | basis}


async def ask(country: LoginCountry, token: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    """POST /v1/certificates/query at Anhui's node: the status, and the code of a refusal or the answer."""
    node = country.nodes[ANHUI]
    headers = {"Authorization": f"Bearer {token}"}
    async with node.http.post(f"{node.platform}/v1/certificates/query", json=body, headers=headers) as answer:
        said = await answer.json(content_type=None)
        return answer.status, said if answer.status == 200 else said["code"]


async def refresh_lists(country: LoginCountry, *provinces: str) -> None:
    """Each of these nodes fetches the status lists now."""
    for province in provinces:
        assert await country.nodes[province].node.consents.lists.refresh_once() == {}


async def test_a_consent_from_the_citizens_word_to_its_withdrawal(tmp_path: Path) -> None:
    async with running_login_country(tmp_path, (JIANGSU, ANHUI, ZHEJIANG)) as country:
        account, certificate_type = traveller(country)
        await refresh_lists(country, ANHUI, ZHEJIANG)
        await _asked_for_at_the_portal(country, account, certificate_type)
        await _refused_for_anything_else(country, account, certificate_type)
        await _withdrawn(country, account, certificate_type)


async def _asked_for_at_the_portal(country: LoginCountry, account: Account, certificate_type: str) -> None:
    """In a login: the citizen sees what for, agrees, and the portal fetches the certificate, once."""
    browser = country.browser()
    await country.log_in(browser, ANHUI, account)
    wish = {"answering": ZHEJIANG, "certificate_type": certificate_type, "case_number": CASE}
    await browser.submit("/ask", wish)
    page = await finish_login(browser, account)
    assert "A consent was given" in page.text, page.text[:2000]
    fetched = await browser.submit("/fetch")
    number = account.resident.citizen_number
    assert number in fetched.text, fetched.text[:2000]
    await browser.open(f"{country.provinces[ANHUI].portal}/")
    assert "access.consent_used_up" in (await browser.submit("/fetch")).text


async def _refused_for_anything_else(country: LoginCountry, account: Account, certificate_type: str) -> None:
    number, node = account.resident.citizen_number, country.nodes[ANHUI]
    token = await node.log_in(*client_of(country.provinces[ANHUI]))
    paper = await issue(country, JIANGSU, account, certificate_type, uses=2)
    other_type = HOUSEHOLD if certificate_type != HOUSEHOLD else MARRIAGE
    other_paper = dict(paper) | {"certificate_types": [other_type]}
    own = await issue(country, ANHUI, account, certificate_type)
    rows = {
        "another case": (question(paper, number, case_number="C-8"), "access.consent_mismatch"),
        "another purpose": (question(paper, number, purpose="调查"), "access.consent_mismatch"),
        "another holder": (question(paper, STRANGER), "access.consent_mismatch"),
        "another type": (question(other_paper, number), "access.consent_mismatch"),
        "another basis": (question(paper, number, kind="delegated_consent"), "access.denied"),
        "no consent": (question(paper, number, consent=""), "access.consent_missing"),
        "altered": (question(paper, number, consent=paper["consent"][:-4]), "access.consent_rejected"),
        "issued by the asking node to itself": (question(own, number), "access.consent_self_issued"),
    }
    got = {name: await ask(country, token, body) for name, (body, _) in rows.items()}
    assert got == {name: (403, code) for name, (_, code) in rows.items()}

    status, said = await ask(country, token, question(paper, number))
    assert (status, len(said["certificates"]) > 0) == (200, True)
    decision = said["decision"]["consent_status"]
    assert decision.startswith(f"{country.provinces[JIANGSU].entity_id}/oidc/status-list idx=")
    assert (await ask(country, token, question(paper, number)))[0] == 200
    assert await ask(country, token, question(paper, number)) == (403, "access.consent_used_up")


async def _withdrawn(country: LoginCountry, account: Account, certificate_type: str) -> None:
    """Within one interval of fetching: at the asking node too, but the answering one is asked first here."""
    number, node = account.resident.citizen_number, country.nodes[ANHUI]
    token = await node.log_in(*client_of(country.provinces[ANHUI]))
    paper = await issue(country, JIANGSU, account, certificate_type, uses=9)
    papers, citizen = country.nodes[JIANGSU].node.consents.papers, identity(country, account)
    assert (await ask(country, token, question(paper, number)))[0] == 200
    mine = await papers.of(citizen)
    assert await papers.withdraw(citizen, mine[0].paper_id)
    assert await _until_refused(country, token, question(paper, number)) == "access.consent_withdrawn"
    await refresh_lists(country, ANHUI)
    assert await ask(country, token, question(paper, number)) == (403, "access.consent_withdrawn")
    assert (await papers.of(citizen))[0].withdrawn_at is not None


async def _until_refused(country: LoginCountry, token: str, body: Mapping[str, Any]) -> Any:
    """Zhejiang fetches the list until it is one that was signed after the withdrawal: at most a second."""
    for _ in range(8):
        await refresh_lists(country, ZHEJIANG)
        status, said = await ask(country, token, body)
        if status != 200:
            return said
        await asyncio.sleep(0.3)
    raise AssertionError("still answered")
