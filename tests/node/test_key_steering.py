"""When a new key may be used, by who must know it first; on a store that several processes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from federation.statements import StatementKind, StoredStatement
from node.control import CommandRefused
from node.key_steering import KeySteering, vouched_by_anchor
from node.keystore import KeyEncryptionKey, KeyPlan, Keystore
from node.store.database import open_database
from node.store.keys import KeyRows
from node.store.trust import TrustRows
from tests.support.clock import FixedClock
from trust.entity import build_subordinate_statement
from trust.keys import SigningKey

ANCHOR, NODE = "https://anchor.example.cn", "https://yrd.zj.example.cn"
PUBLISH_S, LEARN_S = 180.0, 30.0


class Steered:
    """The commands, and the anchor's word on keys, which a test gives."""

    def __init__(self, keystore: Keystore, clock: FixedClock) -> None:
        self.clock = clock
        self.keystore = keystore
        self.vouched: set[str] = set()
        self.steering = KeySteering(keystore, clock, self.is_vouched, LEARN_S)

    async def is_vouched(self, _purpose: str, kid: str) -> bool:
        return kid in self.vouched

    async def __call__(self, command: str, **arguments: Any) -> Any:
        return await self.steering.handlers()[command](arguments)

    async def refusal(self, command: str, **arguments: Any) -> CommandRefused:
        with pytest.raises(CommandRefused) as refused:
            await self(command, **arguments)
        return refused.value

    def in_s(self, plan: Any) -> float | None:
        """In how many seconds the new key is used."""
        used_at = plan["used_at"]
        return used_at and (datetime.fromisoformat(used_at) - self.clock.now()).total_seconds()


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Steered]:
    clock = FixedClock()
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    plan = KeyPlan(publish_s=PUBLISH_S, overlap_s=3600)
    keystore = await Keystore.open(database, KeyEncryptionKey(bytes(32)), clock, plan=plan)
    for purpose in ("federation", "envelope", "openid", "tls"):
        await keystore.generate(purpose)
    yield Steered(keystore, clock)
    await database.close()


@pytest.mark.parametrize(
    ("arguments", "in_s"),
    [
        ({"purpose": "envelope"}, PUBLISH_S),
        ({"purpose": "envelope", "publish_s": 200}, 200),
        ({"purpose": "envelope", "publish_s": 5, "force": True}, 5),
        ({"purpose": "envelope", "now": True, "force": True}, 0),
        ({"purpose": "openid"}, PUBLISH_S),
        ({"purpose": "openid", "now": True}, LEARN_S),
        ({"purpose": "openid", "publish_s": 30}, 30),
        ({"purpose": "openid", "publish_s": 0, "force": True}, 0),
        ({"purpose": "log"}, 0),
        ({"purpose": "federation"}, None),
        ({"purpose": "federation", "now": True, "force": True}, 0),
        ({"purpose": "federation", "publish_s": 60, "force": True}, 60),
        ({"purpose": "tls"}, None),
    ],
)
async def test_when_a_new_key_is_used(keys: Steered, arguments: dict[str, Any], in_s: float | None) -> None:
    assert keys.in_s(await keys("keys.rotate", **arguments)) == in_s


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"purpose": "envelope", "now": True}, "keys.too_soon"),
        ({"purpose": "envelope", "publish_s": 179.9}, "keys.too_soon"),
        ({"purpose": "openid", "publish_s": 29.9}, "keys.too_soon"),
        ({"purpose": "federation", "publish_s": 999}, "keys.too_soon"),
        ({"purpose": "tls", "now": True, "force": True}, "keys.too_soon"),
        ({"purpose": "envelope", "publish_s": -1, "force": True}, "keys.publish_s"),
        ({"purpose": "envelope", "publish_s": float("nan")}, "keys.publish_s"),
        ({"purpose": "envelope", "publish_s": True}, "keys.publish_s"),
        ({"purpose": "envelope", "publish_s": "300"}, "keys.publish_s"),
        ({"purpose": "envelope", "publish_s": 2592001}, "keys.publish_s"),
        ({"purpose": "envelope", "alg": "none"}, "keys.alg"),
        ({"purpose": "ca"}, "keys.purpose"),
        ({"purpose": ["envelope"]}, "keys.purpose"),
        ({}, "keys.purpose"),
    ],
)
async def test_what_is_refused_makes_no_key(keys: Steered, arguments: dict[str, Any], code: str) -> None:
    before = await keys("keys.list")
    refused = await keys.refusal("keys.rotate", **arguments)
    assert refused.code == code
    assert await keys("keys.list") == before


async def test_a_federation_key_is_planned_once_the_anchor_vouches_for_it(keys: Steered) -> None:
    new = (await keys("keys.rotate", purpose="federation"))["new"]["kid"]
    old = keys.keystore.signing_key("federation").kid
    keys.clock.advance(days=1)
    await keys.steering.advance()
    assert keys.keystore.signing_key("federation").kid == old
    keys.vouched.add(new)
    await keys.steering.advance()
    keys.clock.advance(seconds=PUBLISH_S)
    assert keys.keystore.signing_key("federation").kid == new


async def test_an_active_federation_key_is_retired_for_one_that_is_vouched_for(keys: Steered) -> None:
    old = keys.keystore.signing_key("federation").kid
    new = (await keys("keys.rotate", purpose="federation"))["new"]["kid"]
    refused = await keys.refusal("keys.retire", kid=old, reason="leaked")
    assert refused.code == "keys.not_vouched"
    keys.vouched.add(new)
    assert (await keys("keys.retire", kid=old, reason="leaked"))["successor"] == new
    assert keys.keystore.signing_key("federation").kid == new


async def test_a_key_that_cannot_be_opened_takes_over_from_none(keys: Steered, tmp_path: Path) -> None:
    """As one that somebody else put into the store."""
    old = keys.keystore.signing_key("envelope").kid
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    foreign = Keystore(KeyRows(database), KeyEncryptionKey(bytes(range(32))), keys.clock)
    odd = (await foreign.generate("envelope", activate=False)).kid
    await database.close()
    refused = await keys.refusal("keys.retire", kid=old, reason="leaked")
    assert refused.code == "keys.only_one"
    assert keys.keystore.signing_key("envelope").kid == old
    await keys("keys.retire", kid=odd, reason="nobody here made it")
    assert (await keys("keys.retire", kid=old, reason="leaked", replace=True))["successor"] not in ("", odd)


async def test_a_passive_key_is_retired_without_more(keys: Steered) -> None:
    old = keys.keystore.signing_key("openid").kid
    await keys("keys.rotate", purpose="openid", publish_s=0, force=True)
    result = await keys("keys.retire", kid=old, reason="leaked")
    assert (result["retired"]["state"], result["successor"]) == ("retired", "")


async def test_the_list_tells_nothing_private(keys: Steered) -> None:
    (await keys("keys.rotate", purpose="envelope"))
    listed = (await keys("keys.list"))["keys"]
    assert {name for key in listed for name in key} >= {"kid", "state", "waits_for", "fault"}
    assert not {name for key in listed for name in key} & {"wrapped", "public_jwk"}


async def test_the_anchors_newest_statement_vouches(tmp_path: Path) -> None:
    clock, anchor_key = FixedClock(), SigningKey.generate()
    first, second, foreign = (SigningKey.generate() for _ in range(3))
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    rows = TrustRows(database)
    is_vouched = vouched_by_anchor(rows, entity_id=NODE, anchor=ANCHOR)
    assert not await is_vouched("federation", first.kid)

    async def say(issuer: str, subject: str, *keys: SigningKey) -> None:
        clock.advance(seconds=1)
        token = build_subordinate_statement(
            issuer=issuer,
            subject=subject,
            subject_keys=[key.verification_key for key in keys],
            metadata_policy={},
            signer=anchor_key,
            now=clock.now(),
        )
        mark = int(clock.now().timestamp())
        kind = StatementKind.SUBORDINATE
        await rows.save_statement(StoredStatement(issuer, subject, kind, token, mark, "", clock.now()))

    await say(ANCHOR, NODE, first)
    await say(ANCHOR, "https://other.example.cn", foreign)
    await say("https://other.example.cn", NODE, foreign)
    assert await is_vouched("federation", first.kid)
    assert not await is_vouched("federation", second.kid)
    assert not await is_vouched("federation", foreign.kid)
    await say(ANCHOR, NODE, first, second)
    assert await is_vouched("federation", second.kid)
    await database.close()
