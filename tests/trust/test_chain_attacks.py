"""A row for each attack on a chain: what a hostile province, a thief of a key, or a mirror might serve.

All of them start from the good chain of Zhejiang, or of a city under it, and are refused by name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.support.clock import NOON
from tests.trust.deep import HANGZHOU, YUHANG, about, key_of, line, own
from tests.trust.federation import (
    ANCHOR,
    ANCHOR_KEY,
    ANHUI,
    ANHUI_KEY,
    CITY_KEY,
    FACTS,
    PINNED,
    ZHEJIANG,
    ZHEJIANG_KEY,
    Bend,
    anchor_configuration,
    bend,
    chain,
    configuration,
    graft,
    jwks,
    leaf,
    resolve,
    statement,
    superior,
    top,
)
from trust.algorithms import b64url, b64url_bytes
from trust.chain import resolve_chain
from trust.errors import (
    BadSignature,
    ChainBroken,
    ChainExpired,
    ForeignKey,
    KeyRejected,
    SignatureForm,
    StatementRejected,
    TrustError,
)
from trust.historical import build_historical_keys
from trust.keys import SigningKey
from trust.profile import node_pins, read_node
from trust.resolution import build_resolve_response
from trust.status import build_status

IAT = int(NOON.timestamp())
EVE = SigningKey.generate()
ED = SigningKey.generate("EdDSA")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
Sign = Callable[[bytes], bytes]


def _forge(token: str, sign: Sign, *, body: bytes | None = None, **header: Any) -> str:
    """The token with another header (None takes a member away) and body, signed so."""
    head, old_body, _ = token.split(".")
    changed = {**json.loads(b64url_bytes(head)), **header}
    text = json.dumps({name: value for name, value in changed.items() if value is not None})
    message = f"{b64url(text.encode())}.{old_body if body is None else b64url(body)}"
    return f"{message}.{b64url(sign(message.encode()))}"


def _statement(sign: Sign = ANCHOR_KEY.sign, **header: Any) -> Bend:
    return lambda s: [s[0], _forge(s[1], sign, **header), s[2]]


def _body(change: Callable[[str], str]) -> Bend:
    """The anchor's statement with other JSON, which the anchor even signed."""

    def bent(statements: list[str]) -> list[str]:
        text = b64url_bytes(statements[1].split(".")[1]).decode()
        return [
            statements[0],
            _forge(statements[1], ANCHOR_KEY.sign, body=change(text).encode()),
            statements[2],
        ]

    return bent


def _mac(secret: bytes) -> Sign:
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def _rs256(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def _der(message: bytes) -> bytes:
    assert isinstance(ANCHOR_KEY.private_key, ec.EllipticCurvePrivateKey)
    return ANCHOR_KEY.private_key.sign(message, ec.ECDSA(hashes.SHA256()))


def _nothing(_: bytes) -> bytes:
    return b""


PUBLIC = ANCHOR_KEY.verification_key
PUBLIC_JSON = json.dumps(dict(PUBLIC.jwk)).encode()
RSA_JWK = {"kty": "RSA", "n": b64url(RSA.public_key().public_numbers().n.to_bytes(256, "big")), "e": "AQAB"}
SM2_JWK = {"kty": "EC", "crv": "SM2", "x": PUBLIC.jwk["x"], "y": PUBLIC.jwk["y"], "kid": PUBLIC.kid}

SIGNATURES: list[tuple[str, Bend, type[TrustError]]] = [
    ("alg none, no signature", _statement(_nothing, alg="none"), StatementRejected),
    ("alg None in another spelling", _statement(_nothing, alg="NoNe"), StatementRejected),
    ("alg none with the old signature", _statement(alg="none"), StatementRejected),
    ("no alg", _statement(alg=None), StatementRejected),
    ("no signature under ES256", _statement(_nothing), SignatureForm),
    ("a signature of zeros", _statement(lambda _: bytes(64)), BadSignature),
    ("a signature in DER", _statement(_der), SignatureForm),
    ("a signature over something else", _statement(lambda _: ANCHOR_KEY.sign(b"x")), BadSignature),
    ("RS256 under the anchor's kid", _statement(_rs256, alg="RS256"), StatementRejected),
    ("an RSA key in the chain", superior(jwks={"keys": [RSA_JWK | {"kid": "a"}]}), KeyRejected),
    ("a MAC with the public key in PEM", _statement(_mac(PUBLIC.to_pem()), alg="HS256"), StatementRejected),
    ("a MAC with the public JWK", _statement(_mac(PUBLIC_JSON), alg="HS256"), StatementRejected),
    (
        "a MAC named ES256",
        _statement(lambda message: _mac(PUBLIC.to_pem())(message) * 2),
        BadSignature,
    ),
    ("a shared secret as key", superior(jwks={"keys": [{"kty": "oct", "k": "AA"}]}), KeyRejected),
    ("an ES256 key as EdDSA", _statement(alg="EdDSA"), StatementRejected),
    ("an ES256 key as ES384", _statement(alg="ES384"), StatementRejected),
    ("an Ed25519 signature under an ES256 kid", _statement(ED.sign, alg="EdDSA"), StatementRejected),
    ("an Ed25519 signature named ES256", _statement(ED.sign), BadSignature),
    ("SM2 as alg of a token", _statement(alg="SM2"), StatementRejected),
    ("a key for SM2 among the federation keys", superior(jwks={"keys": [SM2_JWK]}), TrustError),
    ("an embedded jwk", _statement(EVE.sign, jwk=dict(EVE.verification_key.jwk)), StatementRejected),
    (
        "an embedded jwk under its own kid",
        _statement(EVE.sign, kid=EVE.kid, jwk=dict(EVE.verification_key.jwk)),
        StatementRejected,
    ),
    ("jku", _statement(EVE.sign, jku="https://evil.example/jwks"), StatementRejected),
    ("x5u", _statement(EVE.sign, x5u="https://evil.example/x5u"), StatementRejected),
    ("x5c", _statement(EVE.sign, x5c=["AAAA"]), StatementRejected),
    ("x5t", _statement(EVE.sign, **{"x5t#S256": "AAAA"}), StatementRejected),
    ("a critical header", _statement(crit=["exp"], exp=1), StatementRejected),
    ("an unencoded payload", _statement(b64=False, crit=["b64"]), StatementRejected),
    ("a compressed payload", _statement(zip="DEF"), StatementRejected),
    ("a chain in the header", _statement(trust_chain=chain()), StatementRejected),
    ("a peer's chain in the header", _statement(peer_trust_chain=chain()), StatementRejected),
    ("the kid of another", _statement(EVE.sign), BadSignature),
    ("a kid of one's own", _statement(EVE.sign, kid=EVE.kid), ForeignKey),
    ("a kid that is a path", _statement(kid="../../../dev/null"), ForeignKey),
    ("an empty kid", _statement(kid=""), ForeignKey),
    ("a kid that is no text", _statement(kid=["a"]), StatementRejected),
    ("another statement's signature", lambda s: [s[0], graft(s[1], statement(ANHUI)), s[2]], BadSignature),
    (
        "a victim's kid for one's own key",
        superior(jwks={"keys": [{**EVE.verification_key.jwk, "kid": ZHEJIANG_KEY.kid}]}),
        KeyRejected,
    ),
]

JSON: list[tuple[str, Bend, type[TrustError]]] = [
    ("sub twice", _body(lambda t: t[:-1] + f',"sub":"{ANHUI}"' + "}"), StatementRejected),
    ("jwks twice", _body(lambda t: t[:-1] + ',"jwks":{}}'), StatementRejected),
    (
        "a pin twice, deep within",
        _body(lambda t: t.replace('"province":{', '"province":{"value":"340000"},"province":{')),
        StatementRejected,
    ),
    (
        "an operator twice",
        _body(lambda t: t.replace('"province":{', '"province":{"value":"340000",')),
        StatementRejected,
    ),
    ("a number that is none", _body(lambda t: t.replace(f'"iat":{IAT}', '"iat":NaN')), StatementRejected),
    ("a depth without end", _body(lambda t: t[:-1] + ',"x":' + "[" * 9000 + "}"), StatementRejected),
    ("something behind the object", _body(lambda t: t + "{}"), StatementRejected),
    ("a list of objects", _body(lambda t: f"[{t}]"), StatementRejected),
    ("another encoding", lambda s: [s[0], _utf16(s[1]), s[2]], StatementRejected),
    ("padding in the base64", lambda s: [s[0], s[1].replace(".", "=.", 1), s[2]], StatementRejected),
    ("a line break in the base64", lambda s: [s[0], s[1] + "\n", s[2]], StatementRejected),
    ("a fourth part", lambda s: [s[0], s[1] + ".e30", s[2]], StatementRejected),
    (
        "the JSON serialization",
        lambda s: [s[0], json.dumps(dict(zip("psx", s[1].split("."), strict=True))), s[2]],
        StatementRejected,
    ),
]


def _utf16(token: str) -> str:
    text = b64url_bytes(token.split(".")[1]).decode()
    return _forge(token, ANCHOR_KEY.sign, body=text.encode("utf-16"))


def _status() -> str:
    return build_status(anchor=ANCHOR, sequence=1, statements={}, revocations=[], signer=ANCHOR_KEY, now=NOON)


def _retyped(token: str) -> str:
    """The same token with the type of a statement, signed by the anchor."""
    return _forge(token, ANCHOR_KEY.sign, typ="entity-statement+jwt")


MIX_UPS: list[tuple[str, Bend, type[TrustError]]] = [
    ("Zhejiang's statement, Anhui's configuration", lambda s: [configuration(ANHUI), *s[1:]], ChainBroken),
    ("Anhui's statement, Zhejiang's configuration", lambda s: [s[0], statement(ANHUI), s[2]], ChainBroken),
    (
        "Anhui's configuration in Zhejiang's name",
        lambda s: [bend(configuration(ANHUI), ANHUI_KEY, iss=ZHEJIANG, sub=ZHEJIANG), *s[1:]],
        ForeignKey,
    ),
    ("iss and sub swapped", superior(iss=ZHEJIANG, sub=ANCHOR), ChainBroken),
    ("a configuration about another", leaf(sub=ANHUI, authority_hints=None), ChainBroken),
    ("the subject as its own superior", lambda s: [s[0], s[0], s[2]], ChainBroken),
    ("the anchor's configuration twice", lambda s: [s[0], s[2], s[2]], ChainBroken),
    ("without the anchor's configuration", lambda s: s[:2], ChainBroken),
    ("another anchor that vouches too", lambda s: _other_anchor(s[0]), ChainBroken),
    (
        "another anchor in the anchor's name",
        lambda s: [
            s[0],
            bend(s[1], EVE, jwks=jwks(ZHEJIANG_KEY)),
            bend(s[2], EVE, jwks=jwks(EVE)),
        ],
        ForeignKey,
    ),
    ("a trust status for a statement", lambda s: [s[0], _status(), s[2]], StatementRejected),
    ("a retyped trust status", lambda s: [s[0], _retyped(_status()), s[2]], StatementRejected),
    (
        "a resolve response for a statement",
        lambda s: [
            s[0],
            build_resolve_response(
                issuer=ANCHOR, entity=resolve(chain()), trust_chain=s, signer=ANCHOR_KEY, now=NOON
            ),
            s[2],
        ],
        StatementRejected,
    ),
    (
        "historical keys for the anchor's configuration",
        lambda s: [*s[:2], build_historical_keys(entity_id=ANCHOR, keys=[], signer=ANCHOR_KEY, now=NOON)],
        StatementRejected,
    ),
    ("a critical claim that is not understood", superior(crit=["only_on_sundays"]), StatementRejected),
    ("huge hints", leaf(authority_hints=[ANCHOR] * 5000), StatementRejected),
    ("too many hints", leaf(authority_hints=[f"https://{n}.example" for n in range(9)]), StatementRejected),
    ("many keys", superior(jwks={"keys": [dict(PUBLIC.jwk)] * 60}), KeyRejected),
    ("a huge statement", superior(padding="x" * 70_000), StatementRejected),
    ("from the future, to set a mark", superior(iat=IAT + 86400, exp=IAT + 2 * 86400), StatementRejected),
    ("expired", superior(iat=IAT - 2, exp=IAT - 1), ChainExpired),
    ("without an end", superior(exp=None), StatementRejected),
    ("an end beyond all time", superior(exp=10**18), StatementRejected),
    ("the old anchor's key, not pinned any more", top(CITY_KEY, jwks=jwks(CITY_KEY)), ForeignKey),
]


def _other_anchor(own_word: str) -> list[str]:
    evil = "https://evil.example"
    return [
        own_word,
        bend(statement(), EVE, iss=evil),
        bend(anchor_configuration(), EVE, iss=evil, sub=evil, jwks=jwks(EVE)),
    ]


ROWS = [*SIGNATURES, *JSON, *MIX_UPS]


@pytest.mark.parametrize(("bent", "error"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_attack_on_the_chain_is_refused(bent: Bend, error: type[TrustError]) -> None:
    with pytest.raises(error):
        resolve(bent(chain()))


POLICY = {
    "openid_relying_party": {
        "client_name": {"value": "Zhejiang"},
        "scope": {"subset_of": ["openid", "profile"], "superset_of": ["openid"]},
        "token_endpoint_auth_method": {"one_of": ["private_key_jwt"], "essential": True},
        "require_par": {"default": True},
    }
}
OWN = {
    "federation_entity": {},
    "openid_relying_party": {
        "scope": "openid profile phone",
        "token_endpoint_auth_method": "private_key_jwt",
    },
}


def _under(policy: dict[str, Any]) -> list[str]:
    """A city whose province adds `policy` to the anchor's."""
    said = [{"policy": {"openid_relying_party": policy}}, {"policy": POLICY}]
    return line(HANGZHOU, said=said, metadata=OWN)


WIDENED: list[tuple[str, dict[str, Any]]] = [
    ("another pin", {"client_name": {"value": "Shanghai"}}),
    ("a pin taken away", {"client_name": {"value": None}}),
    ("a value outside of the subset", {"scope": {"value": ["openid", "phone"]}}),
    ("a value short of the superset", {"scope": {"value": ["profile"]}}),
    ("an addition outside of the subset", {"scope": {"add": ["phone"]}}),
    ("a subset short of the superset", {"scope": {"subset_of": ["profile"]}}),
    ("a superset outside of the subset", {"scope": {"superset_of": ["phone"]}}),
    ("another choice", {"token_endpoint_auth_method": {"one_of": ["client_secret_basic"]}}),
    ("a pin outside of the choice", {"token_endpoint_auth_method": {"value": "none"}}),
    ("a pin that takes away what is essential", {"token_endpoint_auth_method": {"value": None}}),
    ("an operator that excludes the anchor's", {"token_endpoint_auth_method": {"add": ["none"]}}),
    ("another default", {"require_par": {"default": False}}),
    ("a removal of what has a default", {"require_par": {"value": None}}),
]


@pytest.mark.parametrize("policy", [row[1] for row in WIDENED], ids=[row[0] for row in WIDENED])
def test_an_intermediate_cannot_widen_the_anchors_policy(policy: dict[str, Any]) -> None:
    with pytest.raises(ChainBroken, match=r"§6\.1"):
        resolve(_under(policy))


@pytest.mark.parametrize(
    "policy",
    [
        {"scope": {"subset_of": ["openid", "profile", "phone"]}},
        {"token_endpoint_auth_method": {"one_of": ["private_key_jwt", "client_secret_basic"]}},
        {"token_endpoint_auth_method": {"essential": False}},
        {},
    ],
    ids=str,
)
def test_a_looser_policy_of_an_intermediate_changes_nothing(policy: dict[str, Any]) -> None:
    assert resolve(_under(policy)).metadata["openid_relying_party"] == {
        "client_name": "Zhejiang",
        "scope": "openid profile",
        "token_endpoint_auth_method": "private_key_jwt",
        "require_par": True,
    }


DEEP: list[tuple[str, Callable[[], list[str]]]] = [
    ("a path too long", lambda: [own(YUHANG), *[about(YUHANG)] * 4, own(ANCHOR)]),
    (
        "a loop of two that vouch for each other",
        lambda: [own(YUHANG), about(YUHANG), about(HANGZHOU, YUHANG), about(YUHANG, ANCHOR), own(ANCHOR)],
    ),
    (
        "a loop through the anchor",
        lambda: [
            own(HANGZHOU, ANCHOR),
            about(HANGZHOU, ANCHOR),
            about(ANCHOR, ZHEJIANG),
            *line(ZHEJIANG)[1:],
        ],
    ),
    ("a level left out", lambda: [own(YUHANG), about(YUHANG), *line(ZHEJIANG)[1:]]),
    ("levels in the wrong order", lambda: [line(YUHANG)[n] for n in (0, 2, 1, 3, 4)]),
]


@pytest.mark.parametrize("statements", [row[1] for row in DEEP], ids=[row[0] for row in DEEP])
def test_a_path_that_is_none_is_refused(statements: Callable[[], list[str]]) -> None:
    with pytest.raises(ChainBroken):
        resolve(statements())


def test_a_city_cannot_make_a_province_its_own() -> None:
    """The anchor lets a city be; the city's word about Zhejiang is still no node, whatever it pins."""
    pins = node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG])
    entity = resolve(
        [
            bend(configuration(), ZHEJIANG_KEY, authority_hints=[HANGZHOU]),
            about(ZHEJIANG, HANGZHOU, policy=pins),
            about(HANGZHOU, ANCHOR),
            anchor_configuration(),
        ]
    )
    with pytest.raises(StatementRejected, match="is not a node"):
        read_node(entity)


def test_a_province_cannot_make_its_city_a_node() -> None:
    pins = node_pins(
        entity_id=HANGZHOU, province="340000", name="安徽省节点", grpc_endpoint="hangzhou.zj.example:443"
    )
    metadata = {
        "yrd_node": {"envelope_jwks": jwks(key_of(HANGZHOU)), "protocol_versions": ["1"]},
        "openid_provider": {},
    }
    entity = resolve(line(HANGZHOU, said=[{"policy": pins}], metadata=metadata))
    assert entity.metadata["yrd_node"]["province"] == "340000"
    with pytest.raises(StatementRejected, match="is not a node"):
        read_node(entity)


def test_a_path_longer_than_the_anchor_allows_is_refused() -> None:
    with pytest.raises(ChainBroken, match="allows 0"):
        resolve(line(HANGZHOU, said=[{}, {"constraints": {"max_path_length": 0}}]))


def test_the_key_of_a_retired_superior_does_not_sign_on() -> None:
    """The anchor gave Zhejiang another key: what Zhejiang signed with the old one about a city is void."""
    statements = line(HANGZHOU)
    statements[2] = bend(statements[2], ANCHOR_KEY, jwks=jwks(EVE))
    with pytest.raises(ForeignKey):
        resolve(statements)


def test_with_nothing_pinned_nothing_is_believed() -> None:
    with pytest.raises(ForeignKey):
        resolve_chain(chain(), anchor=ANCHOR, anchor_keys={}, now=NOON)


def test_the_status_key_of_the_anchor_signs_no_statements() -> None:
    """It is delegated for the trust status only, under `yrd_anchor`, and stands in no key set of statements."""
    metadata = {"yrd_anchor": {"status_jwks": jwks(EVE)}}
    with pytest.raises(ForeignKey):
        resolve(superior(EVE)(top(metadata=metadata)(chain())))


def test_time_does_not_run_backward_for_a_thief() -> None:
    """A chain that was good is refused after its end, and one of tomorrow today."""
    statements = chain()
    assert resolve_chain(statements, anchor=ANCHOR, anchor_keys=PINNED, now=NOON).entity_id == ZHEJIANG
    for now in (NOON + timedelta(days=400), NOON - timedelta(days=1)):
        with pytest.raises((ChainExpired, StatementRejected)):
            resolve_chain(statements, anchor=ANCHOR, anchor_keys=PINNED, now=now)
