"""One node as two processes on one PostgreSQL: what an operator does with its keys through one, the other follows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_node_replicas import name_platform_url, replica_of
from tests.support.federation import RunningNode, command, make_anchor, make_node, running, serving_anchor
from tests.support.postgres import running_postgres
from trust.entity import read_statement
from trust.keys import keys_from_jwks

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("postgres")]

KEYS = "[keys]\npublish_s = 1.0\noverlap_s = 1.0\npoll_s = 0.05\n"


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[RunningNode, RunningNode]]:
    with running_postgres() as server, server.new_store() as url:
        public, _ = await make_anchor(tmp_path / "anchor")
        path = await make_node(public, tmp_path / "zj", "330000", "--store", url)
        name_platform_url(path)
        path.write_text(path.read_text("utf-8").replace("[keys]\n", KEYS), "utf-8")
        async with serving_anchor(tmp_path / "anchor"), running(path, replica_of(path)) as nodes:
            one, two = nodes
            yield one, two


async def openid_kids(node: RunningNode) -> list[str]:
    """The OpenID keys that a replica publishes: the one that signs first."""
    async with node.http.get(f"{node.platform}/oauth/jwks") as answer:
        return [key["kid"] for key in (await answer.json(content_type=None))["keys"]]


async def envelope_kids(node: RunningNode) -> list[str]:
    """The envelope keys of the configuration that a replica serves."""
    async with node.http.get(f"http://{node.at.public}/.well-known/openid-federation") as answer:
        statement = read_statement(await answer.read(), allow_http_on_loopback=True)
    return list(keys_from_jwks(statement.token.claims["metadata"]["yrd_node"]["envelope_jwks"]))


async def until(look: Any, node: RunningNode, expected: list[str]) -> None:
    """Return when a replica tells this: its own loop brings it about, within its poll."""
    async with asyncio.timeout(60):
        while await look(node) != expected:  # noqa: ASYNC110 - a store tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("purpose", "look"), [("openid", openid_kids), ("envelope", envelope_kids)])
async def test_a_rotation_through_one_replica_is_used_by_the_other(
    replicas: tuple[RunningNode, RunningNode], purpose: str, look: Any
) -> None:
    one, two = replicas
    (old,) = await look(two)
    plan = json.loads(await command("keys", "rotate", purpose, "--json", "--config", one.config_path))
    new = plan["new"]["kid"]
    assert plan["new"]["state"] == "published"
    for replica in replicas:
        await until(look, replica, [new])  # by way of [old, new] and [new, old], to the end of the old one
    listed = json.loads(await command("keys", "list", "--all", "--json", "--config", two.config_path))
    states = {key["kid"]: (key["state"], key["reason"]) for key in listed if key["purpose"] == purpose}
    assert states == {old: ("retired", "rotated"), new: ("active", "")}


async def test_what_one_replica_retires_the_other_takes_no_more(
    replicas: tuple[RunningNode, RunningNode],
) -> None:
    one, two = replicas
    token = await one.token("portal")
    await two.refresh_clients()
    assert (await two.get("/v1/peers", token))[0] == 200
    (old,) = await openid_kids(two)
    await command("keys", "retire", old, "--reason", "密钥泄露", "--replace", "--config", one.config_path)
    async with asyncio.timeout(60):
        while old in await openid_kids(two):  # noqa: ASYNC110 - by way of [old, new]
            await asyncio.sleep(0.02)
    status, body = await two.get("/v1/peers", token)
    assert (status, body["code"]) == (401, "own.unauthenticated")
