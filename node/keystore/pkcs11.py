"""Keys that stay in a PKCS#11 token: made in it, never leaving it, used through it.

A key is a pair of objects with one CKA_ID of 16 random bytes, which is its reference in the store, and the label
``yrd-<purpose>``; the private one is sensitive and was never extractable. Before a session signs with it, the public
object must be the key of the row, and a signature of the private one must verify under it, so that neither a token
of the same name nor a swapped row is ever taken for this node's key.

ES256 is SHA-256 here and CKM_ECDSA in the token, whose signature is r ‖ s as it goes on the wire; EdDSA is CKM_EDDSA
(PKCS #11 3.0) where the token has it. There is no SM2 in PKCS#11.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid, MultipleObjectsReturned, NoSuchKey

from federation.errors import OwnKeyUnavailable
from node.keystore.errors import KeystoreError
from node.keystore.pkcs11_secret import token_passphrase
from node.keystore.pkcs11_session import Connection, TokenSession
from node.keystore.secret_file import read_secret_file
from trust.errors import BadSignature, KeyRejected, SignatureForm
from trust.keys import VerificationKey

__all__ = ["PIN_VARIABLE", "Pkcs11Source", "TokenSigner", "read_pin"]

PIN_VARIABLE: Final = "YRD_PKCS11_PIN"
"""The environment variable that holds the PIN when no file does."""

_MOST_PIN_BYTES: Final = 255
_ID_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_PROOF: Final = b"yrd-pkcs11-proof-v1\0"
"""What is signed to prove a key begins with this; no envelope, token or statement does."""


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One of our algorithms in the words of PKCS#11."""

    key_type: KeyType
    curve: bytes
    """CKA_EC_PARAMS, DER."""
    make: Mechanism
    sign: Mechanism
    prepare: Callable[[bytes], bytes]
    """message -> what the token is given."""
    point_bytes: int
    load: Callable[[bytes], Any]
    """The point of a public key -> the key; raises ValueError."""


def _p256(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "ES256": _Scheme(
        KeyType.EC,
        bytes.fromhex("06082a8648ce3d030107"),  # OID 1.2.840.10045.3.1.7
        Mechanism.EC_KEY_PAIR_GEN,
        Mechanism.ECDSA,
        lambda message: sha256(message).digest(),
        65,
        _p256,
    ),
    "EdDSA": _Scheme(
        KeyType.EC_EDWARDS,
        b"\x13\x0cedwards25519",  # PrintableString, PKCS #11 3.0 §2.3.5
        Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        Mechanism.EDDSA,
        lambda message: message,
        32,
        ed25519.Ed25519PublicKey.from_public_bytes,
    ),
}


def read_pin(path: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """The PIN, from its file or else from the environment.

    Raises KeystoreError: no file and no variable, or a file that is missing, empty, too long, not UTF-8, or that
    others can reach. The text never has any of the PIN.
    """
    if path is None:
        pin = environment.get(PIN_VARIABLE, "")
        if not pin:
            raise KeystoreError(f"there is no PIN: name keys.pkcs11.pin_file, or set {PIN_VARIABLE}")
        return pin
    data = read_secret_file(path, "PIN file", most_bytes=_MOST_PIN_BYTES + 2)
    try:
        pin = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        pin = ""
    if not pin or len(pin.encode()) > _MOST_PIN_BYTES:
        raise KeystoreError(f"the PIN file {path} is not 1 to {_MOST_PIN_BYTES} bytes of UTF-8 in one line")
    return pin


class Pkcs11Source:
    """Implements `node.keystore.sources.SignerSource` on one token. Its repr and its errors show no PIN."""

    def __init__(self, session: TokenSession) -> None:
        self._session = session

    @classmethod
    def open(cls, module: Path, token: str, pin_file: Path | None) -> Pkcs11Source:
        """A source on the token with that label; it logs in when it is first used."""
        return cls(TokenSession(module, token, lambda: read_pin(pin_file)))

    @property
    def trouble(self) -> str:
        """Why the token could not be used when it was last tried; empty when it could."""
        return self._session.trouble

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        """Make a key pair in the token. Returns its CKA_ID and its public half.

        Raises KeystoreError: the token cannot be used, or gives back what is not such a key; KeyRejected for an
        algorithm that the token does not have.
        """
        scheme = _SCHEMES.get(alg)
        if scheme is None:
            raise KeyRejected(f"no {alg} key can be in a PKCS#11 token, only {' and '.join(_SCHEMES)}")
        object_id = secrets.token_bytes(_ID_BYTES)
        public = self._session.run(lambda connection: _generate(connection, scheme, alg, purpose, object_id))
        self.signer(object_id, public.jwk, purpose=purpose)
        return object_id, public

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> TokenSigner:
        """What signs with the key of that CKA_ID, which is proven to be the one of `public_jwk`.

        Raises KeystoreError: the token cannot be used, or the key is not there, for another purpose, extractable,
        or another one.
        """
        try:
            key = VerificationKey.from_jwk(public_jwk)
        except KeyRejected as error:
            raise KeystoreError(f"the row of a {purpose} key in PKCS#11 is wrong: {error.detail}") from None
        if key.alg not in _SCHEMES:
            raise KeystoreError(f"key {key.kid} ({purpose}) is {key.alg}, which no PKCS#11 token has")
        signer = TokenSigner(self._session, bytes(reference), key, purpose)
        signer.prove()
        return signer

    def passphrase(self, *, make: bool = False) -> str:
        """What protects the file of the key-encryption key; `make` makes it where there is none yet.

        Raises KeystoreError.
        """
        return token_passphrase(self._session, make=make)

    def close(self) -> None:
        """Let go of the token; a signer that is used after this opens it again."""
        self._session.close()

    def __repr__(self) -> str:
        return f"Pkcs11Source({self._session.label!r})"


class TokenSigner:
    """A `trust.keys.Signer` whose key is in a token. `sign` blocks for one call to the token."""

    __slots__ = ("_id", "_purpose", "_scheme", "_session", "alg", "kid", "verification_key")

    def __init__(
        self, session: TokenSession, object_id: bytes, verification_key: VerificationKey, purpose: str
    ) -> None:
        self._session = session
        self._id = object_id
        self._purpose = purpose
        self._scheme = _SCHEMES[verification_key.alg]
        self.verification_key = verification_key
        self.kid: str = verification_key.kid
        self.alg: str = verification_key.alg

    def prove(self) -> None:
        """Find the key and see that it is the right one. Raises KeystoreError."""
        self._session.run(self._private_key)

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, 64 bytes. A session that was lost is opened once more.

        Raises OwnKeyUnavailable when the token cannot be used now; why is in the log. A repeat is safe.
        """
        data = self._scheme.prepare(message)
        try:
            return self._session.run(lambda connection: self._sign(connection, data))
        except KeystoreError as error:
            raise OwnKeyUnavailable(
                "the token that holds the signing key cannot be used now; nothing was released: try again shortly"
            ) from error

    def _sign(self, connection: Connection, data: bytes) -> bytes:
        key = self._private_key(connection)
        signature: bytes = key.sign(data, mechanism=self._scheme.sign)
        if len(signature) != _SIGNATURE_BYTES:
            raise KeystoreError(f"the token gave a signature of {len(signature)} bytes for {self._what}")
        return signature

    def _private_key(self, connection: Connection) -> Any:
        """The private key's object in this session, proven when it is first looked for."""
        proven = (self._id, self._purpose, self.kid)
        found = connection.keys.get(proven)
        if found is None:
            found = self._find(connection, ObjectClass.PRIVATE_KEY)
            self._check_kept(found)
            public = self._find(connection, ObjectClass.PUBLIC_KEY)
            if _public_key(public, self._scheme) != self.verification_key:
                raise KeystoreError(f"the token holds another public key than that of {self._what}")
            self._check_signs(found)
            connection.keys[proven] = found
        return found

    def _find(self, connection: Connection, kind: ObjectClass) -> Any:
        try:
            return connection.session.get_key(
                object_class=kind, key_type=self._scheme.key_type, label=_label(self._purpose), id=self._id
            )
        except NoSuchKey:
            raise KeystoreError(
                f"{self._what} is not in the token {connection.token.label!r}: it is another token, or the key"
                " was deleted"
            ) from None
        except MultipleObjectsReturned:
            raise KeystoreError(
                f"the token holds several objects for {self._what}: delete the copies"
            ) from None

    def _check_kept(self, private: Any) -> None:
        if not private[Attribute.SENSITIVE] or private[Attribute.EXTRACTABLE]:
            raise KeystoreError(f"{self._what} can be taken out of the token: make another one")
        # False for one that was imported, and for one that could once be taken out (PKCS #11 2.40 §4.9).
        if not private[Attribute.NEVER_EXTRACTABLE]:
            raise KeystoreError(
                f"{self._what} was not made in the token, or could be taken out of it before: make another one"
            )

    def _check_signs(self, private: Any) -> None:
        message = _PROOF + secrets.token_bytes(32)
        signature = private.sign(self._scheme.prepare(message), mechanism=self._scheme.sign)
        try:
            self.verification_key.verify(signature, message)
        except (BadSignature, SignatureForm):
            raise KeystoreError(f"the token signs with another key than {self._what}") from None

    @property
    def _what(self) -> str:
        return f"key {self.kid} ({self._purpose})"

    def __repr__(self) -> str:
        return f"TokenSigner({self.alg} {self.kid})"


def _label(purpose: str) -> str:
    return f"yrd-{purpose}"


def _generate(
    connection: Connection, scheme: _Scheme, alg: str, purpose: str, object_id: bytes
) -> VerificationKey:
    token = connection.token
    if scheme.make not in token.slot.get_mechanisms():
        raise KeyRejected(f"the PKCS#11 token {token.label!r} has no {scheme.make.name}, so no {alg} keys")
    # A session that may write, which the login covers; what signs has only one that may read.
    session = token.open(rw=True)
    try:
        curve = session.create_domain_parameters(
            scheme.key_type, {Attribute.EC_PARAMS: scheme.curve}, local=True
        )
        public, _ = curve.generate_keypair(
            store=True,
            id=object_id,
            label=_label(purpose),
            mechanism=scheme.make,
            public_template={Attribute.PRIVATE: False},
            private_template={
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.DERIVE: False,
            },
        )
        return _public_key(public, scheme)
    finally:
        session.close()


def _public_key(public: Any, scheme: _Scheme) -> VerificationKey:
    """The key of a public object. CKA_EC_POINT is DER of the point, in some tokens the bare point.

    Raises KeystoreError.
    """
    try:
        value = bytes(public[Attribute.EC_POINT])
    except AttributeTypeInvalid:
        value = b""
    if len(value) == scheme.point_bytes + 2 and value[:2] == bytes((0x04, scheme.point_bytes)):
        value = value[2:]
    try:
        return VerificationKey(scheme.load(value))
    except (ValueError, UnsupportedAlgorithm, KeyRejected):
        raise KeystoreError("the token's public key is not a point of its curve") from None
