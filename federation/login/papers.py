"""Consents as papers, at the home node: read what is asked for, show it, sign it when the citizen agrees, end it.

1. What is asked for names provinces, certificate types, fields, service item, case and purpose (`certificate_use`).
2. Only for somebody whose number the identity provider verified (`claims.VERIFIED_LEVEL`) is a consent signed.
3. It is bound to who asked: the node that asks, and its platform; for an own platform that is this node itself, and
   other nodes take such a consent only by a rule of theirs.
4. Whose it is is encrypted to each node that may answer, with the first of the consent keys that its chain names.
5. It is in the store, with its place in the status list, before anybody has it; a withdrawn one is in the list from
   the next moment on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import orjson
import structlog
from msgspec import Struct

from federation.errors import FederationError
from federation.exchange import DialectHolder
from federation.login.certificate_use import CertificateUse, PaperLimits, read_details, written
from federation.login.claims import VERIFIED_LEVEL
from federation.login.model import AuthRequest, Identity, meets
from federation.login.ports import PaperView
from federation.login.refusals import OAuthRefusal
from federation.peers import Directory
from federation.ports import Clock
from federation.status_lists import status_list_uri
from mapping.codelists import code_lists
from mapping.errors import InvalidIdentifier
from mapping.identifiers import check_holder_id
from trust.algorithms import b64url
from trust.consent import Consent, holder_for, sign_consent
from trust.keys import Signer
from trust.recipient_keys import RecipientKey

__all__ = ["HomePapers", "PaperParts", "PaperStore"]

_log = structlog.get_logger("yrd.papers")

_JTI_BYTES: Final = 16
_INVALID: Final = "invalid_authorization_details"


class PaperStore(Protocol):
    """Consents that this node signed. All raise OwnStoreUnavailable."""

    async def keep(self, issuer: str, subject: str, paper: PaperView) -> int:
        """Keep a consent of a citizen's; its place in the status list. Raises OwnBusy when that is full."""
        ...

    async def of(self, issuer: str, subject: str) -> Sequence[PaperView]:
        """A citizen's, the newest first."""
        ...

    async def withdraw(self, issuer: str, subject: str, jti: str) -> bool:
        """End one; False when there is none that could be ended."""
        ...


class PaperParts(Struct, frozen=True):
    """What consents are made of. `signer` gives the provider key of the moment, `own_keys` what is encrypted to for
    this node itself, the first first.
    """

    own_name: str
    directory: Directory
    dialect: DialectHolder
    store: PaperStore
    signer: Callable[[], Signer]
    own_keys: Callable[[], Mapping[str, RecipientKey]]
    clock: Clock
    limits: PaperLimits = PaperLimits()


class _Answering(Struct, frozen=True):
    entity_id: str
    name: str
    key: RecipientKey


class HomePapers:
    """Implements `federation.login.ports.Papers`."""

    def __init__(self, parts: PaperParts) -> None:
        self._parts = parts

    def read(self, text: str) -> str:
        """As `Papers.read`: in shared words, with provinces that can answer by a consent now."""
        uses = self._read(text)
        for use in uses:
            self._answering(use)
        return orjson.dumps(written(uses)).decode()

    def describe(self, request: AuthRequest) -> Sequence[PaperView]:
        """As `Papers.describe`. Raises OAuthRefusal as `read`."""
        now = self._parts.clock.now()
        return [self._view(request, use, now) for use in self._read(request.authorization_details)]

    async def issue(self, request: AuthRequest, identity: Identity) -> tuple[Mapping[str, Any], ...]:
        """As `Papers.issue`. Raises OAuthRefusal, OwnKeyUnavailable, OwnStoreUnavailable; what was signed before that
        nobody has.
        """
        holder = _verified_holder(identity)
        uses = self._read(request.authorization_details)
        return tuple([await self._issue(request, identity, holder, use) for use in uses])

    async def of(self, identity: Identity) -> Sequence[PaperView]:
        """As `Papers.of`."""
        return await self._parts.store.of(identity.issuer, identity.subject)

    async def withdraw(self, identity: Identity, paper_id: str) -> bool:
        """As `Papers.withdraw`."""
        ended = await self._parts.store.withdraw(identity.issuer, identity.subject, paper_id)
        if ended:
            _log.info("paper.withdrawn", jti=paper_id)
        return ended

    # --- one consent ----------------------------------------------------------------------------------

    def _read(self, text: str) -> tuple[CertificateUse, ...]:
        return read_details(text, self._parts.dialect.current, self._parts.limits)

    async def _issue(
        self, request: AuthRequest, identity: Identity, holder: tuple[str, str], use: CertificateUse
    ) -> Mapping[str, Any]:
        answering = self._answering(use)
        asking, platform = self._asking(request)
        now = self._parts.clock.now().replace(microsecond=0)
        view = self._view(request, use, now, paper_id=b64url(secrets.token_bytes(_JTI_BYTES)))
        place = await self._parts.store.keep(identity.issuer, identity.subject, view)
        own = self._parts.directory.current.own_entity
        consent = Consent(
            iss=own,
            jti=view.paper_id,
            issued_at=now,
            expires_at=now + timedelta(seconds=use.valid_s),
            answering=tuple([one.entity_id for one in answering]),
            asking=asking,
            platform=platform,
            basis=use.basis,
            service_item_name=use.service_item_name,
            service_item_code=use.service_item_code,
            case_number=use.case_number,
            purpose=use.purpose,
            certificate_types=use.certificate_types,
            fields=use.fields or None,
            uses=use.uses,
            holders={one.entity_id: holder_for(one.key, *holder) for one in answering},
            status_uri=status_list_uri(own),
            status_index=place,
        )
        token = sign_consent(consent, self._parts.signer())
        _log.info("paper.issued", jti=consent.jti, asking=asking, platform=platform)
        return written([use])[0] | {"consent": token, "expires_at": int(consent.expires_at.timestamp())}

    def _asking(self, request: AuthRequest) -> tuple[str, str]:
        """Who may show it: a node and its platform."""
        if not request.is_peer:
            return self._parts.directory.current.own_entity, request.client_id
        if request.on_behalf is None:
            raise OAuthRefusal("invalid_request", "a consent is for a platform: yrd_platform is missing")
        return request.client_id, request.on_behalf.client_id

    def _answering(self, use: CertificateUse) -> list[_Answering]:
        return [self._node_in(province) for province in use.answering]

    def _node_in(self, province: str) -> _Answering:
        snapshot = self._parts.directory.current
        if province == snapshot.own_province:
            return _Answering(snapshot.own_entity, self._parts.own_name, _first(self._parts.own_keys()))
        try:
            peer = snapshot.peer_in(province)
            peer.require_standing(self._parts.clock.now())
        except FederationError:
            raise OAuthRefusal(_INVALID, f"{province} has no node here that can answer now") from None
        return _Answering(peer.entity_id, peer.name, _first(peer.consent_keys))

    def _view(
        self, request: AuthRequest, use: CertificateUse, now: datetime, *, paper_id: str = ""
    ) -> PaperView:
        asking, platform = self._asking(request)
        peer = self._parts.directory.current.peers.get(asking)
        issued_at = int(now.timestamp())
        return PaperView(
            paper_id=paper_id,
            asking=peer.name if peer else self._parts.own_name,
            platform=platform,
            platform_name=request.on_behalf.name if request.on_behalf else request.client_name,
            answering=tuple([one.name for one in self._answering(use)]),
            certificate_types=tuple([_type_name(code) for code in use.certificate_types]),
            fields=use.fields,
            service_item=use.service_item_name,
            case_number=use.case_number,
            purpose=use.purpose,
            uses=use.uses,
            expires_at=issued_at + use.valid_s,
            issued_at=issued_at if paper_id else 0,
            service_item_code=use.service_item_code,
            basis=use.basis,
        )


def _first(keys: Mapping[str, RecipientKey]) -> RecipientKey:
    key = next(iter(keys.values()), None)
    if key is None:
        raise OAuthRefusal(
            _INVALID, "a province that is named takes no consents: its chain has no key for it"
        )
    return key


def _type_name(code: str) -> str:
    kind = code_lists().kinds.get(code)
    return kind.name if kind else code


def _verified_holder(identity: Identity) -> tuple[str, str]:
    """Id type and number (rule 2). Raises OAuthRefusal."""
    if not meets(identity.acr, VERIFIED_LEVEL):
        raise OAuthRefusal(
            "unmet_authentication_requirements", f"a consent needs a login of {VERIFIED_LEVEL}"
        )
    id_type, number = identity.claims.get("holder_id_type"), identity.claims.get("citizen_number")
    if not isinstance(id_type, str) or not isinstance(number, str):
        raise OAuthRefusal("access_denied", "the identity provider tells no verified number of this account")
    try:
        check_holder_id(id_type, number)
    except InvalidIdentifier:
        raise OAuthRefusal(
            "access_denied", "the verified number of this account breaks its standard"
        ) from None
    return id_type, number
