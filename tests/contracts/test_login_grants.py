"""Grants, pushed requests and clients of logins on both stores: once is once, whoever asks at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from federation.errors import OwnBadValue
from federation.login.model import Agreed, AuthRequest, Grant
from node.store.client_secrets import is_secret
from node.store.clients import ClientRows, LoginTerms
from node.store.database import Database, open_database
from node.store.login_grants import GrantRows
from node.store.login_requests import PushedRequestRows
from node.store.login_tables import GRANTS, LOGIN_CODES, PUSHED_REQUESTS, REFRESH_TOKENS
from tests.support.clock import FixedClock
from tests.support.login_provider import IDENTITY, PlainSeal

REQUEST = AuthRequest(
    client_id="portal",
    client_name="门户",
    is_peer=False,
    sector="portal",
    redirect_uri="https://portal.ah.example/back",
    scopes=frozenset({"openid", "profile"}),
    claims=frozenset({"name"}),
)
OFFLINE = msgspec.structs.replace(REQUEST, scopes=frozenset({"openid", "offline_access"}))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def grants(database: Database, clock: FixedClock) -> GrantRows:
    return GrantRows(database, PlainSeal(), clock)


@pytest.fixture
def pushed(database: Database, clock: FixedClock) -> PushedRequestRows:
    return PushedRequestRows(database, PlainSeal(), clock)


def grant_of(clock: FixedClock, name: str = "g-1", request: AuthRequest = REQUEST, **changes: Any) -> Grant:
    now_s = int(clock.now().timestamp())
    return Grant(
        grant_id=name,
        client_id=request.client_id,
        subject="s-1",
        sid="sid-1",
        session_id=changes.get("session_id", "session-1"),
        request=request,
        agreed=Agreed(identity=IDENTITY, session_id="session-1", claims={"name": "王芳"}),
        created_at=now_s,
        expires_at=now_s + 600,
    )


async def test_a_code_is_redeemed_once_by_one_of_many(
    database: Database, store_url: str, grants: GrantRows, clock: FixedClock
) -> None:
    grant = grant_of(clock)
    code = await grants.open(grant, code_life_s=60)
    second = open_database(store_url)
    try:
        replicas = (grants, GrantRows(second, PlainSeal(), clock))
        found = await asyncio.gather(*(replicas[n % 2].redeem(code, "portal") for n in range(6)))
    finally:
        await second.close()
    assert [one for one in found if one is not None] == [grant]
    assert await grants.find(grant.grant_id) is None, "it came a second time"


async def test_a_code_of_another_client_ends_the_grant(grants: GrantRows, clock: FixedClock) -> None:
    code = await grants.open(grant_of(clock), code_life_s=60)
    assert await grants.redeem(code, "hall") is None
    assert await grants.redeem(code, "portal") is None
    assert await grants.redeem("guessed", "portal") is None


async def test_a_code_that_is_late_ends_nothing(grants: GrantRows, clock: FixedClock) -> None:
    code = await grants.open(grant_of(clock), code_life_s=60)
    clock.advance(seconds=60)
    assert await grants.redeem(code, "portal") is None
    assert await grants.find("g-1") is not None
    clock.advance(seconds=540)
    assert await grants.find("g-1") is None


async def test_refresh_tokens_rotate_or_stay(grants: GrantRows, clock: FixedClock) -> None:
    grant = grant_of(clock, request=OFFLINE)
    await grants.open(grant, code_life_s=60)
    token = await grants.issue_refresh(grant, life_s=600)
    assert await grants.find_refresh(token, "hall") is None
    for _ in range(2):
        assert await grants.redeem_refresh(token, "portal", rotates=False) == grant
    assert await grants.redeem_refresh(token, "portal", rotates=True) == grant
    assert await grants.find_refresh(token, "portal") is None
    assert await grants.find("g-1") == grant
    assert await grants.redeem_refresh(token, "portal", rotates=True) is None
    assert await grants.find("g-1") is None, "it came a second time"


async def test_grants_end_with_their_session(grants: GrantRows, clock: FixedClock) -> None:
    kinds = {"plain": REQUEST, "offline": OFFLINE}
    for name, request in kinds.items():
        await grants.open(grant_of(clock, name, request), code_life_s=60)
    await grants.open(grant_of(clock, "other", session_id="session-2"), code_life_s=60)
    assert await grants.revoke_session("session-1", keep_offline=True) == 1
    assert [await grants.find(name) is not None for name in ("plain", "offline", "other")] == [
        False,
        True,
        True,
    ]
    assert await grants.revoke_session("session-1", keep_offline=False) == 1
    assert [await grants.revoke(name) for name in ("offline", "other", "other")] == [False, True, False]


async def test_a_pushed_request_is_taken_once(
    store_url: str, pushed: PushedRequestRows, clock: FixedClock
) -> None:
    request_uri = await pushed.keep(REQUEST, life_s=60)
    assert await pushed.take(request_uri, "hall") is None
    second = open_database(store_url)
    try:
        replicas = (pushed, PushedRequestRows(second, PlainSeal(), clock))
        found = await asyncio.gather(*(replicas[n % 2].take(request_uri, "portal") for n in range(6)))
    finally:
        await second.close()
    assert [one for one in found if one is not None] == [REQUEST]
    late = await pushed.keep(REQUEST, life_s=60)
    clock.advance(seconds=60)
    assert await pushed.take(late, "portal") is None


async def test_what_has_expired_is_forgotten(
    database: Database, grants: GrantRows, pushed: PushedRequestRows, clock: FixedClock
) -> None:
    for name in ("old", "new"):
        grant = grant_of(clock, name, OFFLINE)
        await grants.open(grant, code_life_s=60)
        await grants.issue_refresh(grant, life_s=600)
        await pushed.keep(REQUEST, life_s=60)
        clock.advance(seconds=300)
    assert await grants.forget_expired() == 4, "both codes, the old grant and its refresh token"
    assert await grants.forget_expired() == 0
    assert await pushed.forget_expired() == 2
    async with database.reading() as connection:
        for table, left in ((GRANTS, 1), (REFRESH_TOKENS, 1), (LOGIN_CODES, 0), (PUSHED_REQUESTS, 0)):
            counted = await connection.execute(select(func.count()).select_from(table))
            assert counted.scalar_one() == left, table.name


async def test_clients_with_what_they_are_as_relying_parties(database: Database, clock: FixedClock) -> None:
    rows = ClientRows(database, clock)
    terms = LoginTerms(
        redirect_uris=("https://portal.ah.example/back",), profile="fapi2", scopes=frozenset({"openid"})
    )
    secret = await rows.add_with_secret("portal", "门户", {"*"}, terms)
    await rows.add_with_keys("api", "接口", {"*"}, {"keys": []})
    found = {row.client_id: row for row in await rows.all_clients()}
    assert found["portal"].login == terms
    assert found["api"].login is None
    newer = await rows.rotate_secret("portal")
    changed = await rows.find("portal")
    assert changed is not None
    assert not is_secret(secret, changed.secret_hash)
    assert is_secret(newer, changed.secret_hash)
    await rows.rotate_keys("api", {"keys": [{"kty": "EC"}]})
    rotated = await rows.find("api")
    assert rotated is not None
    assert rotated.jwks == {"keys": [{"kty": "EC"}]}
    with pytest.raises(OwnBadValue, match="no active client api that authenticates by client_secret_basic"):
        await rows.rotate_secret("api")
    await rows.disable("api")
    with pytest.raises(OwnBadValue, match="no active client"):
        await rows.rotate_keys("api", {"keys": []})
