"""Small pieces of an exchange for tests of the store: metas, claims, sealed requests."""

from __future__ import annotations

from itertools import count
from uuid import UUID

from federation.ports import Claim, ExchangeMeta
from federation.query import Operation
from trust.envelope import Sealed, seal
from trust.keys import SigningKey

__all__ = ["ANSWERING", "ASKING", "OPERATION", "claim_of", "meta_of", "next_request_id", "request_of"]

ASKING = "https://node.sh.example"
ANSWERING = "https://node.zj.example"
OPERATION = Operation.CERTIFICATES_QUERY

_numbers = count(1)
_ASKING_KEY = SigningKey.generate()


def next_request_id() -> str:
    """A UUIDv7 that no other test of this process has."""
    return str(UUID(int=(0x0193_0000_0000_7000_8000_0000_0000_0000 + next(_numbers))))


def meta_of(request_id: str, *, client: str = "", outcome: str = "", case_number: str = "") -> ExchangeMeta:
    """What an exchange between the two nodes is found by."""
    return ExchangeMeta(
        request_id=request_id,
        asking=ASKING,
        answering=ANSWERING,
        operation=OPERATION,
        client=client,
        outcome=outcome,
        case_number=case_number,
    )


def request_of(request_id: str, content: str = "question") -> Sealed:
    """A request signed by the asking node; its bytes depend on id and content only in the payload."""
    return seal(OPERATION.request_type, f"{content} {request_id}".encode(), _ASKING_KEY)


def claim_of(request: Sealed, request_id: str, *, lease_s: float = 10.0) -> Claim:
    """Check 7 for that request."""
    return Claim(asking=ASKING, request_id=request_id, identity=request.identity, lease_s=lease_s)
