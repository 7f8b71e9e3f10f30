"""What signs for whoever releases something: without a key that can be used, nothing leaves the node."""

from __future__ import annotations

from collections.abc import Callable

from federation.errors import OwnKeyUnavailable
from node.keystore.errors import KeystoreError
from node.keystore.keystore import Keystore
from trust.keys import Signer

__all__ = ["releasing_signer"]


def releasing_signer(keystore: Keystore, purpose: str) -> Callable[[], Signer]:
    """Gives the key of the moment. What it gives raises OwnKeyUnavailable when none can be used; why is in the
    node's log and in `yrd keys list`, not in what a platform or a peer is told.
    """

    def signer() -> Signer:
        try:
            return keystore.signing_key(purpose)
        except KeystoreError as error:
            raise OwnKeyUnavailable(f"this node's {purpose} key cannot be used: see yrd keys list") from error

    return signer
