"""The tables of logins, in the same schema as `tables`.

Secrets that somebody else holds (cookies, codes, tokens, request URIs) are kept as SHA-256 only. What says something
about a citizen is in `sealed`, encrypted (`federation.login.ports.Seal`). Times are microseconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from node.store.tables import METADATA

__all__ = [
    "AGREEMENTS",
    "GRANTS",
    "INTERACTIONS",
    "LOGIN_CODES",
    "LOGIN_SESSIONS",
    "LOGOUTS",
    "METADATA",
    "PAPERS",
    "PAPER_USES",
    "PUSHED_REQUESTS",
    "REFRESH_TOKENS",
    "SESSION_PARTIES",
    "STATUS_LISTS",
    "SUBJECTS",
]

INTERACTIONS = Table(
    "interactions",
    METADATA,
    Column("interaction", LargeBinary, primary_key=True),
    Column("browser", LargeBinary),
    Column("version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("interactions_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Logins at work. `browser` is the hash of the cookie that it is bound to, NULL until the first visit."""

PUSHED_REQUESTS = Table(
    "pushed_requests",
    METADATA,
    Column("request_uri", LargeBinary, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("pushed_requests_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

GRANTS = Table(
    "grants",
    METADATA,
    Column("grant_id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("offline", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Index("grants_session_id", "session_id"),
    Index("grants_person", "issuer", "subject"),
    Index("grants_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""What clients were given. `issuer` and `subject` are the citizen's identity here; `offline` is 1 when it outlives the
session.
"""

LOGIN_CODES = Table(
    "login_codes",
    METADATA,
    Column("code", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index("login_codes_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

REFRESH_TOKENS = Table(
    "refresh_tokens",
    METADATA,
    Column("token", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index("refresh_tokens_grant_id", "grant_id"),
    Index("refresh_tokens_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

SUBJECTS = Table(
    "subjects",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("issuer_subject", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("subjects_of", "issuer", "issuer_subject", "audience", unique=True),
    sqlite_with_rowid=False,
)
"""Random subjects: at the home node one per (identity provider, subject, visited node or sector), at the visited node
one per (home node, subject, sector).
"""

LOGIN_SESSIONS = Table(
    "login_sessions",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("token", LargeBinary, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("upstream_sid", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("login_sessions_token", "token", unique=True),
    Index("login_sessions_person", "issuer", "subject"),
    Index("login_sessions_upstream", "issuer", "upstream_sid"),
    Index("login_sessions_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

SESSION_PARTIES = Table(
    "session_parties",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("sid", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    Index("session_parties_sid", "sid", unique=True),
    sqlite_with_rowid=False,
)
"""Who takes part in a session and is told when it ends, with the session id that it was told."""

AGREEMENTS = Table(
    "agreements",
    METADATA,
    Column("agreement_id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("platform_name", Text, nullable=False),
    Column("claims", Text, nullable=False),
    Column("given_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Index("agreements_person", "issuer", "subject", "recipient", "platform"),
    sqlite_with_rowid=False,
)
"""What citizens agreed to give: names of claims, never their values."""

LOGOUTS = Table(
    "logouts",
    METADATA,
    Column("logout_id", Text, primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("sid", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("outcome", Text, nullable=False),
    Index("logouts_next_try_at", "next_try_at"),
    Index("logouts_session_id", "session_id"),
    Index("logouts_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Back-channel logouts to be told, until they are taken or given up."""

PAPERS = Table(
    "papers",
    METADATA,
    Column("jti", Text, primary_key=True),
    Column("status_index", BigInteger),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Index("papers_status_index", "status_index", unique=True),
    Index("papers_person", "issuer", "subject"),
    Index("papers_expires_at", "expires_at"),
    Index("papers_withdrawn_at", "withdrawn_at"),
    sqlite_with_rowid=False,
)
"""Consents that this node signed as a home node, and their places in its status list: NULL when the consent has ended
and its place is free again.
"""

PAPER_USES = Table(
    "paper_uses",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("paper_uses_request", "issuer", "jti", "request", unique=True),
    Index("paper_uses_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Uses of consents that this node answered by: use `number` of a consent, by which request (its identity)."""

STATUS_LISTS = Table(
    "status_lists",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The newest status list of each peer that was verified; nothing issued earlier is taken any more."""
