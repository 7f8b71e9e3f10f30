"""The holders of exchanges by segments of the log, so that a long log is written as fast as a short one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        # What is forgotten later must not lie on in the pages of the table that goes.
        op.execute("PRAGMA secure_delete = ON")
    op.create_table(
        "holders_by_segment",
        sa.Column("segment", _BIG, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.LargeBinary, primary_key=True),
        sa.Column("log_index", _BIG, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    # In the order of the new key: each page is written once.
    op.execute(
        "INSERT INTO holders_by_segment (segment, holder, log_index)"
        " SELECT log_index / 4096, holder, log_index FROM holders ORDER BY 1, 2, 3"
    )
    op.drop_table("holders")
    op.rename_table("holders_by_segment", "holders")
