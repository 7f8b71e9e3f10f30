"""The errors `peer.*`: the other node's fault. Imported from `federation.errors`."""

from __future__ import annotations

from federation.error_class import FederationError

__all__ = [
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
]


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
