"""Peers that sign with SM2, for a node that has it and for one that has not."""

from __future__ import annotations

import pytest

from federation.errors import PeerUnknown
from tests.federation.trust_doubles import ANHUI, ZHEJIANG, Country, Own
from tests.support.sm2 import without_sm2
from tests.trust.federation import bend
from trust.entity import configuration_url
from trust.keys import SigningKey, jwks_of
from trust.tokens import read_token

SM2_KEY = SigningKey.generate("SM2")


def publish(country: Country, *envelope_keys: SigningKey) -> None:
    """Zhejiang's configuration with these envelope keys."""
    metadata = read_token(country.configuration(ZHEJIANG)).claims["metadata"]
    node = metadata["yrd_node"] | {"envelope_jwks": jwks_of(key.verification_key for key in envelope_keys)}
    token = bend(
        country.configuration(ZHEJIANG), country.keys[ZHEJIANG], metadata=metadata | {"yrd_node": node}
    )
    country.served[configuration_url(ZHEJIANG)] = token.encode()


async def test_a_peer_with_an_sm2_key_is_a_peer_like_others(country: Country) -> None:
    publish(country, SM2_KEY)
    own = Own(country)
    assert (await own.sync.refresh_once()).problems == {}
    assert dict(own.directory.current.peer(ZHEJIANG).envelope_keys) == {SM2_KEY.kid: SM2_KEY.verification_key}


async def test_without_sm2_only_that_key_is_left_out_and_the_operator_told(country: Country) -> None:
    other = country.envelope_keys[ZHEJIANG]
    publish(country, SM2_KEY, other)
    own = Own(country)
    with without_sm2():
        report = await own.sync.refresh_once()
        assert (await own.sync.load()).problems.keys() >= {ZHEJIANG}
    assert report.problems.keys() == {ZHEJIANG}
    assert "SM2 needs OpenSSL 3" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peer(ZHEJIANG).envelope_keys) == {other.kid}


async def test_without_sm2_a_peer_that_has_nothing_else_is_not_known_and_the_others_are(
    country: Country,
) -> None:
    publish(country, SM2_KEY)
    own = Own(country)
    with without_sm2():
        report = await own.sync.refresh_once()
    assert report.problems.keys() == {ZHEJIANG}
    assert "SM2 needs OpenSSL 3" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peers) == {ANHUI}
    with pytest.raises(PeerUnknown):
        own.directory.current.peer(ZHEJIANG)
