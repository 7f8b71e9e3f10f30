"""Somebody with the database, the key-encryption key and the log's key, who edits a node's log while it is stopped.

What an edit needs so that the node itself sees nothing is done as well: identities and leaves, and with `rebuild` the
tiles, the roots of the checkpoints (the node signs them anew) and the mark. What is left of the cosignatures stays,
since an insider cannot make any.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from federation.ports import RecordKind
from federation.query import Request
from federation.rpc.convert import ProtobufCodec
from node.cli.evidence_ground import opened_evidence
from node.config import read_config
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.bodies import split_body
from node.store.log_mark import MARK_FILE
from trust.envelope import parse, seal
from trust.evidence import leaf_data
from trust.keys import Signer
from trust.merkle import Frontier, leaf_hash
from trust.tiles import extend_tiles

__all__ = ["Insider", "store_of"]

_MOST_BYTES = 1 << 20
_CODEC = ProtobufCodec()


@contextmanager
def store_of(config: Path) -> Iterator[sqlite3.Connection]:
    """A node's database, behind its back."""
    with closing(sqlite3.connect(config.with_name("node.db"), timeout=5)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


class Insider:
    """Edits the log of one node that is stopped, or its bodies while it runs."""

    def __init__(
        self, config: Path, store: sqlite3.Connection, bodies: EncryptedBodies, signer: Signer
    ) -> None:
        self._config = config
        self._store = store
        self._bodies = bodies
        self._signer = signer

    @classmethod
    @asynccontextmanager
    async def at(cls, config: Path) -> AsyncIterator[Insider]:
        """With all keys of the node; what was done is committed at the end."""
        async with opened_evidence(read_config(config)) as ground:
            with store_of(config) as store:
                yield cls(
                    config, store, EncryptedBodies(ground.data_keys), ground.keystore.signing_key("envelope")
                )

    # --- bodies ---

    def scratch(self, request_id: str) -> None:
        """Change a byte of what is stored of an answer, without any key."""
        index = self._row(request_id, RecordKind.ANSWERED_ANSWER)["log_index"]
        (sealed,) = self._store.execute("SELECT sealed FROM bodies WHERE log_index = ?", (index,)).fetchone()
        changed = sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:]
        self._store.execute("UPDATE bodies SET sealed = ? WHERE log_index = ?", (changed, index))

    def rewrite(self, request_id: str) -> None:
        """Have an answer given half a minute before it was, signed by the node's own key and hashed as if it had."""
        row = self._row(request_id, RecordKind.ANSWERED_ANSWER)
        body = split_body(self._bodies.open(row["key_id"], row["wrapped"], row["sealed"]))
        sealed = parse(body.envelope, max_bytes=_MOST_BYTES)
        answer = _CODEC.decode_answer(sealed.payload_type, sealed.payload)
        earlier = replace(answer.header, answered_at=answer.header.answered_at - timedelta(seconds=30))
        changed = replace(answer, header=earlier)
        envelope = seal(sealed.payload_type, _CODEC.encode_answer(changed), self._signer).envelope
        self._write(row, body.salt, envelope)

    def _row(self, request_id: str, kind: RecordKind) -> sqlite3.Row:
        query = "SELECT * FROM records JOIN bodies USING (log_index) WHERE request_id = ? AND kind = ?"
        row: sqlite3.Row = self._store.execute(query, (request_id, kind)).fetchone()
        return row

    def _write(self, row: Mapping[str, Any] | sqlite3.Row, salt: bytes, envelope: bytes) -> None:
        found = self._bodies.seal([salt + envelope])
        values = {
            "key_id": found.key_id,
            "wrapped": found.wrapped[0],
            "identity": parse(envelope, max_bytes=_MOST_BYTES).identity,
            "leaf": leaf_data(row["kind"], row["recorded_at"], envelope, salt),
        }
        self._update("records", row["log_index"], values)
        self._update("bodies", row["log_index"], {"sealed": found.sealed[0]})

    def _update(self, table: str, index: int, values: dict[str, Any]) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._store.execute(f"UPDATE {table} SET {names} WHERE log_index = ?", (*values.values(), index))

    # --- records ---

    def cut_off(self, count: int) -> Sequence[str]:
        """Take the last records out; the request ids of those."""
        size = self._size() - count
        gone = self._store.execute("SELECT request_id FROM records WHERE log_index >= ?", (size,)).fetchall()
        for table in ("records", "bodies", "holders"):
            self._store.execute(f"DELETE FROM {table} WHERE log_index >= ?", (size,))
        self._store.execute("DELETE FROM claims WHERE answer >= ?", (size,))
        for table in ("checkpoints", "cosignatures"):
            self._store.execute(f"DELETE FROM {table} WHERE size > ?", (size,))
        new = (
            "INSERT OR IGNORE INTO checkpoints SELECT 1, ?, x'00', max(made_at), NULL, NULL FROM checkpoints"
        )
        self._store.execute(new, (size,))
        return [request_id for (request_id,) in gone]

    def invent_before(self, request_id: str) -> str:
        """Put a record in before a question that was answered: one of this node's own, signed by its own key, which
        was never asked; its request id.
        """
        like, invented = self._row(request_id, RecordKind.ANSWERED_REQUEST), f"{request_id[:-4]}beef"
        asked = self._request(like)
        header = replace(
            asked.header, request_id=invented, asking=asked.header.answering, answering=asked.header.asking
        )
        body = split_body(self._bodies.open(like["key_id"], like["wrapped"], like["sealed"]))
        payload = _CODEC.encode_request(replace(asked, header=header))
        envelope = seal(header.operation.request_type, payload, self._signer).envelope
        index = like["log_index"]
        for table, column in (("records", "log_index"), ("bodies", "log_index"), ("holders", "log_index")):
            self._shift(table, column, index)
        self._shift("claims", "answer", index)
        kind = RecordKind.ASKED_REQUEST
        label = self._label(kind, like["label"])
        changed = {"request_id": invented, "kind": int(kind), "label": label}
        row = {**{name: like[name] for name in self._columns("records")}, **changed}
        self._insert("records", row)
        self._insert("bodies", {"log_index": index, "sealed": b""})
        self._write(row, body.salt, envelope)
        return invented

    def _request(self, row: sqlite3.Row) -> Request:
        body = split_body(self._bodies.open(row["key_id"], row["wrapped"], row["sealed"]))
        sealed = parse(body.envelope, max_bytes=_MOST_BYTES)
        return _CODEC.decode_request(sealed.payload_type, sealed.payload)

    def _label(self, kind: RecordKind, like: int) -> int:
        """The label of a question the other way round."""
        row = self._store.execute("SELECT * FROM labels WHERE label = ?", (like,)).fetchone()
        (newest,) = self._store.execute("SELECT max(label) FROM labels").fetchone()
        turned = {"asking": row["answering"], "answering": row["asking"]}
        self._insert("labels", {**dict(row), **turned, "label": newest + 1, "kind": int(kind)})
        return int(newest) + 1

    def _columns(self, table: str) -> Sequence[str]:
        return [row["name"] for row in self._store.execute(f"PRAGMA table_info({table})")]

    def _insert(self, table: str, values: Mapping[str, Any]) -> None:
        names, marks = ", ".join(values), ", ".join("?" for _ in values)
        self._store.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))

    def _shift(self, table: str, column: str, index: int) -> None:
        """One place on; by way of numbers below zero, since each may be there only once."""
        away = f"UPDATE {table} SET {column} = -{column} - 2 WHERE {column} >= ?"
        self._store.execute(away, (index,))
        self._store.execute(f"UPDATE {table} SET {column} = -{column} - 1 WHERE {column} < -1")

    def _size(self) -> int:
        (newest,) = self._store.execute("SELECT max(log_index) FROM records").fetchone()
        return int(newest) + 1

    # --- the tree ---

    def rebuild(self) -> None:
        """Make tiles and roots of what the records are now, and forget what was signed."""
        leaves = [leaf for (leaf,) in self._store.execute("SELECT leaf FROM records ORDER BY log_index")]
        frontier = Frontier()
        for row in self._store.execute("SELECT size, root FROM checkpoints ORDER BY size").fetchall():
            frontier = frontier.extended([leaf_hash(leaf) for leaf in leaves[frontier.size : row["size"]]])
            if frontier.root() != row["root"]:
                change = "UPDATE checkpoints SET root = ?, note = NULL WHERE size = ?"
                self._store.execute(change, (frontier.root(), row["size"]))
        self._store.execute("DELETE FROM tiles")
        for (level, position), hashes in extend_tiles(0, {}, leaves[: frontier.size]).tiles.items():
            self._store.execute("INSERT INTO tiles VALUES (1, ?, ?, ?)", (level, position, hashes))
        (self._config.parent / MARK_FILE).unlink()
