"""What consents are made of at one node: checked on both sides of an exchange, and issued where citizens log in.

Every node checks consents and follows the peers' status lists. One without ``[login]`` issues none, and its chain names
no key that would sign them; its list, which it serves all the same, then says of none that it was withdrawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web

from federation.consents import ConsentCheck, ConsentSettings, OwnConsents
from federation.errors import FederationError, code_of
from federation.exchange import DialectHolder
from federation.login.certificate_use import PaperLimits
from federation.login.papers import HomePapers, PaperParts
from federation.peers import Directory
from federation.status_lists import StatusLists
from federation.trust_sync import TrustSync
from node.background import FIRST_PAUSES_S, Loop, repeat
from node.config import Config
from node.connectors.statements import HttpStatementSource
from node.consent_watch import ConsentWatch
from node.ground import Ground
from node.keystore import Keystore, Purpose
from node.keystore.errors import KeystoreError
from node.keystore.login_seal import LoginSeal
from node.keystore.releasing import releasing_signer
from node.store.login_papers import PaperRows, PaperUseRows, StatusListRows
from node.web.oidc.status_list import StatusListDocument, add_status_list
from trust.keys import SigningKey
from trust.recipient_keys import recipient_jwks, recipient_keys_from_jwks

__all__ = ["ConsentParts", "follow_lists", "open_consents"]

_log = structlog.get_logger("yrd.consents")

FORGET_EVERY_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentParts:
    """The parts of consents at one node."""

    check: ConsentCheck
    directory: Directory
    lists: StatusLists
    papers: HomePapers
    rows: PaperRows
    uses: PaperUseRows
    document: StatusListDocument
    status_lists_s: float

    def add_to(self, app: web.Application, *, path: str) -> None:
        """Serve the status list on the public listener. `path` is that of the entity id when it has one."""
        add_status_list(app, self.document, path=path)

    def loops(self) -> Sequence[tuple[str, Loop]]:
        """What runs beside."""
        return [
            ("status_lists", lambda: follow_lists(self.lists, self.directory, self.status_lists_s)),
            (
                "papers",
                lambda: repeat(self.rows.forget_expired, every_s=FORGET_EVERY_S, name="papers"),
            ),
            (
                "paper_uses",
                lambda: repeat(self.uses.forget_expired, every_s=FORGET_EVERY_S, name="paper_uses"),
            ),
        ]


async def open_consents(
    ground: Ground, session: aiohttp.ClientSession, trust_sync: TrustSync, dialect: DialectHolder
) -> ConsentParts:
    """The parts, with the status lists as they were stored. Raises OwnStoreUnavailable."""
    config, keystore, clock = ground.config, ground.keystore, ground.clock
    lists = await _stored_lists(ground, session)
    watch = ConsentWatch(
        lists, ground.directory, clock, status_max_age_s=config.consent.status_list_max_age_s
    )
    ground.metrics.registry.register(watch)
    ground.health.add_warner(watch.warnings)
    rows = PaperRows(ground.database, LoginSeal(ground.data_keys), clock)
    uses = PaperUseRows(ground.database, clock)
    return ConsentParts(
        check=ConsentCheck(
            ground.directory,
            lists,
            uses,
            _own_consents(keystore, rows),
            clock,
            settings=ConsentSettings(
                skew_s=config.limits.skew_s, status_max_age_s=config.consent.status_list_max_age_s
            ),
            request_refresh=trust_sync.request_refresh,
        ),
        directory=ground.directory,
        lists=lists,
        papers=HomePapers(_paper_parts(ground, dialect, rows)),
        rows=rows,
        uses=uses,
        document=StatusListDocument(
            config.node.entity_id,
            rows.withdrawn,
            releasing_signer(keystore, Purpose.OPENID),
            clock,
            size=rows.size,
            ttl_s=int(config.consent.status_lists_s),
        ),
        status_lists_s=config.consent.status_lists_s,
    )


async def _stored_lists(ground: Ground, session: aiohttp.ClientSession) -> StatusLists:
    config = ground.config
    lists = StatusLists(
        StatusListRows(ground.database),
        HttpStatementSource(session, allow_http_on_loopback=config.node.allow_http_on_loopback),
        ground.directory,
        ground.clock,
        skew_s=config.limits.skew_s,
    )
    await lists.load()
    return lists


def _own_consents(keystore: Keystore, rows: PaperRows) -> OwnConsents:
    def private_key(kid: str) -> SigningKey | None:
        try:
            return keystore.consent_key(kid)
        except KeystoreError:
            return None

    return OwnConsents(
        keys=lambda: keystore.verification_keys(Purpose.OPENID),
        private_key=private_key,
        is_valid=rows.is_valid,
    )


def _paper_parts(ground: Ground, dialect: DialectHolder, rows: PaperRows) -> PaperParts:
    config, keystore = ground.config, ground.keystore
    return PaperParts(
        own_name=config.node.name,
        directory=ground.directory,
        dialect=dialect,
        store=rows,
        signer=releasing_signer(keystore, Purpose.OPENID),
        own_keys=lambda: recipient_keys_from_jwks(
            recipient_jwks(keystore.verification_keys(Purpose.CONSENT).values())
        ),
        clock=ground.clock,
        limits=_limits(config),
    )


def _limits(config: Config) -> PaperLimits:
    login = config.login
    if login is None:
        return PaperLimits()
    return PaperLimits(login.paper_life_s, login.paper_uses, login.papers_per_login)


async def follow_lists(lists: StatusLists, directory: Directory, every_s: float) -> None:
    """Fetch the peers' lists at once, soon again while one or all peers are missing, then every so often, for ever."""
    for pause_s in FIRST_PAUSES_S:
        try:
            if not await lists.refresh_once() and directory.current.peers:
                break
        except FederationError as error:
            _log.warning("status_lists.not_refreshed", code=code_of(error))
        await asyncio.sleep(min(pause_s, every_s))
    await repeat(lists.refresh_once, every_s=every_s, name="status_lists")
