"""What a consent is worth: its checks at the answering node, in this order; code carries the same numbers.

 1. there is one, and it has its form
 2. its issuer is this node, or a member in good standing that offers logins
 3. it is signed with a provider key that the issuer's chain names
 4. it is not from the future, lives at most 30 days and has not ended
 5. this node is among those that may answer by it
 6. the node that asks (the signer of the request, and the TLS peer) is the one that may
 7. that node did not issue it itself, unless the access rule says ``own_consents = true``
 8. the platform is the one that may ask
 9. basis, service item, case and purpose are those that the holder agreed to
10. so is the certificate type; what the rule grants is cut to the consent's types and fields
11. the holder, decrypted with this node's key, is the one asked about; where a certificate is asked for by its id, its
    holder is compared as soon as it was looked up (`operations`)
12. the issuer's status list is known, not older than `status_max_age_s`, and does not say withdrawn
13. a use is left. Uses are counted by rows, one for each request by its identity: a repeat counts once, replicas count
    together, and the use of a request that was refused in the end is given back

The asking node goes through 1 to 10 and 12 before it asks, with the node that will answer in the place of "this node":
what would be refused does not leave. Only the answering node can do 11 and 13. Every refusal is `access.consent_…`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from msgspec import Struct

from federation.access import Grant
from federation.bodies import certificate_type_of
from federation.errors import (
    AccessConsentMismatch,
    AccessConsentMissing,
    AccessConsentRejected,
    AccessConsentSelfIssued,
    AccessConsentStatusOld,
    AccessConsentUsedUp,
    AccessConsentWithdrawn,
    FederationError,
    error_from,
)
from federation.peers import Directory
from federation.ports import Clock
from federation.query import BasisKind, CertificateQuery, Request, RequestHeader
from federation.status_lists import StatusLists, status_list_uri
from trust.consent import (
    Asking,
    Consent,
    check_bindings,
    check_time,
    read_consent,
    read_holder,
    verify_consent,
)
from trust.errors import ForeignKey, TrustError
from trust.keys import SigningKey, VerificationKey
from trust.recipient_keys import decrypt

__all__ = ["ConsentCheck", "ConsentSettings", "OwnConsents", "Shown", "Uses", "is_on_consent"]

_log = structlog.get_logger("yrd.consents")

STATUS_MAX_AGE_S: Final = 600.0


class Uses(Protocol):
    """Counts the uses of consents at this node. All raise OwnStoreUnavailable."""

    async def use(self, consent: Consent, request: bytes) -> bool:
        """Count a use by the request of that identity, unless it is counted already. False: none is left."""
        ...

    async def give_back(self, issuer: str, jti: str, request: bytes) -> None:
        """Take back what a request used, if it used any."""
        ...


class OwnConsents(Struct, frozen=True):
    """What this node has as an issuer, and as one that consents are encrypted to.

    `keys` are its provider keys by key id; `private_key` finds the key of a key id, None when it is not there.
    `is_valid` looks at the place in its own list, in the rows.
    """

    keys: Callable[[], Mapping[str, VerificationKey]]
    private_key: Callable[[str], SigningKey | None]
    is_valid: Callable[[int], Awaitable[bool]]


class ConsentSettings(Struct, frozen=True):
    """Named limits: how far clocks may differ, and how old a status list may be."""

    skew_s: float = 60.0
    status_max_age_s: float = STATUS_MAX_AGE_S


_DEFAULTS: Final = ConsentSettings()


class Shown(Struct, frozen=True):
    """A consent that holds: the grant cut to it, and which status list said so (`Decision.consent_status`)."""

    grant: Grant
    status: str


def is_on_consent(header: RequestHeader) -> bool:
    """Whether a request is asked on a holder's word."""
    return header.basis.kind is not BasisKind.OFFICIAL_DUTY


class ConsentCheck:
    """Checks consents on both sides of an exchange."""

    def __init__(
        self,
        directory: Directory,
        lists: StatusLists,
        uses: Uses,
        own: OwnConsents,
        clock: Clock,
        *,
        settings: ConsentSettings = _DEFAULTS,
        request_refresh: Callable[[str], object] = lambda _entity_id: None,
    ) -> None:
        """`request_refresh` has the keys of a member looked at in the background."""
        self._directory = directory
        self._lists = lists
        self._uses = uses
        self._own = own
        self._clock = clock
        self._settings = settings
        self._request_refresh = request_refresh

    async def require_to_ask(self, request: Request, grant: Grant) -> Grant:
        """What the asking node's rule grants, cut to the consent (1 to 10, 12). Raises `access.consent_…`."""
        consent = self._bound(request, grant)
        await self._status(consent)
        return _cut(grant, consent, None)

    async def require_to_answer(self, request: Request, grant: Grant, identity: bytes) -> Shown:
        """What is granted on the consent of a request (1 to 13), and one use of it is counted.

        `identity` is the request's. Raises `access.consent_…`, OwnStoreUnavailable; then nothing was counted.
        """
        consent = self._bound(request, grant)
        with _refusing():
            holder = self._holder(consent)  # 11
        body = request.body
        if isinstance(body, CertificateQuery) and (body.holder_id_type, body.holder_id) != holder:
            raise AccessConsentMismatch("the consent is for the certificates of another holder")
        status = await self._status(consent)
        if not await self._uses.use(consent, identity):  # 13
            raise AccessConsentUsedUp(
                f"the consent was used as often as it may be here: {consent.uses} times"
            )
        return Shown(_cut(grant, consent, holder), status)

    async def give_back(self, request: Request, identity: bytes) -> None:
        """Take back the use of a request that was refused in the end. Never raises: at worst it stays counted."""
        try:
            consent = read_consent(request.header.basis.consent).consent
            await self._uses.give_back(consent.iss, consent.jti, identity)
        except (TrustError, FederationError):
            _log.warning("use_not_given_back", request_id=request.header.request_id)

    # --- the steps ------------------------------------------------------------------------------------

    def _bound(self, request: Request, grant: Grant) -> Consent:
        header = request.header
        if not header.basis.consent:
            raise AccessConsentMissing(
                "basis.consent is empty: the home node gives one when the holder agrees"
            )
        with _refusing():
            unverified = read_consent(header.basis.consent)  # 1
            keys = self._issuer_keys(unverified.iss)  # 2
            try:
                consent = verify_consent(unverified, keys=keys)  # 3
            except ForeignKey:
                self._request_refresh(unverified.iss)
                raise AccessConsentRejected("the consent's key is not one of its issuer's") from None
            check_time(consent, self._clock.now(), skew_s=self._settings.skew_s)  # 4
            check_bindings(consent, _asking(request))  # 5, 6, 8, 9, 10
        if consent.iss == consent.asking and not grant.own_consents:  # 7
            raise AccessConsentSelfIssued(
                f"{consent.iss} issued the consent to itself, and rule {grant.rule} does not take such"
            )
        return consent

    def _issuer_keys(self, issuer: str) -> Mapping[str, VerificationKey]:  # 2
        snapshot = self._directory.current
        if issuer == snapshot.own_entity:
            return self._own.keys()
        try:
            peer = snapshot.peer(issuer)
            peer.require_standing(self._clock.now())
        except FederationError:
            raise AccessConsentRejected("the issuer of the consent is no member in good standing") from None
        if peer.openid is None:
            raise AccessConsentRejected("the issuer of the consent offers no logins")
        return peer.openid.provider_keys

    def _holder(self, consent: Consent) -> tuple[str, str]:  # 11
        def find(kid: str) -> SigningKey:
            key = self._own.private_key(kid)
            if key is None:
                raise AccessConsentRejected("the holder is encrypted to a key that this node does not have")
            return key

        return read_holder(decrypt(consent.holders[self._directory.current.own_entity], find))

    async def _status(self, consent: Consent) -> str:  # 12
        if consent.status_uri != status_list_uri(consent.iss):
            raise AccessConsentRejected("the consent names a status list that is not its issuer's")
        where = f"{consent.status_uri} idx={consent.status_index}"
        now = self._clock.now()
        if consent.iss == self._directory.current.own_entity:
            if not await self._own.is_valid(consent.status_index):
                raise _withdrawn(consent, now)
            return f"{where} own {now.isoformat()}"
        known = self._lists.find(consent.iss)
        if known is None:
            raise AccessConsentStatusOld(f"the status list of {consent.iss} has not been had yet; try again")
        oldest = now - timedelta(seconds=self._settings.status_max_age_s)
        if known.issued_at < oldest:
            raise AccessConsentStatusOld(
                f"the status list of {consent.iss} is of {known.issued_at.isoformat()}, the clock here says "
                f"{now.isoformat()}; at most {self._settings.status_max_age_s:g} s are allowed"
            )
        if not known.is_valid(consent.status_index):
            raise _withdrawn(consent, known.issued_at)
        return f"{where} iat={known.issued_at.isoformat()} sha256={known.digest.hex()}"


def _asking(request: Request) -> Asking:
    header, basis = request.header, request.header.basis
    return Asking(
        answering=header.answering,
        asking=header.asking,
        platform=header.platform,
        basis=basis.kind.word,
        service_item_name=basis.service_item_name,
        service_item_code=basis.service_item_code,
        case_number=basis.case_number,
        purpose=basis.purpose,
        certificate_type=certificate_type_of(request.body),
    )


def _cut(grant: Grant, consent: Consent, holder: tuple[str, str] | None) -> Grant:
    return grant.narrowed(consent.certificate_types, consent.fields, holder)


def _withdrawn(consent: Consent, as_of: datetime) -> AccessConsentWithdrawn:
    return AccessConsentWithdrawn(
        f"the holder withdrew the consent, by the status list of {consent.iss} as of {as_of.isoformat()}: "
        "ask the holder again"
    )


@contextmanager
def _refusing() -> Iterator[None]:
    """What `trust` does not believe, as the errors of this side; of what is encrypted too."""
    try:
        yield
    except TrustError as error:
        code = error.code if error.code.startswith("access.") else AccessConsentRejected.code
        raise error_from(code, error.detail) from error
