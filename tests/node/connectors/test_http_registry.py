"""How questions are put to a registry over HTTP, and its faults, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from federation.errors import (
    FederationError,
    RegistryBadAnswer,
    RegistryNotOffered,
    RegistryTimeout,
    RegistryUnreachable,
)
from federation.query import Operation
from node.connectors.http_registry import HttpRegistry
from node.connectors.settings import HttpRegistrySettings
from node.connectors.settings_reader import read_registry
from tests.node.connectors.registry_server import RegistryServer

ITEM = {"code": "a/b", "title": "户口迁移"}
QUERY = {
    "path": "/certificates",
    "parameters": {"holder_id": "query.idNo", "page": "paging.no"},
    "constants": {"head.source": "yrd", "n": 1},
    "documents": "data.list|json",
    "ok": {"path": "code", "values": [200]},
}
GET = {
    "method": "GET",
    "path": "/items/{item_code}",
    "in": "query",
    "documents": "item",
    "empty_status": [404],
}
SEARCH = {
    "path": "/form",
    "in": "form",
    "parameters": {"words": "q"},
    "constants": {"kind": 7},
    "documents": "rows",
}
ASKED = {"holder_id": "330106199011020278"}


@asynccontextmanager
async def opened(server: RegistryServer, **more: Any) -> AsyncIterator[HttpRegistry]:
    operations = {"certificates.query": QUERY, "services.get": GET, "services.search": SEARCH}
    settings = read_registry({"kind": "http", "base_url": server.url, "operations": operations, **more})
    assert isinstance(settings, HttpRegistrySettings)
    async with HttpRegistry(settings) as registry:
        yield registry


async def test_parameters_and_constants_lie_where_the_config_says() -> None:
    async with RegistryServer([], []) as server, opened(server) as registry:
        await registry.look_up(
            Operation.CERTIFICATES_QUERY, {**ASKED, "page": "2", "words": "x"}, timeout_s=3
        )
        assert server.seen == [
            {"head": {"source": "yrd"}, "n": 1, "query": {"idNo": ASKED["holder_id"]}, "paging": {"no": 2}}
        ]


async def test_a_value_in_the_path_is_encoded_whole() -> None:
    async with RegistryServer([], [ITEM]) as server, opened(server) as registry:
        answer = await registry.look_up(Operation.SERVICES_GET, {"item_code": "a/b"}, timeout_s=3)
        assert answer.documents == (ITEM,)
        assert server.seen == [{"path": "/items/a%2Fb"}]


@pytest.mark.parametrize("code", ["", ".", ".."])
async def test_a_value_that_would_lead_to_another_path_is_not_sent(code: str) -> None:
    async with RegistryServer([], [ITEM]) as server, opened(server) as registry:
        with pytest.raises(RegistryNotOffered):
            await registry.look_up(Operation.SERVICES_GET, {"item_code": code}, timeout_s=3)
        assert server.seen == []


async def test_a_status_can_mean_that_there_is_nothing() -> None:
    async with RegistryServer([], []) as server, opened(server) as registry:
        answer = await registry.look_up(Operation.SERVICES_GET, {"item_code": "x"}, timeout_s=3)
        assert answer.documents == ()


async def test_a_form_carries_text() -> None:
    async with RegistryServer([], []) as server, opened(server) as registry:
        await registry.look_up(Operation.SERVICES_SEARCH, {"words": "户口"}, timeout_s=3)
        assert server.seen == [{"kind": "7", "q": "户口"}]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("long", RegistryBadAnswer),
        ("status", RegistryBadAnswer),
        ("refused", RegistryBadAnswer),
        ("away", RegistryUnreachable),
        ("slow", RegistryTimeout),
    ],
)
async def test_faults(fault: str, error: type[FederationError]) -> None:
    async with RegistryServer([], []) as server, opened(server, timeout_s=0.3) as registry:
        server.fault = fault
        with pytest.raises(error) as raised:
            await registry.look_up(Operation.CERTIFICATES_QUERY, ASKED, timeout_s=30)
        assert "330106199011020278" not in str(raised.value)
        assert "330102199003076534" not in str(raised.value)


async def test_no_time_left_is_a_timeout() -> None:
    async with RegistryServer([], []) as server, opened(server) as registry:
        with pytest.raises(RegistryTimeout):
            await registry.look_up(Operation.CERTIFICATES_QUERY, ASKED, timeout_s=-1)


async def test_a_connection_that_was_just_closed_is_tried_once_more() -> None:
    async with RegistryServer([], []) as server, opened(server) as registry:
        server.fault = "drop"
        answer = await registry.look_up(Operation.CERTIFICATES_QUERY, ASKED, timeout_s=3)
        assert answer.documents == ()
        assert len(server.seen) == 2
