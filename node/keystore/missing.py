"""Keys for purposes that came with a later release than the one that made this node."""

from __future__ import annotations

from node.keystore.keystore import Keystore
from node.keystore.purposes import ALGORITHMS_FOR, Purpose

__all__ = ["make_missing"]

_LATER = (Purpose.LOG, Purpose.WITNESS, Purpose.DPOP, Purpose.CONSENT)


async def make_missing(keystore: Keystore) -> list[str]:
    """Make the key of each of these purposes where there never was one; the purposes for which one was made.

    Replicas that do so at the same time make one each: the younger signs, the other still verifies. Raises
    KeystoreError, OwnStoreUnavailable.
    """
    known = {row.purpose for row in keystore.describe()}
    missing = [purpose for purpose in _LATER if purpose not in known]
    for purpose in missing:
        await keystore.generate(purpose, alg=ALGORITHMS_FOR[purpose][0])
    return [str(purpose) for purpose in missing]
