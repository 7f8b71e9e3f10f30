"""The one schema, for SQLite and PostgreSQL alike.

Times are microseconds since 1970-01-01T00:00:00Z (``_at`` columns). Digests and signed bytes are binary and
are kept exactly as they were received. Each index serves a query that is in this package; those of `records` are as
narrow as they can be, since every exchange pays for them twice.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

__all__ = [
    "ARCHIVES",
    "AUDIT",
    "BODIES",
    "CHECKPOINTS",
    "CLAIMS",
    "CLAIM_FINISHED",
    "CLAIM_WORKING",
    "CLIENTS",
    "COSIGNATURES",
    "DATA_KEYS",
    "DENIES",
    "HEAD",
    "HOLDERS",
    "HOLDERS_SEGMENT",
    "IDEMPOTENCY_KEYS",
    "KEYS",
    "LABELS",
    "LOG_CONFLICTS",
    "LOG_GENERATIONS",
    "METADATA",
    "RECONCILIATIONS",
    "RECORDS",
    "REPLAYS",
    "STATEMENTS",
    "STATEMENT_HISTORY",
    "TILES",
    "TLS_CERTIFICATES",
    "WITNESSED",
]

HEAD: Final = "0005"
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
    Column("label", Integer, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("identity", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("key_id", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Index("records_request_id", "request_id"),
    Index("records_label", "label", "log_index"),
    Index(
        "records_case_number",
        "case_number",
        sqlite_where=text("case_number <> '' AND kind IN (1, 3)"),
        postgresql_where=text("case_number <> '' AND kind IN (1, 3)"),
    ),
)
"""The log: one narrow row per message, numbered from 0 without a gap; its body is in `bodies`.

`wrapped` is the key of this record alone, wrapped by the data key `key_id`; with `key_id` 0 the body is in clear.
A record that was forgotten has neither body nor wrapped key. `records_case_number` holds the requests only, and is used
only by a query that says so in its own words.
"""

LABELS = Table(
    "labels",
    METADATA,
    Column("label", Integer, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("asking", Text, nullable=False),
    Column("answering", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("client", Text, nullable=False),
    Index("labels_all", "kind", "asking", "answering", "operation", "outcome", "client", unique=True),
)
"""What many records have in common, written out once: who asked whom for what, as which platform, with which outcome.

There are as many as there are combinations in use: hundreds, not millions. So whatever is asked of these, the labels
that fit are found first, and then the newest records of each by `records_label`, without looking at any others.
"""

BODIES = Table(
    "bodies",
    METADATA,
    Column("log_index", _BIG, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""What a record's leaf commits to: salt and envelope, encrypted under the record's key (`node.store.bodies`). Without a
row the content was forgotten, and only its leaf is left.
"""

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
    Column("login", Text, nullable=False, server_default=""),
)
"""The platforms that may call this node. `login` is JSON: what it is as a relying party; empty when it is none."""

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

LOG_GENERATIONS = Table(
    "log_generations",
    METADATA,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("first_index", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("halted", Text, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_size", BigInteger),
    Column("closed_root", LargeBinary),
)
"""The log's generations; the highest one is open. Leaf i of a generation is the record `first_index` + i. `reason`
says why the one before it was closed, `halted` why nothing is written, sequenced or signed in this one any more
(empty: nothing is wrong); `closed_size` and `closed_root` are those of its last checkpoint.
"""

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("generation", Integer, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("note", Text),
    Column("settled_at", BigInteger),
)
"""Tree sizes that this node commits to. A row is committed before it is signed; `note` is the note signed by the log
alone, `settled_at` the quorum's time once there are enough cosignatures.
"""

Index(
    "checkpoints_unsigned",
    CHECKPOINTS.c.generation,
    CHECKPOINTS.c.size,
    sqlite_where=CHECKPOINTS.c.note.is_(None),
    postgresql_where=CHECKPOINTS.c.note.is_(None),
)
Index(
    "checkpoints_settled",
    CHECKPOINTS.c.generation,
    CHECKPOINTS.c.size,
    sqlite_where=CHECKPOINTS.c.settled_at.is_not(None),
    postgresql_where=CHECKPOINTS.c.settled_at.is_not(None),
)

COSIGNATURES = Table(
    "cosignatures",
    METADATA,
    Column("generation", Integer, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("witness", Text, primary_key=True),
    Column("cosigned_at", BigInteger, nullable=False),
    Column("line", Text, nullable=False),
)
"""What the witnesses, by entity id, said to a checkpoint: the signature line as it came."""

TILES = Table(
    "tiles",
    METADATA,
    Column("generation", Integer, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
)
"""C2SP tlog-tiles: up to 256 hashes of 32 bytes; level -1 are the entry bundles (leaf data of 33 bytes each). The last
of each level may be partial and is rewritten with the checkpoint that makes it longer.
"""

WITNESSED = Table(
    "witnessed",
    METADATA,
    Column("origin", Text, primary_key=True),
    Column("entity_id", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("cosigned_at", BigInteger, nullable=False),
    Index("witnessed_entity_id", "entity_id", "generation"),
)
"""As a witness: the last checkpoint of each peer's log that this node cosigned, for each generation of that log."""

LOG_CONFLICTS = Table(
    "log_conflicts",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("known", Text, nullable=False),
    Column("offered", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("settled_at", BigInteger),
    Index("log_conflicts_entity_id", "entity_id", "at"),
    Index(
        "log_conflicts_open",
        "id",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
    Index(
        "log_conflicts_open_kind",
        "kind",
        "id",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)
"""What a log did that no log may do: a fork, a shrunk tree, a bad proof, an altered or missing record. `known` and
`offered` are the two signed things that contradict each other; `digest` keeps the same conflict from being told twice;
`settled_at` is when an operator took note, or when the log showed that it extends what was known.
"""

DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("purpose", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)
"""Secret keys of the store, wrapped by the key-encryption key: ``records`` wrap the keys of single records, ``holders``
make the keyed hashes by which a holder is found. The newest one that is not retired is used for what is new.
"""

HOLDERS_SEGMENT: Final = 4096
"""Log indices of one segment of `HOLDERS`. More make a search for a holder faster and each exchange dearer."""

HOLDERS = Table(
    "holders",
    METADATA,
    Column("segment", _BIG, primary_key=True, autoincrement=False),
    Column("holder", LargeBinary, primary_key=True),
    Column("log_index", _BIG, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Whose papers an exchange was about: the keyed hash (the data key's id in 2 bytes, 16 bytes of HMAC-SHA-256), and the
log index of the exchange's request. Hashes are in no order, so that one index of all of them would have each exchange
change pages all over it, the more the longer the log is. So `segment` comes first, which is the log index by
`HOLDERS_SEGMENT`: what is written stays in a few pages, and a search looks into each segment (`holder_index`).
"""

RECONCILIATIONS = Table(
    "reconciliations",
    METADATA,
    Column("peer", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("checked_at", BigInteger, nullable=False),
    Column("exchanges", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Index("reconciliations_state", "peer", "state", "hour"),
)
"""What comparing one hour with one peer came to; `findings` is JSON, empty (``[]``) when both logs say the same."""

ARCHIVES = Table(
    "archives",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("first_index", BigInteger, nullable=False),
    Column("last_index", BigInteger, nullable=False),
    Column("from_at", BigInteger, nullable=False),
    Column("until_at", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("written_at", BigInteger, nullable=False),
    Column("emptied_at", BigInteger),
    Column("operations", Text, nullable=False),
    Column("forgotten_at", BigInteger),
    Index("archives_last_index", "last_index"),
)
"""Archive files, by name below the archive folder; `emptied_at` is when their records left the database. `sha256` is
that of the evidence file inside, `operations` those of which there is content in it, by comma; `forgotten_at` is when
the file went because nothing in it was to be kept any longer.
"""
