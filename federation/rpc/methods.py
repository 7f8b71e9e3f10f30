"""One table with every method that this node answers: who may call it, what it carries, its limits.

A method without a row is refused (`peer.method_refused`), whoever calls. The size limit is checked on the
raw bytes before they are parsed. A test holds the table against the services of the .proto files, both
ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from federation.query import Operation

__all__ = ["EXCHANGE", "FETCH_ANSWER", "METHODS", "Caller", "Kind", "Method", "unary_method"]


class Caller(StrEnum):
    """Who may call; everyone has shown a TLS certificate of the federation's CA first."""

    MEMBER = "member"
    """A peer in good standing now."""
    ENROLLED = "enrolled"
    """Whoever holds such a TLS certificate: also a revoked node may ask whether we are alive."""


class Kind(Enum):
    """Which handler a method has."""

    FRAME = "frame"
    OPERATION = "operation"
    FETCH = "fetch"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class Method:
    """One row.

    `max_bytes` None: the node's own message limit, which gRPC holds. `operation` is what the payload must
    be, None where the method does not say.
    """

    name: str
    caller: Caller
    kind: Kind
    max_bytes: int | None
    deadline_s: float
    operation: Operation | None = None


_KIB: Final = 1024
EXCHANGE: Final = "/yrd.exchange.v1.ExchangeService/Exchange"
FETCH_ANSWER: Final = "/yrd.exchange.v1.ExchangeService/FetchAnswer"


def _unary(name: str, operation: Operation, max_bytes: int) -> Method:
    return Method(name, Caller.MEMBER, Kind.OPERATION, max_bytes, 30.0, operation)


def _standard(name: str, caller: Caller, max_bytes: int, deadline_s: float) -> Method:
    return Method(name, caller, Kind.STANDARD, max_bytes, deadline_s)


_ROWS: Final = (
    Method(EXCHANGE, Caller.MEMBER, Kind.FRAME, None, 30.0),
    Method(FETCH_ANSWER, Caller.MEMBER, Kind.FETCH, _KIB, 10.0),
    _unary("/yrd.certificates.v1.CertificatesService/Query", Operation.CERTIFICATES_QUERY, 64 * _KIB),
    _unary("/yrd.certificates.v1.CertificatesService/Get", Operation.CERTIFICATES_GET, 64 * _KIB),
    _unary("/yrd.certificates.v1.CertificatesService/Verify", Operation.CERTIFICATES_VERIFY, 256 * _KIB),
    _unary("/yrd.certificates.v1.CertificatesService/Types", Operation.CERTIFICATES_TYPES, 32 * _KIB),
    _unary("/yrd.services.v1.ServicesService/Search", Operation.SERVICES_SEARCH, 64 * _KIB),
    _unary("/yrd.services.v1.ServicesService/Get", Operation.SERVICES_GET, 64 * _KIB),
    _unary("/yrd.state.v1.StateService/State", Operation.NODE_STATE, 32 * _KIB),
    _unary("/yrd.evidence.v1.EvidenceService/Roots", Operation.EVIDENCE_ROOTS, 32 * _KIB),
    _unary("/yrd.evidence.v1.EvidenceService/Records", Operation.EVIDENCE_RECORDS, 32 * _KIB),
    _unary("/yrd.evidence.v1.EvidenceService/HolderRecord", Operation.HOLDER_RECORD, 64 * _KIB),
    _standard("/grpc.health.v1.Health/Check", Caller.ENROLLED, _KIB, 5.0),
    _standard("/grpc.health.v1.Health/Watch", Caller.ENROLLED, _KIB, 3600.0),
    _standard(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Caller.MEMBER, 4 * _KIB, 60.0
    ),
)

METHODS: Final[Mapping[str, Method]] = MappingProxyType({row.name: row for row in _ROWS})
_UNARY: Final = {row.operation: row.name for row in _ROWS if row.operation is not None}


def unary_method(operation: Operation) -> str:
    """The full name of the unary method of an operation."""
    return _UNARY[operation]
