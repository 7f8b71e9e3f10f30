"""The log as strangers see it: what is signed, by its names, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import delete, insert

from federation.errors import OwnStoreUnavailable
from node.store.database import Database, open_database
from node.store.tables import COSIGNATURES, TILES
from node.store.tree import TreeStore
from node.web.log import add_log
from tests.support.log_rows import ENTITY, LOG_KEY, Log, add_records
from trust.checkpoint import open_checkpoint
from trust.merkle import leaf_hash, root
from trust.profile import log_origin
from trust.tiles import read_bundle, root_of, tile_path

Client = TestClient[web.Request, web.Application]
SIZE = 700


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield opened
    await opened.close()


@pytest.fixture
async def log(database: Database, tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(database, tmp_path)
    await add_records(database, 0, SIZE)
    await made.sequencer.turn()
    yield made
    made.close()


@pytest.fixture
async def client(database: Database, log: Log) -> AsyncIterator[Client]:
    app = web.Application()
    add_log(app, TreeStore(database), path="/yrd")
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


async def signed_size(client: Client, generation: int) -> int:
    response = await client.get(f"/yrd/log/{generation}/checkpoint")
    assert response.status == 200
    keys = {LOG_KEY.kid: LOG_KEY.verification_key}
    origin = log_origin(ENTITY, generation)
    return open_checkpoint(await response.read(), origin=origin, keys=keys).size


async def test_the_checkpoint_is_asked_for_each_time(client: Client, database: Database, log: Log) -> None:
    response = await client.get("/yrd/log/1/checkpoint")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": response.headers["ETag"]}
    assert (await client.get("/yrd/log/1/checkpoint", headers=known)).status == 304
    line = "\N{EM DASH} w/witness AAAA\n"
    row = {"generation": 1, "size": SIZE, "witness": "https://w", "cosigned_at": 1, "line": line}
    async with database.writing() as connection:
        await connection.execute(insert(COSIGNATURES).values(**row))
    with_line = await client.get("/yrd/log/1/checkpoint", headers=known)
    assert (await with_line.text()) == (await response.text()) + line
    await add_records(database, SIZE, 1)
    await log.sequencer.turn()
    assert await signed_size(client, 1) == SIZE + 1


async def test_the_tree_is_rebuilt_from_what_is_served(client: Client) -> None:
    tiles: dict[tuple[int, int, int], bytes] = {}
    for level, position, width in ((0, 0, 256), (0, 1, 256), (0, 2, 188), (1, 0, 2)):
        response = await client.get(f"/yrd/log/1/{tile_path(level, position, width)}")
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert "immutable" in response.headers["Cache-Control"]
        tiles[level, position, width] = await response.read()
    entries: list[bytes] = []
    for position, width in ((0, 256), (1, 256), (2, 188)):
        entries += read_bundle(
            await (await client.get(f"/yrd/log/1/{tile_path(-1, position, width)}")).read()
        )
    found = root_of(lambda level, position, width: tiles[level, position, width], SIZE)
    assert found == root([leaf_hash(entry) for entry in entries])


async def test_a_partial_tile_stays_there_after_it_grew(client: Client, database: Database, log: Log) -> None:
    paths = [f"/yrd/log/1/{tile_path(level, 2, 188)}" for level in (0, -1)]
    before = [await (await client.get(path)).read() for path in paths]
    await add_records(database, SIZE, 100)
    await log.sequencer.turn()
    assert [await (await client.get(path)).read() for path in paths] == before


@pytest.mark.parametrize(
    "path",
    [
        *("1/tile/0/002", "1/tile/0/002.p/189", "1/tile/0/003", "1/tile/1/000", "1/tile/1/000.p/3"),
        *("1/tile/2/000.p/1", "1/tile/entries/002", "1/tile/entries/003.p/1", "1/tile/0/000.p/0"),
        *("1/tile/0/0", "1/tile/x/000", "1/tile/0/000.p/256", "1/tile/0/x000/000"),
        *("2/checkpoint", "0/checkpoint", "01/checkpoint", "x/checkpoint", "2/tile/0/000", "1/", "1/tile/"),
        "99999999999/checkpoint",
    ],
)
async def test_what_is_not_signed_is_not_there(client: Client, path: str) -> None:
    assert (await client.get(f"/yrd/log/{path}")).status == 404


async def test_what_is_written_but_not_signed_is_not_there(
    client: Client, database: Database, log: Log
) -> None:
    await add_records(database, SIZE, 100)
    assert log.growth.advance(log.clock.now()) is not None
    assert (await client.get("/yrd/log/1/tile/0/003.p/32")).status == 404
    assert await signed_size(client, 1) == SIZE


async def test_closed_generations_stay(client: Client, database: Database, log: Log) -> None:
    await log.sequencer.restart("for the test")
    assert (await client.get("/yrd/log/2/checkpoint")).status == 404
    await add_records(database, SIZE, 3, generation=2)
    await log.sequencer.turn()
    assert (await signed_size(client, 1), await signed_size(client, 2)) == (SIZE, 3)
    assert (await client.get("/yrd/log/1/tile/0/002.p/188")).status == 200
    assert (await client.get("/yrd/log/2/tile/0/000.p/3")).status == 200


async def test_a_tile_that_was_lost_is_an_error_and_not_an_answer(client: Client, database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(delete(TILES))
    assert (await client.get("/yrd/log/1/tile/0/000")).status == 500


async def test_a_store_that_is_away_is_said(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise OwnStoreUnavailable("away")

    monkeypatch.setattr(TreeStore, "latest", away)
    response = await client.get("/yrd/log/1/checkpoint")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
