"""Checks 1 to 6 of the answering node: what is believed before anything is claimed, looked up or signed.

They are listed in `federation.answer`. Each is a step that returns or raises; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from federation.bodies import OPERATIONS
from federation.errors import (
    PeerMalformed,
    PeerOverQuota,
    PeerUnsupportedType,
    PeerWrongAsker,
    PeerWrongAudience,
    PeerWrongOperation,
)
from federation.exchange import ExchangeLimits, ExchangeParts, check_request_time
from federation.peers import Peer
from federation.query import Operation, Request, RequestHeader
from federation.quota import TokenBuckets
from federation.request_ids import time_of_request_id
from trust.envelope import Opened, Sealed, parse, unseal
from trust.errors import ForeignKey

__all__ = ["Admission", "Asked"]


class Asked(Struct, frozen=True):
    """A request that passed checks 1 to 6. Only `Admission.admit` makes one."""

    peer: Peer
    opened: Opened
    request: Request

    @property
    def sealed(self) -> Sealed:
        """The envelope as it came."""
        return self.opened.sealed

    @property
    def identity(self) -> bytes:
        """What the request is known by: SHA-256 of its PAE."""
        return self.opened.identity

    @property
    def header(self) -> RequestHeader:
        """The request's header."""
        return self.request.header


class Admission:
    """The first six checks, with the quota that the second one draws from."""

    def __init__(
        self, parts: ExchangeParts, *, request_refresh: Callable[[str], object], now_s: Callable[[], float]
    ) -> None:
        limits = parts.limits
        self._parts = parts
        self._request_refresh = request_refresh
        self._quota = TokenBuckets(limits.peer_quota_per_s, limits.peer_quota_burst, now_s=now_s)

    def admit(self, envelope: bytes, tls_peer: str, method_operation: Operation | None) -> Asked:
        """The request in these bytes, after checks 1 to 6. Raises the error of the check that refuses."""
        sealed = parse(envelope, max_bytes=self._parts.limits.message_in_bytes)  # 1
        peer = self.require_peer(tls_peer)  # 2
        operation = _known_operation(sealed.payload_type)
        opened = self._unseal(sealed, peer)  # 3, 4
        request = self._parts.codec.decode_request(sealed.payload_type, opened.payload)
        self._check_header(request.header, tls_peer, operation, method_operation)  # 5
        check_request_time(request.header, self._parts.clock.now(), self._parts.limits)  # 6
        _check_id_time(request.header, self._parts.limits)
        return Asked(peer, opened, request)

    def require_peer(self, tls_peer: str) -> Peer:
        """The peer behind a TLS identity, in good standing and within its quota.

        Standing comes first: who is no member gets no bucket. Raises PeerUnknown, PeerRevoked, PeerDenied,
        PeerChainExpired, PeerOverQuota.
        """
        peer = self._parts.directory.current.peer(tls_peer)
        peer.require_standing(self._parts.clock.now())
        wait_s = self._quota.take(tls_peer)
        if wait_s:
            raise PeerOverQuota(f"the quota of {tls_peer} is used up; try again in {wait_s:.3f} s")
        return peer

    def _unseal(self, sealed: Sealed, peer: Peer) -> Opened:
        try:
            return unseal(sealed, keys=peer.envelope_keys)
        except ForeignKey:
            # The peer may have a new key that the last refresh did not see; the asker repeats once.
            self._request_refresh(peer.entity_id)
            raise

    def _check_header(
        self,
        header: RequestHeader,
        tls_peer: str,
        operation: Operation,
        method_operation: Operation | None,
    ) -> None:
        if header.asking != tls_peer:
            raise PeerWrongAsker(f"the header names {header.asking[:200]}; {tls_peer} signed and sent it")
        own_entity = self._parts.directory.current.own_entity
        if header.answering != own_entity:
            raise PeerWrongAudience(f"the message is for {header.answering[:200]}; this is {own_entity}")
        if header.operation is not operation:
            raise PeerWrongOperation(f"the header says {header.operation}, the payload type {operation}")
        if method_operation is not None and operation is not method_operation:
            raise PeerWrongOperation(f"{operation} was sent to the method of {method_operation}")


def _check_id_time(header: RequestHeader, limits: ExchangeLimits) -> None:
    """Both logs are compared by the hour in the request id: no exchange may lie in an hour that is not its own.

    Raises PeerMalformed when the id's time is farther from `asked_at` than any request is old.
    """
    id_at = time_of_request_id(header.request_id)
    most_s = limits.skew_s + limits.request_life_s
    if abs((header.asked_at - id_at).total_seconds()) > most_s:
        raise PeerMalformed(
            f"request_id is of {id_at.isoformat()}, asked_at is {header.asked_at.isoformat()}; "
            f"at most {most_s:g} s may lie between them"
        )


def _known_operation(payload_type: str) -> Operation:
    operation = OPERATIONS.get(payload_type)
    if operation is None:
        raise PeerUnsupportedType(f"payload type {payload_type[:120]!r} is not known to this version")
    return operation
