"""The one error vocabulary: class ↔ code ↔ gRPC status ↔ HTTP status ↔ text for people.

A code is ``who.what``: whose fault it is, so that the reader knows whose turn it is. `own.*` is the caller or this
node, `peer.*` the other node, `registry.*` a province's registry, `access.*` a rule that said no, `trust.*` the
federation's statements. Anything that is not in the table is `internal` with an incident id; its details stay in
the log. `detail` is always written by us: it names what was wrong and what to do, never a holder's number, a token
or a key.
"""

from __future__ import annotations

from federation.error_class import FederationError
from federation.error_table import TABLE, Row
from federation.errors_own import (
    OwnBadValue,
    OwnBusy,
    OwnDeadline,
    OwnForbidden,
    OwnIdempotencyConflict,
    OwnInProgress,
    OwnKeyUnavailable,
    OwnLogClosed,
    OwnMalformedRequest,
    OwnMethodNotAllowed,
    OwnNotFound,
    OwnOverQuota,
    OwnOwnProvince,
    OwnRecordDamaged,
    OwnShuttingDown,
    OwnStoreUnavailable,
    OwnTokenExpired,
    OwnTooLarge,
    OwnUnauthenticated,
    OwnUnknownCode,
    OwnUnknownProvince,
    OwnUnsupportedMedia,
)
from federation.errors_peer import (
    PeerBadSignature,
    PeerBusy,
    PeerChainExpired,
    PeerDenied,
    PeerExpired,
    PeerForeignKey,
    PeerFromFuture,
    PeerInProgress,
    PeerInternal,
    PeerMalformed,
    PeerMethodRefused,
    PeerNoAnswer,
    PeerOverQuota,
    PeerReplayed,
    PeerRevoked,
    PeerSignatureForm,
    PeerStale,
    PeerTimeout,
    PeerTlsIdentity,
    PeerTooLarge,
    PeerTwoSignatures,
    PeerUnknown,
    PeerUnknownCritical,
    PeerUnreachable,
    PeerUnsupportedType,
    PeerWrongAnswer,
    PeerWrongAsker,
    PeerWrongAudience,
    PeerWrongOperation,
)
from trust.errors import TrustError

__all__ = [
    "TABLE",
    "AccessConsentExpired",
    "AccessConsentMismatch",
    "AccessConsentMissing",
    "AccessConsentRejected",
    "AccessConsentSelfIssued",
    "AccessConsentStatusOld",
    "AccessConsentUnsupported",
    "AccessConsentUsedUp",
    "AccessConsentWithdrawn",
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


class AccessDenied(FederationError):
    """No access rule allows this."""

    code = "access.denied"


class AccessConsentUnsupported(FederationError):
    """A consent is no basis for this operation."""

    code = "access.consent_unsupported"


class AccessConsentMissing(FederationError):
    """The basis is a consent, and there is none."""

    code = "access.consent_missing"


class AccessConsentRejected(FederationError):
    """The consent has not its form, or is not signed by a home node of the federation."""

    code = "access.consent_rejected"


class AccessConsentMismatch(FederationError):
    """The consent is for something else."""

    code = "access.consent_mismatch"


class AccessConsentSelfIssued(FederationError):
    """The asking node issued the consent to itself, and no rule allows that."""

    code = "access.consent_self_issued"


class AccessConsentExpired(FederationError):
    """The consent has ended."""

    code = "access.consent_expired"


class AccessConsentWithdrawn(FederationError):
    """The holder withdrew the consent."""

    code = "access.consent_withdrawn"


class AccessConsentUsedUp(FederationError):
    """The consent was used as often as it may be."""

    code = "access.consent_used_up"


class AccessConsentStatusOld(FederationError):
    """Nobody knows whether the consent was withdrawn: the home node's status list is missing or too old."""

    code = "access.consent_status_old"


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
