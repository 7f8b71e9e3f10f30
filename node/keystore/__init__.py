"""The node's private keys: wrapped by one key-encryption key, one key per purpose, shared by all replicas."""

from node.keystore.keystore import KeyPlan, Keystore, RetiredKey
from node.keystore.purposes import ALGORITHMS_FOR, Purpose
from node.keystore.wrapping import KeyEncryptionKey, KeystoreError

__all__ = [
    "ALGORITHMS_FOR",
    "KeyEncryptionKey",
    "KeyPlan",
    "Keystore",
    "KeystoreError",
    "Purpose",
    "RetiredKey",
]
