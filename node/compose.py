"""`compose`: a configuration in, a whole node out. The one place where all rooms meet.

Constructors only: nothing listens and no loop runs until `node.lifecycle` says so, and whatever was opened is
closed in reverse when the context ends. No part looks another one up: each is given what it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from federation.access import AccessHolder
from federation.answer import Answerer
from federation.ask import Asker
from federation.evidence_export import Exporter
from federation.exchange import DialectHolder, ExchangeParts
from federation.holder_record import HolderRecords
from federation.ports import Clock, LocalRegistry
from federation.rpc.callers import CallerCheck
from federation.rpc.client import GrpcPeerTransport
from federation.rpc.convert import ProtobufCodec
from federation.rpc.server import PeerServer
from federation.settling import Settler
from federation.translation_counts import TranslationCounts
from federation.trust_sync import TrustSync
from node.api.access_tokens import OpenIdKeys
from node.api.app import platform_app
from node.api.deps import PlatformDeps, PlatformSettings
from node.background import Background, Loop, follow_readiness, follow_trust, repeat
from node.comparison import Comparison, open_comparison
from node.config import Config
from node.connectors.http_registry import HttpRegistry
from node.connectors.settings import HttpRegistrySettings, RegistrySettings
from node.connectors.sql_registry import SqlRegistry
from node.consent_parts import ConsentParts, open_consents
from node.control import Caller, Handler
from node.ground import Ground, exchange_limits, lay_ground, rpc_limits
from node.health import Health
from node.keeping_parts import keeping_loop
from node.key_steering import key_steering
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.holder_hashes import HolderHashes
from node.keystore.releasing import releasing_signer
from node.log_parts import log_loops, settler, witness
from node.login_parts import LoginParts, open_logins
from node.metrics import Metrics, node_version
from node.operations import make_operations_app
from node.own_documents import (
    FORMER_KEYS_LIFE_S,
    HISTORICAL_KEYS_PATH,
    entity_configuration,
    historical_keys,
)
from node.own_log import OwnLog, open_own_log
from node.steering import Steering, checked_dialect, read_access
from node.store.audit import AuditRows
from node.store.clients import ClientRows
from node.store.idempotency import LEASE_S, IdempotencyRows
from node.store.journal import StoreJournal
from node.store.replay import ReplayRows
from node.store.secret_checks import SecretChecks
from node.store.tree import TreeStore
from node.store.trust import TrustRows
from node.tls_steering import TlsSteering
from node.translation_metrics import TranslationMetrics
from node.translation_view import TranslationView, translation_view
from node.trust_parts import tls_renewal, trust_list
from node.web.app import make_public_app
from node.web.federation import JWK_SET_MEDIA, RenewedDocument, add_document
from node.web.log import add_log
from node.web.witness import add_witness

__all__ = ["Node", "compose"]


EXPIRED_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is whole but does nothing yet: what listens, what runs beside, what must be drained."""

    config: Config
    health: Health
    metrics: Metrics
    peer_server: PeerServer
    platform: web.Application
    public: web.Application
    operations: web.Application
    asker: Asker
    trust_sync: TrustSync
    holders: HolderRecords
    """For the page on which a holder who is logged in here sees who asked about them."""
    consents: ConsentParts
    background: Background
    look_back: Callable[[], Awaitable[None]]
    """Before anything is logged: whether witnesses know more of this node's log than its store does."""
    handlers: Mapping[str, Handler]
    audit_rows: AuditRows

    async def audit(self, caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """Keep a row of a command on the control socket. Raises OwnStoreUnavailable."""
        detail = {"arguments": dict(arguments), "outcome": outcome, "pid": caller.pid}
        await self.audit_rows.note(f"uid:{caller.uid}", command, detail)


@dataclass(frozen=True, slots=True)
class _Made:
    """The parts that what listens and what runs beside are made of; each is there once."""

    ground: Ground
    own_log: OwnLog
    parts: ExchangeParts
    trust_sync: TrustSync
    asker: Asker
    comparison: Comparison
    peer_server: PeerServer
    settling: Settler
    tls: TlsSteering
    idempotency: IdempotencyRows
    replays: ReplayRows
    consents: ConsentParts
    login: LoginParts | None
    """None where the configuration has no ``[login]``."""


@asynccontextmanager
async def compose(config: Config, clock: Clock) -> AsyncIterator[Node]:
    """A node made of a configuration; inside the context it can be started.

    Raises EnrolmentUnusable, KeystoreError, AccessFaults, RuleSetFaults, OwnStoreUnavailable, OSError:
    what the configuration names cannot be used.
    """
    async with AsyncExitStack() as stack:
        made = await _make(stack, config, clock)
        yield Node(
            config=config,
            health=made.ground.health,
            metrics=made.ground.metrics,
            peer_server=made.peer_server,
            platform=_platform(made),
            public=_public(made),
            operations=_operations(made),
            asker=made.asker,
            trust_sync=made.trust_sync,
            holders=made.comparison.holders,
            consents=made.consents,
            background=_background(made),
            look_back=made.settling.look_back,
            handlers=_handlers(made),
            audit_rows=AuditRows(made.ground.database, clock),
        )


async def _make(stack: AsyncExitStack, config: Config, clock: Clock) -> _Made:
    ground = await lay_ground(stack, config, clock)
    own_log = await open_own_log(stack, ground)
    parts = await _exchange_parts(stack, ground)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    trust_sync = await _trust_sync(stack, ground, session)
    consents = await open_consents(ground, session, trust_sync, parts.dialect)
    parts = replace(parts, consents=consents.check)
    transport = _transport(stack, ground)
    registry = await _open_registry(stack, config.registry)
    comparison = open_comparison(ground, parts, transport)
    replays = ReplayRows(ground.database, clock)
    keys = key_steering(config, ground.database, ground.keystore, clock)
    return _Made(
        ground=ground,
        own_log=own_log,
        parts=parts,
        trust_sync=trust_sync,
        asker=Asker(parts, transport, refresh_trust=trust_sync.follow_key),
        comparison=comparison,
        peer_server=_peer_server(ground, _answerer(parts, registry, trust_sync, comparison)),
        settling=settler(ground, session),
        tls=TlsSteering(keys, ground.tls, tls_renewal(ground, session, replays)),
        idempotency=IdempotencyRows(ground.database, clock, lease_s=LEASE_S + config.limits.deadline_s),
        replays=replays,
        consents=consents,
        login=await open_logins(stack, ground, parts, replays, comparison.holders, consents.papers),
    )


async def _trust_sync(stack: AsyncExitStack, ground: Ground, session: aiohttp.ClientSession) -> TrustSync:
    """The trust list as it was stored, and the TLS certificates of the peers in it."""
    trust_sync = trust_list(ground, session)
    stack.push_async_callback(trust_sync.close)
    await trust_sync.load()
    await ground.tls.refresh()
    return trust_sync


def _transport(stack: AsyncExitStack, ground: Ground) -> GrpcPeerTransport:
    transport = GrpcPeerTransport(
        ground.tls.material(), rpc_limits(ground.config), unary=not ground.config.exchange.frames
    )
    stack.push_async_callback(transport.close)
    ground.tls.on_change(transport.replace_credentials)
    return transport


async def _exchange_parts(stack: AsyncExitStack, ground: Ground) -> ExchangeParts:
    config = ground.config
    access = AccessHolder(await asyncio.to_thread(read_access, config))
    now = ground.clock.now()
    dialect = DialectHolder(await asyncio.to_thread(checked_dialect, config, now.date()), now)
    journal = StoreJournal(
        ground.database,
        lambda: ground.keystore.signing_key("envelope"),
        ground.clock,
        ground.metrics,
        bodies=EncryptedBodies(ground.data_keys),
        gate=ground.gate,
        sign_batches=config.exchange.sign_batches,
        sole_process=ground.database.dialect == "sqlite",
    )
    stack.push_async_callback(journal.close)
    translations = TranslationCounts()
    ground.metrics.registry.register(TranslationMetrics(dialect, translations))
    return ExchangeParts(
        directory=ground.directory,
        access=access,
        dialect=dialect,
        codec=ProtobufCodec(),
        journal=journal,
        clock=ground.clock,
        limits=exchange_limits(config),
        observer=ground.metrics,
        translations=translations,
        holder_hash=HolderHashes(ground.data_keys),
    )


def _operations(made: _Made) -> web.Application:
    ground, parts = made.ground, made.parts

    def translations() -> TranslationView:
        return translation_view(parts.dialect, parts.translations, ground.clock.now())

    evidence = made.comparison.evidence_look(ground, made.own_log.tree)
    return make_operations_app(
        ground.health, ground.metrics.render, made.trust_sync.picture, translations, evidence.view
    )


def _handlers(made: _Made) -> Mapping[str, Handler]:
    """The commands of the control socket."""
    log = replace(made.own_log.steering, seen_elsewhere=made.settling.newest_generation)
    return {
        **_steering(made.ground, made.parts, made.trust_sync, made.own_log).handlers(),
        **made.tls.keys.handlers(),
        **made.tls.handlers(),
        **log.handlers(),
        **made.comparison.steering.handlers(),
    }


def _steering(ground: Ground, parts: ExchangeParts, trust_sync: TrustSync, own_log: OwnLog) -> Steering:
    return Steering(
        config=ground.config,
        directory=ground.directory,
        trust_sync=trust_sync,
        access=parts.access,
        dialect=parts.dialect,
        health=ground.health,
        metrics=ground.metrics,
        translations=parts.translations,
        clock=ground.clock,
        tls_not_after=ground.tls.not_after,
        own_log=own_log.steering.summary,
    )


async def _open_registry(stack: AsyncExitStack, settings: RegistrySettings) -> LocalRegistry:
    if isinstance(settings, HttpRegistrySettings):
        return await stack.enter_async_context(HttpRegistry(settings))
    return await stack.enter_async_context(SqlRegistry(settings))


def _answerer(
    parts: ExchangeParts, registry: LocalRegistry, trust_sync: TrustSync, comparison: Comparison
) -> Answerer:
    return Answerer(
        parts,
        registry,
        version=node_version(),
        between_nodes=comparison.answers,
        request_refresh=trust_sync.request_refresh,
    )


def _peer_server(ground: Ground, answerer: Answerer) -> PeerServer:
    directory, clock = ground.directory, ground.clock

    def admit(entity_id: str) -> None:
        directory.current.peer(entity_id).require_standing(clock.now())

    def refused(tls_peer: str, _method: str, code: str) -> None:
        peer = directory.current.peers.get(tls_peer)
        ground.metrics.call_refused(peer.province if peer else "unknown", code)

    return PeerServer(
        answerer,
        CallerCheck(clock, admit),
        ground.tls.material,
        rpc_limits(ground.config),
        refused=refused,
        calls=ground.metrics.calls,
    )


def _public(made: _Made) -> web.Application:
    """The public listener. What this node signs about itself is signed anew as soon as a key changes, or the
    generation of its log.
    """
    ground, own_log = made.ground, made.own_log
    config, keystore, clock = ground.config, ground.keystore, ground.clock

    def generation() -> int:
        return own_log.sequencer.generation

    configuration = RenewedDocument(
        entity_configuration(config, keystore, generation, lambda: own_log.sequencer.state.reason),
        clock,
        revision=lambda: (keystore.revision(), generation()),
    )
    former = RenewedDocument(
        historical_keys(config, keystore),
        clock,
        revision=keystore.revision,
        renew_after_s=FORMER_KEYS_LIFE_S,
    )
    app = make_public_app(
        config.node,
        config.trust.anchor,
        configuration,
        mirrored=made.trust_sync.mirrored,
        has_login=made.login is not None,
    )
    path = urlsplit(config.node.entity_id).path
    add_document(app, path + HISTORICAL_KEYS_PATH, former, media=JWK_SET_MEDIA)
    add_witness(app, witness(ground, made.trust_sync), path=path, proxies=config.public.proxies)
    add_log(app, own_log.tree, path=path)
    made.consents.add_to(app, path=path)
    if made.login is not None:
        made.login.add_to(app, path=path)
    return app


def _platform(made: _Made) -> web.Application:
    ground, parts = made.ground, made.parts
    config, keystore = ground.config, ground.keystore
    settings = PlatformSettings(
        issuer=config.platform_url,
        version=node_version(),
        request_body_bytes=config.limits.request_body_bytes,
        deadline_s=config.limits.deadline_s,
        skew_s=config.limits.skew_s,
    )
    clients = ClientRows(ground.database, ground.clock)
    deps = PlatformDeps(
        settings=settings,
        asker=made.asker,
        records=parts.journal,
        evidence=_exporter(ground, parts, made.trust_sync),
        dialect=parts.dialect,
        clients=clients,
        secrets=SecretChecks(clients.find),
        idempotency=made.idempotency,
        replays=made.replays,
        keys=OpenIdKeys(
            signer=releasing_signer(keystore, "openid"),
            verifiers=lambda: keystore.verification_keys("openid"),
        ),
        clock=ground.clock,
    )
    return platform_app(deps)


def _exporter(ground: Ground, parts: ExchangeParts, trust_sync: TrustSync) -> Exporter:
    return Exporter(
        records=parts.journal,
        archive=TrustRows(ground.database),
        codec=parts.codec,
        signer=releasing_signer(ground.keystore, "envelope"),
        clock=ground.clock,
        entity_id=ground.config.node.entity_id,
        anchor=ground.config.trust.anchor,
        tree=TreeStore(ground.database),
        former_keys=trust_sync.former_keys,
    )


def _background(made: _Made) -> Background:
    ground, tls, trust_sync = made.ground, made.tls, made.trust_sync
    health, refresh_s, poll_s = ground.health, ground.config.trust.refresh_s, ground.config.keys.poll_s
    checkpoint_s = ground.config.evidence.checkpoint_s

    async def follow_keys() -> None:
        await tls.keys.advance()
        await ground.data_keys.reload()
        await tls.ring.refresh()

    def repeated(name: str, work: Callable[[], Awaitable[object]], every_s: float) -> tuple[str, Loop]:
        return name, lambda: repeat(work, every_s=every_s, name=name)

    return Background(
        [
            ("trust", lambda: follow_trust(trust_sync, refresh_s)),
            ("readiness", lambda: follow_readiness(lambda: health.is_ready, made.peer_server.set_serving)),
            repeated("keys", follow_keys, poll_s),
            repeated("tls", tls.renewal.renew_once, poll_s),
            repeated("idempotency", made.idempotency.forget_expired, EXPIRED_EVERY_S),
            repeated("replays", made.replays.forget_expired, EXPIRED_EVERY_S),
            ("log", lambda: made.own_log.sequencer.run(checkpoint_s)),
            *log_loops(ground, made.settling),
            keeping_loop(ground, trust_sync),
            repeated("reconcile", made.comparison.schedule.tick_once, checkpoint_s),
            *made.consents.loops(),
            *(made.login.loops() if made.login else ()),
        ]
    )
