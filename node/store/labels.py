"""The labels of records (`tables.LABELS`) as the journal's writer knows them: most are asked for once a process."""

from __future__ import annotations

from typing import Final

from federation.ports import ExchangeMeta
from node.store.log_connection import LogConnection, Row

__all__ = ["MOST_LABELS", "Labels", "label_of"]

MOST_LABELS: Final = 4096
"""As many are remembered; beyond that all are asked for again."""


def label_of(kind: int, meta: ExchangeMeta) -> Row:
    """The label of a record, in the order of the columns of `labels`."""
    return (kind, meta.asking, meta.answering, meta.operation.value, meta.outcome, meta.client)


class Labels:
    """Numbers of labels. What a transaction met becomes known when it is committed."""

    def __init__(self) -> None:
        self._known: dict[Row, int] = {}
        self._met: dict[Row, int] = {}

    def number(self, connection: LogConnection, label: Row) -> int:
        """The number, inside a durable transaction."""
        number = self._known.get(label)
        if number is None:
            number = self._met.get(label)
        if number is None:
            number = self._met[label] = connection.label(label)
        return number

    def began(self) -> None:
        """A transaction begins: what another one met that was not committed is forgotten."""
        self._met.clear()

    def committed(self) -> None:
        """What was met is there for good."""
        if not self._met:
            return
        if len(self._known) + len(self._met) > MOST_LABELS:
            self._known.clear()
        self._known.update(self._met)
        self._met.clear()
