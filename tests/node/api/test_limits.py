"""Too much, too often, and the same again."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path
from typing import Literal

import pytest

from federation.exchange import ExchangeLimits
from tests.node.api.platform import Platform, open_platform


class Hold(asyncio.Event):
    """Holds a look-up, and says when there is one that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.reached.set()
        return await super().wait()


async def read_status(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    return int(line.split()[1])


async def test_a_body_that_says_it_is_too_long_is_refused_before_any_of_it_is_read(
    platform: Platform,
) -> None:
    host, _, port = platform.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = platform.token()["Authorization"]
    head = f"POST /v1/certificates/query HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 70000000\r\n\r\n".encode())
    await writer.drain()
    assert await read_status(reader) == 413
    writer.close()


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(platform: Platform) -> None:
    host, _, port = platform.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = platform.token()["Authorization"]
    head = f"POST /v1/certificates/query HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n10\r\n" + b" " * 16 + b"\r\n")
    await writer.drain()  # and the end of the body never comes
    assert await read_status(reader) == 413
    writer.close()


async def test_a_compressed_body_counts_as_long_as_it_becomes(platform: Platform) -> None:
    headers = platform.token() | {"Content-Type": "application/json", "Content-Encoding": "deflate"}
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/query", data=zlib.compress(b" " * 5_000_000), headers=headers
    )
    assert (status, problem["code"]) == (413, "own.too_large")


async def test_a_platform_over_its_quota_is_told_when_to_come_back(tmp_path: Path) -> None:
    limits = ExchangeLimits(platform_quota_per_s=1, platform_quota_burst=2)
    async with open_platform(tmp_path, reads_burst=1, limits=limits) as platform:
        found = [
            await platform.send("POST", "/v1/certificates/query", json=platform.query()) for _ in range(3)
        ]
        assert [status for status, _, _ in found] == [200, 200, 429]
        _, headers, problem = found[2]
        assert (problem["code"], headers["Retry-After"]) == ("own.over_quota", "1")
        assert [(await platform.send("GET", "/v1/peers"))[0] for _ in range(2)] == [200, 429]
        other = platform.token("narrow")
        assert (await platform.send("GET", "/v1/peers", headers=other))[0] == 200


async def test_the_same_request_under_the_same_key_gets_the_first_answer(platform: Platform) -> None:
    headers = platform.token() | {"Idempotency-Key": "case-1"}
    first = await platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    again = await platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    assert (first[0], again[0]) == (200, 200)
    assert first[2] == again[2]
    assert "Idempotent-Replayed" not in first[1]
    assert again[1]["Idempotent-Replayed"] == "true"
    assert again[1]["X-Request-Id"] == first[1]["X-Request-Id"]
    assert len(platform.own.transport.sent) == 1


async def test_a_repeat_gets_nothing_that_the_rules_do_not_let_it_see_any_more(platform: Platform) -> None:
    headers = platform.token() | {"Idempotency-Key": "case-1"}
    first = await platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    platform.own.govern('version = "closed"')
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert (first[0], status, problem["code"]) == (200, 403, "access.denied")


async def test_a_key_is_not_for_another_request_nor_another_path(platform: Platform) -> None:
    headers = platform.token() | {"Idempotency-Key": "case-1"}
    await platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    other = platform.query(officer="officer-8")
    status, _, problem = await platform.send("POST", "/v1/certificates/query", json=other, headers=headers)
    assert (status, problem["code"], problem["field"]) == (
        422,
        "own.idempotency_conflict",
        "Idempotency-Key",
    )
    status, _, problem = await platform.send(
        "POST", "/v1/services/query", json={"province": "330000"}, headers=headers
    )
    assert (status, problem["code"]) == (422, "own.idempotency_conflict")
    assert len(platform.own.transport.sent) == 1


async def test_two_clients_may_choose_the_same_key(platform: Platform) -> None:
    for client in ("portal", "narrow"):
        headers = platform.token(client) | {"Idempotency-Key": "1"}
        status, found, _ = await platform.send(
            "POST", "/v1/services/query", json={"province": "330000"}, headers=headers
        )
        assert (status, "Idempotent-Replayed" in found) == (200, False)


async def test_a_repeat_while_the_first_is_at_work_is_told_so(platform: Platform) -> None:
    headers = platform.token() | {"Idempotency-Key": "case-1"}
    hold = platform.peer.registry.hold = Hold()
    first = asyncio.create_task(
        platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    )
    await hold.reached.wait()
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert (status, problem["code"]) == (409, "own.in_progress")
    hold.set()
    assert (await first)[0] == 200


async def test_a_request_that_failed_is_done_anew_under_its_key(platform: Platform) -> None:
    headers = platform.token() | {"Idempotency-Key": "case-1"}
    platform.own.journal.is_down = True
    status, _, _ = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert status == 503
    platform.own.journal.is_down = False
    status, found, _ = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert (status, "Idempotent-Replayed" in found) == (200, False)


@pytest.mark.parametrize("key", ["", "x" * 129, "é"])
async def test_a_key_of_a_wrong_form(platform: Platform, key: str) -> None:
    headers = platform.token() | {"Idempotency-Key": key}
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert (status, problem["code"], problem["field"]) == (400, "own.bad_value", "Idempotency-Key")


async def test_a_caller_that_goes_away_still_has_its_answer_stored(platform: Platform) -> None:
    hold = platform.peer.registry.hold = Hold()
    call = asyncio.create_task(platform.send("POST", "/v1/certificates/query", json=platform.query()))
    await hold.reached.wait()
    call.cancel()
    await asyncio.wait([call])
    hold.set()
    await platform.own.asker.drain()
    [request_id] = {record.meta.request_id for record in platform.own.journal.records}
    status, _, body = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert (status, body["state"], len(body["answer"]["certificates"])) == (200, "answered", 1)
