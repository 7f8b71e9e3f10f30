"""Secrets of clients are hashed slowly once, and remembered for no longer than their row has them."""

from __future__ import annotations

import pytest

from federation.peers import Directory, TrustSnapshot
from node.store import secret_checks
from node.store.client_secrets import is_secret
from node.store.clients import ClientRows
from node.store.database import Database
from node.store.known_secrets import KnownSecrets
from node.store.relying_parties import RelyingPartyRows
from tests.support.clock import FixedClock


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stored hashes that were computed anew, in their order; empty for none."""
    found: list[str] = []

    def counted(secret: str, stored: str) -> bool:
        found.append(stored)
        return is_secret(secret, stored)

    monkeypatch.setattr(secret_checks, "is_secret", counted)
    return found


@pytest.fixture
def clients(database: Database) -> ClientRows:
    return ClientRows(database, FixedClock())


@pytest.fixture
def parties(clients: ClientRows) -> RelyingPartyRows:
    """Its own time stands still: no row that it keeps ever grows old."""
    directory = Directory(TrustSnapshot(own_entity="https://node.ah.example", own_province="340000"))
    return RelyingPartyRows(clients, directory, FixedClock(), now_s=lambda: 0.0)


async def test_a_right_secret_is_hashed_once_and_a_wrong_one_each_time(
    clients: ClientRows, parties: RelyingPartyRows, hashed: list[str]
) -> None:
    secret = await clients.add_with_secret("portal", "门户", {"*"})
    other = await clients.add_with_secret("hall", "大厅", {"*"})
    assert [await parties.accepts_secret("portal", secret) for _ in range(3)] == [True] * 3
    assert len(hashed) == 1
    for wrong in (other, other, "", secret + "x"):
        assert not await parties.accepts_secret("portal", wrong)
    assert not await parties.accepts_secret("hall", secret)
    assert not await parties.accepts_secret("nobody", secret)
    assert len(hashed) == 7
    assert await parties.accepts_secret("portal", secret), "wrong ones push nothing out"
    assert len(hashed) == 7


async def test_a_secret_that_was_rotated_is_refused_at_once(
    clients: ClientRows, parties: RelyingPartyRows, hashed: list[str]
) -> None:
    old = await clients.add_with_secret("portal", "门户", {"*"})
    assert await parties.accepts_secret("portal", old)
    new = await clients.rotate_secret("portal")
    assert not await parties.accepts_secret("portal", old)
    assert [await parties.accepts_secret("portal", new) for _ in range(2)] == [True, True]
    assert not await parties.accepts_secret("portal", old)
    assert len(hashed) == 4


@pytest.mark.parametrize("how", ["disabled", "removed", "removed and added anew"])
async def test_the_secret_of_a_client_that_is_no_more_is_refused_at_once(
    clients: ClientRows, parties: RelyingPartyRows, how: str
) -> None:
    secret = await clients.add_with_secret("portal", "门户", {"*"})
    assert await parties.accepts_secret("portal", secret)
    if how == "disabled":
        await clients.disable("portal")
    else:
        await clients.remove("portal")
    if how == "removed and added anew":
        await clients.add_with_secret("portal", "另一个", {"*"})
    assert not await parties.accepts_secret("portal", secret)


def test_what_is_remembered_is_bounded_and_in_clear_nowhere() -> None:
    known = KnownSecrets(kept=2)
    for client in ("a", "b"):
        known.remember(client, f"secret of {client}", "stored")
    assert known.knows("a", "secret of a", "stored")
    known.remember("c", "secret of c", "stored")
    assert not known.knows("b", "secret of b", "stored"), "it was asked for longest ago"
    assert known.knows("a", "secret of a", "stored")
    assert not known.knows("a", "secret of a", "stored anew")
    assert not known.knows("c", "secret of a", "stored")
    assert "secret" not in repr(vars(known))
