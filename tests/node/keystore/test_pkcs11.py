"""Keys in a PKCS#11 token (SoftHSM): what they sign verifies elsewhere; what is not this node's key is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from pkcs11 import Attribute, ObjectClass
from structlog.testing import capture_logs

from federation.errors import OwnKeyUnavailable
from node.keystore.errors import KeystoreError
from node.keystore.pkcs11 import PIN_VARIABLE, Pkcs11Source, TokenSigner, read_pin
from node.keystore.pkcs11_session import RETRY_S, TokenSession
from tests.support.softhsm import TestToken, new_token
from trust.envelope import parse, seal, unseal
from trust.errors import KeyRejected
from trust.keys import Signer, SigningKey, VerificationKey

MESSAGE = "跨省通办".encode()


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def token() -> TestToken:
    return new_token()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


Opener = Callable[..., Pkcs11Source]


@pytest.fixture
def opened(ticks: Ticks) -> Iterator[Opener]:
    """Opens sources, and closes them at the end."""
    sources: list[Pkcs11Source] = []

    def open_source(token: TestToken, pin: Callable[[], str] | None = None) -> Pkcs11Source:
        session = TokenSession(
            token.module, token.label, pin or (lambda: read_pin(token.pin_file)), monotonic=ticks
        )
        sources.append(Pkcs11Source(session))
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


@pytest.fixture
def source(token: TestToken, opened: Opener) -> Pkcs11Source:
    return opened(token)


def made(source: Pkcs11Source, alg: str = "ES256", purpose: str = "envelope") -> TokenSigner:
    reference, public = source.generate(purpose, alg)
    return source.signer(reference, public.jwk, purpose=purpose)


def objects(token: TestToken, kind: ObjectClass) -> list[Any]:
    """What lies in the token, as another program with the PIN would see it. Valid until the session is closed."""
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open()
    return list(session.get_objects({Attribute.CLASS: kind}))


# --- signing ---


@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
def test_what_the_token_signs_verifies_under_the_published_key(source: Pkcs11Source, alg: str) -> None:
    reference, public = source.generate("envelope", alg)
    signer: Signer = source.signer(reference, public.jwk, purpose="envelope")
    assert (signer.alg, signer.kid, signer.verification_key) == (alg, public.kid, public)
    signature = signer.sign(MESSAGE)
    assert len(signature) == 64
    VerificationKey.from_jwk(public.jwk).verify(signature, MESSAGE)
    sealed = seal("text/plain", MESSAGE, signer)
    assert unseal(parse(sealed.envelope, max_bytes=4096), keys={public.kid: public}).payload == MESSAGE


def test_cryptography_and_openssl_verify_it(source: Pkcs11Source, tmp_path: Path) -> None:
    signer = made(source)
    signature = signer.sign(MESSAGE)
    der = encode_dss_signature(*(int.from_bytes(half, "big") for half in (signature[:32], signature[32:])))
    public = signer.verification_key.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(der, MESSAGE, ec.ECDSA(SHA256()))
    (tmp_path / "key.pem").write_bytes(signer.verification_key.to_pem())
    (tmp_path / "signature").write_bytes(der)
    (tmp_path / "message").write_bytes(MESSAGE)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Verified OK", done.stderr


def test_a_key_is_found_again_by_its_reference(token: TestToken, opened: Opener) -> None:
    first = opened(token)
    reference, public = first.generate("envelope", "ES256")
    first.close()
    public.verify(opened(token).signer(reference, public.jwk, purpose="envelope").sign(MESSAGE), MESSAGE)


def test_the_private_key_stays_in_the_token(token: TestToken, source: Pkcs11Source) -> None:
    signer = made(source)
    (private,) = objects(token, ObjectClass.PRIVATE_KEY)
    (public,) = objects(token, ObjectClass.PUBLIC_KEY)
    assert private[Attribute.LABEL] == public[Attribute.LABEL] == "yrd-envelope"
    assert private[Attribute.ID] == public[Attribute.ID]
    assert private[Attribute.ALWAYS_SENSITIVE]
    assert private[Attribute.NEVER_EXTRACTABLE]
    assert private[Attribute.LOCAL]
    assert not private[Attribute.DERIVE]
    with pytest.raises(pkcs11.AttributeSensitive):
        private[Attribute.VALUE]
    assert not hasattr(signer, "to_pem")


@pytest.mark.parametrize("alg", ["SM2", "RS256", "none"])
def test_an_algorithm_that_no_token_has_is_refused(token: TestToken, source: Pkcs11Source, alg: str) -> None:
    made(source)
    with pytest.raises(KeyRejected, match=f"no {alg} key"):
        source.generate("envelope", alg)
    assert len(objects(token, ObjectClass.PRIVATE_KEY)) == 1


def test_several_threads_sign_with_several_keys(source: Pkcs11Source) -> None:
    signers = [made(source), made(source, "EdDSA"), made(source, purpose="federation")]
    with ThreadPoolExecutor(6) as threads:
        jobs = [
            (signer, b"%d" % number, threads.submit(signer.sign, b"%d" % number))
            for number in range(60)
            for signer in signers
        ]
    for signer, message, job in jobs:
        signer.verification_key.verify(job.result(), message)


# --- what is not this node's key ---


def test_the_key_of_another_token_is_not_there(opened: Opener) -> None:
    reference, public = opened(new_token()).generate("envelope", "ES256")
    with pytest.raises(KeystoreError, match="another token, or the key was deleted"):
        opened(new_token()).signer(reference, public.jwk, purpose="envelope")


def test_a_row_with_the_public_key_of_another_is_refused(source: Pkcs11Source) -> None:
    reference, _ = source.generate("envelope", "ES256")
    _, other = source.generate("envelope", "ES256")
    with pytest.raises(KeystoreError, match="another public key"):
        source.signer(reference, other.jwk, purpose="envelope")


def test_a_key_for_one_purpose_serves_no_other(source: Pkcs11Source) -> None:
    reference, public = source.generate("openid", "ES256")
    with pytest.raises(KeystoreError, match=r"\(envelope\) is not in the token"):
        source.signer(reference, public.jwk, purpose="envelope")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kid": "another"}, "is wrong"),
        ({"x": "AAAA"}, "is wrong"),
        ({"kty": "RSA"}, "is wrong"),
        ({"d": "AAAA"}, "private members"),
    ],
)
def test_a_row_that_was_altered_is_refused(source: Pkcs11Source, change: dict[str, str], said: str) -> None:
    reference, public = source.generate("envelope", "ES256")
    with pytest.raises(KeystoreError, match=said):
        source.signer(reference, {**public.jwk, **change}, purpose="envelope")


def stored_key(token: TestToken, private: SigningKey, public: SigningKey, **attributes: Any) -> bytes:
    """A key pair that was put into the token from outside; its reference."""
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
    reference, names = b"from outside....", {Attribute.TOKEN: True, Attribute.LABEL: "yrd-envelope"}
    curve = {
        Attribute.KEY_TYPE: pkcs11.KeyType.EC,
        Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"),
    }
    assert isinstance(private.private_key, ec.EllipticCurvePrivateKey)
    numbers = private.private_key.private_numbers()
    extra = {Attribute[name]: value for name, value in attributes.items()}
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.PRIVATE_KEY,
            Attribute.ID: reference,
            Attribute.VALUE: numbers.private_value.to_bytes(32, "big"),
            Attribute.SIGN: True,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            **names,
            **curve,
            **extra,
        }
    )
    encoded = pkcs11.util.ec.decode_ec_public_key(_der(public.verification_key))
    session.create_object({**encoded, **names, Attribute.ID: reference, Attribute.VERIFY: True})
    session.close()
    return reference


def _der(key: VerificationKey) -> bytes:
    done = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=key.to_pem(), capture_output=True, check=True
    )
    return done.stdout


def test_a_public_object_beside_another_private_key_is_refused(
    token: TestToken, source: Pkcs11Source
) -> None:
    reference, _ = source.generate("envelope", "ES256")
    other = SigningKey.generate()
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
    session.get_key(object_class=ObjectClass.PUBLIC_KEY, id=reference).destroy()
    public = pkcs11.util.ec.decode_ec_public_key(_der(other.verification_key))
    names = {Attribute.TOKEN: True, Attribute.LABEL: "yrd-envelope", Attribute.ID: reference}
    session.create_object({**public, **names, Attribute.VERIFY: True})
    session.close()
    source.close()
    with pytest.raises(KeystoreError, match="signs with another key"):
        source.signer(reference, other.verification_key.jwk, purpose="envelope")


def test_a_key_that_was_imported_is_refused_although_it_stays(token: TestToken, source: Pkcs11Source) -> None:
    made(source)  # so that this process is logged in
    key = SigningKey.generate()
    reference = stored_key(token, key, key)
    with pytest.raises(KeystoreError, match="was not made in the token"):
        source.signer(reference, key.verification_key.jwk, purpose="envelope")


def test_a_key_that_can_be_taken_out_is_refused(token: TestToken, source: Pkcs11Source) -> None:
    made(source)
    key = SigningKey.generate()
    reference = stored_key(token, key, key, EXTRACTABLE=True)
    with pytest.raises(KeystoreError, match="can be taken out"):
        source.signer(reference, key.verification_key.jwk, purpose="envelope")


# --- token, module, PIN ---


def test_a_token_or_a_module_that_is_not_there_is_named(token: TestToken, tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"'absent'.*NoSuchToken"):
        Pkcs11Source.open(token.module, "absent", token.pin_file).generate("envelope", "ES256")
    with pytest.raises(KeystoreError, match=r"none\.so"):
        Pkcs11Source.open(tmp_path / "none.so", token.label, token.pin_file).generate("envelope", "ES256")
    (tmp_path / "no-module.so").write_bytes(b"\x7fELF")
    with pytest.raises(KeystoreError, match=r"no-module\.so"):
        Pkcs11Source.open(tmp_path / "no-module.so", "x", token.pin_file).generate("envelope", "ES256")


def test_a_wrong_pin_is_refused_and_never_sent_twice(token: TestToken, opened: Opener, ticks: Ticks) -> None:
    right, pins = token.pin, ["99999999"]
    source = opened(token, lambda: pins[-1])
    with capture_logs() as logs:
        for said in ("PIN was refused (PinIncorrect)", "PIN was refused (PinIncorrect)"):
            with pytest.raises(KeystoreError) as refused:  # the second is within the pause
                source.generate("envelope", "ES256")
            assert said in str(refused.value)
        ticks.now += RETRY_S
        with pytest.raises(KeystoreError, match="not sent again"):
            source.generate("envelope", "ES256")
    assert "99999999" not in str(refused.value) + repr(source) + repr(logs)
    ticks.now += RETRY_S
    pins.append(right)
    assert made(source).sign(MESSAGE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o755])
def test_a_pin_file_that_others_can_reach_is_refused(token: TestToken, opened: Opener, mode: int) -> None:
    token.pin_file.chmod(mode)
    with pytest.raises(KeystoreError, match=f"has mode 0{mode:o}.*chmod 600"):
        opened(token).generate("envelope", "ES256")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"1" * 300])
def test_a_pin_file_without_a_pin_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pin"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match="PIN file"):
        read_pin(path)


def test_a_pin_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="cannot be read"):
        read_pin(tmp_path / "absent")
    with pytest.raises(KeystoreError, match="not a regular file"):
        read_pin(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeystoreError, match="not a regular file"):
        read_pin(tmp_path / "pipe")


def test_the_pin_may_be_in_the_environment(token: TestToken, tmp_path: Path) -> None:
    assert read_pin(None, {PIN_VARIABLE: token.pin}) == token.pin
    with pytest.raises(KeystoreError, match=PIN_VARIABLE):
        read_pin(None, {})
    (tmp_path / "pin").touch(0o600)
    (tmp_path / "pin").write_text("file 密\r\n", "utf-8")
    assert read_pin(tmp_path / "pin", {PIN_VARIABLE: "environment"}) == "file 密"


# --- what is lost and comes back ---


def test_a_token_that_is_away_refuses_and_comes_back_by_itself(
    token: TestToken, source: Pkcs11Source, ticks: Ticks
) -> None:
    signer = made(source)
    with capture_logs() as logs, token.away():
        for _ in range(3):
            with pytest.raises(OwnKeyUnavailable) as refused:
                signer.sign(MESSAGE)
            ticks.now += RETRY_S
    assert source.trouble
    assert token.label not in refused.value.detail  # a peer may see it
    assert str(token.module) not in refused.value.detail
    assert [entry["event"] for entry in logs].count("pkcs11.unavailable") == 3
    assert token.pin not in repr(logs)
    signer.verification_key.verify(signer.sign(MESSAGE), MESSAGE)
    assert source.trouble == ""


def test_a_token_that_failed_is_left_alone_for_a_moment(
    token: TestToken, source: Pkcs11Source, ticks: Ticks
) -> None:
    signer = made(source)
    with token.away(), pytest.raises(OwnKeyUnavailable):
        signer.sign(MESSAGE)
    with capture_logs() as logs, pytest.raises(OwnKeyUnavailable):
        signer.sign(MESSAGE)
    assert logs == []
    ticks.now += RETRY_S
    assert signer.sign(MESSAGE)


def test_a_lost_session_is_opened_once_more_and_nobody_notices(
    token: TestToken, source: Pkcs11Source, opened: Opener
) -> None:
    signer, neighbour = made(source), made(opened(token))
    pkcs11.lib(str(token.module)).reinitialize()  # every session of the process is gone
    for one in (signer, neighbour, signer):
        one.verification_key.verify(one.sign(MESSAGE), MESSAGE)


def test_who_lets_go_takes_the_token_from_nobody(token: TestToken, opened: Opener) -> None:
    one, two = opened(token), opened(token)
    first, second = made(one), made(two)
    one.close()
    assert second.sign(MESSAGE)
    two.close()
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open()
    assert list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})) == []  # logged out
    session.close()
    assert first.sign(MESSAGE)  # opens it again


def test_a_token_that_the_process_is_logged_in_to_already_is_used(token: TestToken, opened: Opener) -> None:
    source = opened(token)
    made(source)
    source.close()
    elsewhere = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin=token.pin)
    assert made(source).sign(MESSAGE)
    source.close()
    assert list(elsewhere.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))  # its login is left alone
    elsewhere.close()


def test_two_tokens_of_one_name_are_refused(token: TestToken, opened: Opener) -> None:
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", token.label),
            *("--pin", "12345678", "--so-pin", "87654321"),
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(KeystoreError, match="MultipleTokensReturned"):
        opened(token).generate("envelope", "ES256")


def test_a_key_that_was_deleted_in_the_token_signs_no_more(
    token: TestToken, source: Pkcs11Source, opened: Opener
) -> None:
    reference, public = source.generate("envelope", "ES256")
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
    for found in list(session.get_objects({Attribute.ID: reference})):
        found.destroy()
    session.close()
    with pytest.raises(KeystoreError, match="deleted"):
        opened(token).signer(reference, public.jwk, purpose="envelope")


def test_a_child_process_signs_too(token: TestToken, source: Pkcs11Source) -> None:
    """After a fork the module must be initialised anew (PKCS #11 §5.4); a process of its own, to fork alone."""
    reference, public = source.generate("envelope", "ES256")
    program = """
import json, os, sys
from pathlib import Path
from node.keystore.pkcs11 import Pkcs11Source
module, label, pin_file, reference, jwk = sys.argv[1:]
source = Pkcs11Source.open(Path(module), label, Path(pin_file))
signer = source.signer(bytes.fromhex(reference), json.loads(jwk), purpose="envelope")
child = os.fork()
for message in (b"one", b"two"):
    signer.verification_key.verify(signer.sign(message), message)
if not child:
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    arguments = [
        str(token.module),
        token.label,
        str(token.pin_file),
        reference.hex(),
        json.dumps(dict(public.jwk)),
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr


def test_nothing_secret_is_shown(token: TestToken, source: Pkcs11Source) -> None:
    signer = made(source)
    shown = repr(source) + repr(signer) + repr(source._session)
    assert signer.kid in shown
    assert token.pin not in shown
    assert hashlib.sha256(token.pin.encode()).hexdigest() not in shown


def test_a_slow_token_keeps_only_those_waiting_who_sign(source: Pkcs11Source) -> None:
    """The lock is the module's: nobody who does not sign ever takes it."""
    signer, inside, leave = made(source), threading.Event(), threading.Event()

    def slow(_connection: object) -> bytes:
        inside.set()
        leave.wait(30)
        return b""

    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(source._session.run, slow)
        assert inside.wait(30)
        waiting = threads.submit(signer.sign, MESSAGE)
        assert (signer.kid, source.trouble) == (signer.verification_key.kid, "")
        assert not waiting.done()
        leave.set()
        assert held.result() == b""
        assert len(waiting.result()) == 64
