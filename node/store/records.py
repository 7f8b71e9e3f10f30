"""Records as readers get them: a narrow row, its label, its body.

`RECORD_ROWS` is the query to add conditions to; `META_ROWS` is the same without the bodies, for lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select

from federation.errors import OwnRecordDamaged
from federation.ports import ExchangeMeta, RecordKind, StoredRecord
from federation.query import Operation
from node.store.bodies import IN_CLEAR, Bodies, Body, BodyLost, split_body
from node.store.tables import BODIES, LABELS, RECORDS
from node.store.times import from_micros

__all__ = ["META_ROWS", "RECORD_ROWS", "RecordReader", "meta_of"]

_LABEL = [column for column in LABELS.c if column.name not in ("label", "kind")]

META_ROWS: Select[Any] = select(RECORDS, *_LABEL).join(LABELS, LABELS.c.label == RECORDS.c.label)
RECORD_ROWS: Select[Any] = META_ROWS.add_columns(BODIES.c.sealed).outerjoin(
    BODIES, BODIES.c.log_index == RECORDS.c.log_index
)

_NOTHING = Body(b"", b"")


def meta_of(row: Mapping[Any, Any]) -> ExchangeMeta:
    """By what a row of either query is found."""
    return ExchangeMeta(
        request_id=row["request_id"],
        asking=row["asking"],
        answering=row["answering"],
        operation=Operation(row["operation"]),
        client=row["client"],
        outcome=row["outcome"],
        case_number=row["case_number"],
    )


class RecordReader:
    """Reads rows of `RECORD_ROWS`; forgotten records, and those whose key is lost, have neither salt nor envelope."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    def body(self, row: Mapping[Any, Any]) -> Body:
        """Salt and envelope of a row with `key_id`, `wrapped` and `sealed`. Raises OwnRecordDamaged."""
        sealed = row["sealed"]
        if sealed is None:
            # Neither is there for a claim that has no answer yet.
            if row["key_id"] not in (None, IN_CLEAR) or row["wrapped"]:
                raise OwnRecordDamaged(
                    "its body is gone from the store, and was not forgotten: its key is there"
                )
            return _NOTHING
        try:
            return split_body(self._bodies.open(row["key_id"], bytes(row["wrapped"]), bytes(sealed)))
        except BodyLost:
            return _NOTHING

    def read(self, row: Mapping[Any, Any]) -> StoredRecord:
        """The record as it lies in the log. Raises OwnRecordDamaged."""
        body = self.body(row)
        return StoredRecord(
            log_index=row["log_index"],
            kind=RecordKind(row["kind"]),
            meta=meta_of(row),
            recorded_at=from_micros(row["recorded_at"]),
            identity=bytes(row["identity"]),
            envelope=body.envelope,
            salt=body.salt,
            leaf=bytes(row["leaf"]),
            generation=row["generation"],
        )
