"""Errors at the border: what a peer may be told, and what a peer told us.

Out: a refusal leaves as gRPC status, safe text of the table, and two trailers: ``yrd-error`` (code) and
``yrd-detail-bin`` (UTF-8). What is this node's own trouble is told as the peer's (`peer.busy`, or `internal`
with an incident id); so is anything that is not of the vocabulary, and where it arose stays in the log.

In: only codes that a peer can speak of are rebuilt; the rest becomes PeerInternal.
"""

from __future__ import annotations

import traceback
import uuid
from dataclasses import dataclass
from typing import Final

import grpc
import structlog

from federation.errors import (
    TABLE,
    FederationError,
    PeerInternal,
    PeerMethodRefused,
    PeerTimeout,
    PeerTlsIdentity,
    PeerTooLarge,
    code_of,
    detail_of,
    error_from,
)

__all__ = ["Refusal", "broken_connection", "error_of_call", "error_of_peer", "identity_fault", "refusal_of"]

_log = structlog.get_logger(__name__)

DETAIL_MAX: Final = 500
ERROR_TRAILER: Final = "yrd-error"
DETAIL_TRAILER: Final = "yrd-detail-bin"
_TOLD_AS_BUSY: Final = frozenset(
    {"own.busy", "own.key_unavailable", "own.log_closed", "own.store_unavailable", "own.shutting_down"}
)
_SPOKEN_BY_PEERS: Final = ("peer.", "access.", "registry.")
_TOLD_AS_IT_IS: Final = (*_SPOKEN_BY_PEERS, "trust.")
_BROKEN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What leaves: a code of the table and our own words about it."""

    code: str
    detail: str

    @property
    def status(self) -> grpc.StatusCode:
        """The table's gRPC status."""
        return grpc.StatusCode[TABLE[self.code].grpc]

    @property
    def text(self) -> str:
        """The table's safe text in English."""
        return TABLE[self.code].en

    @property
    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """Code and detail as trailing metadata."""
        return ((ERROR_TRAILER, self.code), (DETAIL_TRAILER, self.detail.encode()))


def refusal_of(error: Exception, *, method: str, tls_peer: str) -> Refusal:
    """What the peer is told about an error of this node; logs it, with its text only when it is not ours."""
    code = code_of(error)
    if code in _TOLD_AS_BUSY:
        _log.warning("refused", method=method, peer=tls_peer, code=code)
        return Refusal("peer.busy", TABLE[code].en)
    if code.startswith(_TOLD_AS_IT_IS):
        _log.info("refused", method=method, peer=tls_peer, code=code)
        return Refusal(code, detail_of(error)[:DETAIL_MAX])
    incident = str(uuid.uuid4())
    _log.error(
        "internal error",
        method=method,
        peer=tls_peer,
        code=code,
        incident=incident,
        kind=type(error).__name__,
        where=_where(error),
    )
    return Refusal("internal", f"incident {incident}")


def _where(error: Exception) -> list[str]:
    """The places that the error came through, without its text: that could hold anything, a number too."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def error_of_peer(code: str, detail: str) -> FederationError:
    """The error that a peer's refusal stands for here."""
    if code in TABLE and code.startswith(_SPOKEN_BY_PEERS):
        return error_from(code, detail)
    return PeerInternal(detail[:DETAIL_MAX] if code == "internal" else "the peer gave a code not known here")


def error_of_call(error: grpc.aio.AioRpcError) -> FederationError:
    """The error that a failed call stands for, other than a broken connection."""
    trailers = dict(error.trailing_metadata() or ())
    code = trailers.get(ERROR_TRAILER)
    if isinstance(code, str):
        detail = trailers.get(DETAIL_TRAILER, b"")
        return error_of_peer(code, detail.decode("utf-8", "replace") if isinstance(detail, bytes) else "")
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return PeerTimeout("the peer did not answer within the deadline; the answer can be fetched later")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return PeerTooLarge("the message is larger than one of the two sides takes")
        case grpc.StatusCode.UNIMPLEMENTED:
            return PeerMethodRefused("the peer does not offer this method")
        case status:
            return PeerInternal(f"the call ended with {status.name}")


def broken_connection(error: grpc.aio.AioRpcError) -> bool:
    """Whether the connection broke or was never made, so that the same may be sent again."""
    return error.code() in _BROKEN and ERROR_TRAILER not in dict(error.trailing_metadata() or ())


def identity_fault(error: grpc.aio.AioRpcError, *, target: str, tls_name: str) -> PeerTlsIdentity | None:
    """The handshake's refusal of the other side's identity, as far as gRPC tells it: in words only."""
    details = error.details() or ""
    if "is not in peer certificate" in details or "Hostname Verification" in details:
        return PeerTlsIdentity(
            f"{target} answered with a TLS certificate that is not {tls_name}'s; nothing was sent"
        )
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return PeerTlsIdentity(
            f"the TLS certificate of {target} is not one of the federation's; nothing was sent"
        )
    return None
