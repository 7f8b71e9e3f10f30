"""Logins: requests at work, grants, subjects, sessions, what citizens agreed to, consents as papers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("login", sa.Text, nullable=False, server_default=""))
    _requests()
    _grants()
    _people()
    _papers()


def _requests() -> None:
    op.create_table(
        "interactions",
        sa.Column("interaction", sa.LargeBinary, primary_key=True),
        sa.Column("browser", sa.LargeBinary),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("interactions_expires_at", "interactions", ["expires_at"])
    op.create_table(
        "pushed_requests",
        sa.Column("request_uri", sa.LargeBinary, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("pushed_requests_expires_at", "pushed_requests", ["expires_at"])


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("offline", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("grants_expires_at", "grants", ["expires_at"])
    op.create_index("grants_person", "grants", ["issuer", "subject"])
    op.create_index("grants_session_id", "grants", ["session_id"])
    op.create_table(
        "login_codes",
        sa.Column("code", sa.LargeBinary, primary_key=True),
        sa.Column("grant_id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("login_codes_expires_at", "login_codes", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("grant_id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("refresh_tokens_expires_at", "refresh_tokens", ["expires_at"])
    op.create_index("refresh_tokens_grant_id", "refresh_tokens", ["grant_id"])


def _people() -> None:
    op.create_table(
        "subjects",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("issuer_subject", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("subjects_of", "subjects", ["issuer", "issuer_subject", "audience"], unique=True)
    op.create_table(
        "login_sessions",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("upstream_sid", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("login_sessions_expires_at", "login_sessions", ["expires_at"])
    op.create_index("login_sessions_person", "login_sessions", ["issuer", "subject"])
    op.create_index("login_sessions_token", "login_sessions", ["token"], unique=True)
    op.create_index("login_sessions_upstream", "login_sessions", ["issuer", "upstream_sid"])
    op.create_table(
        "session_parties",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("sid", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("session_parties_sid", "session_parties", ["sid"], unique=True)
    op.create_table(
        "agreements",
        sa.Column("agreement_id", sa.Text, primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("platform_name", sa.Text, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("given_at", sa.BigInteger, nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("agreements_person", "agreements", ["issuer", "subject", "recipient", "platform"])
    op.create_table(
        "logouts",
        sa.Column("logout_id", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("sid", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("logouts_expires_at", "logouts", ["expires_at"])
    op.create_index("logouts_next_try_at", "logouts", ["next_try_at"])
    op.create_index("logouts_session_id", "logouts", ["session_id"])


def _papers() -> None:
    op.create_table(
        "papers",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("status_index", sa.BigInteger),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("papers_expires_at", "papers", ["expires_at"])
    op.create_index("papers_person", "papers", ["issuer", "subject"])
    op.create_index("papers_status_index", "papers", ["status_index"], unique=True)
    op.create_index("papers_withdrawn_at", "papers", ["withdrawn_at"])
    op.create_table(
        "paper_uses",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("paper_uses_expires_at", "paper_uses", ["expires_at"])
    op.create_index("paper_uses_request", "paper_uses", ["issuer", "jti", "request"], unique=True)
    op.create_table(
        "status_lists",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("fetched_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
