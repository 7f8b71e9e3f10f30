"""No more rows wait for browsers than there is room for, on every store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from federation.errors import OwnBusy
from federation.login.model import Interaction
from federation.login.uses import Use, UsedBefore
from node.store.database import Database
from node.store.login_interactions import InteractionRows
from node.store.login_requests import PushedRequestRows
from node.store.login_room import RECOUNT_S
from tests.support.clock import FixedClock
from tests.support.login_flow import platform_request


class _Plain:
    def seal(self, context: str, plain: bytes) -> bytes:
        return plain

    def open(self, context: str, sealed: bytes) -> bytes:
        return sealed


async def test_logins_at_work_are_so_many_at_most(database: Database, clock: FixedClock) -> None:
    rows, replica = [InteractionRows(database, _Plain(), clock, most=2) for _ in range(2)]

    async def create(by: InteractionRows, name: str, life_s: int) -> None:
        now = int(clock.now().timestamp())
        begun = Interaction(
            interaction_id=name,
            request=platform_request(),
            csrf="c",
            created_at=now,
            expires_at=now + life_s,
            number="ABCD2345",
        )
        await by.create(begun, "browser")

    await create(rows, "i-1", 900)
    await create(replica, "i-2", 60)
    for by in (replica, rows):
        clock.advance(seconds=RECOUNT_S)
        with pytest.raises(OwnBusy):
            await create(by, "i-3", 900)
    assert await rows.find("i-3", "browser") is None
    clock.advance(seconds=60)
    await create(rows, "i-3", 900)
    with pytest.raises(OwnBusy):
        await create(rows, "i-4", 900)


async def test_who_shows_again_what_was_used_takes_no_room(database: Database, clock: FixedClock) -> None:
    rows = PushedRequestRows(database, _Plain(), clock, most=2)
    used = UsedBefore("invalid_client", "used before")
    use = Use("login:portal", "jti-1", clock.now() + timedelta(minutes=1), used)
    await rows.keep(platform_request(), life_s=60, uses=lambda: [use])
    for _ in range(3):
        with pytest.raises(UsedBefore):
            await rows.keep(platform_request(), life_s=60, uses=lambda: [use])
    await rows.keep(platform_request(), life_s=60)
    with pytest.raises(OwnBusy):
        await rows.keep(platform_request(), life_s=60)


async def test_pushed_requests_wait_so_many_at_most(database: Database, clock: FixedClock) -> None:
    rows = PushedRequestRows(database, _Plain(), clock, most=1)
    await rows.keep(platform_request(), life_s=60)
    with pytest.raises(OwnBusy):
        await rows.keep(platform_request(), life_s=60)
    clock.advance(seconds=61)
    await rows.keep(platform_request(), life_s=60)
