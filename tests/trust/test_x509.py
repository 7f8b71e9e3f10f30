"""X.509: what the CA issues, what a node reads from it, and that openssl agrees."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.clock import NOON
from trust.errors import TlsIdentityRejected
from trust.identity import tls_name
from trust.keys import SigningKey
from trust.x509 import (
    create_csr,
    identity_from_pem,
    issue_from_csr,
    make_ca,
    read_authorities,
    read_csr,
    read_leaf,
    verify_issued_by,
)

ENTITY = "https://node.zj.example"
OTHER = "https://node.ah.example"
NODE_KEY, CA_KEY = SigningKey.generate(), SigningKey.generate()
CA = make_ca(CA_KEY, "长三角锚", NOON)
CHAIN = issue_from_csr(create_csr(NODE_KEY, ENTITY), CA, CA_KEY, ENTITY, NOON)


def test_the_chain_names_the_entity_in_both_ways_and_nothing_else() -> None:
    identity = identity_from_pem(CHAIN)
    assert (identity.entity_id, identity.not_after) == (ENTITY, NOON + timedelta(days=90))
    leaf, authority = x509.load_pem_x509_certificates(CHAIN)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(ENTITY), x509.DNSName(tls_name(ENTITY))]
    assert authority.public_bytes(Encoding.PEM) == CA
    verify_issued_by(CHAIN, CA)


def test_openssl_verifies_request_and_chain(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = make_ca(CA_KEY, "anchor", now)
    csr = create_csr(NODE_KEY, ENTITY)
    chain = issue_from_csr(csr, authority, CA_KEY, ENTITY, now)
    for name, data in (("ca", authority), ("chain", chain), ("csr", csr)):
        (tmp_path / name).write_bytes(data)
    for purpose in ("sslclient", "sslserver"):
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-verify_hostname",
            tls_name(ENTITY),
        ]
        command += ["-CAfile", str(tmp_path / "ca"), str(tmp_path / "chain")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    request = ["openssl", "req", "-in", str(tmp_path / "csr"), "-verify", "-noout"]
    assert subprocess.run(request, capture_output=True, check=False).returncode == 0


def test_a_node_cannot_ask_for_anothers_name() -> None:
    with pytest.raises(TlsIdentityRejected, match="not for"):
        issue_from_csr(create_csr(NODE_KEY, ENTITY), CA, CA_KEY, OTHER, NOON)


def test_the_ca_does_not_outlive_itself() -> None:
    late = NOON + timedelta(days=3640)
    chain = issue_from_csr(create_csr(NODE_KEY, ENTITY), CA, CA_KEY, ENTITY, late)
    assert identity_from_pem(chain).not_after == NOON + timedelta(days=3650)


def test_names_and_powers_in_the_request_are_not_taken_over() -> None:
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(ENTITY), x509.DNSName(tls_name(OTHER))]
    )
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    )
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = NODE_KEY.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    csr = builder.sign(private, SHA256()).public_bytes(Encoding.PEM)
    leaf = x509.load_pem_x509_certificate(issue_from_csr(csr, CA, CA_KEY, ENTITY, NOON))
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == [tls_name(ENTITY)]


def test_a_request_that_was_signed_with_another_key_is_refused() -> None:
    csr = x509.load_pem_x509_csr(create_csr(NODE_KEY, ENTITY))
    der = bytearray(csr.public_bytes(Encoding.DER))
    der[-1] ^= 1
    altered = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(TlsIdentityRejected):
        read_csr(altered)


def _csr(names: Sequence[x509.GeneralName], curve: ec.EllipticCurve) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ec.generate_private_key(curve), SHA256()).public_bytes(Encoding.PEM)


URI = x509.UniformResourceIdentifier
CURVE = ec.SECP256R1()


def test_a_request_on_another_curve_or_for_several_is_refused() -> None:
    with pytest.raises(TlsIdentityRejected, match="P-256"):
        read_csr(_csr([URI(ENTITY)], ec.SECP384R1()))
    for names in ([], [URI(ENTITY), URI(OTHER)], [x509.DNSName("a.example")], [URI("https://UPPER.example")]):
        with pytest.raises(TlsIdentityRejected):
            read_csr(_csr(names, ec.SECP256R1()))
    with pytest.raises(TlsIdentityRejected):
        create_csr(SigningKey.generate("EdDSA"), ENTITY)


def test_a_request_and_a_tls_certificate_on_the_sm2_curve_are_refused(tmp_path: Path) -> None:
    key, names = tmp_path / "key.pem", f"subjectAltName=URI:{ENTITY},DNS:{tls_name(ENTITY)}"
    key.write_bytes(SigningKey.generate("SM2").to_pem())
    make: list[str | Path] = [
        "openssl",
        "req",
        "-new",
        "-sm3",
        "-key",
        key,
        "-subj",
        "/CN=x",
        "-addext",
        names,
    ]
    csr = subprocess.run(make, capture_output=True, check=True).stdout
    with pytest.raises(TlsIdentityRejected, match="P-256"):
        read_csr(csr)
    leaf = subprocess.run([*make, "-x509"], capture_output=True, check=True).stdout
    with pytest.raises(TlsIdentityRejected, match="P-256"):
        read_leaf(leaf)
    with pytest.raises(TlsIdentityRejected, match="not issued"):
        verify_issued_by(leaf, leaf)
    with pytest.raises(TlsIdentityRejected, match="P-256"):
        create_csr(SigningKey.generate("SM2"), ENTITY)


NAMES = [URI(ENTITY), x509.DNSName(tls_name(ENTITY))]


def _leaf(names: Sequence[x509.GeneralName], curve: ec.EllipticCurve = CURVE) -> bytes:
    key = ec.generate_private_key(curve)
    subject = x509.Name([])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOON).not_valid_after(NOON + timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "names",
    [
        [],
        [x509.DNSName(tls_name(ENTITY))],
        [URI(ENTITY)],
        [URI(ENTITY), x509.DNSName(tls_name(OTHER))],
        [URI(ENTITY), x509.DNSName(tls_name(ENTITY)), x509.DNSName("a.example")],
        [URI(ENTITY), URI(OTHER), x509.DNSName(tls_name(ENTITY))],
        [URI(ENTITY), x509.DNSName(tls_name(ENTITY)), x509.IPAddress(ip_address("127.0.0.1"))],
        [URI("https://node.zj.example/"), x509.DNSName(tls_name("https://node.zj.example/"))],
        [URI("urn:node"), x509.DNSName(tls_name("urn:node"))],
    ],
    ids=str,
)
def test_a_certificate_that_does_not_name_exactly_one_entity_is_refused(
    names: Sequence[x509.GeneralName],
) -> None:
    with pytest.raises(TlsIdentityRejected):
        identity_from_pem(_leaf(names))


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN CERTIFICATE-----\n", b"A" * 20000])
def test_what_is_no_pem_is_refused(pem: bytes) -> None:
    for read in (identity_from_pem, read_csr):
        with pytest.raises(TlsIdentityRejected):
            read(pem)


def test_another_ca_did_not_issue_it() -> None:
    other = make_ca(SigningKey.generate(), "长三角锚", NOON)
    with pytest.raises(TlsIdentityRejected):
        verify_issued_by(CHAIN, other)
    with pytest.raises(TlsIdentityRejected):
        verify_issued_by(_leaf([URI(ENTITY), x509.DNSName(tls_name(ENTITY))]), CA)


def test_the_cas_of_a_federation_are_read_one_by_one() -> None:
    second = make_ca(SigningKey.generate(), "next", NOON).decode()
    assert read_authorities([CA.decode(), "# the next one\n" + second]) == (CA.decode(), second)


@pytest.mark.parametrize(
    "pems",
    [
        None,
        CA.decode(),
        [],
        [CA.decode()] * 5,
        [7],
        ["汉"],
        [""],
        [CA.decode() * 2],
        [CHAIN.decode()],
        [_leaf([URI(ENTITY)]).decode()],
        [CHAIN.decode().split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"],
        [CA.decode() + "A" * 20000],
    ],
    ids=lambda pems: str(pems)[-24:],
)
def test_what_is_not_a_list_of_cas_is_refused(pems: object) -> None:
    with pytest.raises(TlsIdentityRejected):
        read_authorities(pems)


def test_a_leaf_says_whose_it_is_for_which_key_and_until_when() -> None:
    leaf = read_leaf(CHAIN)
    assert (leaf.entity_id, leaf.kid) == (ENTITY, NODE_KEY.kid)
    assert (leaf.not_before, leaf.not_after) == (NOON - timedelta(minutes=5), NOON + timedelta(days=90))
    for pem in (b"", b"x", CA, b"A" * 20000, _leaf([URI(ENTITY)]), _leaf(NAMES, ec.SECP384R1())):
        with pytest.raises(TlsIdentityRejected):
            read_leaf(pem)


def test_one_of_several_cas_is_enough() -> None:
    other = make_ca(SigningKey.generate(), "next", NOON)
    verify_issued_by(CHAIN, other + CA)
    verify_issued_by(CHAIN, CA + other)
    for none in (b"", other, other + other):
        with pytest.raises(TlsIdentityRejected):
            verify_issued_by(CHAIN, none)
