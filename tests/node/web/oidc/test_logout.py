"""The end_session endpoint and the page after it (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio
from aiohttp import ClientResponse

from federation.login.sessions import sid_of
from simulators.browser import _read
from tests.support.login_people import HOME, IDENTITY_PROVIDER, VISITED, identity
from tests.support.logout import CLIENT_ID, LogoutNode, location, running_logout_node
from trust.keys import SigningKey
from trust.tokens import sign_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/oidc/logout"
OUT = "https://portal.example/out"
SIGNED_OUT = f"{HOME}/login/signed-out"
PROVIDER_OUT = f"{IDENTITY_PROVIDER}/logout"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LogoutNode]:
    async with running_logout_node(tmp_path_factory.mktemp("end-session")) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def node(running: LogoutNode) -> LogoutNode:
    await running.calm_down()
    return running


async def back(node: LogoutNode, answer: ClientResponse, token: str = "") -> ClientResponse:
    """Go on to the page after, or come back to it from whoever the browser was sent to."""
    url, query = location(answer)
    assert SIGNED_OUT in (url, query.get("post_logout_redirect_uri"))
    return await node.get("/login/signed-out", {"state": query["state"]}, token=token)


async def up_and_back(node: LogoutNode, answer: ClientResponse, token: str) -> ClientResponse:
    """As a browser with this cookie goes: on, up, and back."""
    up = await back(node, answer, token)
    assert location(up)[0] != SIGNED_OUT
    return await back(node, up, token)


async def refused(answer: ClientResponse, why: str) -> None:
    """An error page, no redirect, and nothing of what was sent in it."""
    assert answer.status == 400
    text = await answer.text()
    assert why in text
    assert "Location" not in answer.headers


# --- what is proven ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "POST from elsewhere"])
async def test_a_hint_that_fits_ends_it_without_a_question(node: LogoutNode, method: str) -> None:
    token, session = await node.logged_in(f"fits-{method}", "portal", "hall")
    said = {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT, "state": "s 1"}
    cookie = "" if method.endswith("elsewhere") else token
    if method == "GET":
        answer = await node.get(PATH, said, token=cookie)
    else:
        answer = await node.post(PATH, said, token=cookie)
    assert await node.is_over(token)
    assert {name for name, _ in node.heard.taken} == {"portal.example", "hall.example"}
    assert set(location(answer)[1]) == {"state"}
    assert location(answer)[0] == SIGNED_OUT, "where the cookie comes along whoever sent the form"

    up = await back(node, answer, token)
    url, query = location(up)
    assert url == PROVIDER_OUT, "on to whoever logged the citizen in"
    assert query["tenant"] == "js"
    assert query["id_token_hint"] == "idp.id.token"
    assert query["client_id"] == CLIENT_ID
    assert query["post_logout_redirect_uri"] == SIGNED_OUT

    page = await back(node, up, token)
    text = await page.text()
    assert page.status == 200
    assert "hall 平台" in text, "another platform's login ended with it: the citizen is told"
    assert "id.js.example" in text
    (onward,) = [url for url, _ in _read(HOME, 200, {}, text, ()).links if url.startswith(OUT)]
    assert dict(parse_qsl(urlsplit(onward).query)) == {"state": "s 1"}


async def test_who_sees_nothing_new_is_led_straight_back(node: LogoutNode) -> None:
    token, session = await node.logged_in("alone", "portal")
    answer = await node.get(
        PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT, "client_id": "portal"}
    )
    led = await up_and_back(node, answer, token)
    assert location(led) == (OUT, {})
    assert led.cookies[node.cookies.name("session")]["max-age"] == "0"


async def test_who_is_not_the_browser_of_that_login_ends_it_and_learns_nothing(node: LogoutNode) -> None:
    """A platform's server, with what the platform knows: not the ID token of whoever logged the citizen in, not its
    session id there, not who else took part.
    """
    token, session = await node.logged_in("unlinked", "portal", "hall", "quiet")
    guest, visiting = await node.logged_in(
        "unlinked-guest", "portal", "hall", whose=identity("unlinked", issuer=VISITED, upstream_sid="sid-up")
    )
    other, _ = await node.logged_in("unlinked-other", "hall")
    left, _ = await node.logged_in("unlinked-left", "hall")
    await node.end.leave_by_page(left)
    for meant, mine in ((session, token), (visiting, guest)):
        said = {"client_id": "portal", "logout_hint": sid_of(meant.session_id, "portal")}
        for more in ({}, {"post_logout_redirect_uri": OUT}):
            answer = await node.get(PATH, {**said, **more})
            assert location(answer)[0] == SIGNED_OUT
            assert set(location(answer)[1]) == {"state"}
            assert await node.is_over(mine)
            for cookie in ("", other, left, "x" * 43):
                page = await back(node, answer, cookie)
                assert "Set-Cookie" not in page.headers
                if more:
                    assert location(page) == (OUT, {})
                    continue
                text = await page.text()
                assert page.status == 200
                assert "平台" not in text
                assert "id.js.example" not in text
        assert location(await back(node, answer, mine))[0] in (PROVIDER_OUT, f"{VISITED}/oidc/logout")


async def test_an_unfinished_telling_is_shown_and_then_done(node: LogoutNode) -> None:
    node.heard.away.add("hall.example")
    token, session = await node.logged_in("unfinished", "portal", "hall")
    answer = await node.get(PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT})
    up = await back(node, answer, token)
    assert "being told" in await (await back(node, up, token)).text()
    await node.calm_down()
    assert "being told" not in await (await back(node, up, token)).text()


async def test_who_cannot_be_told_is_named(node: LogoutNode) -> None:
    token, session = await node.logged_in("untold", "portal", "quiet")
    answer = await node.get(PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT})
    text = await (await up_and_back(node, answer, token)).text()
    assert "quiet 平台" in text
    assert "cannot be told" in text


async def test_without_a_way_back_the_page_says_what_ended(node: LogoutNode) -> None:
    token, session = await node.logged_in("no-way-back", "portal")
    answer = await node.get(PATH, {"id_token_hint": node.hint(session), "state": "s"}, token=token)
    page = await up_and_back(node, answer, token)
    text = await page.text()
    assert page.status == 200
    assert "portal 平台" in text
    assert "state=s" not in text


async def test_a_provider_without_an_address_for_it_is_left_alone(node: LogoutNode) -> None:
    kept, node.own.end_session_endpoint = node.own.end_session_endpoint, ""
    try:
        token, session = await node.logged_in("no-endpoint", "portal")
        answer = await node.get(PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT})
        assert location(await back(node, answer, token))[0] == OUT
    finally:
        node.own.end_session_endpoint = kept


async def test_a_visited_login_goes_on_to_the_home_node_with_nothing_of_the_citizen(node: LogoutNode) -> None:
    theirs = identity("guest", issuer=VISITED, upstream_sid="sid-at-home")
    token, session = await node.logged_in("guest", "portal", whose=theirs)
    answer = await node.get(
        PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT}, token=token
    )
    up = await back(node, answer, token)
    url, query = location(up)
    assert url == f"{VISITED}/oidc/logout"
    assert set(query) == {"logout_hint", "client_id", "post_logout_redirect_uri", "state"}
    assert (query["logout_hint"], query["client_id"]) == ("sid-at-home", HOME)
    assert {name for name, _ in node.heard.taken} == {"portal.example", "node.ah.example"}
    assert location(await back(node, up, token))[0] == OUT


async def test_the_browser_is_sent_to_no_home_node_that_is_away(node: LogoutNode) -> None:
    node.heard.away.add("node.ah.example")
    theirs = identity("guest-2", issuer=VISITED, upstream_sid="sid-at-home-2")
    token, session = await node.logged_in("guest-2", "portal", whose=theirs)
    answer = await node.get(PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT})
    text = await (await back(node, answer, token)).text()
    assert "being told" in text
    assert OUT in text


async def test_a_visited_node_names_the_login_by_its_session_id(node: LogoutNode) -> None:
    """It has told this node already; the browser comes so that the identity provider's login ends as well."""
    token, session = await node.logged_in("traveller", "portal", VISITED)
    sid = sid_of(session.session_id, VISITED)
    await node.client.post("/login/backchannel-logout", data={"logout_token": node.logout_token(sid=sid)})
    assert await node.is_over(token)
    there = f"{VISITED}/login/signed-out"
    said = {
        "logout_hint": sid,
        "client_id": VISITED,
        "post_logout_redirect_uri": there,
        "state": "s" * 2000,
    }
    up = await back(node, await node.get(PATH, said, token=token), token)
    assert location(up)[0] == PROVIDER_OUT
    assert len(up.headers["Location"]) < 6000
    await node.logout.tell_due()
    page = await back(node, up, token)
    assert "portal 平台" in await page.text()

    await node.calm_down()
    node.clock.advance(hours=1)
    late = await back(node, await node.get(PATH, said, token=token), token)
    assert late.status == 200, "long after, nobody is sent to log out once more"
    assert "portal 平台" in await late.text()


# --- what is not ------------------------------------------------------------------------------------------------------


async def test_without_proof_the_citizen_is_asked(node: LogoutNode) -> None:
    token, session = await node.logged_in("asked", "portal", "hall")
    _, other = await node.logged_in("other", "portal")
    forged = sign_token(
        {"iss": HOME, "aud": "portal", "sub": "s", "sid": sid_of(session.session_id, "portal")},
        SigningKey.generate(),
        typ="JWT",
    )
    asking = [
        {},
        {"state": "s"},
        {"client_id": "portal", "post_logout_redirect_uri": OUT},
        {"id_token_hint": forged},
        {"id_token_hint": "no token"},
        {"id_token_hint": node.hint(session)[:-8] + "AAAAAAAA"},
        {"id_token_hint": node.hint(session, iss=VISITED)},
        {"id_token_hint": node.hint(session, sid="")},
        {"id_token_hint": node.hint(other)},
        {"client_id": "portal", "logout_hint": "guessed"},
        {"client_id": "hall", "logout_hint": sid_of(session.session_id, "portal")},
    ]
    for said in asking:
        answer = await node.get(PATH, said, token=token)
        text = await answer.text()
        assert (said, answer.status) == (said, 200)
        assert "Log out?" in text
        assert "hall 平台" in text, "who is told"
        assert not await node.is_over(token)


async def test_the_answer_to_the_question_counts(node: LogoutNode) -> None:
    token, _ = await node.logged_in("answering", "portal")
    said = {"client_id": "portal", "post_logout_redirect_uri": OUT, "state": "s&1"}
    answer = await node.get(PATH, said, token=token)
    page = _read(HOME, 200, {}, await answer.text(), ())
    form = page.form(PATH)
    csrf = {"csrf": form.fields["csrf"]}

    stayed = await node.post(form.action, {**csrf, "decision": "stay"}, token=token)
    assert location(stayed)[0] == "/me"
    assert not await node.is_over(token)

    for wrong in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
        answer = await node.post(form.action, {**wrong, "decision": "logout"}, token=token)
        assert answer.status == 403
    elsewhere = await node.post(form.action, {**csrf, "decision": "logout"})
    assert elsewhere.status == 403, "another site's form brings no cookie"
    stranger, _ = await node.logged_in("stranger", "portal")
    assert (await node.post(form.action, {**csrf, "decision": "logout"}, token=stranger)).status == 403
    assert not await node.is_over(token)
    assert not await node.is_over(stranger)

    left = await node.post(form.action, {**csrf, "decision": "logout"}, token=token)
    assert await node.is_over(token)
    up = await back(node, left, token)
    assert location(up)[0] == PROVIDER_OUT
    assert location(await back(node, up, token)) == (OUT, {"state": "s&1"})


async def test_a_form_of_another_site_that_proves_nothing_comes_once_more_with_its_cookies(
    node: LogoutNode,
) -> None:
    answer = await node.post(PATH, {"client_id": "portal", "post_logout_redirect_uri": OUT})
    assert location(answer) == (PATH, {"client_id": "portal", "post_logout_redirect_uri": OUT})
    assert "Set-Cookie" not in answer.headers
    again = await node.get(PATH, location(answer)[1])
    assert location(again)[0] == SIGNED_OUT, "nobody is logged in: nothing to ask"
    assert location(await back(node, again)) == (OUT, {})


# --- what is wrong ----------------------------------------------------------------------------------------------------


async def test_nobody_is_led_where_no_client_registered(node: LogoutNode) -> None:
    token, session = await node.logged_in("led", "portal")
    hint = {"id_token_hint": node.hint(session)}
    for uri in (
        "https://evil.example/",
        f"{OUT}?more=1",
        f"{OUT}/",
        OUT.replace("https", "http"),
        "https://hall.example/out",
        "javascript:alert(1)",
        f"{OUT}#x",
        OUT + "x" * 600,
    ):
        answer = await node.get(PATH, {**hint, "post_logout_redirect_uri": uri}, token=token)
        await refused(answer, "post_logout_redirect_uri cannot be used")
    await refused(await node.get(PATH, {"post_logout_redirect_uri": OUT}, token=token), "no client is named")
    other = {**hint, "client_id": "hall", "post_logout_redirect_uri": "https://hall.example/out"}
    await refused(await node.get(PATH, other, token=token), "issued to another client")
    unknown = {"client_id": "nobody", "post_logout_redirect_uri": OUT}
    await refused(await node.get(PATH, unknown, token=token), "no client of this node")
    await refused(await node.get(PATH, {"client_id": "c" * 300}, token=token), "no client of this node")
    long = {**hint, "post_logout_redirect_uri": OUT, "state": "s" * 1025}
    await refused(await node.get(PATH, long, token=token), "state is too long")
    twice = await node.get(f"{PATH}?client_id=portal&client_id=hall", token=token)
    assert twice.status == 400
    unstorable = {"client_id": "portal", "logout_hint": "\0"}
    assert (await node.get(PATH, unstorable, token=token)).status == 400
    assert (await node.post(PATH, unstorable, token=token)).status == 400
    assert not await node.is_over(token), "what is not in order ends nothing"


async def test_a_state_that_this_node_did_not_seal_leads_nowhere(node: LogoutNode) -> None:
    token, session = await node.logged_in("sealed", "portal", "hall")
    answer = await node.get(PATH, {"id_token_hint": node.hint(session), "post_logout_redirect_uri": OUT})
    state = location(answer)[1]["state"]
    for wrong in ("", "x", "é", state[:-2], "B" + state[1:], f"{state}{state}", "a" * 20_000):
        page = await node.get("/login/signed-out", {"state": wrong} if wrong else "", token=token)
        text = await page.text()
        assert page.status in (200, 400)
        assert "portal.example" not in text
        assert "hall" not in text
    node.clock.advance(hours=1)
    page = await node.get("/login/signed-out", {"state": state}, token=token)
    assert "hall" not in await page.text(), "the way back is known for an hour"
