"""X.509 for mutual TLS: requests, the anchor's CA, and the one entity that a TLS certificate stands for.

- A TLS certificate of a node has exactly two subject alternative names: URI = entity id, DNS = its
  `tls_name`. Never an IP address (design §5).
- The CA takes both from the entity id that it was asked to enrol and only the key from the request, after the
  request's own signature has proven that the asker holds that key.
- Keys are ECDSA on P-256: gRPC is held to TLS 1.3 by its cipher suites, which works with ECDSA keys.
- A certificate begins a little before it was made, since clocks differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trust.errors import EntityIdRejected, TlsIdentityRejected
from trust.identity import check_entity_id, tls_name
from trust.keys import SigningKey, VerificationKey

__all__ = [
    "TlsIdentity",
    "TlsLeaf",
    "TlsRequest",
    "create_csr",
    "identity_from_pem",
    "issue_from_csr",
    "make_ca",
    "read_authorities",
    "read_csr",
    "read_leaf",
    "verify_issued_by",
]

CA_LIFE = timedelta(days=3650)
DEFAULT_DAYS = 90
_BACKDATED = timedelta(minutes=5)
_MOST_PEM_BYTES = 16 * 1024
_MOST_AUTHORITIES = 4


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """The entity that a TLS certificate names, and until when (aware UTC)."""

    entity_id: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TlsLeaf:
    """What a node's own TLS certificate says: whose, for which key, and from when until when (aware UTC)."""

    entity_id: str
    kid: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class TlsRequest:
    """A request whose own signature holds: who asks, with which key."""

    entity_id: str
    public_key: ec.EllipticCurvePublicKey


def create_csr(key: SigningKey, entity_id: str) -> bytes:
    """A PEM request for `key` (ES256) that names the entity in both ways. Raises TlsIdentityRejected."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(tls_name(entity_id)))
    request = builder.add_extension(_names(entity_id), critical=False).sign(_ec_key(key), SHA256())
    return request.public_bytes(Encoding.PEM)


def read_csr(pem: bytes) -> TlsRequest:
    """The request in a PEM block, its signature verified.

    Raises TlsIdentityRejected: not a request, not a P-256 key, signature wrong, not exactly one URI name.
    """
    _check_size(pem)
    try:
        request = x509.load_pem_x509_csr(pem)
        key, names = _p256_key(request), _alternative_names(request.extensions)
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature, x509.DuplicateExtension):
        raise TlsIdentityRejected("not a certificate signing request in PEM") from None
    if not valid:
        raise TlsIdentityRejected("the request is not signed with the key it names")
    return TlsRequest(_one_uri(names), key)


def _p256_key(named: x509.CertificateSigningRequest | x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = named.public_key()
    except UnsupportedAlgorithm:  # a curve that `cryptography` does not know, as SM2's
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TlsIdentityRejected("a TLS key is on P-256")
    return key


def make_ca(key: SigningKey, name: str, now: datetime, *, life: timedelta = CA_LIFE) -> bytes:
    """The anchor's CA as PEM: self-signed, no CA below it. Raises TlsIdentityRejected."""
    private = _ec_key(key)
    subject = _subject(name)
    builder = (
        _builder(subject, subject, private.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM)


def issue_from_csr(
    csr_pem: bytes,
    ca_pem: bytes,
    ca_key: SigningKey,
    entity_id: str,
    now: datetime,
    *,
    days: int = DEFAULT_DAYS,
) -> bytes:
    """The chain (leaf, then CA) in PEM for the key of the request, named by `entity_id` and nothing else.

    Raises TlsIdentityRejected: the request is refused by `read_csr`, or names another entity.
    """
    request = read_csr(csr_pem)
    if request.entity_id != entity_id:
        raise TlsIdentityRejected(f"the request is for {request.entity_id}, not for {entity_id}")
    authority = x509.load_pem_x509_certificate(ca_pem)
    life = min(timedelta(days=days), authority.not_valid_after_utc - now)
    ca_private = _ec_key(ca_key)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_private.public_key())
    builder = (
        _builder(_subject(tls_name(entity_id)), authority.subject, request.public_key, now, life)
        .add_extension(_names(entity_id), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    return builder.sign(ca_private, SHA256()).public_bytes(Encoding.PEM) + ca_pem


def identity_from_pem(pem: bytes) -> TlsIdentity:
    """The entity that the first certificate of a PEM chain names. That the chain is good is TLS's to prove.

    Raises TlsIdentityRejected: not PEM, not exactly one URI name, not an entity id, DNS name of another
    entity, an IP address among the names.
    """
    return _identity(_load_leaf(pem))


def read_leaf(pem: bytes) -> TlsLeaf:
    """What the first certificate of a PEM chain says. Raises as `identity_from_pem`, and for another curve."""
    leaf = _load_leaf(pem)
    identity, kid = _identity(leaf), VerificationKey(_p256_key(leaf)).kid
    return TlsLeaf(identity.entity_id, kid, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _load_leaf(pem: bytes) -> x509.Certificate:
    _check_size(pem)
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise TlsIdentityRejected("not a TLS certificate in PEM") from None


def _identity(leaf: x509.Certificate) -> TlsIdentity:
    try:
        names = _alternative_names(leaf.extensions)
    except (ValueError, x509.DuplicateExtension):
        raise TlsIdentityRejected("not a TLS certificate in PEM") from None
    entity_id = _one_uri(names)
    if names is None or names.get_values_for_type(x509.DNSName) != [tls_name(entity_id)]:
        raise TlsIdentityRejected("the TLS certificate does not carry the one DNS name of its entity")
    if names.get_values_for_type(x509.IPAddress):
        raise TlsIdentityRejected("the TLS certificate names an IP address")
    return TlsIdentity(entity_id, leaf.not_valid_after_utc)


def verify_issued_by(pem: bytes, ca_pem: bytes) -> None:
    """Return when one of the CAs in `ca_pem` signed the first certificate of `pem`. Raises TlsIdentityRejected."""
    _check_size(pem)
    try:
        leaf, authorities = x509.load_pem_x509_certificate(pem), x509.load_pem_x509_certificates(ca_pem)
    except ValueError:
        raise TlsIdentityRejected("not a TLS certificate in PEM, or not a CA") from None
    if not any(_issued(leaf, authority) for authority in authorities):
        raise TlsIdentityRejected("the TLS certificate was not issued by the federation's CA")


def _issued(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def read_authorities(pems: object) -> tuple[str, ...]:
    """The CAs in a list of PEM texts, as the anchor names them: several while one follows the other.

    Each comes back in its one canonical spelling, with nothing beside it. Raises TlsIdentityRejected: not a
    list of one to four, an entry that is not exactly one CA.
    """
    if not isinstance(pems, list | tuple) or not 0 < len(pems) <= _MOST_AUTHORITIES:
        raise TlsIdentityRejected(f"the CAs of a federation are a list of 1 to {_MOST_AUTHORITIES} in PEM")
    return tuple(map(_authority, pems))


def _authority(pem: object) -> str:
    if not isinstance(pem, str) or not pem.isascii():
        raise TlsIdentityRejected("a CA is not in PEM")
    _check_size(pem.encode("ascii"))
    try:
        (authority,) = x509.load_pem_x509_certificates(pem.encode("ascii"))
        powers = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise TlsIdentityRejected("a CA is not exactly one X.509 CA in PEM") from None
    if not powers.ca:
        raise TlsIdentityRejected("what is named as a CA may not issue")
    return authority.public_bytes(Encoding.PEM).decode("ascii")


def _ec_key(key: SigningKey) -> ec.EllipticCurvePrivateKey:
    private = key.private_key
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TlsIdentityRejected("a TLS key is on P-256")
    return private


def _check_size(pem: bytes) -> None:
    if len(pem) > _MOST_PEM_BYTES:
        raise TlsIdentityRejected(f"more than {_MOST_PEM_BYTES} bytes of PEM")


def _subject(name: str) -> x509.Name:
    """At most 64 characters fit in a common name (RFC 5280, ub-common-name)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _names(entity_id: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(entity_id), x509.DNSName(tls_name(entity_id))]
    )


def _alternative_names(extensions: x509.Extensions) -> x509.SubjectAlternativeName | None:
    try:
        return extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _one_uri(names: x509.SubjectAlternativeName | None) -> str:
    """The only URI name, when it is an entity id in form. Whether HTTP may be is for the trust list."""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    if len(uris) != 1:
        raise TlsIdentityRejected(f"a TLS certificate names one entity by URI; this one names {len(uris)}")
    try:
        return check_entity_id(uris[0], allow_http_on_loopback=True)
    except EntityIdRejected as error:
        raise TlsIdentityRejected(error.detail) from None


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _BACKDATED).not_valid_after(now + life)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
