"""Which answer belongs to which request that this node was asked.

A request id is one asking node's alone, and even that one may send it again for other bytes, which are refused, signed
and stored. So an exchange is found by who asked and the id together; and within those, answers follow in the order of
their requests, since both of each are stored in one transaction in which requests go before answers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Select, case, func, select

from federation.ports import RecordKind
from node.store.tables import LABELS, RECORDS

__all__ = ["answers_given"]

_R, _L = RECORDS.c, LABELS.c
_HEARD: Final = int(RecordKind.ANSWERED_REQUEST)
_GAVE: Final = int(RecordKind.ANSWERED_ANSWER)


def answers_given(indices: Collection[int]) -> Select[Any]:
    """`heard` and `gave`: of the requests at these log indices that this node was asked, each with its answer's."""
    mine = select(_R.request_id).where(_R.log_index.in_(indices), _R.kind == _HEARD)
    place = func.row_number().over(partition_by=(_R.request_id, _L.asking, _R.kind), order_by=_R.log_index)
    # Plus nothing, so that labels are looked up for records, and never records for labels.
    of_these = select(_R.log_index, _R.request_id, _R.kind, _L.asking, place.label("place"))
    of_these = of_these.join(LABELS, _L.label == _R.label + 0)
    of_these = of_these.where(_R.request_id.in_(mine), _R.kind.in_((_HEARD, _GAVE)))
    placed = of_these.subquery().c
    # Grouped and not joined with itself: that would take the square of how often an id was used.
    heard = func.max(case((placed.kind == _HEARD, placed.log_index)))
    gave = func.max(case((placed.kind == _GAVE, placed.log_index)))
    pairs = select(heard.label("heard"), gave.label("gave"))
    pairs = pairs.group_by(placed.request_id, placed.asking, placed.place)
    return pairs.having(heard.in_(indices), gave.is_not(None))
