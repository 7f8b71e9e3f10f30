"""The verdict on a certificate that someone presents, from the one the registry holds. Shared words only.

1. The registry has none with that id: unknown.
2. The digest of the face differs, or an element of it: altered, with the names where they are known.
3. The state is another than in force, or the end of validity is past: not valid, with state and date.
4. Otherwise valid. A registry that keeps no state is taken to hold what is in force.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from federation.face import differing_names, face_digest
from federation.query import Certificate, CertificateVerify, Verdict, VerifyAnswer
from mapping.element import Relation

__all__ = ["verdict_on"]

_IN_FORCE = "01"
_LAPSED = "05"
"""Certificate states of GB/T 36903: 有效, 失效."""

_CHINA = timezone(timedelta(hours=8))
_STATE_DATE = "状态日期"
_NOT_READ = (Relation.UNMAPPED, Relation.INVALID)


def verdict_on(presented: CertificateVerify, held: Certificate | None, now: datetime) -> VerifyAnswer:
    """What the presented certificate is at this moment; days are those of China's clock."""
    if held is None:
        return VerifyAnswer(Verdict.UNKNOWN)
    differing = differing_names(presented.face, held.elements)
    if differing or (presented.digest and presented.digest != face_digest(held.elements)):
        return VerifyAnswer(Verdict.ALTERED, altered=differing)
    values = {element.name: element.value for element in held.elements}
    state = values.get("证照状态") or _IN_FORCE
    if state != _IN_FORCE:
        return VerifyAnswer(Verdict.NOT_VALID, state, _state_on(held))
    ends_on = values.get("有效期截止日期", "")
    if _is_past(ends_on, now):
        return VerifyAnswer(Verdict.NOT_VALID, _LAPSED, ends_on)
    return VerifyAnswer(Verdict.VALID)


def _state_on(held: Certificate) -> str:
    """Since when the state holds, where the registry says it in a way that can be read."""
    days = (e.value for e in held.elements if e.name == _STATE_DATE and e.relation not in _NOT_READ)
    return next(days, "")


def _is_past(day: str, now: datetime) -> bool:
    """Whether an ISO day is over; a certificate is valid to the end of its last day. 长期 never is."""
    try:
        return date.fromisoformat(day) < now.astimezone(_CHINA).date()
    except ValueError:
        return False
