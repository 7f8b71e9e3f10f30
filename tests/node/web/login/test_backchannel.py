"""Logout tokens as they arrive: from peers, the identity provider, and from nobody who may send one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from federation.login.sessions import sid_of
from tests.support.login_people import HOME, IDENTITY_PROVIDER, VISITED, identity
from tests.support.logout import CLIENT_ID, LogoutNode, logout_of, running_logout_node, standing
from trust.keys import SigningKey
from trust.tokens import sign_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/login/backchannel-logout"
OTHER = SigningKey.generate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LogoutNode]:
    async with running_logout_node(tmp_path_factory.mktemp("backchannel")) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def node(running: LogoutNode) -> LogoutNode:
    await running.calm_down()
    return running


async def told(node: LogoutNode, token: str, **more: str) -> tuple[int, dict[str, Any]]:
    answer = await node.client.post(PATH, data={"logout_token": token, **more})
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, await answer.json() if answer.status != 200 else {}


def of_provider(node: LogoutNode, *, typ: str = "logout+jwt", **changes: Any) -> str:
    """A logout token of the identity provider's."""
    claims = logout_of(node.clock, **{"iss": IDENTITY_PROVIDER, "aud": CLIENT_ID, **changes})
    return sign_token(claims, node.own.key, typ=typ)


async def test_a_peers_token_ends_what_it_is_about_and_a_repeat_of_it_is_refused(node: LogoutNode) -> None:
    cookie, session = await node.logged_in("peer", "portal", VISITED)
    token = node.logout_token(sid=sid_of(session.session_id, VISITED), jti="peer-1")
    assert await told(node, token) == (200, {})
    assert await node.is_over(cookie)
    status, body = await told(node, token)
    assert (status, body["error"]) == (400, "invalid_request")
    assert "used before" in body["error_description"]
    again = node.logout_token(sid=sid_of(session.session_id, VISITED), jti="peer-2")
    assert await told(node, again) == (200, {}), "it is over already (§2.8)"


@pytest.mark.parametrize("typ", ["logout+jwt", "JWT"])
async def test_the_identity_providers_token_ends_the_sessions_of_its_session_or_its_account(
    node: LogoutNode, typ: str
) -> None:
    first, _ = await node.logged_in(f"acc-{typ}", whose=identity(f"acc-{typ}", upstream_sid=f"a-{typ}"))
    second, _ = await node.logged_in(f"acc-{typ}", whose=identity(f"acc-{typ}", upstream_sid=f"b-{typ}"))
    third, _ = await node.logged_in("somebody-else")
    assert await told(node, of_provider(node, typ=typ, sid=f"a-{typ}")) == (200, {})
    assert [await node.is_over(one) for one in (first, second, third)] == [True, False, False]
    assert await told(node, of_provider(node, typ=typ, sid=None, sub=f"acc-{typ}")) == (200, {})
    assert [await node.is_over(one) for one in (first, second, third)] == [True, True, False]


async def test_a_token_that_proves_nothing_ends_nothing(node: LogoutNode) -> None:
    cookie, session = await node.logged_in("safe", "portal", VISITED)
    sid = sid_of(session.session_id, VISITED)
    peer_at_provider = sign_token(
        logout_of(node.clock, iss=IDENTITY_PROVIDER, aud=CLIENT_ID, sub="safe", sid=None), OTHER, typ="JWT"
    )
    good = node.logout_token(sid=sid)
    refused = {
        "another key": node.logout_token(sid=sid, key=OTHER),
        "another key of the identity provider's": peer_at_provider,
        "somebody unknown": node.logout_token(sid=sid, iss="https://node.elsewhere.example", key=OTHER),
        "this node itself": node.logout_token(sid=sid, iss=HOME, key=node.key),
        "no issuer": node.logout_token(sid=sid, iss=None),
        "an issuer that is no text": node.logout_token(sid=sid, iss=[VISITED]),
        "for another node": node.logout_token(sid=sid, aud=VISITED),
        "an ID token": node.logout_token(sid=sid, typ="JWT"),
        "a nonce": node.logout_token(sid=sid, nonce="n"),
        "old": node.logout_token(sid=sid, iat=1, exp=2),
        "altered": good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
        "alg none": "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".",
        "the provider's to another client": of_provider(node, aud="another", sub="safe", sid=None),
        "the provider's with an ID token's type": of_provider(node, typ="at+jwt", sub="safe", sid=None),
        "the provider's with a nonce": of_provider(node, nonce="n", sub="safe", sid=None),
        "too long": "a" * 20_000,
        "no token": "",
    }
    for why, token in refused.items():
        status, body = await told(node, token)
        assert (why, status, body["error"]) == (why, 400, "invalid_request")
        assert sid not in body["error_description"]
    assert not await node.is_over(cookie)
    assert await told(node, good) == (200, {})
    assert await node.is_over(cookie)


@pytest.mark.parametrize("how", ["revoked", "denied"])
async def test_a_peer_that_is_no_member_any_more_ends_nothing(node: LogoutNode, how: str) -> None:
    cookie, session = await node.logged_in(f"no-member-{how}", VISITED)
    standing(node.directory, node.directory.current.peers[VISITED], how)
    try:
        status, body = await told(node, node.logout_token(sid=sid_of(session.session_id, VISITED)))
    finally:
        standing(node.directory, node.directory.current.peers[VISITED])
    assert (status, body["error"]) == (400, "invalid_request")
    assert not await node.is_over(cookie)


async def test_while_the_provider_is_away_its_token_may_be_sent_again(node: LogoutNode) -> None:
    cookie, _ = await node.logged_in("later")
    token = of_provider(node, sub="later", sid=None)
    node.own.is_away = True
    status, body = await told(node, token)
    assert (status, body["error"]) == (503, "temporarily_unavailable")
    node.own.is_away = False
    assert await told(node, token) == (200, {})
    assert await node.is_over(cookie)


async def test_what_is_no_form_is_refused(node: LogoutNode) -> None:
    answer = await node.client.post(PATH, json={"logout_token": "x"})
    assert answer.status == 400
    answer = await node.client.post(
        PATH,
        data=b"logout_token=a&logout_token=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 400
    answer = await node.client.post(PATH, data={"logout_token": "a" * 70_000})
    assert answer.status == 413
    assert (await node.client.get(PATH)).status == 405
