"""A row for each rule of chain validation (OpenID Federation 1.1 §10.2, §3.2, §4): what breaks it is refused.

The number is the step of `trust.chain`, the letter the rule of form of `trust.entity`.
"""

from __future__ import annotations

import pytest

from tests.support.clock import NOON
from tests.trust.federation import (
    ANCHOR,
    ANHUI,
    ANHUI_KEY,
    CITY_KEY,
    ZHEJIANG_KEY,
    Bend,
    chain,
    configuration,
    graft,
    jwks,
    leaf,
    resolve,
    superior,
    top,
)
from trust.chain import MAX_CHAIN_BYTES
from trust.entity import MAX_HINTS
from trust.errors import (
    BadSignature,
    ChainBroken,
    ChainExpired,
    EntityIdRejected,
    ForeignKey,
    KeyRejected,
    StatementRejected,
    TrustError,
)
from trust.keys import SigningKey

IAT = int(NOON.timestamp())
KEY_WITHOUT_KID = {k: v for k, v in ZHEJIANG_KEY.verification_key.jwk.items() if k != "kid"}
MANY_KEYS = [SigningKey.generate() for _ in range(17)]


def _policy(**operators: object) -> Bend:
    return superior(metadata_policy={"yrd_node": {"name": operators}})


def _limit(**constraints: object) -> Bend:
    return superior(constraints=constraints)


ROWS: list[tuple[str, Bend, type[TrustError]]] = [
    ("1 none", lambda _: [], ChainBroken),
    ("1 one", lambda s: s[:1], ChainBroken),
    ("1 too short", lambda s: s[1:], ChainBroken),
    ("1 too deep", lambda s: [s[0], *[s[1]] * 4, s[2]], ChainBroken),
    ("1 too many bytes", lambda s: ["A" * (MAX_CHAIN_BYTES - len(s[1] + s[2]) + 1), *s[1:]], ChainBroken),
    ("2a noise", lambda s: ["x", *s[1:]], StatementRejected),
    ("2a one statement too long", lambda s: [s[0] + "A" * 70000, *s[1:]], StatementRejected),
    ("2a typ of the configuration", leaf(typ="JWT"), StatementRejected),
    ("2a typ of the statement", superior(typ="trust-status+jwt"), StatementRejected),
    ("2a typ of the anchor's configuration", top(typ="entity-statement"), StatementRejected),
    ("2b no iss", leaf(iss=None), StatementRejected),
    ("2b no sub", superior(sub=None), StatementRejected),
    ("2b iss is no text", superior(iss=7), StatementRejected),
    ("2b sub is no entity id", superior(sub="zhejiang"), EntityIdRejected),
    ("2b iss over http", leaf(iss="http://node.zj.example", sub="http://node.zj.example"), EntityIdRejected),
    ("2b no iat", leaf(iat=None), StatementRejected),
    ("2b no exp", superior(exp=None), StatementRejected),
    ("2b iat is text", leaf(iat=str(IAT)), StatementRejected),
    ("2b iat is true", leaf(iat=True), StatementRejected),
    ("2b iat is a fraction", leaf(iat=IAT + 0.5), StatementRejected),
    ("2b iat before 1970", leaf(iat=-1), StatementRejected),
    ("2b exp beyond time", leaf(exp=10**15), StatementRejected),
    ("2b exp before iat", leaf(exp=IAT - 1), StatementRejected),
    ("2b exp at iat", leaf(exp=IAT), StatementRejected),
    ("2c no jwks", leaf(jwks=None), KeyRejected),
    ("2c no key", superior(jwks={"keys": []}), KeyRejected),
    ("2c one key twice", leaf(jwks=jwks(ZHEJIANG_KEY, ZHEJIANG_KEY)), KeyRejected),
    ("2c a key without kid", superior(jwks={"keys": [KEY_WITHOUT_KID]}), KeyRejected),
    ("2c a kid of another key", superior(jwks={"keys": [KEY_WITHOUT_KID | {"kid": "a"}]}), KeyRejected),
    ("2c 17 keys", superior(jwks=jwks(*MANY_KEYS)), KeyRejected),
    ("2d crit not understood", superior(crit=["delegation"], delegation=1), StatementRejected),
    ("2d crit in a configuration", leaf(crit=["jti"], jti="1"), StatementRejected),
    ("2d crit names a claim of the standard", superior(crit=["constraints"]), StatementRejected),
    ("2d crit empty", leaf(crit=[]), StatementRejected),
    ("2d crit no list", leaf(crit="exp"), StatementRejected),
    ("2d crit names no text", leaf(crit=[1]), StatementRejected),
    ("2e policy in a configuration", leaf(metadata_policy={}), StatementRejected),
    ("2e critical operators in a configuration", leaf(metadata_policy_crit=["x"]), StatementRejected),
    ("2e constraints in a configuration", leaf(constraints={}), StatementRejected),
    ("2e source endpoint in a configuration", leaf(source_endpoint=ANCHOR), StatementRejected),
    ("2e hints in a subordinate statement", superior(authority_hints=[ANCHOR]), StatementRejected),
    ("2e anchor hints in a subordinate statement", superior(trust_anchor_hints=[ANCHOR]), StatementRejected),
    ("2e trust marks in a subordinate statement", superior(trust_marks=[]), StatementRejected),
    ("2e trust mark issuers there", superior(trust_mark_issuers={}), StatementRejected),
    ("2e trust mark owners there", superior(trust_mark_owners={}), StatementRejected),
    ("2f hints no list", leaf(authority_hints=ANCHOR), StatementRejected),
    ("2f hints empty", leaf(authority_hints=[]), StatementRejected),
    ("2f a hint that is no text", leaf(authority_hints=[ANCHOR, 1]), StatementRejected),
    ("2f a hint twice", leaf(authority_hints=[ANCHOR, ANCHOR]), StatementRejected),
    (
        "2f too many hints",
        leaf(authority_hints=[ANCHOR, *(f"https://{n}.example" for n in range(MAX_HINTS))]),
        StatementRejected,
    ),
    ("2f anchor hints empty", leaf(trust_anchor_hints=[]), StatementRejected),
    ("2g metadata no object", leaf(metadata=[]), StatementRejected),
    ("2g metadata of no objects", leaf(metadata={"yrd_node": 1}), StatementRejected),
    ("2g metadata with null", leaf(metadata={"yrd_node": {"name": None}}), StatementRejected),
    ("2g a superior's metadata with null", superior(metadata={"t": {"a": None}}), StatementRejected),
    ("2h policy no object", superior(metadata_policy=[]), StatementRejected),
    ("2h constraints no object", superior(constraints=[]), StatementRejected),
    ("2h critical operators empty", superior(metadata_policy_crit=[]), StatementRejected),
    ("2h critical operators no list", superior(metadata_policy_crit="regexp"), StatementRejected),
    ("2i source endpoint no URL", superior(source_endpoint="fetch"), StatementRejected),
    ("2i an anchor as in a registration", superior(trust_anchor=ANCHOR), StatementRejected),
    ("3 configuration from the future", leaf(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 statement from the future", superior(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 anchor from the future", top(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 configuration expired", leaf(iat=IAT - 9, exp=IAT), ChainExpired),
    ("3 statement expired", superior(iat=IAT - 9, exp=IAT), ChainExpired),
    ("3 anchor expired", top(iat=IAT - 9, exp=IAT), ChainExpired),
    ("4 begins with a superior's statement", lambda s: [s[1], s[1], s[2]], ChainBroken),
    ("4 ends with another", top(iss="https://evil.example", sub="https://evil.example"), ChainBroken),
    ("4 ends with a statement about the anchor", top(iss=ANHUI), ChainBroken),
    ("4 a configuration in the middle", lambda s: [s[0], s[0], s[2]], ChainBroken),
    ("5 another's configuration", lambda s: [configuration(ANHUI), *s[1:]], ChainBroken),
    ("5 statement about another", superior(sub=ANHUI), ChainBroken),
    ("5 statement by another superior", superior(iss=ANHUI), ChainBroken),
    ("7 no hint", leaf(authority_hints=None), ChainBroken),
    ("7 hint to another", leaf(authority_hints=["https://other.example"]), ChainBroken),
    ("8 critical operator not understood", superior(metadata_policy_crit=["regexp"]), ChainBroken),
    ("8 an operator of the standard as critical", superior(metadata_policy_crit=["value"]), ChainBroken),
    ("9 path length no number", _limit(max_path_length="1"), ChainBroken),
    ("9 path length true", _limit(max_path_length=True), ChainBroken),
    ("9 path length below zero", _limit(max_path_length=-1), ChainBroken),
    ("9 naming no object", _limit(naming_constraints=[]), ChainBroken),
    ("9 permitted no list", _limit(naming_constraints={"permitted": ".example"}), ChainBroken),
    ("9 excluded no list of names", _limit(naming_constraints={"excluded": [1]}), ChainBroken),
    ("9 host not permitted", _limit(naming_constraints={"permitted": [".ah.example"]}), ChainBroken),
    ("9 nothing permitted", _limit(naming_constraints={"permitted": []}), ChainBroken),
    ("9 host excluded", _limit(naming_constraints={"excluded": ["node.zj.example"]}), ChainBroken),
    ("9 types no list", _limit(allowed_entity_types="yrd_node"), ChainBroken),
    ("9 types with federation_entity", _limit(allowed_entity_types=["federation_entity"]), ChainBroken),
    ("10 anchor signed with a key that is not pinned", top(CITY_KEY, jwks=jwks(CITY_KEY)), ForeignKey),
    (
        "10 anchor signed with a key that it does not publish",
        lambda s: superior(CITY_KEY)(top(jwks=jwks(CITY_KEY))(s)),
        ChainBroken,
    ),
    ("10 another signature on the anchor's", lambda s: [*s[:2], graft(s[2], s[1])], BadSignature),
    ("11 statement not signed by the anchor", superior(CITY_KEY), ForeignKey),
    ("11 statement signed by its own subject", superior(ZHEJIANG_KEY), ForeignKey),
    ("11 a key that the anchor does not give", leaf(CITY_KEY, jwks=jwks(CITY_KEY)), ForeignKey),
    ("11 Anhui signs as Zhejiang", leaf(ANHUI_KEY, jwks=jwks(ANHUI_KEY)), ForeignKey),
    ("11 signed with a key it does not publish", leaf(jwks=jwks(CITY_KEY)), ChainBroken),
    (
        "11 signature of another",
        lambda s: [graft(s[0], configuration(ANHUI)), *s[1:]],
        BadSignature,
    ),
    ("14 policy of no objects", superior(metadata_policy={"yrd_node": []}), ChainBroken),
    ("14 operators no object", superior(metadata_policy={"yrd_node": {"name": "a"}}), ChainBroken),
    ("14 an operand of the wrong type", _policy(one_of="a"), ChainBroken),
    ("14 operators that exclude each other", _policy(one_of=["a"], subset_of=["a"]), ChainBroken),
    ("14 metadata that does not comply", _policy(one_of=["a"]), ChainBroken),
]


@pytest.mark.parametrize(("bent", "error"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_chain_that_breaks_a_rule_is_refused(bent: Bend, error: type[TrustError]) -> None:
    with pytest.raises(error):
        resolve(bent(chain()))


ALLOWED: list[tuple[str, Bend]] = [
    ("1 as it is", lambda s: s),
    ("2 claims that nobody calls critical", superior(delegation=1)),
    ("2 a further federation key", leaf(jwks=jwks(ZHEJIANG_KEY, CITY_KEY))),
    ("2 several hints", leaf(authority_hints=["https://other.example", ANCHOR])),
    ("2 anchor hints", leaf(trust_anchor_hints=[ANCHOR])),
    ("2 a source endpoint", superior(source_endpoint=ANCHOR + "/federation/fetch")),
    ("2 no policy", superior(metadata_policy=None)),
    ("3 at the edge of the skew", leaf(iat=IAT + 60)),
    ("9 no constraint", superior(constraints={})),
    ("9 an unknown constraint", _limit(max_cats=0)),
    ("9 no intermediates allowed, none there", _limit(max_path_length=0)),
    ("9 host permitted", _limit(naming_constraints={"permitted": [".zj.example"]})),
    ("9 another host excluded", _limit(naming_constraints={"excluded": ["zj.example", ".ah.example"]})),
    ("14 an unknown operator that nobody calls critical", _policy(regexp="^x$")),
]


@pytest.mark.parametrize("bent", [row[1] for row in ALLOWED], ids=[row[0] for row in ALLOWED])
def test_what_the_rules_allow_is_believed(bent: Bend) -> None:
    assert resolve(bent(chain())).entity_id == "https://node.zj.example"
