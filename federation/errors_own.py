"""The errors `own.*`: the caller's or this node's fault. Imported from `federation.errors`."""

from __future__ import annotations

from federation.error_class import FederationError

__all__ = [
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
]


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
