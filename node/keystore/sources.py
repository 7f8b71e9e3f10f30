"""Where private keys are, behind one interface: a `SignerSource` makes keys and signs with them.

A key's row names its source in `backend`, and holds in `wrapped` a reference that means something to that source
alone: in the store the private key itself, wrapped; in a token the object that holds it. Nobody else looks into
the reference, and nobody outside a source ever asks which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from node.keystore.errors import KeystoreError
from node.keystore.wrapping import KeyEncryptionKey
from trust.errors import KeyRejected
from trust.keys import Signer, SigningKey, VerificationKey

__all__ = ["GIVEN_UP", "PKCS11", "STORE", "GivenUpSource", "SignerSource", "StoreSource"]

STORE: Final = "store"
PKCS11: Final = "pkcs11"
GIVEN_UP: Final = "given-up"
"""The sources by the name that a key's row has in `backend`."""


class SignerSource(Protocol):
    """Makes keys and opens them again. Both methods may block: they are called at start, in a poll and when a
    key is made, never for a message.
    """

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        """Make a key. Returns the reference for its row, and its public half.

        Raises KeystoreError, and KeyRejected for an algorithm that this source does not have; then there is no
        new key.
        """
        ...

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> Signer:
        """What signs with the key of a row; each signature is over exactly the bytes given.

        Raises KeystoreError naming the key: the source is away, the key is gone, it is not the key of
        `public_jwk`, or the row was altered.
        """
        ...


class StoreSource:
    """Keys in the store itself: the reference is the private key, wrapped by the key-encryption key and bound to
    its purpose and key id.
    """

    def __init__(self, wrapping: KeyEncryptionKey) -> None:
        self._wrapping = wrapping

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        """As `SignerSource.generate`."""
        key = SigningKey.generate(alg)
        return self.wrap(purpose, key), key.verification_key

    def wrap(self, purpose: str, key: SigningKey) -> bytes:
        """The reference of a key that was made elsewhere."""
        return self._wrapping.wrap(key.to_pem(), purpose=purpose, kid=key.kid)

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> SigningKey:
        """As `SignerSource.signer`; what signs is a key in memory."""
        kid = str(public_jwk.get("kid"))
        pem = self._wrapping.unwrap(reference, purpose=purpose, kid=kid)
        try:
            key = SigningKey.from_pem(pem)
        except KeyRejected as error:
            raise KeystoreError(f"key {kid} ({purpose}) cannot be used: {error.detail}") from None
        if key.kid != kid:
            raise KeystoreError(f"the row of key {kid} ({purpose}) holds another key: it was altered")
        return key


class GivenUpSource:
    """Keys of before whose private part nobody can open any more. The reference is no key: it proves, by the
    key-encryption key of after, that it was an operator of this node who gave this key up, and not someone who
    can only write rows.
    """

    def __init__(self, wrapping: KeyEncryptionKey) -> None:
        self._wrapping = wrapping

    def vouch(self, purpose: str, kid: str) -> bytes:
        """The reference of a key that is given up now."""
        return self._wrapping.wrap(b"", purpose=purpose, kid=kid)

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        """Never: raises KeystoreError."""
        raise KeystoreError(f"a new {purpose} key of {alg} cannot begin as one that was given up")

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> Signer:
        """As `SignerSource.signer`; it proves whose key it was, and signs nothing."""
        kid = str(public_jwk.get("kid"))
        if self._wrapping.unwrap(reference, purpose=purpose, kid=kid):
            raise KeystoreError(f"the row of key {kid} ({purpose}) is of another backend: it was altered")
        return _GivenUp(VerificationKey.from_jwk(public_jwk))


class _GivenUp:
    """A key that is only history."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    @property
    def verification_key(self) -> VerificationKey:
        return self._key

    @property
    def kid(self) -> str:
        return self._key.kid

    @property
    def alg(self) -> str:
        return self._key.alg

    def sign(self, message: bytes) -> bytes:
        raise KeystoreError(f"key {self.kid} was given up: it signs nothing, not {len(message)} bytes either")
