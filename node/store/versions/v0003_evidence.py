"""Evidence: the tree over the log, its witnesses, the keys of bodies, holders, reconciliation, archives."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    # Each claim paid for it, and its place there is random: what it was for is found by the request's id now.
    op.drop_index("claims_identity", "claims")
    _records()
    _tree()
    _witnesses()
    _bodies()
    _keeping()


def _records() -> None:
    """Take the rows of before apart: narrow rows, labels, bodies (in clear, for they were)."""
    postgres = op.get_bind().dialect.name == "postgresql"
    op.drop_index("records_request_id", "records")
    op.rename_table("records", "records_of_0002")
    if postgres:
        op.execute("ALTER INDEX records_pkey RENAME TO records_of_0002_pkey")
    _record_tables()
    if postgres:
        # Ciphertext does not compress: PostgreSQL need not try.
        op.execute("ALTER TABLE bodies ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute(_CARRY_LABELS)
    if postgres:
        op.execute(_CARRY_RECORDS)
        op.execute(_CARRY_BODIES)
    else:
        op.execute(_CARRY_RECORDS.replace("''", "x''"))
        op.execute(_CARRY_BODIES.replace("salt || envelope", "CAST(salt || envelope AS BLOB)"))
    op.drop_table("records_of_0002")


_CARRY_LABELS = """
INSERT INTO labels (kind, asking, answering, operation, outcome, client)
SELECT DISTINCT kind, asking, answering, operation, outcome, client FROM records_of_0002
"""
_CARRY_RECORDS = """
INSERT INTO records (log_index, generation, kind, label, request_id, case_number, recorded_at, identity, leaf,
    key_id, wrapped)
SELECT o.log_index, o.generation, o.kind, l.label, o.request_id, o.case_number, o.recorded_at, o.identity, o.leaf,
    0, ''
FROM records_of_0002 o JOIN labels l ON l.kind = o.kind AND l.asking = o.asking AND l.answering = o.answering
    AND l.operation = o.operation AND l.outcome = o.outcome AND l.client = o.client
"""
_CARRY_BODIES = (
    "INSERT INTO bodies (log_index, sealed) SELECT log_index, salt || envelope FROM records_of_0002"
)


def _record_tables() -> None:
    op.create_table(
        "records",
        sa.Column("log_index", _BIG, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("label", sa.Integer, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("case_number", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_index("records_request_id", "records", ["request_id"])
    op.create_index("records_label", "records", ["label", "log_index"])
    with_case = sa.text("case_number <> '' AND kind IN (1, 3)")
    op.create_index(
        "records_case_number",
        "records",
        ["case_number"],
        sqlite_where=with_case,
        postgresql_where=with_case,
    )
    op.create_table(
        "labels",
        sa.Column("label", sa.Integer, primary_key=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("asking", sa.Text, nullable=False),
        sa.Column("answering", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
    )
    shared = ["kind", "asking", "answering", "operation", "outcome", "client"]
    op.create_index("labels_all", "labels", shared, unique=True)
    op.create_table(
        "bodies",
        sa.Column("log_index", _BIG, primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )


def _tree() -> None:
    op.create_table(
        "log_generations",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first_index", sa.BigInteger, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("halted", sa.Text, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("closed_size", sa.BigInteger),
        sa.Column("closed_root", sa.LargeBinary),
    )
    _open_the_first_generation()
    op.create_table(
        "checkpoints",
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("settled_at", sa.BigInteger),
    )
    for name, where in (
        ("checkpoints_unsigned", sa.text("note IS NULL")),
        ("checkpoints_settled", sa.text("settled_at IS NOT NULL")),
    ):
        op.create_index(
            name, "checkpoints", ["generation", "size"], sqlite_where=where, postgresql_where=where
        )
    op.create_table(
        "cosignatures",
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True),
        sa.Column("witness", sa.Text, primary_key=True),
        sa.Column("cosigned_at", sa.BigInteger, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_table(
        "tiles",
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("level", sa.SmallInteger, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )


def _open_the_first_generation() -> None:
    row = sa.text(
        "INSERT INTO log_generations (generation, first_index, opened_at, reason, halted)"
        " VALUES (1, 0, :now, '', '')"
    )
    op.get_bind().execute(row, {"now": time.time_ns() // 1000})


def _witnesses() -> None:
    op.create_table(
        "witnessed",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("entity_id", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("cosigned_at", sa.BigInteger, nullable=False),
    )
    op.create_index("witnessed_entity_id", "witnessed", ["entity_id", "generation"])
    op.create_table(
        "log_conflicts",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("entity_id", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("known", sa.Text, nullable=False),
        sa.Column("offered", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("settled_at", sa.BigInteger),
    )
    op.create_index("log_conflicts_entity_id", "log_conflicts", ["entity_id", "at"])
    still_open = sa.text("settled_at IS NULL")
    op.create_index(
        "log_conflicts_open",
        "log_conflicts",
        ["id"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_index(
        "log_conflicts_open_kind",
        "log_conflicts",
        ["kind", "id"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _bodies() -> None:
    op.create_table(
        "data_keys",
        sa.Column("key_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger),
    )
    op.create_table(
        "holders",
        sa.Column("holder", sa.LargeBinary, primary_key=True),
        sa.Column("log_index", _BIG, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("holders_log_index", "holders", ["log_index"])


def _keeping() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("peer", sa.Text, primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("exchanges", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
    )
    op.create_index("reconciliations_state", "reconciliations", ["peer", "state", "hour"])
    op.create_table(
        "archives",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("first_index", sa.BigInteger, nullable=False),
        sa.Column("last_index", sa.BigInteger, nullable=False),
        sa.Column("from_at", sa.BigInteger, nullable=False),
        sa.Column("until_at", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.Column("emptied_at", sa.BigInteger),
        sa.Column("operations", sa.Text, nullable=False),
        sa.Column("forgotten_at", sa.BigInteger),
    )
    op.create_index("archives_last_index", "archives", ["last_index"])
