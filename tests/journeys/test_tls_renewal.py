"""The TLS certificate of running nodes: renewed by command, by hand, by a replica, and with the anchor away."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.config import read_config
from node.control import CommandRefused
from node.store.database import open_database
from node.store.tls import TlsRows
from tests.journeys.test_node_replicas import name_platform_url, replica_of
from tests.support.clock import FixedClock
from tests.support.federation import (
    RunningNode,
    allow_all,
    command,
    make_anchor,
    make_node,
    running,
    serving_anchor,
    yrd,
)
from tests.support.postgres import running_postgres

pytestmark = pytest.mark.journey


class Pair:
    """Zhejiang and Shanghai, made and enrolled, with rules that let everything through."""

    def __init__(self, anchor: Path, zhejiang: Path, shanghai: Path) -> None:
        self.anchor, self.zhejiang, self.shanghai = anchor, zhejiang, shanghai

    @classmethod
    async def made(cls, folder: Path, *more: str) -> Pair:
        public, _ = await make_anchor(folder / "anchor")
        zhejiang = await make_node(public, folder / "zj", "330000", *more)
        shanghai = await make_node(public, folder / "sh", "310000")
        for path in (zhejiang, shanghai):
            allow_all(path.with_name("access.toml"))
        return cls(folder / "anchor", zhejiang, shanghai)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[RunningNode, RunningNode, str]]:
        async with running(self.zhejiang, self.shanghai) as (zhejiang, shanghai):
            yield zhejiang, shanghai, await zhejiang.token("portal")


async def asked(node: RunningNode, token: str) -> None:
    """A query of Shanghai that must be answered."""
    status, body = await node.get("/v1/certificates/types/310000?officer=x", token)
    assert status == 200, body


async def tls_not_after(node: RunningNode) -> datetime:
    state = json.loads(await command("status", "--config", node.config_path, "--json"))
    return datetime.fromisoformat(state["tls_not_after"])


async def tls_kid(node: RunningNode) -> str:
    keys = json.loads(await command("keys", "list", "--config", node.config_path, "--json"))
    return next(str(key["kid"]) for key in keys if (key["purpose"], key["state"]) == ("tls", "active"))


async def shown(node: RunningNode) -> bytes:
    """The X.509 that a node's gRPC port shows to anybody, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(node.at.grpc.host, node.at.grpc.port, ssl=context)
    try:
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return found


async def refused(*arguments: str | Path) -> CommandRefused:
    """A command that a running node says no to."""
    with pytest.raises(CommandRefused) as error:
        await command(*arguments)
    return error.value


async def test_a_key_is_rotated_by_command_on_both_sides_while_queries_go_on(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    async with serving_anchor(pair.anchor), pair.running() as (zhejiang, shanghai, token):
        over = asyncio.Event()

        async def go_on() -> int:
            count = 0
            while not over.is_set():
                await asked(zhejiang, token)
                count += 1
            return count

        async with asyncio.TaskGroup() as tasks:
            askers = [tasks.create_task(go_on()) for _ in range(32)]
            for node in (zhejiang, shanghai):
                before = await tls_kid(node)
                said = await command("keys", "rotate", "tls", "--config", node.config_path)
                assert "新的 tls 密钥" in said
                assert "旧密钥" in said
                assert await tls_kid(node) != before
            over.set()
        assert all(asker.result() for asker in askers)
        await asked(zhejiang, token)


async def test_with_the_anchor_away_it_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    async with serving_anchor(pair.anchor), running(pair.zhejiang):
        pass
    async with running(pair.zhejiang) as (zhejiang,):
        before = await tls_kid(zhejiang)
        for _ in range(2):
            error = await refused("keys", "rotate", "tls", "--config", pair.zhejiang)
            assert (error.code, "未能更新" in error.zh) == ("tls.not_renewed", True)
            assert "cannot be reached" in error.en
        assert await tls_kid(zhejiang) == before
    pair.zhejiang.write_text(pair.zhejiang.read_text().replace("[keys]", "[keys]\npoll_s = 0.1"))
    async with serving_anchor(pair.anchor), running(pair.zhejiang) as (zhejiang,), asyncio.timeout(30):
        while await tls_kid(zhejiang) == before:  # noqa: ASYNC110  a background loop tells nobody
            await asyncio.sleep(0.1)


async def test_an_anchor_that_was_asked_too_soon_is_asked_again_when_it_says(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    pair.zhejiang.write_text(pair.zhejiang.read_text().replace("[keys]", "[keys]\npoll_s = 0.1"))
    clock = FixedClock(datetime.now(UTC))
    at_the_anchor = serving_anchor(pair.anchor, clock)
    async with at_the_anchor, running(pair.zhejiang, clocks={pair.zhejiang: clock}) as (zhejiang,):
        clock.advance(seconds=10)  # since it was enrolled
        await command("keys", "rotate", "tls", "--config", pair.zhejiang)
        before = await tls_kid(zhejiang)
        error = await refused("keys", "rotate", "tls", "--config", pair.zhejiang)
        assert (error.code, "asked too soon, again in 10 s" in error.en) == ("tls.not_renewed", True)
        assert await tls_kid(zhejiang) == before
        clock.advance(seconds=10)
        async with asyncio.timeout(30):
            while await tls_kid(zhejiang) == before:  # noqa: ASYNC110  a background loop tells nobody
                await asyncio.sleep(0.1)


async def test_an_enrolment_that_was_made_anew_is_taken_up_by_command(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    async with serving_anchor(pair.anchor), pair.running() as (zhejiang, _, token):
        before = await tls_not_after(zhejiang)
        folder = pair.zhejiang.parent
        enrol = ("anchor", "enroll", "--dir", pair.anchor, folder / "enrolment.json")
        while await tls_not_after(zhejiang) == before:  # X.509 counts in seconds
            (folder / "enrolled.json").unlink()
            await command(*enrol, "--out", folder / "enrolled.json")
            assert "TLS 证书至" in await command("reload", "tls", "--config", pair.zhejiang)
        await asked(zhejiang, token)
        (folder / "enrolled.json").write_text("{}")
        assert "入网文件" in (await refused("reload", "tls", "--config", pair.zhejiang)).zh
        await asked(zhejiang, token)


@pytest.mark.xdist_group("postgres")
async def test_what_one_replica_renewed_the_other_shows(tmp_path: Path) -> None:
    with running_postgres() as server, server.new_store() as url:
        pair = await Pair.made(tmp_path, "--store", url)
        name_platform_url(pair.zhejiang)
        pair.zhejiang.write_text(pair.zhejiang.read_text().replace("[keys]", "[keys]\npoll_s = 0.2"))
        second = replica_of(pair.zhejiang)
        async with (
            serving_anchor(pair.anchor),
            running(pair.zhejiang, second, pair.shanghai) as (one, two, _),
        ):
            token = await one.token("portal")
            await command("keys", "rotate", "tls", "--config", pair.zhejiang)
            renewed = await shown(one)
            async with asyncio.timeout(30):
                while await shown(two) != renewed:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await two.refresh_clients()
            await asked(two, token)
        database = open_database(read_config(pair.zhejiang).store.url)
        assert len(await TlsRows(database).load()) == 2
        await database.close()


async def test_where_the_ca_is_offline_request_and_answer_are_carried_by_hand(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    async with serving_anchor(pair.anchor), pair.running() as (zhejiang, _, token):
        before = await tls_kid(zhejiang)
        request, issued = tmp_path / "request.jwt", tmp_path / "issued.json"
        await command("tls", "request", "--out", request, "--config", pair.zhejiang)
        await command("anchor", "issue", "--dir", pair.anchor, request, "--out", issued)
        assert "TLS 证书至" in await command("tls", "take", issued, "--config", pair.zhejiang)
        assert await tls_kid(zhejiang) != before
        await asked(zhejiang, token)
        bundle = json.loads(issued.read_text())
        issued.write_text(json.dumps({**bundle, "tls_chain_pem": bundle["tls_ca_pem"]}))
        assert (await refused("tls", "take", issued, "--config", pair.zhejiang)).code == "tls.not_taken"
        issued.write_text("{}")
        failed = await asyncio.to_thread(yrd, "tls", "take", issued, "--config", pair.zhejiang)
        assert (failed.exit_code, "不是锚方签发的文件" in failed.output) == (1, True)
    away = ("tls", "request", "--out", tmp_path / "other.jwt", "--config", pair.zhejiang)
    failed = await asyncio.to_thread(yrd, *away)
    assert (failed.exit_code, "没有运行中的节点" in failed.output) == (3, True)


async def test_one_ca_follows_another_and_queries_go_on(tmp_path: Path) -> None:
    pair = await Pair.made(tmp_path)
    configs = (pair.zhejiang, pair.shanghai)

    async def follow() -> None:
        for config in configs:
            await command("trust", "refresh", "--config", config)
            await command("reload", "tls", "--config", config)

    async with serving_anchor(pair.anchor), pair.running() as (zhejiang, shanghai, token):
        before = [await shown(node) for node in (zhejiang, shanghai)]
        await command("anchor", "rotate", "--ca", "--lead-s", "0", "--dir", pair.anchor)
        await follow()
        await asked(zhejiang, token)
        await command("keys", "rotate", "tls", "--config", pair.zhejiang)
        await asked(zhejiang, token)
        await command("keys", "rotate", "tls", "--config", pair.shanghai)
        await asked(zhejiang, token)
        finished = await command("anchor", "rotate", "--finish", "--early", "--dir", pair.anchor)
        assert "旧 CA已清除" in finished
        await follow()
        await asked(zhejiang, token)
        assert before != [await shown(node) for node in (zhejiang, shanghai)]
    issuers = set()
    for config in configs:
        database = open_database(read_config(config).store.url)
        newest = max((await TlsRows(database).load()).values(), key=lambda row: row.received_at)
        issuers.add(newest.chain_pem.split("-----BEGIN")[2])
        await database.close()
    assert len(issuers) == 1
    old = json.loads((pair.zhejiang.parent / "enrolled.json").read_text())["tls_ca_pem"]
    assert issuers.isdisjoint(old.split("-----BEGIN"))
