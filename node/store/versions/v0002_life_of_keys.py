"""Planned rotations, keys outside the store, and the TLS certificates that replicas share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("keys", sa.Column("backend", sa.Text, nullable=False, server_default="store"))
    op.add_column("keys", sa.Column("activates_at", sa.BigInteger))
    op.add_column("keys", sa.Column("retires_at", sa.BigInteger))
    op.create_table(
        "tls_certificates",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("chain_pem", sa.Text, nullable=False),
        sa.Column("ca_pem", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
    )
