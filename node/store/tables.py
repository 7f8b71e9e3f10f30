"""The one schema, for SQLite and PostgreSQL alike.

Times are microseconds since 1970-01-01T00:00:00Z (``_at`` columns). Digests and signed bytes are binary and
are kept exactly as they were received. Each index serves a query that is in this package; `records` has only
two, since every exchange pays for them twice.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text

__all__ = [
    "AUDIT",
    "CLAIMS",
    "CLAIM_FINISHED",
    "CLAIM_WORKING",
    "CLIENTS",
    "DENIES",
    "HEAD",
    "IDEMPOTENCY_KEYS",
    "KEYS",
    "METADATA",
    "RECORDS",
    "REPLAYS",
    "STATEMENTS",
    "STATEMENT_HISTORY",
    "TLS_CERTIFICATES",
]

HEAD: Final = "0002"
"""The revision of `versions/` that this code is written for; a test holds it to the newest one."""

CLAIM_WORKING: Final = 1
CLAIM_FINISHED: Final = 2

METADATA = MetaData()

_BIG = BigInteger().with_variant(Integer, "sqlite")
"""On SQLite an INTEGER primary key is the row id itself: no second tree."""

RECORDS = Table(
    "records",
    METADATA,
    Column("log_index", _BIG, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("asking", Text, nullable=False),
    Column("answering", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("identity", LargeBinary, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Index("records_request_id", "request_id"),
)
"""The log: one row per message, numbered from 0 without a gap."""

CLAIMS = Table(
    "claims",
    METADATA,
    Column("asking", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("identity", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("answer", BigInteger),
    Index("claims_identity", "identity"),
    sqlite_with_rowid=False,
)
"""Check 7. `owner` is the journal and the number of the take; `answer` the log index of the first answer."""

KEYS = Table(
    "keys",
    METADATA,
    Column("kid", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("alg", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger),
    Column("retired_at", BigInteger),
    Column("retired_reason", Text, nullable=False),
    Column("backend", Text, nullable=False, server_default="store"),
    Column("activates_at", BigInteger),
    Column("retires_at", BigInteger),
    Index("keys_purpose_generation", "purpose", "generation", unique=True),
)
"""The node's own keys. `backend` says where the private part is: ``store``, wrapped by the key-encryption key in
`wrapped`, or ``pkcs11``, where `wrapped` names the object in the token. `activates_at` and `retires_at` are what
a rotation planned; `activated_at` and `retired_at` are what happened.
"""

TLS_CERTIFICATES = Table(
    "tls_certificates",
    METADATA,
    Column("kid", Text, primary_key=True),
    Column("chain_pem", Text, nullable=False),
    Column("ca_pem", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
)
"""What the anchor's CA issued for this node's TLS keys, by the key's id, with the CA that peers are trusted by."""

CLIENTS = Table(
    "clients",
    METADATA,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("auth_method", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("jwks", Text, nullable=False),
    Column("operations", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
)
"""The platforms that may call this node."""

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("client", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("idempotency_keys_expires_at", "expires_at"),
)

STATEMENTS = Table(
    "statements",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("mark", BigInteger, nullable=False),
    Column("etag", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
"""The newest of each trust statement that was verified; nothing with a lower mark is taken any more."""

STATEMENT_HISTORY = Table(
    "statement_history",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("mark", BigInteger, primary_key=True),
    Column("token", Text, nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
)
"""Configurations and subordinate statements as they were, so that an old exchange keeps its chains."""

DENIES = Table(
    "denies",
    METADATA,
    Column("entity_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("denied_at", BigInteger, nullable=False),
)
"""The peers that this node's operator does not trust."""

REPLAYS = Table(
    "replays",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Index("replays_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)
"""Token ids that were used once."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("audit_at", "at"),
)
"""What operators did; the control commands that every replica follows."""
