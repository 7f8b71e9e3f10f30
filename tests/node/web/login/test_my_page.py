"""My page: what a citizen sees of the own logins, consents and record, and takes back; and nobody else's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from federation.holder_record import Login, NotAsked
from federation.login.end_session import Leave
from federation.login.model import OnBehalf
from federation.login.my_page import MOST_USES_SHOWN
from federation.login.sessions import form_token
from federation.query import Outcome
from simulators.browser import Page, _read
from tests.support.clock import NOON
from tests.support.login_people import HOME, IDENTITY_PROVIDER, PORTAL, VISITED, identity
from tests.support.logout import location
from tests.support.my_page import MyNode, paper, running_my_page, use

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MyNode]:
    async with running_my_page(tmp_path_factory.mktemp("me")) as mine:
        yield mine


@pytest_asyncio.fixture(loop_scope="module")
async def mine(running: MyNode) -> MyNode:
    await running.node.calm_down()
    running.record.uses, running.record.missing = (), ()
    running.record.asked.clear()
    running.flow.asked.clear()
    running.now_s[0] += 3600
    return running


async def page(mine: MyNode, token: str, query: str = "") -> Page:
    answer = await mine.node.get(f"/me{query}", token=token)
    text = await answer.text()
    assert answer.status == 200, text
    assert answer.headers["Cache-Control"] == "no-store"
    return _read(HOME, 200, {}, text, ())


async def press(mine: MyNode, token: str, shown: Page, action: str, value: str, **more: str) -> str:
    """Press a button of a page; where it leads."""
    form = next(
        form for form in shown.forms if form.action == action and value in dict(form.buttons).values()
    )
    fields = {**form.fields, **dict(form.buttons[:1]), **more}
    return location(await mine.node.post(action, fields, token=token))[0]


# --- who --------------------------------------------------------------------------------------------------------------


async def test_nobody_has_to_log_in_here_and_a_visitor_belongs_elsewhere(mine: MyNode) -> None:
    for token in ("", "x" * 43):
        answer = await mine.node.get("/me", token=token)
        assert location(answer)[0] == f"{IDENTITY_PROVIDER}/authorize"
        assert mine.node.cookies.name("browser") in answer.cookies
    request = mine.flow.asked[0]
    assert (request.client_id, request.own_page, request.claims) == (HOME, f"{HOME}/me", frozenset())
    for issuer, where in (
        (VISITED, f"{VISITED}/me"),
        ("https://gone.example", f"{IDENTITY_PROVIDER}/authorize"),
    ):
        visitor = identity("visitor", issuer=issuer)
        token, _ = await mine.node.logged_in("visitor", whose=visitor)
        assert location(await mine.node.get("/me", token=token))[0] == where
        form = {"csrf": "x"}
        assert location(await mine.node.post("/me/sessions", form, token=token))[0] == "/me"


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_it_shows_who_looked_in_all_provinces(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("looked-at")
    mine.record.uses = [
        use(1),
        use(2, outcome=Outcome.REFUSED, basis=None, platform="", certificate_types=("unknown",)),
        use(3, outcome=None, forgotten=True, asking="https://gone.example"),
    ]
    mine.record.missing = (NotAsked("330000", "浙江省节点", "https://zj", "peer.unreachable"),)
    shown = await page(mine, token)
    for words in (
        "居民身份证",
        "办事大厅",
        "新生儿落户",
        "AH-1",
        "unknown",
        "https://gone.example",
        "Zhejiang",
    ):
        assert words in shown.text, words
    assert mine.record.asked == [
        Login("111", "32010119900307123X", "yrd.l2", NOON.fromtimestamp(1_793_620_800, NOON.tzinfo))
    ]
    assert "32010119900307123X" not in shown.html


async def test_platforms_are_shown_by_name_where_they_are_known(mine: MyNode) -> None:
    """Own ones as they are registered, others as the citizen was told; their ids beneath."""
    citizen = identity("curious")
    token, _ = await mine.node.logged_in("curious", "portal", VISITED)
    await mine.node.rows.agreements.remember(citizen, VISITED, OnBehalf("ah-1", "皖事通"), frozenset())
    mine.papers.given["curious"] = [paper("paper-9", asking="安徽省节点", platform="ah-2")]
    mine.record.uses = [
        use(1, asking=HOME, platform="portal"),
        use(2, asking=HOME, platform="removed"),
        use(3, platform="ah-1"),
        use(4, platform="ah-2"),
        use(5, platform="portal"),
    ]
    shown = await page(mine, token)
    told = re.findall(r"<dt>Platform</dt><dd>(.*?)</dd>", shown.html)
    small = '<small class="id code">{}</small>'
    assert told == [
        f"portal 平台 {small.format('portal')}",
        "removed",
        f"皖事通 {small.format('ah-1')}",
        f"安徽政务服务网 {small.format('ah-2')}",
        "portal",
    ], "an id is a name among the platforms of one province"
    parties = re.findall(r"<dt>Logged in to</dt><dd><ul>(.*?)</ul></dd>", shown.html)
    assert parties == [f"<li>Anhui</li><li>portal 平台 {small.format('portal')}</li>"]


async def test_a_platform_that_was_removed_shows_its_id(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("faithful", "hall")
    hall = mine.node.parties.known.pop("hall")
    try:
        mine.record.uses = [use(1, asking=HOME, platform="hall")]
        html = (await page(mine, token)).html
    finally:
        mine.node.parties.known["hall"] = hall
    assert "<dt>Platform</dt><dd>hall</dd>" in html
    assert "<dd><ul><li>hall</li></ul></dd>" in html
    assert hall.name not in html


async def test_the_record_is_paged(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("much-looked-at")
    mine.record.uses = [use(number) for number in range(MOST_USES_SHOWN + 1)]
    shown = await page(mine, token)
    assert f"AH-{MOST_USES_SHOWN - 1}" in shown.text
    older = next(url for url, _ in shown.links if "before=" in url)
    later = await page(mine, token, older.partition("/me")[2].partition("#")[0])
    assert f"AH-{MOST_USES_SHOWN}" in later.text
    assert f"AH-{MOST_USES_SHOWN - 1}" not in later.text
    assert not any("before=" in url for url, _ in later.links if "/me" in url and "language" not in url)
    answer = await mine.node.get("/me?before=" + "x" * 65, token=token)
    assert answer.status == 400


@pytest.mark.parametrize("how", ["level", "number", "kind"])
async def test_without_a_verified_number_nobody_is_asked(mine: MyNode, how: str) -> None:
    whose = {
        "level": identity("low", acr="yrd.l1"),
        "number": identity("nameless", claims={"name": "王小明", "holder_id_type": "111"}),
        "kind": identity("odd", claims={"citizen_number": 7, "holder_id_type": "111"}),
    }[how]
    token, _ = await mine.node.logged_in("", whose=whose)
    shown = await page(mine, token)
    assert "no verified citizen number" in shown.text
    assert mine.record.asked == []


async def test_nobody_has_all_provinces_asked_without_end(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("impatient")
    answers = [(await mine.node.get("/me", token=token)).status for _ in range(22)]
    assert answers == [200] * 20 + [429] * 2
    other, _ = await mine.node.logged_in("patient")
    assert (await mine.node.get("/me", token=other)).status == 200
    mine.now_s[0] += 2
    assert (await mine.node.get("/me", token=token)).status == 200


async def test_it_shows_logins_and_what_was_agreed_to(mine: MyNode) -> None:
    citizen = identity("busy")
    token, _ = await mine.node.logged_in("busy", "portal", VISITED)
    await mine.node.logged_in("busy", "hall")
    await mine.node.logged_in("neighbour", "quiet")
    agreements = mine.node.rows.agreements
    await agreements.remember(citizen, VISITED, PORTAL, frozenset({"name", "citizen_number"}))
    await agreements.remember(identity("neighbour"), VISITED, OnBehalf("n", "邻居平台"), frozenset())
    mine.papers.given["busy"] = [paper("paper-1"), paper("paper-2", withdrawn_at=1)]
    shown = await page(mine, token)
    for words in (
        "王小明",
        "portal 平台",
        "Anhui",
        "hall 平台",
        "安徽政务服务网",
        "Citizen number",
        "结婚证",
    ):
        assert words in shown.text, words
    for words in ("quiet 平台", "邻居平台"):
        assert words not in shown.text, words
    assert sum(form.action == "/me/sessions" for form in shown.forms) == 2
    assert sum(form.action == "/me/papers" for form in shown.forms) == 1


# --- what is taken back -----------------------------------------------------------------------------------------------


async def test_a_login_on_another_device_is_ended(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("two-devices", "portal")
    lost, session = await mine.node.logged_in("two-devices", "hall")
    shown = await page(mine, token)
    handles = [value for form in shown.forms if form.action == "/me/sessions" for _, value in form.buttons]
    assert session.session_id not in shown.html
    ended = [await press(mine, token, shown, "/me/sessions", handle) for handle in handles]
    assert sorted(ended) == ["/me", f"{HOME}/login/signed-out"], "this one goes the way of a log-out"
    assert await mine.node.is_over(token)
    assert await mine.node.is_over(lost) is (ended[0] == "/me")


async def test_consents_are_taken_back(mine: MyNode) -> None:
    citizen = identity("withdrawing")
    token, session = await mine.node.logged_in("withdrawing", VISITED)
    given = await mine.node.rows.agreements.remember(citizen, VISITED, PORTAL, frozenset({"name"}))
    mine.papers.given["withdrawing"] = [paper("paper-3")]
    shown = await page(mine, token)
    answer = await mine.node.post(
        "/me/agreements",
        {**shown.form("/me/agreements").fields, "agreement": given.agreement_id},
        token=token,
    )
    assert location(answer) == ("/me", {"done": "agreement_withdrawn"})
    assert await mine.node.rows.agreements.find(citizen, VISITED, PORTAL.client_id) is None
    assert await press(mine, token, shown, "/me/papers", "paper-3") == "/me"
    assert mine.papers.given["withdrawing"][0].withdrawn_at is not None
    shown = await page(mine, token, "?done=paper_withdrawn")
    assert "Within a minute" in shown.text
    assert not any(form.action in ("/me/papers", "/me/agreements") for form in shown.forms)
    assert "Withdrawn. " not in (await page(mine, token, "?done=nonsense")).text
    assert not await mine.node.is_over(token)
    assert session.session_id


async def test_nobody_elses_is_taken_back(mine: MyNode) -> None:
    victim, _ = await mine.node.logged_in("victim", "portal")
    agreed = await mine.node.rows.agreements.remember(identity("victim"), VISITED, PORTAL, frozenset())
    mine.papers.given["victim"] = [paper("paper-4")]
    handle = next(
        value
        for form in (await page(mine, victim)).forms
        if form.action == "/me/sessions"
        for _, value in form.buttons
    )
    token, _ = await mine.node.logged_in("attacker")
    csrf = {"csrf": (await page(mine, token)).form("/me/logout").fields["csrf"]}
    for action, form in (
        ("/me/sessions", {"session": handle}),
        ("/me/agreements", {"agreement": agreed.agreement_id}),
        ("/me/papers", {"paper": "paper-4"}),
        ("/me/sessions", {}),
        ("/me/agreements", {"agreement": "x" * 5000}),
    ):
        answer = await mine.node.post(action, {**csrf, **form}, token=token)
        assert location(answer) == ("/me", {}), "nothing was done"
    assert not await mine.node.is_over(victim)
    assert await mine.node.rows.agreements.find(identity("victim"), VISITED, PORTAL.client_id)
    assert mine.papers.given["victim"][0].withdrawn_at is None


@pytest.mark.parametrize("action", ["sessions", "agreements", "papers", "logout"])
async def test_a_form_of_another_site_does_nothing(mine: MyNode, action: str) -> None:
    token, _ = await mine.node.logged_in(f"forged-{action}")
    other, _ = await mine.node.logged_in("other")
    theirs = (await page(mine, other)).form("/me/logout").fields["csrf"]
    for csrf in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": theirs}):
        answer = await mine.node.post(f"/me/{action}", csrf, token=token)
        assert answer.status == 403
    for known in (theirs, form_token("", "me")):
        answer = await mine.node.post(f"/me/{action}", {"csrf": known})
        assert answer.status == (403 if action == "logout" else 303), "another site's form brings no cookie"
        assert "Set-Cookie" not in answer.headers, "and takes none away"
    assert not await mine.node.is_over(token)
    assert (await mine.node.client.get(f"/me/{action}", allow_redirects=False)).status == 405


async def test_logging_out_tells_everybody(mine: MyNode) -> None:
    token, _ = await mine.node.logged_in("leaving", "portal", VISITED)
    shown = await page(mine, token)
    answer = await mine.node.post("/me/logout", shown.form("/me/logout").fields, token=token)
    after, query = location(answer)
    assert after == f"{HOME}/login/signed-out"
    up = await mine.node.end.signed_out(query["state"], token)
    assert isinstance(up, Leave)
    assert up.url.startswith(f"{IDENTITY_PROVIDER}/logout")
    assert await mine.node.is_over(token)
    assert {name for name, _ in mine.node.heard.taken} == {"portal.example", "node.ah.example"}
