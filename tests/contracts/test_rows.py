"""What the small row classes promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from federation.errors import OwnBadValue
from federation.peers import Directory, TrustSnapshot
from federation.statements import Denial, StatementKind, StoredStatement, TrustStore
from node.api.ports import Clients, IdempotencyKeys, KeyState, KeyVerdict, Replays
from node.store.audit import AuditRows
from node.store.clients import AuthMethod, ClientRows
from node.store.database import Database
from node.store.idempotency import LEASE_S, LIFE_S, IdempotencyRows
from node.store.relying_parties import KEPT_S, RelyingPartyRows
from node.store.replay import ReplayRows
from node.store.secret_checks import SecretChecks
from node.store.trust import TrustRows
from tests.support.clock import NOON, FixedClock
from trust.errors import StatementRolledBack

ANCHOR, NODE = "https://anchor.example", "https://node.zj.example"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


# --- clients ---


async def test_a_client_with_a_secret(database: Database, clock: FixedClock) -> None:
    rows = ClientRows(database, clock)
    secret = await rows.add_with_secret("demo-portal", "示例门户", ["certificates.query", "services.get"])
    (client,) = await rows.all_clients()
    assert client == await rows.find("demo-portal")
    assert client.operations == {"certificates.query", "services.get"}
    assert (client.auth_method, client.jwks) == (AuthMethod.CLIENT_SECRET_BASIC, None)
    assert (client.created_at, client.disabled_at) == (NOON, None)
    accepts = SecretChecks(rows.find).accepts_secret
    assert await accepts("demo-portal", secret)
    for wrong in (secret + "x", "", "\ud800"):
        assert not await accepts("demo-portal", wrong)
    assert secret not in repr(client)
    assert secret not in client.secret_hash


async def test_a_client_with_keys_has_no_secret(database: Database, clock: FixedClock) -> None:
    rows = ClientRows(database, clock)
    await rows.add_with_keys("portal", "门户", ["*"], {"keys": [{"kty": "EC"}]})
    found = await rows.find("portal")
    assert found is not None
    assert found.jwks == {"keys": [{"kty": "EC"}]}
    assert not await SecretChecks(rows.find).accepts_secret("portal", "")


async def test_two_clients_with_one_secret_have_different_hashes(
    database: Database, clock: FixedClock
) -> None:
    rows = ClientRows(database, clock)
    await rows.add_with_secret("a", "a", ["*"])
    await rows.add_with_secret("b", "b", ["*"])
    first, second = await rows.all_clients()
    assert first.secret_hash.split("$")[4] != second.secret_hash.split("$")[4]


async def test_a_disabled_client_is_still_listed_and_accepts_nothing(
    database: Database, clock: FixedClock
) -> None:
    rows = ClientRows(database, clock)
    secret = await rows.add_with_secret("portal", "门户", ["*"])
    clock.advance(days=1)
    assert await rows.disable("portal")
    assert not await rows.disable("portal")
    (client,) = await rows.all_clients()
    assert client.disabled_at == clock.at
    assert not await SecretChecks(rows.find).accepts_secret("portal", secret)


async def test_a_platform_has_a_name_until_it_is_removed(database: Database, clock: FixedClock) -> None:
    rows = ClientRows(database, clock)
    now_s = [0.0]
    directory = Directory(TrustSnapshot(own_entity=NODE, own_province="330000"))
    parties = RelyingPartyRows(rows, directory, clock, now_s=lambda: now_s[0])
    await rows.add_with_secret("portal", "门户", ["*"])
    assert (await parties.name_of("portal"), await parties.find("portal")) == ("门户", None), (
        "it logs nobody in"
    )
    assert [await parties.name_of(other) for other in ("nobody", "portal\0", "")] == [""] * 3
    await rows.disable("portal")
    now_s[0] += KEPT_S
    assert await parties.name_of("portal") == ""


async def test_an_id_is_given_once_until_it_is_removed(database: Database, clock: FixedClock) -> None:
    rows = ClientRows(database, clock)
    await rows.add_with_secret("portal", "门户", ["*"])
    with pytest.raises(OwnBadValue) as refused:
        await rows.add_with_secret("portal", "另一个", ["*"])
    assert refused.value.field == "client_id"
    assert await rows.remove("portal")
    assert not await rows.remove("portal")
    assert await rows.find("portal") is None
    assert await rows.find("portal\0") is None
    await rows.add_with_secret("portal", "另一个", ["*"])


async def test_the_clients_are_what_the_api_asks_for(database: Database, clock: FixedClock) -> None:
    port: Clients = ClientRows(database, clock)
    assert await port.all_clients() == []


# --- idempotency keys ---


async def test_a_key_is_claimed_once_and_answers_its_repeats(database: Database, clock: FixedClock) -> None:
    rows: IdempotencyKeys = IdempotencyRows(database, clock)
    assert (await rows.claim("portal", "k1", b"d" * 32)).state is KeyState.NEW
    assert (await rows.claim("portal", "k1", b"d" * 32)).state is KeyState.WORKING
    assert (await rows.claim("portal", "k1", b"e" * 32)).state is KeyState.CONFLICT
    await rows.finish("portal", "k1", request_id="0190-id")
    expected = KeyVerdict(KeyState.FINISHED, "0190-id")
    assert await rows.claim("portal", "k1", b"d" * 32) == expected
    assert (await rows.claim("portal", "k1", b"e" * 32)).state is KeyState.CONFLICT
    assert (await rows.claim("other", "k1", b"e" * 32)).state is KeyState.NEW


async def test_of_many_at_once_one_gets_the_key(database: Database, clock: FixedClock) -> None:
    rows = IdempotencyRows(database, clock)
    verdicts = await asyncio.gather(*(rows.claim("portal", "k", b"d" * 32) for _ in range(8)))
    assert sorted(verdict.state for verdict in verdicts) == [KeyState.NEW, *[KeyState.WORKING] * 7]


async def test_a_released_key_is_new_again_and_an_answered_one_stays(
    database: Database, clock: FixedClock
) -> None:
    rows = IdempotencyRows(database, clock)
    await rows.claim("portal", "k", b"d" * 32)
    await rows.release("portal", "k")
    assert (await rows.claim("portal", "k", b"e" * 32)).state is KeyState.NEW
    await rows.finish("portal", "k", request_id="first")
    await rows.release("portal", "k")
    await rows.finish("portal", "k", request_id="second")
    assert (await rows.claim("portal", "k", b"e" * 32)).request_id == "first"


async def test_an_abandoned_key_is_taken_up_by_the_same_request_only(
    database: Database, clock: FixedClock
) -> None:
    rows = IdempotencyRows(database, clock)
    await rows.claim("portal", "k", b"d" * 32)
    clock.advance(seconds=LEASE_S)
    assert (await rows.claim("portal", "k", b"e" * 32)).state is KeyState.CONFLICT
    assert (await rows.claim("portal", "k", b"d" * 32)).state is KeyState.NEW


async def test_a_key_at_work_is_held_for_as_long_as_its_lease(database: Database, clock: FixedClock) -> None:
    rows = IdempotencyRows(database, clock, lease_s=100)
    await rows.claim("portal", "k", b"d" * 32)
    clock.advance(seconds=99)
    assert (await rows.claim("portal", "k", b"d" * 32)).state is KeyState.WORKING
    clock.advance(seconds=1)
    assert (await rows.claim("portal", "k", b"d" * 32)).state is KeyState.NEW


async def test_a_key_ends_after_its_life(database: Database, clock: FixedClock) -> None:
    rows = IdempotencyRows(database, clock)
    await rows.claim("portal", "k", b"d" * 32)
    await rows.finish("portal", "k", request_id="0190-id")
    clock.advance(seconds=LIFE_S - 1)
    assert await rows.forget_expired() == 0
    clock.advance(seconds=1)
    assert (await rows.claim("portal", "k", b"e" * 32)).state is KeyState.NEW
    clock.advance(seconds=LIFE_S)
    assert await rows.forget_expired() == 1


# --- replays ---


async def test_a_token_id_is_used_once_per_issuer(database: Database, clock: FixedClock) -> None:
    rows: Replays = ReplayRows(database, clock)
    until = clock.at + timedelta(minutes=5)
    assert await rows.use_once("portal", "jti-1", until)
    assert not await rows.use_once("portal", "jti-1", until)
    assert await rows.use_once("other", "jti-1", until)


async def test_of_many_uses_at_once_one_counts(database: Database, clock: FixedClock) -> None:
    rows = ReplayRows(database, clock)
    used = await asyncio.gather(*(rows.use_once("portal", "jti", clock.at) for _ in range(8)))
    assert used.count(True) == 1


async def test_expired_token_ids_are_forgotten(database: Database, clock: FixedClock) -> None:
    rows = ReplayRows(database, clock)
    await rows.use_once("portal", "short", clock.at + timedelta(minutes=1))
    await rows.use_once("portal", "long", clock.at + timedelta(minutes=9))
    for forgotten in (0, 1):  # the clock of another replica may be a minute behind
        clock.advance(minutes=1)
        assert await rows.forget_expired() == forgotten
    assert not await rows.use_once("portal", "long", clock.at)


# --- audit ---


async def test_audit_entries_are_read_in_order(database: Database, clock: FixedClock) -> None:
    rows = AuditRows(database, clock)
    await rows.note("root", "trust.deny", {"entity": NODE, "reason": "测试"})
    clock.advance(seconds=1)
    await rows.note("root", "reload.access")
    newest, oldest = await rows.latest()
    assert (oldest.actor, oldest.action, oldest.detail) == (
        "root",
        "trust.deny",
        {"entity": NODE, "reason": "测试"},
    )
    assert (oldest.at, newest.at) == (NOON, clock.at)
    assert [entry.action for entry in await rows.after(oldest.number)] == ["reload.access"]
    assert await rows.after(newest.number) == []
    assert len(await rows.latest(limit=1)) == 1


# --- trust ---


def statement(
    mark: int, token: str = "", kind: StatementKind = StatementKind.CONFIGURATION
) -> StoredStatement:
    return StoredStatement(NODE, NODE, kind, token or f"token-{mark}", mark, f'"{mark}"', NOON)


async def test_a_statement_is_kept_and_replaced_by_a_newer_one(database: Database) -> None:
    rows: TrustStore = TrustRows(database)
    await rows.save_statement(statement(100))
    await rows.save_statement(statement(100, "the same second, signed again"))
    assert await rows.load_statements() == [statement(100, "the same second, signed again")]
    await rows.save_statement(statement(200))
    assert await rows.load_statements() == [statement(200)]


async def test_a_statement_is_never_rolled_back(database: Database) -> None:
    rows = TrustRows(database)
    await rows.save_statement(statement(200))
    with pytest.raises(StatementRolledBack):
        await rows.save_statement(statement(199))
    assert await rows.load_statements() == [statement(200)]
    other = StoredStatement(ANCHOR, NODE, StatementKind.SUBORDINATE, "t", 5, "", NOON)
    await rows.save_statement(other)
    await rows.save_statement(statement(3, kind=StatementKind.STATUS))
    assert len(await rows.load_statements()) == 3


@pytest.mark.parametrize("kind", [StatementKind.STATUS, StatementKind.ROLL_OVERS])
async def test_of_what_is_numbered_the_first_seen_stays(database: Database, kind: StatementKind) -> None:
    rows = TrustRows(database)
    await rows.save_statement(statement(7, "first", kind))
    await rows.save_statement(statement(7, "first", kind))
    with pytest.raises(StatementRolledBack):
        await rows.save_statement(statement(7, "second", kind))
    assert await rows.load_statements() == [statement(7, "first", kind)]
    await rows.save_statement(statement(8, "second", kind))
    assert await rows.load_statements() == [statement(8, "second", kind)]


async def test_of_many_replicas_at_once_the_highest_stays(database: Database) -> None:
    rows = TrustRows(database)
    marks = [5, 3, 9, 1, 7, 9]
    saving = (rows.save_statement(statement(mark, kind=StatementKind.STATUS)) for mark in marks)
    results = await asyncio.gather(*saving, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), StatementRolledBack}
    assert [row.mark for row in await rows.load_statements()] == [9]


async def test_a_row_is_dropped_only_while_it_is_that_one(database: Database) -> None:
    rows = TrustRows(database)
    await rows.save_statement(statement(200))
    await rows.drop_statement(statement(200, "another"))
    await rows.drop_statement(statement(100))
    assert await rows.load_statements() == [statement(200)]
    await rows.drop_statement(statement(200))
    assert await rows.load_statements() == []
    await rows.save_statement(statement(100))
    assert await rows.load_statements() == [statement(100)]
    found = await rows.find_statement(NODE, NODE, StatementKind.CONFIGURATION, at=NOON)
    assert found is not None
    assert found.token == "token-200", "it stays in the history"


async def test_what_was_known_at_a_time_is_found_again(database: Database) -> None:
    rows = TrustRows(database)
    first = statement(100)
    second = StoredStatement(NODE, NODE, first.kind, "token-200", 200, "", NOON + timedelta(hours=2))
    await rows.save_statement(first)
    await rows.save_statement(second)

    async def at(hours: float) -> str | None:
        found = await rows.find_statement(NODE, NODE, first.kind, at=NOON + timedelta(hours=hours))
        return None if found is None else found.token

    assert [await at(-1), await at(0), await at(1), await at(2), await at(99)] == [
        "token-100",
        "token-100",
        "token-100",
        "token-200",
        "token-200",
    ]
    assert await rows.find_statement(ANCHOR, NODE, StatementKind.SUBORDINATE, at=NOON) is None


async def test_denials_come_and_go(database: Database) -> None:
    rows = TrustRows(database)
    await rows.deny(Denial(NODE, "先停", NOON))
    await rows.deny(Denial(NODE, "仍停", NOON))
    assert await rows.load_denials() == [Denial(NODE, "仍停", NOON)]
    await rows.allow(NODE)
    await rows.allow(NODE)
    assert await rows.load_denials() == []
