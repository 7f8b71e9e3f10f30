"""What a node trusts and how it stays trusted, put together: the trust list, and the renewal of its TLS key."""

from __future__ import annotations

from datetime import datetime

import aiohttp
import orjson

from federation.anchor import TrustSettings
from federation.trust_sync import TrustSync
from node.background import TrustLog
from node.config import Config
from node.connectors.renewal import HttpRenewalDesk
from node.connectors.statements import HttpStatementSource
from node.enrolled import read_enrolled
from node.ground import Ground
from node.own_documents import historical_keys
from node.renewal import RenewalParties, TlsRenewal
from node.store.replay import ReplayRows
from node.store.trust import TrustRows
from trust.documents import MIRROR_PATH
from trust.keys import keys_from_jwks

__all__ = ["tls_renewal", "trust_list", "trust_settings"]


def trust_settings(config: Config) -> TrustSettings:
    """From where trust starts, by the configuration. Raises EnrolmentUnusable, KeyRejected, OSError."""
    return TrustSettings(
        own_entity=config.node.entity_id,
        own_province=config.node.province,
        anchor=config.trust.anchor,
        anchor_keys=keys_from_jwks(orjson.loads(config.trust.anchor_keys.read_bytes())),
        allow_http_on_loopback=config.node.allow_http_on_loopback,
        refresh_s=config.trust.refresh_s,
        status_max_age_s=int(config.trust.status_max_age_s),
        mirrors=_mirrors(config),
        skew_s=int(config.limits.skew_s),
    )


def trust_list(ground: Ground, session: aiohttp.ClientSession) -> TrustSync:
    """Who the peers are, from the pinned keys on."""
    config = ground.config
    settings = trust_settings(config)
    return TrustSync(
        settings,
        store=TrustRows(ground.database),
        source=HttpStatementSource(session, allow_http_on_loopback=settings.allow_http_on_loopback),
        directory=ground.directory,
        clock=ground.clock,
        on_refresh=TrustLog(config.trust.status_max_age_s),
        own_former_keys=historical_keys(config, ground.keystore),
    )


def _mirrors(config: Config) -> tuple[str, ...]:
    """Where the anchor's documents are as well: what the operator names, and who was a member at enrolment."""
    enrolled = read_enrolled(
        config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    return (*config.trust.mirrors, *(member + MIRROR_PATH for member in enrolled.mirrors))


def tls_renewal(ground: Ground, session: aiohttp.ClientSession, replays: ReplayRows) -> TlsRenewal:
    """What fetches the next TLS certificate from the anchor."""
    node, anchor = ground.config.node, ground.config.trust.anchor

    async def claim(turn: str, until: datetime) -> bool:
        return await replays.use_once(f"{node.entity_id}#tls-renewal", turn, until)

    return TlsRenewal(
        RenewalParties(node.entity_id, anchor),
        ring=ground.tls,
        keystore=ground.keystore,
        desk=HttpRenewalDesk(session, anchor, allow_http_on_loopback=node.allow_http_on_loopback),
        claim=claim,
        clock=ground.clock,
        note=ground.metrics.tls_renewal,
    )
