"""What this node signs about itself for everyone: its entity configuration, and the keys that it used before.

Both are signed by the federation key that is active at that moment, and made anew when a key changes
(`node.web.federation.RenewedDocument`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from federation.login.discovery import client_metadata, provider_metadata
from node.config import Config
from node.keystore import Keystore, Purpose, RetiredKey
from node.keystore.life import ROTATED
from node.keystore.releasing import releasing_signer
from trust.entity import build_entity_configuration
from trust.historical import MAX_HISTORICAL_KEYS, HistoricalKey, build_historical_keys
from trust.profile import NODE_TYPE, node_metadata

__all__ = ["FORMER_KEYS_LIFE_S", "HISTORICAL_KEYS_PATH", "entity_configuration", "historical_keys"]

HISTORICAL_KEYS_PATH = "/trust/historical-keys"
"""Below the entity id. Not the standard's endpoint, which is for superiors (§8.7): `yrd_node` names it."""

FORMER_KEYS_LIFE_S = 1
"""How old the list of former keys may be that is served: what a peer exports is proven by a list that is newer than the
exchange. It is signed on demand, at most once in this time.
"""

_PURPOSES = (Purpose.FEDERATION, Purpose.ENVELOPE, Purpose.OPENID, Purpose.LOG, Purpose.WITNESS)


def entity_configuration(
    config: Config,
    keystore: Keystore,
    log_generation: Callable[[], int] = lambda: 1,
    log_reason: Callable[[], str] = lambda: "",
) -> Callable[[datetime], str]:
    """This node's entity configuration (§3.1.2): what it says about itself, within what the anchor pinned.

    `log_generation` is the generation of its log that is open at that moment, `log_reason` why the one before was
    closed.
    Keys to come and keys that only verify are in it beside those that sign. Without a key to sign it what is made
    raises OwnKeyUnavailable: what was signed before is served meanwhile.
    """

    def build(now: datetime) -> str:
        metadata = node_metadata(
            entity_id=config.node.entity_id,
            province=config.node.province,
            name=config.node.name,
            grpc_endpoint=str(config.grpc_target),
            envelope_keys=keystore.verification_keys(Purpose.ENVELOPE).values(),
            log_keys=keystore.verification_keys(Purpose.LOG).values(),
            witness_keys=keystore.verification_keys(Purpose.WITNESS).values(),
            log_generation=log_generation(),
            log_reason=log_reason(),
            consent_keys=keystore.verification_keys(Purpose.CONSENT).values(),
            **_logins(config, keystore),
        )
        metadata[NODE_TYPE]["historical_keys_uri"] = config.node.entity_id + HISTORICAL_KEYS_PATH
        return build_entity_configuration(
            entity_id=config.node.entity_id,
            signer=releasing_signer(keystore, Purpose.FEDERATION)(),
            metadata=metadata,
            now=now,
            authority_hints=[config.trust.anchor],
            published=keystore.verification_keys(Purpose.FEDERATION).values(),
        )

    return build


def _logins(config: Config, keystore: Keystore) -> dict[str, dict[str, Any]]:
    """What the configuration says of logins; nothing at a node that offers none."""
    if config.login is None:
        return {}
    issuer, keys = config.node.entity_id, list(keystore.verification_keys(Purpose.OPENID).values())
    return {
        "openid_provider": provider_metadata(issuer, keys),
        "openid_relying_party": client_metadata(issuer, keys),
    }


def historical_keys(config: Config, keystore: Keystore) -> Callable[[datetime], str]:
    """The public keys that this node used before, with when each ended, in the form of §8.7.3.

    One that only made way for the next ended; one that an operator retired is revoked, with the reason.
    """

    def build(now: datetime) -> str:
        keys = sorted(_historical(keystore), key=lambda old: old.expires_at)
        return build_historical_keys(
            entity_id=config.node.entity_id,
            keys=keys[-MAX_HISTORICAL_KEYS:],
            signer=releasing_signer(keystore, Purpose.FEDERATION)(),
            now=now,
        )

    return build


def _historical(keystore: Keystore) -> Iterator[HistoricalKey]:
    for purpose in _PURPOSES:
        for old in keystore.retired_keys(purpose):
            yield _ended(old, "" if purpose is Purpose.FEDERATION else purpose.value)


def _ended(old: RetiredKey, purpose: str) -> HistoricalKey:
    by_hand = old.reason != ROTATED
    return HistoricalKey(
        old.key,
        expires_at=old.retired_at,
        issued_at=old.created_at,
        revoked_at=old.retired_at if by_hand else None,
        reason=old.reason if by_hand else "",
        purpose=purpose,
    )
