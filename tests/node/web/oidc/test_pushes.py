"""Pushed requests that come to nothing: what they showed is used up, and whoever copied it takes nothing by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse

from federation.errors import OwnKeyUnavailable
from node.store.login_room import RowRoom
from node.web.oidc import deps
from tests.support.login_provider import (
    ASSERTION_TYPE,
    BANK,
    HALL,
    PATH,
    PlainSeal,
    Provider,
    running_provider,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def push(provider: Provider, assertion: str, **headers: str) -> ClientResponse:
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **provider.request(HALL)}
    return await provider.client.post(f"{PATH}/oidc/par", data=form, headers=headers)


class _SealAway(PlainSeal):
    def seal(self, context: str, plain: bytes) -> bytes:
        raise OwnKeyUnavailable("the key cannot be reached")


@pytest.mark.parametrize("lacks", ["room", "seal"])
async def test_what_is_refused_before_its_write_has_used_its_assertion_and_its_proof(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    assertion, proof = provider.assertion(HALL), provider.proof(HALL, "par")
    full = RowRoom(provider.database, provider.clock, "pushed_requests", 0)
    with monkeypatch.context() as patched:
        patched.setattr(provider.parts.pushed, f"_{lacks}", full if lacks == "room" else _SealAway())
        assert (await push(provider, assertion, DPoP=proof)).status == 503
    assert (await push(provider, assertion)).status == 401
    again = await push(provider, provider.assertion(HALL), DPoP=proof)
    assert (again.status, (await again.json())["error"]) == (400, "invalid_dpop_proof")


@pytest_asyncio.fixture(loop_scope="module")
async def at_most_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    """A provider at which each client may push twice, and then has to wait for long."""
    monkeypatch.setattr(deps, "_PUSHES_AT_ONCE", 2.0)
    monkeypatch.setattr(deps, "_PUSHES_PER_S", 0.001)
    async with running_provider(tmp_path) as opened:
        yield opened


async def test_copies_in_flight_do_not_shut_out_whose_the_assertion_is(
    at_most_two: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assertion = at_most_two.assertion(HALL)
    assert (await push(at_most_two, assertion)).status == 201
    keep, comes, goes_on = at_most_two.parts.pushed.keep, asyncio.Event(), asyncio.Event()

    async def slow_keep(*args: Any, **said: Any) -> str:
        comes.set()
        await goes_on.wait()
        return await keep(*args, **said)

    with monkeypatch.context() as patched:
        patched.setattr(at_most_two.parts.pushed, "keep", slow_keep)
        copy = asyncio.create_task(push(at_most_two, assertion))
        await comes.wait()
    own = await push(at_most_two, at_most_two.assertion(HALL))
    goes_on.set()
    assert (own.status, (await copy).status) == (201, 401)


async def test_a_client_pushes_so_often_and_copies_do_not_count(at_most_two: Provider) -> None:
    assertion = at_most_two.assertion(HALL)
    form = at_most_two.request(HALL, redirect_uri="https://evil.example")
    assert (await at_most_two.push(HALL, form)).status == 400, "this one counts"
    assert [(await push(at_most_two, assertion)).status for _ in range(4)] == [201, 401, 401, 401]
    late = await at_most_two.push(HALL, at_most_two.request(HALL))
    assert (late.status, int(late.headers["Retry-After"]) > 1) == (429, True)
    assert (await at_most_two.push(BANK, at_most_two.request(BANK))).status == 201
