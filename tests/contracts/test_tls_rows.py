"""What the rows of TLS chains promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from node.store.database import Database
from node.store.tls import TlsRow, TlsRows
from tests.support.clock import NOON

FIRST = TlsRow("kid-1", "chain 1\n", "ca\n", NOON, NOON + timedelta(days=90), NOON)


async def test_a_chain_comes_back_by_its_key(database: Database) -> None:
    rows = TlsRows(database)
    assert await rows.load() == {}
    second = replace(FIRST, kid="kid-2", chain_pem="chain 2\n")
    assert await rows.add(FIRST)
    assert await rows.add(second)
    assert await TlsRows(database).load() == {"kid-1": FIRST, "kid-2": second}


async def test_of_one_key_the_chain_that_was_issued_last_counts(database: Database) -> None:
    rows = TlsRows(database)
    later = replace(FIRST, chain_pem="later\n", not_before=NOON + timedelta(days=1))
    assert await rows.add(FIRST)
    assert not await rows.add(FIRST)
    assert await rows.add(later)
    assert not await rows.add(FIRST)
    assert await rows.load() == {"kid-1": later}
