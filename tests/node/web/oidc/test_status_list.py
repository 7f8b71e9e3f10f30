"""The status list as it is served: signed from the rows, at most once a second, for whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from node.web.oidc.status_list import STATUS_LIST_MEDIA, StatusListDocument, add_status_list
from tests.support.clock import FixedClock
from trust.keys import SigningKey
from trust.status_list import StatusList, verify_status_list

HOME = "https://node.js.example/yrd"
KEY = SigningKey.generate()


@dataclass
class Rows:
    """Which places are withdrawn, and how often they were looked at."""

    places: list[int] = field(default_factory=list)
    looks: int = 0

    async def withdrawn(self) -> list[int]:
        self.looks += 1
        await asyncio.sleep(0)
        return list(self.places)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def rows() -> Rows:
    return Rows([5])


@pytest.fixture
async def client(rows: Rows, clock: FixedClock) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    document = StatusListDocument(HOME, rows.withdrawn, lambda: KEY, clock, size=64, ttl_s=50)
    add_status_list(app, document, path="/yrd")
    async with TestClient(TestServer(app)) as one:
        yield one


async def _get(client: TestClient[web.Request, web.Application], clock: FixedClock) -> StatusList:
    async with client.get("/yrd/oidc/status-list") as answer:
        assert (answer.status, answer.content_type) == (200, STATUS_LIST_MEDIA)
        text = await answer.text()
    keys = {KEY.kid: KEY.verification_key}
    return verify_status_list(text, issuer=HOME, uri=f"{HOME}/oidc/status-list", keys=keys, now=clock.now())


async def test_it_says_what_is_withdrawn_as_of_now(
    client: TestClient[web.Request, web.Application], rows: Rows, clock: FixedClock
) -> None:
    found = await _get(client, clock)
    assert (found.is_valid(5), found.is_valid(6), found.issued_at) == (False, True, clock.now())
    rows.places.append(6)
    clock.advance(seconds=1)
    assert not (await _get(client, clock)).is_valid(6)


async def test_however_many_ask_it_is_signed_once_a_second(
    client: TestClient[web.Request, web.Application], rows: Rows, clock: FixedClock
) -> None:
    first = await _get(client, clock)
    again = await asyncio.gather(*(_get(client, clock) for _ in range(8)))
    assert {one.digest for one in again} == {first.digest}
    assert rows.looks == 1
    clock.advance(seconds=-30)  # a clock that was ahead: peers would not take it
    assert (await _get(client, clock)).issued_at == clock.now()


async def test_who_has_this_one_is_told_so(
    client: TestClient[web.Request, web.Application], clock: FixedClock
) -> None:
    async with client.get("/yrd/oidc/status-list") as answer:
        tag = answer.headers["ETag"]
    async with client.get("/yrd/oidc/status-list", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
