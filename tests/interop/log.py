"""Other people's readers make of our log what we made it (`make interop`).

tlog-scales verifies checkpoint, cosignatures, tiles, an entry and its place, and that the log extends an older one;
Go's reference packages do the same but for cosignatures and bundles. Both read over HTTP, as anyone would. Each is
shown altered logs as well, so that it is known to look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from tests.interop.log_readers import ReaderRefused, by_sumdb, by_tlog_scales
from tests.support.clock import NOON
from tests.support.federation import free_ports
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.cosignature import COSIGNATURE, cosign
from trust.keys import SigningKey
from trust.merkle import leaf_hash, root
from trust.note import verifier_key
from trust.tiles import (
    ENTRIES,
    TILE_WIDTH,
    TileReader,
    consistency_from_tiles,
    extend_tiles,
    inclusion_from_tiles,
    tile_path,
    tile_width,
)

pytestmark = pytest.mark.timeout(300)

SIZE, OLD_SIZE, INDEX = 70_001, 300, 65_535
"""Three levels of tiles, and places on both sides of their borders."""
WITNESSES = ("330000.example/witness", "320000.example/witness", "340000.example/witness")


@dataclass
class Log:
    """What is served below a prefix, and what a reader is asked of it."""

    prefix: str
    documents: dict[str, bytes]
    question: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """The document, as it is."""
        path = request.path.removeprefix("/log/1/")
        self.asked.append(path)
        if path not in self.documents:
            raise web.HTTPNotFound
        return web.Response(body=self.documents[path])


def entry(index: int) -> bytes:
    return b"\x01" + leaf_hash(index.to_bytes(8, "big"))


LEAVES = [leaf_hash(entry(index)) for index in range(SIZE)]
TILES = extend_tiles(0, {}, [entry(index) for index in range(SIZE)]).tiles
LOG_KEY = SigningKey.generate("EdDSA")
WITNESS_KEYS = {name: SigningKey.generate("EdDSA") for name in WITNESSES}


def made(prefix: str) -> Log:
    """A log of 70,001 entries with three cosignatures, as our own functions write it."""
    origin = prefix.removeprefix("http://")
    checkpoint = Checkpoint(origin, SIZE, root(LEAVES))
    lines = [cosign(checkpoint.text(), name=name, signer=key, at=NOON) for name, key in WITNESS_KEYS.items()]
    documents = {"checkpoint": (sign_checkpoint(checkpoint, LOG_KEY) + "".join(lines)).encode()}
    for (level, position), tile in TILES.items():
        documents[tile_path(level, position, tile_width(level, position, SIZE))] = tile
    question = {
        "prefix": prefix,
        "log": verifier_key(origin, LOG_KEY.verification_key),
        "witnesses": [
            verifier_key(name, key.verification_key, COSIGNATURE) for name, key in WITNESS_KEYS.items()
        ],
        "index": INDEX,
        "entry": entry(INDEX).hex(),
        "old_size": OLD_SIZE,
        "old_root": root(LEAVES[:OLD_SIZE]).hex(),
    }
    return Log(prefix, documents, question)


@asynccontextmanager
async def serving(log: Log, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/log/1/{path:.*}", log.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    port = free_ports(1)
    log = made(f"http://127.0.0.1:{port}/log/1")
    async with serving(log, port):
        yield log


def stored(level: int, position: int, width: int) -> bytes:
    assert width == tile_width(level, position, SIZE)
    return TILES[level, position]


def hexes(hashes: tuple[bytes, ...]) -> list[str]:
    return [value.hex() for value in hashes]


def proofs(reader: TileReader) -> dict[str, list[str]]:
    return {
        "path": hexes(inclusion_from_tiles(reader, INDEX, SIZE)),
        "proof": hexes(consistency_from_tiles(reader, OLD_SIZE, SIZE)),
    }


async def test_tlog_scales_verifies_all_of_it(log: Log) -> None:
    found = await by_tlog_scales(log.question)
    assert found == {
        "checkpoint": [log.prefix.removeprefix("http://"), SIZE, root(LEAVES).hex()],
        "cosigned": dict.fromkeys(WITNESSES, int(NOON.timestamp())),
        "entry": entry(INDEX).hex(),
        **proofs(stored),
    }
    assert tile_path(ENTRIES, INDEX // TILE_WIDTH) in log.asked


async def test_the_reference_verifies_all_that_it_knows(log: Log) -> None:
    found = await by_sumdb(log.question)
    assert found == {
        "checkpoint": [log.prefix.removeprefix("http://"), SIZE, root(LEAVES).hex()],
        **proofs(stored),
    }
    assert {path for path in log.asked if path.endswith(".p/113")} == {"tile/0/273.p/113"}


def change(path: str, old: bytes = b"", new: bytes = b"") -> Callable[[Log], None]:
    """Another document in its place: some bytes of it others, or one bit of the third one."""

    def alter(log: Log) -> None:
        was = log.documents[path]
        log.documents[path] = was.replace(old, new) if old else was[:2] + bytes([was[2] ^ 1]) + was[3:]
        assert log.documents[path] != was

    return alter


def ask(**changes: Any) -> Callable[[Log], None]:
    return lambda log: log.question.update(changes)


def another_root(log: Log) -> None:
    """A checkpoint that the log did sign, over other leaves."""
    origin = log.prefix.removeprefix("http://")
    forked = Checkpoint(origin, SIZE, root([*LEAVES[:7], leaf_hash(b"another"), *LEAVES[8:]]))
    log.documents["checkpoint"] = sign_checkpoint(forked, LOG_KEY).encode()


ALTERED = [
    pytest.param(change("checkpoint", b"\n70001\n", b"\n70000\n"), id="size"),
    pytest.param(another_root, id="root"),
    pytest.param(change("tile/0/255"), id="leaf beside the one that is asked for"),
    pytest.param(change("tile/1/000"), id="hash of a full tile"),
    pytest.param(change("tile/2/000.p/1"), id="hash of the highest tile"),
    pytest.param(change("tile/0/273.p/113"), id="last leaf"),
    pytest.param(ask(old_root=root(LEAVES[:299]).hex()), id="root of another size before"),
    pytest.param(ask(old_root=root(LEAVES[1:301]).hex()), id="root of another history before"),
    pytest.param(ask(log=verifier_key("other.example", LOG_KEY.verification_key)), id="name of the log"),
]


@pytest.mark.parametrize("alter", ALTERED)
async def test_tlog_scales_is_known_to_look(alter: Callable[[Log], None], log: Log) -> None:
    alter(log)
    with pytest.raises(ReaderRefused):
        await by_tlog_scales(log.question)


@pytest.mark.parametrize("alter", [*ALTERED, pytest.param(ask(entry=entry(1).hex()), id="another entry")])
async def test_the_reference_is_known_to_look(alter: Callable[[Log], None], log: Log) -> None:
    alter(log)
    with pytest.raises(ReaderRefused):
        await by_sumdb(log.question)


async def test_an_altered_entry_is_seen_by_its_hash(log: Log) -> None:
    change(tile_path(ENTRIES, INDEX // TILE_WIDTH), entry(INDEX), entry(INDEX - 1))(log)
    with pytest.raises(ReaderRefused, match="InclusionProofInvalid"):
        await by_tlog_scales(log.question)


async def test_only_cosignatures_that_verify_are_counted_by_others_too(log: Log) -> None:
    forged = replace(log, question={**log.question, "witnesses": log.question["witnesses"][:2]})
    lines = log.documents["checkpoint"].decode().splitlines(keepends=True)
    late = cosign("".join(lines[:2]), name=WITNESSES[0], signer=WITNESS_KEYS[WITNESSES[0]], at=NOON)
    log.documents["checkpoint"] = "".join([*lines[:5], late, *lines[6:]]).encode()
    assert (await by_tlog_scales(forged.question))["cosigned"] == {WITNESSES[1]: int(NOON.timestamp())}
