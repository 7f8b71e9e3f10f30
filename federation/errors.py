"""The one error vocabulary: class ↔ code ↔ gRPC status ↔ HTTP status ↔ text for people.

A code is ``who.what``: whose fault it is, so that the reader knows whose turn it is. `own.*` is the caller or this
node, `peer.*` the other node, `registry.*` a province's registry, `access.*` a rule that said no, `trust.*` the
federation's statements. Anything that is not in the table is `internal` with an incident id; its details stay in
the log. `detail` is always written by us: it names what was wrong and what to do, never a holder's number, a token
or a key.
"""

from __future__ import annotations

from typing import ClassVar

from federation.error_table import TABLE, Row
from trust.errors import TrustError

__all__ = [
    "TABLE",
    "AccessConsentUnsupported",
    "AccessDenied",
    "EvidenceBroken",
    "FederationError",
    "InternalError",
    "OwnBadValue",
    "OwnBusy",
    "OwnDeadline",
    "OwnForbidden",
    "OwnIdempotencyConflict",
    "OwnInProgress",
    "OwnKeyUnavailable",
    "OwnLogClosed",
    "OwnMalformedRequest",
    "OwnMethodNotAllowed",
    "OwnNotFound",
    "OwnOverQuota",
    "OwnOwnProvince",
    "OwnRecordDamaged",
    "OwnShuttingDown",
    "OwnStoreUnavailable",
    "OwnTokenExpired",
    "OwnTooLarge",
    "OwnUnauthenticated",
    "OwnUnknownCode",
    "OwnUnknownProvince",
    "OwnUnsupportedMedia",
    "PeerBadSignature",
    "PeerBusy",
    "PeerChainExpired",
    "PeerDenied",
    "PeerExpired",
    "PeerForeignKey",
    "PeerFromFuture",
    "PeerInProgress",
    "PeerInternal",
    "PeerMalformed",
    "PeerMethodRefused",
    "PeerNoAnswer",
    "PeerOverQuota",
    "PeerReplayed",
    "PeerRevoked",
    "PeerSignatureForm",
    "PeerStale",
    "PeerTimeout",
    "PeerTlsIdentity",
    "PeerTooLarge",
    "PeerTwoSignatures",
    "PeerUnknown",
    "PeerUnknownCritical",
    "PeerUnreachable",
    "PeerUnsupportedType",
    "PeerWrongAnswer",
    "PeerWrongAsker",
    "PeerWrongAudience",
    "PeerWrongOperation",
    "RegistryBadAnswer",
    "RegistryNotOffered",
    "RegistryTimeout",
    "RegistryUnreachable",
    "Row",
    "TrustAuthenticationRejected",
    "TrustChainBroken",
    "TrustChainExpired",
    "TrustKeyRejected",
    "TrustRolledBack",
    "TrustStatementRejected",
    "code_of",
    "detail_of",
    "error_from",
    "row_of",
]


class FederationError(Exception):
    """A refusal with a code of the table. `field` names the input it is about, when it is about one."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class OwnMalformedRequest(FederationError):
    """The request is malformed."""

    code = "own.malformed_request"


class OwnBadValue(FederationError):
    """A value in the request is not correct."""

    code = "own.bad_value"


class OwnUnknownCode(FederationError):
    """A code is not in the province's list."""

    code = "own.unknown_code"


class OwnUnknownProvince(FederationError):
    """There is no such province here."""

    code = "own.unknown_province"


class OwnOwnProvince(FederationError):
    """A node is not asked for its own province."""

    code = "own.own_province"


class OwnUnauthenticated(FederationError):
    """No valid access token."""

    code = "own.unauthenticated"


class OwnTokenExpired(FederationError):
    """The access token has expired."""

    code = "own.token_expired"


class OwnForbidden(FederationError):
    """This client does not have that right."""

    code = "own.forbidden"


class OwnNotFound(FederationError):
    """Not found."""

    code = "own.not_found"


class OwnMethodNotAllowed(FederationError):
    """That method is not offered here."""

    code = "own.method_not_allowed"


class OwnInProgress(FederationError):
    """The same request is still at work."""

    code = "own.in_progress"


class OwnIdempotencyConflict(FederationError):
    """Idempotency key used for another request."""

    code = "own.idempotency_conflict"


class OwnTooLarge(FederationError):
    """The request is too large."""

    code = "own.too_large"


class OwnUnsupportedMedia(FederationError):
    """The request must be JSON."""

    code = "own.unsupported_media"


class OwnOverQuota(FederationError):
    """Too many requests."""

    code = "own.over_quota"


class OwnBusy(FederationError):
    """The node is busy."""

    code = "own.busy"


class OwnStoreUnavailable(FederationError):
    """The store is unavailable; nothing was released."""

    code = "own.store_unavailable"


class OwnKeyUnavailable(FederationError):
    """The signing key cannot be reached; nothing was released."""

    code = "own.key_unavailable"


class OwnLogClosed(FederationError):
    """The log of evidence is closed; nothing was released. The detail says why."""

    code = "own.log_closed"


class OwnRecordDamaged(FederationError):
    """What the store holds of a record was altered, or its key was; the detail says which."""

    code = "own.record_damaged"


class OwnShuttingDown(FederationError):
    """The node is shutting down."""

    code = "own.shutting_down"


class OwnDeadline(FederationError):
    """No result in time; it can be fetched later."""

    code = "own.deadline"


class AccessDenied(FederationError):
    """No access rule allows this."""

    code = "access.denied"


class AccessConsentUnsupported(FederationError):
    """Consent as a basis is not supported yet."""

    code = "access.consent_unsupported"


class PeerUnknown(FederationError):
    """The peer is not a member of the federation."""

    code = "peer.unknown"


class PeerRevoked(FederationError):
    """The peer has been revoked."""

    code = "peer.revoked"


class PeerDenied(FederationError):
    """This node no longer trusts the peer."""

    code = "peer.denied"


class PeerChainExpired(FederationError):
    """The peer's trust chain has expired; the detail says since when and what to do."""

    code = "peer.chain_expired"


class PeerUnreachable(FederationError):
    """The peer cannot be reached."""

    code = "peer.unreachable"


class PeerTimeout(FederationError):
    """The peer did not answer in time; the answer can be fetched later."""

    code = "peer.timeout"


class PeerTlsIdentity(FederationError):
    """The peer's TLS identity does not fit."""

    code = "peer.tls_identity"


class PeerTooLarge(FederationError):
    """The message is too large."""

    code = "peer.too_large"


class PeerMalformed(FederationError):
    """The message is malformed."""

    code = "peer.malformed"


class PeerTwoSignatures(FederationError):
    """A message carries exactly one signature."""

    code = "peer.two_signatures"


class PeerSignatureForm(FederationError):
    """The signature has the wrong form."""

    code = "peer.signature_form"


class PeerOverQuota(FederationError):
    """The peer is over its quota."""

    code = "peer.over_quota"


class PeerUnsupportedType(FederationError):
    """Message type or version not supported."""

    code = "peer.unsupported_type"


class PeerUnknownCritical(FederationError):
    """A critical field is not known here."""

    code = "peer.unknown_critical"


class PeerForeignKey(FederationError):
    """The signing key is not the peer's."""

    code = "peer.foreign_key"


class PeerBadSignature(FederationError):
    """The signature is not valid."""

    code = "peer.bad_signature"


class PeerWrongAsker(FederationError):
    """The asking node named is not the signer."""

    code = "peer.wrong_asker"


class PeerWrongAudience(FederationError):
    """The message is for another node."""

    code = "peer.wrong_audience"


class PeerWrongOperation(FederationError):
    """The operation is not that of the method called."""

    code = "peer.wrong_operation"


class PeerExpired(FederationError):
    """The request has expired."""

    code = "peer.expired"


class PeerStale(FederationError):
    """The message is too old: compare clocks."""

    code = "peer.stale"


class PeerFromFuture(FederationError):
    """The message is from the future: compare clocks."""

    code = "peer.from_future"


class PeerReplayed(FederationError):
    """The same id was used for other content."""

    code = "peer.replayed"


class PeerInProgress(FederationError):
    """The same request is still at work."""

    code = "peer.in_progress"


class PeerNoAnswer(FederationError):
    """There is no finished answer to fetch."""

    code = "peer.no_answer"


class PeerWrongAnswer(FederationError):
    """The answer does not belong to the request."""

    code = "peer.wrong_answer"


class PeerMethodRefused(FederationError):
    """There is no such method."""

    code = "peer.method_refused"


class PeerBusy(FederationError):
    """The peer is busy."""

    code = "peer.busy"


class PeerInternal(FederationError):
    """The peer had an internal error."""

    code = "peer.internal"


class RegistryTimeout(FederationError):
    """The registry did not answer in time."""

    code = "registry.timeout"


class RegistryUnreachable(FederationError):
    """The registry cannot be reached."""

    code = "registry.unreachable"


class RegistryBadAnswer(FederationError):
    """The registry's answer cannot be understood."""

    code = "registry.bad_answer"


class RegistryNotOffered(FederationError):
    """The province does not offer this."""

    code = "registry.not_offered"


class TrustKeyRejected(FederationError):
    """A key is not acceptable."""

    code = "trust.key_rejected"


class TrustStatementRejected(FederationError):
    """A trust statement breaks a rule."""

    code = "trust.statement_rejected"


class TrustRolledBack(FederationError):
    """A trust statement was rolled back."""

    code = "trust.rolled_back"


class TrustChainBroken(FederationError):
    """No trust chain leads to the anchor."""

    code = "trust.chain_broken"


class TrustChainExpired(FederationError):
    """The trust chain has expired."""

    code = "trust.chain_expired"


class TrustAuthenticationRejected(FederationError):
    """A node's word that a holder is logged in there is not believed."""

    code = "trust.authentication_rejected"


class EvidenceBroken(FederationError):
    """The evidence does not hold."""

    code = "evidence.broken"


class InternalError(FederationError):
    """Internal error; give the incident id to the operator."""

    code = "internal"


_CLASSES: dict[str, type[FederationError]] = {cls.code: cls for cls in FederationError.__subclasses__()}


def error_from(code: str, detail: str = "", *, field: str = "") -> FederationError:
    """The error of that code, rebuilt from the wire. A code that is not in the table becomes `peer.internal`.

    `detail` came from a peer: it is kept for the reader, cut to 500 characters.
    """
    return _CLASSES.get(code, _CLASSES["peer.internal"])(detail[:500], field=field)


def code_of(error: BaseException) -> str:
    """The vocabulary code of any exception; `internal` for what is not ours."""
    if isinstance(error, FederationError | TrustError):
        return error.code
    return "internal"


def detail_of(error: BaseException) -> str:
    """The detail that may be shown; empty for what is not ours, since its text may hold anything."""
    return error.detail if isinstance(error, FederationError | TrustError) else ""


def row_of(error: BaseException) -> Row:
    """The table's line for any exception."""
    return TABLE[code_of(error)]
