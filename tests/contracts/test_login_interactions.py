"""Logins at work as rows, on every store."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from federation.errors import OwnRecordDamaged
from federation.login.model import Identity, Interaction, Upstream
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys
from node.keystore.login_seal import LoginSeal
from node.store.database import Database
from node.store.login_interactions import InteractionRows
from node.store.login_tables import INTERACTIONS
from tests.support.clock import FixedClock
from tests.support.login_flow import platform_request


@pytest.fixture
async def rows(database: Database, clock: FixedClock) -> InteractionRows:
    seal = LoginSeal(await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock))
    return InteractionRows(database, seal, clock)


def interaction(clock: FixedClock, name: str = "i-1") -> Interaction:
    now = int(clock.now().timestamp())
    return Interaction(
        interaction_id=name,
        request=platform_request(scopes=frozenset({"openid", "profile"}), max_age_s=0),
        csrf="c",
        created_at=now,
        expires_at=now + 900,
        number="ABCD2345",
    )


async def test_a_login_is_kept_whole(rows: InteractionRows, clock: FixedClock) -> None:
    first = interaction(clock)
    await rows.create(first, "browser")
    assert await rows.find("i-1", "browser") == first
    identity = Identity(
        issuer="i",
        subject="s",
        acr="yrd.l2",
        amr=("pwd",),
        auth_time=1,
        origin="o",
        claims={"name": "曾菊洁", "face": {"姓名": "曾菊洁"}},
    )
    upstream = Upstream(
        issuer="i", state="s", nonce="n", code_verifier="v", redirect_uri="r", sent_at=first.created_at
    )
    second = replace(first, version=1, step="consent", identity=identity, upstream=upstream, was_asked=True)
    assert await rows.replace(second)
    assert await rows.find("i-1", "browser") == second


async def test_nothing_that_is_kept_says_whose_login_it_is(
    rows: InteractionRows, database: Database, clock: FixedClock
) -> None:
    await rows.create(replace(interaction(clock), csrf="secret-csrf"), "browser")
    async with database.reading() as connection:
        (row,) = (await connection.execute(select(INTERACTIONS))).all()
    kept = b"".join(bytes(value) for value in row if isinstance(value, bytes))
    for secret in (b"i-1", b"browser", b"portal", b"secret-csrf"):
        assert secret not in kept


async def test_only_its_browser_finds_it(rows: InteractionRows, clock: FixedClock) -> None:
    await rows.create(interaction(clock), "browser")
    assert await rows.find("i-1", "another") is None
    assert await rows.find("i-1", "") is None
    assert await rows.find("i-2", "browser") is None


async def test_one_that_was_begun_without_cookies_is_bound_to_who_comes_first(
    rows: InteractionRows, clock: FixedClock
) -> None:
    await rows.create(interaction(clock), "")
    assert await rows.find("i-1", "") is None
    found = await asyncio.gather(*(rows.find("i-1", f"browser-{number}") for number in range(5)))
    assert sum(one is not None for one in found) == 1
    (first,) = [number for number, one in enumerate(found) if one is not None]
    assert await rows.find("i-1", f"browser-{first}") is not None


async def test_of_steps_that_are_taken_at_once_one_is_kept(rows: InteractionRows, clock: FixedClock) -> None:
    first = interaction(clock)
    await rows.create(first, "browser")
    steps = [replace(first, version=1, province=f"{number}20000") for number in range(1, 6)]
    taken = await asyncio.gather(*(rows.replace(step) for step in steps))
    assert sorted(taken) == [False] * 4 + [True]
    found = await rows.find("i-1", "browser")
    assert found == steps[taken.index(True)]
    assert not await rows.replace(replace(first, version=1))
    assert not await rows.replace(replace(first, interaction_id="i-2", version=1))


async def test_it_ends_and_is_forgotten(rows: InteractionRows, clock: FixedClock) -> None:
    await rows.create(interaction(clock), "browser")
    clock.advance(seconds=899)
    await rows.create(interaction(clock, "i-2"), "browser")
    assert await rows.forget_expired() == 0
    clock.advance(seconds=1)
    assert await rows.find("i-1", "browser") is None
    assert await rows.forget_expired() == 1
    assert await rows.find("i-2", "browser") is not None


async def test_a_row_that_was_moved_is_damaged(
    rows: InteractionRows, database: Database, clock: FixedClock
) -> None:
    for name in ("i-1", "i-2"):
        await rows.create(interaction(clock, name), "browser")
    async with database.writing() as connection:
        kept = (await connection.execute(select(INTERACTIONS.c.interaction, INTERACTIONS.c.sealed))).all()
        for row, other in zip(kept, reversed(kept), strict=True):
            change = INTERACTIONS.update().where(INTERACTIONS.c.interaction == row.interaction)
            await connection.execute(change.values(sealed=other.sealed))
    with pytest.raises(OwnRecordDamaged):
        await rows.find("i-1", "browser")
