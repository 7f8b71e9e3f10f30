"""What the anchor's CA issued for this node's TLS keys, by key id; all replicas share the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from node.store.database import Database
from node.store.tables import TLS_CERTIFICATES
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into

__all__ = ["TlsRow", "TlsRows"]

_T = TLS_CERTIFICATES.c


@dataclass(frozen=True, slots=True)
class TlsRow:
    """The X.509 chain of one TLS key, leaf first, and the CAs that were trusted when it was received."""

    kid: str
    chain_pem: str
    ca_pem: str
    not_before: datetime
    not_after: datetime
    received_at: datetime


class TlsRows:
    """One row for each TLS key that has a chain. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[str, TlsRow]:
        """All chains, by the id of their key."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(TLS_CERTIFICATES))).mappings()
            return {row["kid"]: _row(row) for row in rows}

    async def add(self, row: TlsRow) -> bool:
        """Keep the chain of a key, in place of one that was issued before it. Safe to repeat.

        False, with nothing changed, when a chain that was issued later, or this one, is there already.
        """
        kept = {
            "chain_pem": row.chain_pem,
            "ca_pem": row.ca_pem,
            "not_before": to_micros(row.not_before),
            "not_after": to_micros(row.not_after),
            "received_at": to_micros(row.received_at),
        }
        added = insert_into(self._database, TLS_CERTIFICATES).values(kid=row.kid, **kept)
        added = added.on_conflict_do_update(
            index_elements=[_T.kid], set_=kept, where=_T.not_before < kept["not_before"]
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(added)).rowcount == 1)


def _row(row: Mapping[Any, Any]) -> TlsRow:
    return TlsRow(
        kid=row["kid"],
        chain_pem=row["chain_pem"],
        ca_pem=row["ca_pem"],
        not_before=from_micros(row["not_before"]),
        not_after=from_micros(row["not_after"]),
        received_at=from_micros(row["received_at"]),
    )
