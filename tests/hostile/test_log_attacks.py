"""What is sent to a witness over real sockets: each attack is one row, and none changes what the witness knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from federation.errors import PeerMalformed, PeerTimeout, PeerUnreachable
from federation.witness import Witness, WitnessParts
from federation.witnesses import Cosigned, StandsAt, WitnessRefused
from node.connectors.witnesses import HttpWitnesses
from node.store.database import open_database
from node.store.witness import ConflictRows, WitnessRows
from node.web.witness import add_witness
from tests.support.clock import FixedClock
from tests.support.logs import OWN, MadeUpLog, directory_of, keys_of, peer_of
from trust.cosignature import verify_cosignatures
from trust.keys import SigningKey
from trust.note import Note, read_note, read_signature_lines, write_note
from trust.profile import witness_name

PEER, GONE = "https://node.zj.example", "https://node.ah.example"
LOG_KEY, WITNESS_KEY, OTHER_KEY = (SigningKey.generate("EdDSA") for _ in range(3))
HONEST = MadeUpLog(PEER, key=LOG_KEY)
FORKED = MadeUpLog(PEER, key=LOG_KEY, history="forked ")
TEXT, SIZE = "text/plain", "text/x.tlog.size"
LOG_AT, THIEF_AT = "192.0.2.7", "203.0.113.66"


class Target:
    """A witness on loopback that knows the honest log at size 8, and what is sent to it."""

    def __init__(
        self, url: str, http: aiohttp.ClientSession, rows: WitnessRows, conflicts: ConflictRows
    ) -> None:
        self.url, self.http, self.rows, self.conflicts = url, http, rows, conflicts
        self.client = HttpWitnesses(http, allow_http_on_loopback=True)

    async def send(self, body: bytes, method: str = "POST", *, by: str = LOG_AT) -> tuple[int, str, str]:
        """Status, media type and text of the answer to a sender whose address the proxy saw."""
        url, headers = f"{self.url}/witness/add-checkpoint", {"X-Forwarded-For": by}
        async with self.http.request(method, url, data=body, headers=headers) as answer:
            return answer.status, answer.content_type, await answer.text()


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    peers = [
        peer_of(PEER, log_keys=keys_of(LOG_KEY), log_generation=1),
        peer_of(GONE, log_keys=keys_of(LOG_KEY), log_generation=1, standing="revoked", reason="key lost"),
    ]
    rows, conflicts = WitnessRows(database), ConflictRows(database)
    parts = WitnessParts(directory_of(peers), rows, conflicts, lambda: WITNESS_KEY, FixedClock(), lambda: 0.0)
    app = web.Application()
    add_witness(app, Witness(parts), proxies=1)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as http:
        made = Target(f"http://127.0.0.1:{runner.addresses[0][1]}", http, rows, conflicts)
        assert (await made.send(HONEST.request(0, 8)))[0] == 200
        yield made
    await runner.cleanup()
    await database.close()


def signed_by_another() -> bytes:
    right, wrong = (read_note(log.note(9).encode()) for log in (HONEST, MadeUpLog(PEER, key=OTHER_KEY)))
    line = replace(wrong.signatures[0], key_id=right.signatures[0].key_id)
    return HONEST.request(8, 9, note=write_note(right.text, [line]))


def flipped(at: int) -> bytes:
    body = bytearray(HONEST.request(8, 9))
    body[at] ^= 1
    return bytes(body)


ATTACKS: dict[str, tuple[Callable[[], bytes], int, str, int]] = {
    "fork at the same size": (lambda: FORKED.request(8, 8), 409, SIZE, 1),
    "shrunk tree": (lambda: HONEST.request(0, 5), 409, SIZE, 1),
    "shrunk tree from where the witness stands": (
        lambda: HONEST.request(8, 8, note=HONEST.note(5)),
        400,
        TEXT,
        0,
    ),
    "another history": (lambda: FORKED.request(8, 12), 422, TEXT, 1),
    "bad proof": (lambda: HONEST.request(8, 12, proof=(bytes(32),)), 422, TEXT, 1),
    "other old size": (lambda: HONEST.request(3, 12), 409, SIZE, 0),
    "note signed by another's key": (signed_by_another, 403, TEXT, 0),
    "note signed by an unknown key": (lambda: MadeUpLog(PEER, key=OTHER_KEY).request(8, 9), 403, TEXT, 0),
    "origin of someone else": (
        lambda: MadeUpLog("https://x.example", key=LOG_KEY).request(0, 1),
        404,
        TEXT,
        0,
    ),
    "own origin": (lambda: MadeUpLog(OWN, key=LOG_KEY).request(0, 1), 404, TEXT, 0),
    "origin with a path more": (
        lambda: MadeUpLog(f"{PEER}/log/1", key=LOG_KEY).request(0, 1),
        404,
        TEXT,
        0,
    ),
    "generation to come": (lambda: MadeUpLog(PEER, key=LOG_KEY, generation=2).request(0, 1), 404, TEXT, 0),
    "revoked member": (lambda: MadeUpLog(GONE, key=LOG_KEY).request(0, 1), 403, TEXT, 0),
    "oversized body": (lambda: HONEST.request(8, 9) + b"x" * 65_536, 413, TEXT, 0),
    "no body": (lambda: b"", 400, TEXT, 0),
    "garbage": (lambda: bytes(range(256)) * 8, 400, TEXT, 0),
    "a size that is none": (lambda: HONEST.request(8, 9).replace(b"old 8", b"old -8"), 400, TEXT, 0),
    "64 lines of proof": (lambda: HONEST.request(8, 9, proof=(bytes(32),) * 64), 400, TEXT, 0),
    "carriage returns": (lambda: HONEST.request(8, 9).replace(b"\n", b"\r\n"), 400, TEXT, 0),
    "a bit of the root": (lambda: flipped(HONEST.request(8, 9).index(b"\n9\n") + 5), 403, TEXT, 0),
}


@pytest.mark.parametrize(("made", "status", "media", "conflicts"), ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_is_refused_and_changes_nothing(
    target: Target, made: Callable[[], bytes], status: int, media: str, conflicts: int
) -> None:
    before = await target.rows.newest(PEER)
    said = await target.send(made())
    assert said[:2] == (status, media), said
    if media == SIZE:
        assert said[2] == "8\n"
    assert await target.rows.newest(PEER) == before
    assert len(await target.conflicts.newest(limit=9)) == conflicts
    assert (await target.send(HONEST.request(8, 20)))[0] == 200, "the honest log goes on"


async def test_an_old_note_again_gets_no_second_history(target: Target) -> None:
    """The current one is cosigned again; one from before is not, and each cosignature is of the one history."""
    for size in (8, 12, 12):
        known = await target.rows.newest(PEER)
        assert known is not None
        status, _, lines = await target.send(HONEST.request(known.size, size))
        assert status == 200
        note = Note(HONEST.checkpoint(size).text(), read_signature_lines(lines.encode()))
        assert set(verify_cosignatures(note, {witness_name(OWN): keys_of(WITNESS_KEY)})) == {
            witness_name(OWN)
        }
    assert (await target.send(HONEST.request(0, 8)))[:2] == (409, SIZE)


async def test_a_flood_is_turned_away_with_a_time_to_come_again(target: Target) -> None:
    body = HONEST.request(8, 8)
    answers = await asyncio.gather(*(target.send(body) for _ in range(250)))
    assert {status for status, _, _ in answers} == {200, 429}
    url, headers = f"{target.url}/witness/add-checkpoint", {"X-Forwarded-For": LOG_AT}
    async with target.http.post(url, data=body, headers=headers) as answer:
        assert answer.headers["Retry-After"] == "1"


async def test_who_floods_with_what_nobody_signed_does_not_shut_out_the_log(target: Target) -> None:
    """Nor does making up addresses before the one that the proxy appends."""
    forged = MadeUpLog(PEER, key=OTHER_KEY).request(8, 9)
    flood = [target.send(forged, by=f"198.51.100.{number}, {THIEF_AT}") for number in range(250)]
    assert {status for status, _, _ in await asyncio.gather(*flood)} == {403, 429}
    assert (await target.send(HONEST.request(8, 9)))[0] == 200


async def test_an_endless_body_is_cut_off(target: Target) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"old 8\n" * 1000
            await asyncio.sleep(0)

    with pytest.raises((aiohttp.ClientError, ConnectionError, AssertionError)):
        async with target.http.post(f"{target.url}/witness/add-checkpoint", data=endless()) as answer:
            assert answer.status != 413, "answered before the connection went"
    assert (await target.send(HONEST.request(8, 9)))[0] == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_adds(target: Target, method: str) -> None:
    assert (await target.send(b"", method))[0] == 405


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?entity=", 400), ("?entity=" + "x" * 256, 400), ("?entity=x", 404)]
)
async def test_what_is_known_is_shown_for_an_entity_only(target: Target, query: str, status: int) -> None:
    async with target.http.get(f"{target.url}/witness/checkpoint{query}") as answer:
        assert answer.status == status


# --- the other way round: what a log is answered ---


async def test_the_client_reads_what_a_witness_answers(target: Target) -> None:
    cosigned = await target.client.add_checkpoint(target.url, HONEST.request(8, 9), timeout_s=5)
    assert isinstance(cosigned, Cosigned)
    assert await target.client.add_checkpoint(target.url, HONEST.request(8, 9), timeout_s=5) == StandsAt(9)
    refused = await target.client.add_checkpoint(target.url, FORKED.request(9, 12), timeout_s=5)
    assert isinstance(refused, WitnessRefused)
    assert (refused.status, "does not lead" in refused.said) == (422, True)
    assert await target.client.known(target.url, PEER, timeout_s=5) == HONEST.note(9).encode()
    assert await target.client.known(target.url, OWN, timeout_s=5) is None


@asynccontextmanager
async def lying(handler: Callable[[web.Request], object]) -> AsyncIterator[str]:
    """A witness that answers what `handler` makes; its URL. A stream that was begun ends when all is over."""
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        made = handler(request)
        assert isinstance(made, web.StreamResponse)
        if isinstance(made, web.Response):
            return made
        await made.prepare(request)
        await over.wait()
        return made

    app = web.Application()
    app.router.add_route("*", "/witness/{rest}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        over.set()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (lambda _: web.Response(body=b"x" * 20_000), PeerUnreachable),
        (lambda _: web.StreamResponse(), PeerTimeout),
        (lambda _: web.Response(status=500), PeerMalformed),
        (lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), PeerMalformed),
    ],
    ids=["too much", "never ends", "broken", "elsewhere"],
)
async def test_what_a_witness_shows_is_bounded(
    made: Callable[[web.Request], object], error: type[Exception]
) -> None:
    async with lying(made) as url, aiohttp.ClientSession() as http:
        client = HttpWitnesses(http, allow_http_on_loopback=True)
        with pytest.raises(error):
            await client.known(url, PEER, timeout_s=0.2)


@pytest.mark.parametrize(
    ("body", "media", "size"),
    [
        (b"12\n", SIZE, 12),
        (b"12", SIZE, 12),
        (b"-1\n", SIZE, None),
        (b"\xff", SIZE, None),
        (b"12\n", TEXT, None),
    ],
)
async def test_a_conflict_tells_its_size_or_none(body: bytes, media: str, size: int | None) -> None:
    answer = web.Response(status=409, body=body, content_type=media)
    async with lying(lambda _: answer) as url, aiohttp.ClientSession() as http:
        client = HttpWitnesses(http, allow_http_on_loopback=True)
        assert await client.add_checkpoint(url, b"", timeout_s=5) == StandsAt(size)


@pytest.mark.parametrize("url", ["http://node.zj.example", "ftp://127.0.0.1", "file:///etc"])
async def test_only_https_is_asked(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(PeerUnreachable, match="https only"):
            await HttpWitnesses(http, allow_http_on_loopback=True).known(url, PEER, timeout_s=1)
