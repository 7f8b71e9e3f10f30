"""SM2: the standard's own example, agreement with the openssl command both ways, and every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sm2 import openssl, private_pem_of, without_sm2
from trust import sm2
from trust.errors import AlgorithmUnavailable, BadSignature, KeyRejected, SignatureForm
from trust.sm2 import USER_ID, Sm2PrivateKey, Sm2PublicKey, is_private_pem, require_sm2

# GB/T 32918.5-2017: the recommended curve, and the example of a signature in its annex A.2.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
SECRET = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
X = 0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020
Y = 0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA

KEY = Sm2PrivateKey.generate()
PUBLIC = KEY.public_key()
SIGNED = KEY.sign(b"message")
DISTID = f"distid:{USER_ID.decode()}"
RAW = ["-rawin", "-digest", "sm3", "-pkeyopt", DISTID]


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def pair(r: int, s: int) -> bytes:
    return number(r) + number(s)


def der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


# --- the standard and the other implementation ---


def test_the_example_of_the_standard_verifies() -> None:
    Sm2PublicKey.from_coordinates(number(X), number(Y)).verify(
        pair(R, S), b"message digest", b"1234567812345678"
    )


def test_the_private_key_of_the_example_has_its_public_key() -> None:
    key = Sm2PrivateKey.from_pem(private_pem_of(SECRET, X, Y))
    public = key.public_key()
    assert (public.x, public.y) == (number(X), number(Y))
    public.verify(key.sign(b"message digest"), b"message digest")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a key of ours, its public half, and a message."""
    (tmp_path / "key.pem").write_bytes(KEY.to_pem())
    (tmp_path / "public.pem").write_bytes(PUBLIC.to_pem())
    (tmp_path / "message").write_bytes(b"from one to the other")
    return tmp_path


def verify_commands(files: Path) -> list[list[str | Path]]:
    signature, message, public = files / "signature", files / "message", files / "public.pem"
    return [
        ["dgst", "-sm3", "-sigopt", DISTID, "-verify", public, "-signature", signature, message],
        ["pkeyutl", "-verify", *RAW, "-pubin", "-inkey", public, "-sigfile", signature, "-in", message],
    ]


@pytest.mark.parametrize("way", [0, 1], ids=["dgst", "pkeyutl"])
def test_openssl_verifies_ours(files: Path, way: int) -> None:
    message = (files / "message").read_bytes()
    (files / "signature").write_bytes(der(KEY.sign(message)))
    assert openssl(*verify_commands(files)[way]).returncode == 0

    (files / "message").write_bytes(message + b"!")
    assert openssl(*verify_commands(files)[way]).returncode != 0


@pytest.mark.parametrize("way", ["dgst", "pkeyutl"])
def test_we_verify_openssls(files: Path, way: str) -> None:
    key, message, signature = files / "key.pem", files / "message", files / "signature"
    sign: dict[str, list[str | Path]] = {
        "dgst": ["dgst", "-sm3", "-sigopt", DISTID, "-sign", key, "-out", signature, message],
        "pkeyutl": ["pkeyutl", "-sign", *RAW, "-inkey", key, "-in", message, "-out", signature],
    }
    assert openssl(*sign[way]).returncode == 0
    r, s = decode_dss_signature(signature.read_bytes())
    PUBLIC.verify(pair(r, s), message.read_bytes())


@pytest.mark.parametrize(
    "made",
    [
        ["genpkey", "-algorithm", "SM2"],
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"],
        ["ecparam", "-name", "SM2", "-genkey", "-noout"],
    ],
    ids=lambda command: command[0] + command[2],
)
def test_a_key_that_openssl_made_is_read_and_signs(made: list[str]) -> None:
    pem = openssl(*made).stdout
    assert is_private_pem(pem)
    key = Sm2PrivateKey.from_pem(pem)
    key.public_key().verify(key.sign(b"x"), b"x")


def test_openssl_reads_the_key_that_we_made(files: Path) -> None:
    public = openssl("pkey", "-in", files / "key.pem", "-pubout").stdout
    assert public == PUBLIC.to_pem()
    assert openssl("pkey", "-in", files / "key.pem", "-check", "-noout").returncode == 0


# --- keys ---


def test_a_key_survives_pem() -> None:
    again = Sm2PrivateKey.from_pem(KEY.to_pem())
    assert again.to_pem() == KEY.to_pem()
    PUBLIC.verify(again.sign(b"x"), b"x")


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (number(X), number(Y + 1)),
        (number(X + 1), number(Y)),
        (number(Y), number(X)),
        (bytes(32), bytes(32)),
        (number(P), number(Y)),
        (b"\xff" * 32, b"\xff" * 32),
        (number(X)[1:], number(Y)),
        (number(X), number(Y) + b"\x00"),
        (b"", b""),
    ],
)
def test_what_is_no_point_of_the_curve_is_refused(x: bytes, y: bytes) -> None:
    with pytest.raises(KeyRejected):
        Sm2PublicKey.from_coordinates(x, y)


def test_a_point_has_one_spelling() -> None:
    """A coordinate that is not below the field's prime is refused, though it is congruent to a good one."""
    public = _small_points()[0]
    with pytest.raises(KeyRejected):
        Sm2PublicKey.from_coordinates(number(int.from_bytes(public.x, "big") + P), public.y)


def _small_points() -> list[Sm2PublicKey]:
    """Points whose x is so small that x + p still has 32 bytes."""
    a, b = P - 3, 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
    points = []
    for x in range(1, 9):
        square = (x**3 + a * x + b) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            points.append(Sm2PublicKey.from_coordinates(number(x), number(y)))
    return points


@pytest.mark.parametrize(
    "pem",
    [
        private_pem_of(SECRET + 1, X, Y),
        private_pem_of(SECRET, X, Y + 1),
        private_pem_of(0, X, Y),
        private_pem_of(N, X, Y),
        private_pem_of(N + 1, X, Y),
        private_pem_of(N - 1, GX, P - GY),  # fits, but 1 + d has no inverse (GB/T 32918.1 §6.1)
    ],
)
def test_a_private_key_that_does_not_fit_is_refused(pem: bytes) -> None:
    assert is_private_pem(pem)
    with pytest.raises(KeyRejected):
        Sm2PrivateKey.from_pem(pem)


@given(st.integers(0, len(KEY.to_pem()) - 1), st.binary(min_size=1, max_size=1))
def test_an_altered_pem_is_the_same_key_or_refused(place: int, other: bytes) -> None:
    pem = KEY.to_pem()
    altered = pem[:place] + other + pem[place + 1 :]
    with suppress(KeyRejected):
        found = Sm2PrivateKey.from_pem(altered).public_key()
        assert (found.x, found.y) == (PUBLIC.x, PUBLIC.y)


@given(st.binary(max_size=200))
def test_noise_is_no_key(noise: bytes) -> None:
    for pem in (noise, b"-----BEGIN PRIVATE KEY-----\n" + noise + b"\n-----END PRIVATE KEY-----\n"):
        assert not is_private_pem(pem)
        with pytest.raises(KeyRejected):
            Sm2PrivateKey.from_pem(pem)


def test_what_is_appended_to_a_key_is_refused() -> None:
    assert not is_private_pem(KEY.to_pem() + KEY.to_pem())
    assert not is_private_pem(KEY.to_pem().replace(b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"))


def test_a_key_does_not_show_its_secret() -> None:
    assert (repr(KEY), repr(PUBLIC)) == ("Sm2PrivateKey()", "Sm2PublicKey()")
    with pytest.raises(KeyRejected) as refused:
        Sm2PrivateKey.from_pem(private_pem_of(SECRET, X, Y + 1))
    assert f"{SECRET:x}" not in str(refused.value).lower()


# --- signatures ---


@settings(max_examples=40)
@given(st.binary(max_size=2000))
def test_what_is_signed_verifies(message: bytes) -> None:
    signature = KEY.sign(message)
    assert len(signature) == 64
    PUBLIC.verify(signature, message)


@given(st.integers(0, 64 * 8 - 1))
def test_one_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        PUBLIC.verify(bytes(flipped), b"message")


_R, _S = int.from_bytes(SIGNED[:32], "big"), int.from_bytes(SIGNED[32:], "big")


@pytest.mark.parametrize(
    ("r", "s"),
    [
        pytest.param(0, 0, id="zeros"),
        pytest.param(0, _S, id="r=0"),
        pytest.param(_R, 0, id="s=0"),
        pytest.param(N, _S, id="r=n"),
        pytest.param(_R, N, id="s=n"),
        pytest.param(N - 1, 1, id="r+s=n"),
        pytest.param(1, N - 1, id="s+r=n"),
        pytest.param(2**256 - 1, 2**256 - 1, id="all ones"),
        pytest.param(_S, _R, id="swapped"),
        pytest.param(_R, N - _S, id="s negated"),
    ],
)
def test_numbers_that_sign_nothing_are_refused(r: int, s: int) -> None:
    with pytest.raises(BadSignature):
        PUBLIC.verify(pair(r, s), b"message")


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_another_length_is_another_form(length: int) -> None:
    with pytest.raises(SignatureForm):
        PUBLIC.verify(bytes(length), b"message")


def test_der_is_another_form() -> None:
    with pytest.raises(SignatureForm):
        PUBLIC.verify(der(SIGNED), b"message")


@given(st.binary(max_size=40).filter(lambda other: other != b"message"))
def test_a_signature_over_something_else_is_refused(other: bytes) -> None:
    with pytest.raises(BadSignature):
        PUBLIC.verify(SIGNED, other)


def test_another_key_or_another_identity_is_refused() -> None:
    with pytest.raises(BadSignature):
        Sm2PrivateKey.generate().public_key().verify(SIGNED, b"message")
    for identity in (b"1234567812345679", b"TLSv1.3+GM+Cipher+Suite", b"1"):
        with pytest.raises(BadSignature):
            PUBLIC.verify(SIGNED, b"message", identity)
        PUBLIC.verify(KEY.sign(b"message", identity), b"message", identity)


def test_nothing_is_left_in_the_error_queue() -> None:
    with pytest.raises(BadSignature):
        PUBLIC.verify(bytes(64), b"message")
    with pytest.raises(KeyRejected):
        Sm2PublicKey.from_coordinates(number(X), number(X))
    with pytest.raises(KeyRejected):
        Sm2PrivateKey.from_pem(private_pem_of(SECRET + 1, X, Y))
    assert sm2._crypto().lib.ERR_peek_last_error() == 0


def test_one_key_serves_many_threads() -> None:
    def sign_and_verify(place: int) -> int:
        message = b"%d" % place
        PUBLIC.verify(KEY.sign(message), message)
        return place

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(sign_and_verify, range(200))) == list(range(200))


# --- a machine without it ---


@pytest.mark.parametrize("library", ["libcrypto-that-is-not-there.so.3", "libc.so.6"])
def test_without_the_library_only_sm2_is_refused_and_the_reason_told(library: str) -> None:
    pem, signature = KEY.to_pem(), KEY.sign(b"x")
    with without_sm2(library):
        for attempt in (
            require_sm2,
            Sm2PrivateKey.generate,
            lambda: Sm2PrivateKey.from_pem(pem),
            lambda: Sm2PublicKey.from_coordinates(number(X), number(Y)),
        ):
            with pytest.raises(AlgorithmUnavailable, match=r"libcrypto\.so\.3|is not there"):
                attempt()
        assert is_private_pem(pem)
    require_sm2()
    PUBLIC.verify(signature, b"x")


def test_an_openssl_without_sm2_is_told_apart(tmp_path: Path) -> None:
    """A libcrypto that activates nothing but the null provider has no algorithm at all; importing is no fault."""
    config = tmp_path / "openssl.cnf"
    config.write_text(
        "openssl_conf = init\n[init]\nproviders = found\n[found]\nnull = null\n[null]\nactivate = 1\n"
    )
    program = "import trust.keys, trust.sm2\ntrust.sm2.require_sm2()"
    environment = {**os.environ, "OPENSSL_CONF": str(config)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "offers no SM2 with SM3" in done.stderr
