"""The witness, and what settles the own log, put together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import aiohttp

from federation.settling import Settler, SettlingParts
from federation.trust_sync import TrustSync
from federation.witness import Witness, WitnessParts
from node.background import Loop, repeat
from node.connectors.witnesses import HttpWitnesses
from node.ground import Ground
from node.keystore import Keystore, Purpose
from node.keystore.releasing import releasing_signer
from node.store.settling import SettlingRows
from node.store.tree import TreeStore
from node.store.witness import ConflictRows, WitnessRows
from trust.keys import VerificationKey

__all__ = ["log_loops", "settler", "witness"]

WATCH_EVERY_S = 3.0
ROUND_CHECKPOINTS = 5
"""Under load a round of cosigning comes with every so many checkpoints."""


def witness(ground: Ground, trust_sync: TrustSync) -> Witness:
    """This node as a witness of its peers."""
    return Witness(
        WitnessParts(
            directory=ground.directory,
            store=WitnessRows(ground.database),
            conflicts=ConflictRows(ground.database),
            signer=releasing_signer(ground.keystore, Purpose.WITNESS),
            clock=ground.clock,
            now_s=time.monotonic,
            look_again=trust_sync.request_refresh,
            skew_s=ground.config.limits.skew_s,
        )
    )


def settler(ground: Ground, session: aiohttp.ClientSession) -> Settler:
    """What has the own checkpoints cosigned."""
    node = ground.config.node
    return Settler(
        SettlingParts(
            tree=TreeStore(ground.database),
            store=SettlingRows(ground.database),
            conflicts=ConflictRows(ground.database),
            witnesses=HttpWitnesses(session, allow_http_on_loopback=node.allow_http_on_loopback),
            directory=ground.directory,
            gate=ground.gate,
            clock=ground.clock,
            now_s=time.monotonic,
            own_keys=lambda: _log_keys(ground.keystore),
            skew_s=ground.config.limits.skew_s,
            round_s=ROUND_CHECKPOINTS * ground.config.evidence.checkpoint_s,
        )
    )


def _log_keys(keystore: Keystore) -> Mapping[str, VerificationKey]:
    """All keys that signed this node's log, as far as its store knows them."""
    former = {one.key.kid: one.key for one in keystore.retired_keys(Purpose.LOG)}
    return {**former, **keystore.verification_keys(Purpose.LOG)}


def log_loops(ground: Ground, settling: Settler) -> Sequence[tuple[str, Loop]]:
    """What runs beside: rounds of cosigning, one after the other, and a look at what is wrong with logs."""
    every_s = ground.config.evidence.checkpoint_s
    return (
        ("settling", lambda: repeat(settling.settle_when_due, every_s=every_s, name="settling")),
        ("log-watch", lambda: repeat(ground.log_watch.refresh, every_s=WATCH_EVERY_S, name="log-watch")),
    )
