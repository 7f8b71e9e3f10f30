"""Pushed requests that come to nothing: what they showed is used up, and whoever copied it takes nothing by it."""

from __future__ import annotations

import pytest
from aiohttp import ClientResponse

from federation.errors import OwnKeyUnavailable
from node.store.login_room import RowRoom
from tests.support.login_provider import ASSERTION_TYPE, HALL, PATH, PlainSeal, Provider

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
