"""What no text of a store can hold is refused at every endpoint of the provider, whichever store is behind it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.store.database import Database
from tests.support.login_provider import (
    ASSERTION_TYPE,
    HALL,
    ISSUER,
    PATH,
    PORTAL,
    Key,
    Provider,
    running_provider,
)

ENDPOINTS = ("par", "token", "introspect", "revoke")


@pytest.fixture
async def provider(database: Database, tmp_path: Path) -> AsyncIterator[Provider]:
    async with running_provider(tmp_path, database) as running:
        yield running


async def test_a_parameter_with_nul_is_refused(provider: Provider) -> None:
    for name in provider.request():
        for method in ("GET", "POST"):
            response = await provider.authorize(provider.request() | {name: "a\0b"}, method=method)
            assert (response.status, await response.text()) == (400, "login.bad_request"), name
    for endpoint in ENDPOINTS:
        response = await provider.post(endpoint, PORTAL, {"token": "\0", "grant_type": "\0"})
        assert (response.status, (await response.json())["error"]) == (400, "invalid_request"), endpoint
    form = await provider.client.post(f"{PATH}/oidc/userinfo", data={"access_token": "\0"})
    assert form.status == 400
    assert provider.asked == []


async def test_credentials_with_nul_are_nobodys(provider: Provider) -> None:
    assertion = Key().sign({"iss": "hall\0", "sub": "hall\0", "aud": ISSUER}, typ="client-authentication+jwt")
    by_assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    for endpoint in ENDPOINTS:
        url = f"{PATH}/oidc/{endpoint}"
        for pair in ("\0:x", f"{PORTAL}:\0", f"{PORTAL}%00:{provider.secret}"):
            basic = base64.b64encode(pair.encode()).decode()
            response = await provider.client.post(url, headers={"Authorization": f"Basic {basic}"}, data={})
            assert (response.status, (await response.json())["error"]) == (401, "invalid_client"), endpoint
        response = await provider.client.post(url, data=by_assertion)
        assert (response.status, (await response.json())["error"]) == (401, "invalid_client"), endpoint


async def test_a_request_object_with_nul_in_it_is_refused(provider: Provider) -> None:
    ends = int(provider.clock.now().timestamp()) + 60
    for name in ("state", "login_hint", "id_token_hint"):
        inside = {**provider.request(HALL), "iss": HALL, "aud": ISSUER, "exp": ends, name: "\0"}
        signed = provider.keys[HALL].sign(inside)
        answered = await provider.answer(provider.request(HALL) | {"request": signed})
        assert answered["error"] == "invalid_request_object", name
    assert provider.asked == []
