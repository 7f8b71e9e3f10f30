from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from federation.statements import StatementKind, StoredStatement
from node.config import NodeSection
from node.web.app import make_public_app
from tests.support.clock import NOON
from trust.documents import ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN

ANCHOR, ANHUI = "https://anchor.example", "https://node.ah.example"
NODE = NodeSection(province="330000", name="浙江", entity_id="https://gov.zj.example/yrd")
BASE = "/yrd/trust/mirror"


def held(kind: StatementKind, sub: str = ANCHOR) -> StoredStatement:
    return StoredStatement(ANCHOR, sub, kind, f"{kind.value}.of.{sub}", 1, "", NOON)


HELD = {
    WELL_KNOWN: held(StatementKind.CONFIGURATION),
    STATUS_PATH: held(StatementKind.STATUS),
    ROLL_OVERS_PATH: held(StatementKind.ROLL_OVERS),
    statement_path(ANHUI): held(StatementKind.SUBORDINATE, ANHUI),
}
MEDIA = {
    WELL_KNOWN: "application/entity-statement+jwt",
    STATUS_PATH: "application/trust-status+jwt",
    ROLL_OVERS_PATH: "application/json",
    statement_path(ANHUI): "application/entity-statement+jwt",
}


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    app = make_public_app(NODE, ANCHOR, lambda: "a.b.c", mirrored=HELD.get)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


@pytest.mark.parametrize("path", HELD)
async def test_what_is_held_is_served_as_it_is(client: TestClient, path: str) -> None:  # type: ignore[type-arg]
    response = await client.get(BASE + path)
    assert (response.status, await response.text()) == (200, HELD[path].token)
    assert response.content_type == MEDIA[path]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = await client.get(BASE + path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    other = await client.get(BASE + path, headers={"If-None-Match": '"another"'})
    assert other.status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/federation", "/federation/statements", "/federation/statements/", "/federation/fetch"),
        *("/federation/fetch?sub=" + ANHUI, "/federation/list", "/federation/tls", "/yrd/trust/mirror"),
        *(statement_path("https://nobody.example"), statement_path(ANHUI) + "/", STATUS_PATH + "/x"),
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/federation/..%2Fstatus", "/" + "a" * 2000),
    ],
)
async def test_nothing_else_is(client: TestClient, path: str) -> None:  # type: ignore[type-arg]
    response = await client.get(BASE + path)
    assert response.status == 404
    assert "root:" not in await response.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(client: TestClient, method: str) -> None:  # type: ignore[type-arg]
    response = await client.request(method, BASE + STATUS_PATH, data=b"x")
    assert response.status == 405


async def test_a_node_answers_none_of_the_anchors_endpoints(client: TestClient) -> None:  # type: ignore[type-arg]
    for path in ("fetch", "list", "resolve", "historical-keys", "status", "roll-overs", "tls"):
        assert (await client.get(f"/yrd/federation/{path}")).status == 404
        assert (await client.get(f"/federation/{path}")).status == 404
