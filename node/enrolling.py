"""What this node asks the anchor with: who it is, and its keys of now."""

from __future__ import annotations

from typing import Any

from node.anchor.enrolment import enrolment_request
from node.config import Config
from node.keystore import Keystore, Purpose
from node.store.keys import KeyState

__all__ = ["own_enrolment_request"]


def own_enrolment_request(config: Config, keystore: Keystore) -> dict[str, Any]:
    """The request (`node.anchor.enrolment`), for JSON: the federation key that signs, one that is to come, and the
    TLS key in use. No secret is in it.

    Raises KeystoreError when the federation or TLS key cannot be used, TrustError for what no anchor takes.
    """
    signing = keystore.signing_key(Purpose.FEDERATION).kid
    passive = {row.kid for row in keystore.describe() if row.state is KeyState.PASSIVE}
    keys = keystore.verification_keys(Purpose.FEDERATION)
    return enrolment_request(
        entity_id=config.node.entity_id,
        province=config.node.province,
        name=config.node.name,
        grpc_endpoint=str(config.grpc_target),
        federation_keys=[key for kid, key in keys.items() if kid == signing or kid not in passive],
        tls_key=keystore.tls_key(),
    )
