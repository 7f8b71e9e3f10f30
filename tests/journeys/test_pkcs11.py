"""A node whose envelope key is in a PKCS#11 token: it asks and answers, its evidence holds, and a token that is pulled
out refuses by name and comes back by itself.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import aiohttp
import orjson
import pytest

from federation.ports import RecordKind
from tests.bench.chains import ANSWERING, ASKING
from tests.support.federation import command, free_ports
from tests.support.softhsm import TestToken, new_token
from tests.support.stored import newest_envelope
from tests.support.two_nodes import TwoNodes, found
from trust.envelope import parse

pytestmark = pytest.mark.journey


@pytest.fixture
def token() -> TestToken:
    return new_token()


async def unready(nodes: TwoNodes, *, asking: bool) -> list[str]:
    """What /readyz gives as reasons."""
    node = nodes.asking if asking else nodes.answering
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        return [reason["code"] for reason in (await answer.json()).get("reasons", [])]


async def check_evidence(nodes: TwoNodes, request_id: str, folder: Path) -> str:
    """Export one exchange from both nodes and check it with the anchor's keys alone; what the check said."""
    said = ""
    for config in (nodes.country.asking, nodes.country.answering):
        file = folder / f"{config.parent.name}-{request_id}.zip"
        await command("evidence", "export", request_id, "--out", file, "--config", config)
        said += await command("verify", file, "--anchor", nodes.country.anchor / "anchor.public.json")
    return said


async def keys_of(config: Path, purpose: str) -> list[dict[str, str]]:
    """yrd keys list, for one purpose."""
    listed = orjson.loads(await command("keys", "list", "--json", "--config", config))
    return [key for key in listed if key["purpose"] == purpose]


def last_answer_kid(config: Path) -> str:
    """The key id of the newest answer that this node gave, from its log."""
    envelope = newest_envelope(config, RecordKind.ANSWERED_ANSWER)
    return parse(envelope, max_bytes=1 << 20).kid


async def test_both_envelope_keys_in_a_token(token: TestToken, tmp_path: Path) -> None:
    country = await found(tmp_path, init={ASKING: token.init, ANSWERING: token.init})
    async with country.running() as nodes:
        answered = await nodes.query_until_answered()
        assert answered["certificates"]
        said = await check_evidence(nodes, answered["request_id"], tmp_path)
        assert said.count("The evidence holds") == 2
    for config in (country.asking, country.answering):
        assert [key["backend"] for key in await keys_of(config, "envelope")] == ["pkcs11"]
        assert {key["backend"] for key in await keys_of(config, "federation")} == {"store"}


async def test_an_asking_node_without_its_token_says_so_and_recovers(
    token: TestToken, tmp_path: Path
) -> None:
    country = await found(tmp_path, init={ASKING: token.init})
    async with country.running() as nodes:
        await nodes.query_until_answered()
        with token.away():
            status, problem = await nodes.query()
            assert (status, problem["code"]) == (503, "own.key_unavailable")
            assert token.label not in str(problem)
            assert await unready(nodes, asking=True) == ["key_failing"]
            assert await unready(nodes, asking=False) == []
        assert "yrd_key_failures_total 1.0" in await nodes.metrics(nodes.asking)
        await nodes.query_until_answered()


async def test_an_answering_node_without_its_token_is_busy_to_its_peers_and_recovers(
    token: TestToken, tmp_path: Path
) -> None:
    country = await found(tmp_path, init={ANSWERING: token.init})
    async with country.running() as nodes:
        await nodes.query_until_answered()
        before = len(nodes.answered())
        with token.away():
            status, problem = await nodes.query()
            assert (status, problem["code"]) == (502, "peer.busy")
            assert token.label not in str(problem)
            assert len(nodes.answered()) == before  # nothing was released, so nothing is kept of it
            assert await unready(nodes, asking=False) == ["key_failing"]
        await nodes.query_until_answered()


async def test_the_next_envelope_key_of_a_running_node_goes_into_the_token(
    token: TestToken, tmp_path: Path
) -> None:
    country = await found(tmp_path)
    config = country.answering
    # Within the skew, so that the export's clock, which is the machine's, and the nodes' agree.
    text = config.read_text("utf-8").replace("[keys]\n", "[keys]\npublish_s = 30\n")
    config.write_text(text + token.section("envelope"), "utf-8")
    async with country.running() as nodes:
        await nodes.query_until_answered()
        (old,) = await keys_of(config, "envelope")
        assert (old["backend"], last_answer_kid(config)) == ("store", old["kid"])

        await command("keys", "rotate", "envelope", "--config", config)
        await nodes.refresh()
        answered = await nodes.query_until_answered()
        assert last_answer_kid(config) == old["kid"]  # published, not used yet

        for clock in nodes.clocks.values():
            clock.ahead_s += 31
        await nodes.refresh()
        later = await nodes.query_until_answered()
        (new,) = [key for key in await keys_of(config, "envelope") if key["backend"] == "pkcs11"]
        assert (new["state"], last_answer_kid(config)) == ("active", new["kid"])
        for one in (answered, later):
            assert "The evidence holds" in await check_evidence(nodes, one["request_id"], tmp_path)


async def test_access_tokens_are_signed_in_the_token_too(token: TestToken, tmp_path: Path) -> None:
    country = await found(tmp_path)
    config = country.asking
    config.write_text(config.read_text("utf-8") + token.section("openid"), "utf-8")
    async with country.running() as nodes:
        await command("keys", "rotate", "openid", "--now", "--config", config)
        nodes.own_clock.ahead_s += 60
        signed_with = [key["backend"] for key in await keys_of(config, "openid") if key["state"] == "active"]
        assert signed_with == ["pkcs11"]
        access_token = await nodes.asking.token("another")
        status, body = await nodes.asking.get("/v1/peers", access_token)
        assert status == 200, body
        credentials = aiohttp.encode_basic_auth("third", await nodes.asking.add_client("third"))
        with token.away():
            answer = await nodes.asking.http.post(
                f"{nodes.asking.platform}/oauth/token",
                data={"grant_type": "client_credentials"},
                headers={"Authorization": credentials},
            )
            problem = await answer.json(content_type=None)
            assert answer.status == 503, problem
            assert "own.key_unavailable" in str(problem)


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(600)
def test_the_demonstration_with_every_envelope_key_in_a_token(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command_line = [str(Path(sys.executable).with_name("yrd")), "demo", "--check", "--suite", "pkcs11"]
    done = subprocess.run(
        [*command_line, "--dir", str(folder), "--base-port", str(free_ports(60)), "--residents", "50"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "12 of 12 pairs answered, 24 of 24 records verified"
    for province in ("310000", "320000", "330000", "340000"):
        with sqlite3.connect(folder / province / "node.db") as connection:
            query = "SELECT DISTINCT backend FROM keys WHERE purpose = 'envelope'"
            assert connection.execute(query).fetchall() == [("pkcs11",)]
        connection.close()


def test_the_demonstration_says_what_is_missing(tmp_path: Path) -> None:
    absent = tmp_path / "absent.so"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("yrd")),
            "demo",
            "--suite",
            "pkcs11",
            "--dir",
            str(tmp_path / "demo"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "SOFTHSM2_MODULE": str(absent)},
        check=False,
    )
    assert done.returncode == 1
    assert "apt install softhsm2" in done.stderr
    assert not (tmp_path / "demo").exists()
