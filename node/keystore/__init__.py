"""The node's private keys: wrapped by one key-encryption key, one key per purpose, shared by all replicas."""

from node.keystore.keystore import Keystore, Purpose, RetiredKey
from node.keystore.wrapping import KeyEncryptionKey, KeystoreError

__all__ = ["KeyEncryptionKey", "Keystore", "KeystoreError", "Purpose", "RetiredKey"]
