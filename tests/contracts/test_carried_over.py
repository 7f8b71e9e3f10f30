"""Records of the release before are there after the migration: every column, every byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from federation.ports import ExchangeMeta, RecordKind
from federation.query import Operation
from node.store.database import open_database
from node.store.journal import StoreJournal
from tests.support.clock import FixedClock
from tests.support.exchanges import ANSWERING, ASKING, OPERATION, meta_of, next_request_id
from trust.keys import SigningKey

KEY = SigningKey.generate()
VERSIONS = Path(__file__).parents[2] / "node" / "store" / "versions"
INSERT = text(
    "INSERT INTO records (log_index, generation, kind, request_id, asking, answering, operation, outcome, client,"
    " case_number, recorded_at, identity, envelope, salt, leaf) VALUES (:log_index, 1, :kind, :request_id, :asking,"
    " :answering, :operation, :outcome, :client, :case_number, 1000000, :identity, :envelope, :salt, :leaf)"
)


def upgrade_to(connection: Connection, revision: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(VERSIONS.parent), version_locations=[str(VERSIONS)])
    context = EnvironmentContext(
        Config(), scripts, fn=lambda current, _: scripts._upgrade_revs(revision, current)
    )
    with context:
        context.configure(connection=connection, transactional_ddl=True)
        context.run_migrations()


def old_row(index: int, request_id: str, kind: RecordKind, **more: Any) -> dict[str, Any]:
    return {
        "log_index": index,
        "kind": int(kind),
        "request_id": request_id,
        "asking": ASKING,
        "answering": ANSWERING,
        "operation": OPERATION.value,
        "outcome": "",
        "client": "portal",
        "case_number": "沪-1",
        "identity": bytes([index]) * 32,
        # Bytes that are no text, zeros among them.
        "envelope": b"\x00\xff\xfe" + bytes([index]) * 40 + b"\x00",
        "salt": b"\x00" + bytes([200 + index]) * 15,
        "leaf": b"\x01" + bytes([index]) * 32,
        **more,
    }


async def test_old_records_keep_their_places_and_their_bytes(store_url: str) -> None:
    request_id = next_request_id()
    rows = [
        old_row(0, request_id, RecordKind.ASKED_REQUEST),
        old_row(1, request_id, RecordKind.ASKED_ANSWER, outcome="answered"),
        old_row(2, next_request_id(), RecordKind.ANSWERED_REQUEST, client="", case_number=""),
    ]
    engine: Engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        upgrade_to(connection, "0002")
        connection.execute(INSERT, rows)
    engine.dispose()

    database = open_database(store_url)
    journal = StoreJournal(database, lambda: KEY, FixedClock())
    found = await journal.find_records(request_id)
    assert [
        (record.log_index, record.identity, record.envelope, record.salt, record.leaf) for record in found
    ] == [
        tuple(row[name] for name in ("log_index", "identity", "envelope", "salt", "leaf")) for row in rows[:2]
    ]
    meta = ExchangeMeta(
        request_id, ASKING, ANSWERING, Operation.CERTIFICATES_QUERY, "portal", "answered", "沪-1"
    )
    assert (found[1].meta, found[1].kind, found[1].generation) == (meta, RecordKind.ASKED_ANSWER, 1)
    new = next_request_id()
    await journal.store_request(meta_of(new), OPERATION.request_type, b"question")
    assert [record.log_index for record in await journal.find_records(new)] == [3]
    await journal.close()
    await database.close()
