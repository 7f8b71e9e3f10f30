"""What every LocalRegistry promises: the HTTP adapter, and the SQL adapter on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from federation.errors import (
    FederationError,
    RegistryBadAnswer,
    RegistryNotOffered,
    RegistryTimeout,
    RegistryUnreachable,
)
from federation.ports import LocalRegistry, RegistryAnswer
from federation.query import Operation
from node.connectors.http_registry import HttpRegistry
from node.connectors.settings_reader import read_registry
from node.connectors.sql_registry import SqlRegistry
from tests.node.connectors.registry_server import RegistryServer
from tests.support.postgres import PostgresServer, running_postgres

HOLDER = "330102199003076534"
CERTIFICATES = [
    {"idNo": HOLDER, "certType": "A", "certId": "1", "name": "赵一"},
    {"idNo": HOLDER, "certType": "B", "certId": "2", "name": "赵一"},
    {"idNo": "330102198501013337", "certType": "A", "certId": "3", "name": "钱二"},
]
ITEMS = [{"code": f"item-{number}", "title": "户口迁移" if number % 2 else "社保转移"} for number in range(7)]

Opener = Callable[[], AbstractAsyncContextManager[LocalRegistry]]


def http_table(base_url: str) -> dict[str, Any]:
    certificate = {"method": "POST", "documents": "data.list|json", "ok": {"path": "code", "values": [200]}}
    names = {"holder_id": "query.idNo", "certificate_type": "query.certType"}
    return {
        "kind": "http",
        "base_url": base_url,
        "operations": {
            "certificates.query": {**certificate, "path": "/certificates", "parameters": names},
            "certificates.get": {
                **certificate,
                "path": "/certificates",
                "parameters": {"certificate_id": "query.certId"},
            },
            "services.search": {
                "method": "GET",
                "path": "/items",
                "in": "query",
                "parameters": {"words": "q", "page": "page", "page_size": "size"},
                "documents": "rows",
                "total": "count",
            },
        },
    }


@asynccontextmanager
async def over_http(fault: str) -> AsyncIterator[LocalRegistry]:
    async with RegistryServer(CERTIFICATES, ITEMS) as server:
        base_url = server.url
        if fault == "down":
            await server.stop()
        server.fault = fault
        settings = read_registry(http_table(base_url))
        async with HttpRegistry(settings) as registry:  # type: ignore[arg-type]
            yield registry


FOREVER = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0"


def sql_table(url: str, *, slow: bool) -> dict[str, Any]:
    find = (
        "select document from certificates where id_no = :holder_id "
        "and (cast(:certificate_type as text) is null or cert_type = :certificate_type) order by cert_id"
    )
    search = "select code, title from items where title like '%' || cast(:words as text) || '%' order by code"
    return {
        "kind": "sql",
        "url": url,
        "operations": {
            "certificates.query": {"sql": FOREVER if slow else find, "json_column": "document"},
            "certificates.get": {
                "sql": "select document from certificates where cert_id = :certificate_id",
                "json_column": "document",
            },
            "services.search": {
                "sql": f"{search} limit :page_size offset :offset",
                "total_sql": f"select count(*) from ({search}) found",
            },
        },
    }


@asynccontextmanager
async def over_sql(url: str, fault: str) -> AsyncIterator[LocalRegistry]:
    if fault != "down":
        fill(url, garbage=fault == "garbage")
    settings = read_registry(sql_table(url, slow=fault == "slow"))
    async with SqlRegistry(settings) as registry:  # type: ignore[arg-type]
        yield registry


def fill(url: str, *, garbage: bool) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(
            text("create table certificates (id_no text, cert_type text, cert_id text, document text)")
        )
        connection.execute(text("create table items (code text, title text)"))
        for row in CERTIFICATES:
            document = {"document": "{half" if garbage else json.dumps(row)}
            connection.execute(
                text("insert into certificates values (:idNo, :certType, :certId, :document)"), row | document
            )
        connection.execute(text("insert into items values (:code, :title)"), ITEMS)
    engine.dispose()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["http", "sqlite", "postgresql"])
def open_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    if request.param == "http":
        yield over_http
    elif request.param == "sqlite":
        yield lambda fault: over_sql(f"sqlite:///{tmp_path / 'registry.db'}", fault)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.new_store() as url:
            nowhere = f"postgresql://nobody@/none?host={tmp_path}"
            yield lambda fault: over_sql(nowhere if fault == "down" else url, fault)


async def look_up(registry: LocalRegistry, operation: Operation, **parameters: str) -> RegistryAnswer:
    return await registry.look_up(operation, parameters, timeout_s=3.0)


async def test_finds_all_certificates_of_a_holder(open_registry: Callable[[str], Any]) -> None:
    async with open_registry("") as registry:
        answer = await look_up(registry, Operation.CERTIFICATES_QUERY, holder_id=HOLDER)
    assert [document["certId"] for document in answer.documents] == ["1", "2"]
    assert answer.total == 2


async def test_finds_those_of_one_type(open_registry: Callable[[str], Any]) -> None:
    async with open_registry("") as registry:
        answer = await look_up(registry, Operation.CERTIFICATES_QUERY, holder_id=HOLDER, certificate_type="B")
    assert answer.documents == (CERTIFICATES[1],)


async def test_nothing_found_is_an_empty_answer(open_registry: Callable[[str], Any]) -> None:
    async with open_registry("") as registry:
        answer = await look_up(registry, Operation.CERTIFICATES_GET, certificate_id="9")
    assert answer == RegistryAnswer()


@pytest.mark.parametrize("operation", [Operation.CERTIFICATES_GET, Operation.CERTIFICATES_VERIFY])
async def test_gets_one_by_its_id_also_to_verify(
    open_registry: Callable[[str], Any], operation: Operation
) -> None:
    async with open_registry("") as registry:
        answer = await look_up(registry, operation, certificate_id="3")
    assert answer.documents == (CERTIFICATES[2],)


async def test_a_page_says_how_many_there_are_in_all(open_registry: Callable[[str], Any]) -> None:
    async with open_registry("") as registry:
        answer = await look_up(registry, Operation.SERVICES_SEARCH, words="社保", page="2", page_size="3")
    assert [document["code"] for document in answer.documents] == ["item-6"]
    assert answer.total == 4


async def test_what_is_not_configured_is_not_offered(open_registry: Callable[[str], Any]) -> None:
    async with open_registry("") as registry:
        with pytest.raises(RegistryNotOffered, match=r"services\.get"):
            await look_up(registry, Operation.SERVICES_GET, item_code="item-1")


@pytest.mark.parametrize(
    ("fault", "error"),
    [("slow", RegistryTimeout), ("down", RegistryUnreachable), ("garbage", RegistryBadAnswer)],
)
async def test_a_faulty_registry_is_its_own_error_and_names_no_holder(
    open_registry: Callable[[str], Any], fault: str, error: type[FederationError]
) -> None:
    async with open_registry(fault) as registry:
        with pytest.raises(error) as raised:
            await registry.look_up(
                Operation.CERTIFICATES_QUERY, {"holder_id": HOLDER}, timeout_s=0.2 if fault == "slow" else 3.0
            )
    assert raised.value.detail
    assert HOLDER not in raised.value.detail
