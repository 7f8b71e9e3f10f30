"""What everything in a node stands on: its store, its keys, what the anchor gave it, its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from federation.exchange import ExchangeLimits
from federation.peers import Directory, TrustSnapshot
from federation.ports import Clock
from federation.rpc.limits import RpcLimits
from node.config import Config
from node.enrolled import EnrolmentFile
from node.health import Health, KeyWatch, Probe, StoreWatch, keys_probe, keys_warner, trust_probe
from node.keystore import Keystore
from node.keystore.configured import opened_keystore
from node.keystore.data_keys import DataKeys
from node.keystore.missing import make_missing
from node.log_watch import LogWatch, gate_probe
from node.metrics import Metrics
from node.renewal import tls_probe, untrusted_warner
from node.store.database import Database, open_database
from node.store.log_gate import StoreLogGate
from node.store.tls import TlsRows
from node.tls import TlsRing
from node.trust_warnings import tls_warner, trust_warner

__all__ = ["Ground", "exchange_limits", "lay_ground", "rpc_limits"]


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts that every other part is given from."""

    config: Config
    clock: Clock
    database: Database
    keystore: Keystore
    data_keys: DataKeys
    tls: TlsRing
    directory: Directory
    metrics: Metrics
    health: Health
    gate: StoreLogGate
    log_watch: LogWatch


async def lay_ground(stack: AsyncExitStack, config: Config, clock: Clock) -> Ground:
    """Open the store, unwrap the keys, read the enrolment; `stack` closes what was opened.

    Raises EnrolmentUnusable, KeystoreError, OwnStoreUnavailable.
    """
    enrolment = EnrolmentFile(
        config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    await asyncio.to_thread(enrolment.read)  # before anything is opened: without it there is no node
    database = await asyncio.to_thread(open_database, config.store.url)
    stack.push_async_callback(database.close)
    keystore = await stack.enter_async_context(opened_keystore(config.keys, database, clock))
    await make_missing(keystore)
    directory = Directory(TrustSnapshot(config.node.entity_id, config.node.province))
    data_keys = await DataKeys.open(
        database,
        keystore.wrapping,
        clock,
        cipher=config.evidence.cipher,
        publish_s=config.keys.publish_s,
    )
    tls = await TlsRing.open(keystore, TlsRows(database), enrolment, directory, clock)
    watch, key_watch = StoreWatch(clock), KeyWatch(clock)
    gate, log_watch = StoreLogGate(), LogWatch(database, directory, clock)
    watches = (watch, key_watch, gate_probe(gate))
    health = _health(config, clock, directory, keystore, tls, log_watch, watches)
    metrics = Metrics(watch, key_watch)
    metrics.watch(directory, health, clock, tls.not_after)
    metrics.registry.register(log_watch)
    return Ground(
        config, clock, database, keystore, data_keys, tls, directory, metrics, health, gate, log_watch
    )


def _health(
    config: Config,
    clock: Clock,
    directory: Directory,
    keystore: Keystore,
    tls: TlsRing,
    log_watch: LogWatch,
    watches: Sequence[Probe],
) -> Health:
    """What makes this node unready, and what warns; `watches` are told by others how the store and the log are."""
    probes = [trust_probe(directory, clock), tls_probe(tls, clock), keys_probe(keystore.silent), *watches]
    warners = [
        trust_warner(directory, clock, status_max_age_s=config.trust.status_max_age_s),
        tls_warner(lambda: (tls.shown.row.not_before, tls.shown.row.not_after), clock),
        untrusted_warner(tls),
        keys_warner(lambda: keystore.faults),
        log_watch.warnings,
    ]
    return Health(probes, warners)


_LEASE_BEYOND_DEADLINE_S = 10.0
"""A claim is held until after any answer's deadline, and for the signing and storing that follow it."""


def exchange_limits(config: Config) -> ExchangeLimits:
    """``[limits]`` as asking and answering take them."""
    limits = config.limits
    return ExchangeLimits(
        message_in_bytes=limits.message_in_bytes,
        message_out_bytes=limits.message_out_bytes,
        deadline_s=limits.deadline_s,
        lease_s=limits.deadline_s + _LEASE_BEYOND_DEADLINE_S,
        skew_s=limits.skew_s,
        request_life_s=limits.request_life_s,
        peer_quota_per_s=limits.peer_quota_per_s,
        peer_quota_burst=limits.peer_quota_burst,
        platform_quota_per_s=limits.platform_quota_per_s,
        platform_quota_burst=limits.platform_quota_burst,
        signed_refusals_per_minute=limits.signed_refusals_per_minute,
        in_flight=limits.in_flight,
    )


def rpc_limits(config: Config) -> RpcLimits:
    """``[limits]`` as the gRPC between nodes takes them."""
    limits = config.limits
    return RpcLimits(
        message_in_bytes=limits.message_in_bytes,
        message_out_bytes=limits.message_out_bytes,
        frame_items=limits.frame_items,
        frame_bytes=limits.frame_bytes,
        in_flight=limits.in_flight,
        deadline_s=limits.deadline_s,
        drain_s=limits.drain_s,
    )
