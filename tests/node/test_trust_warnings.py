from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

import pytest

from federation.peers import Directory, Peer, TrustSnapshot
from node.health import Health, Stage, Warner
from node.trust_warnings import tls_warner, trust_warner
from tests.support.clock import NOON, FixedClock
from tests.support.replacing import replace

PEER = Peer(
    "https://sh.example",
    "310000",
    "上海",
    "sh.example:8313",
    "x.peer.yrd",
    MappingProxyType({}),
    expires_at=NOON + timedelta(hours=24),
    warn_at=NOON + timedelta(hours=18),
)
SNAPSHOT = TrustSnapshot(
    "https://zj.example",
    "330000",
    peers=MappingProxyType({PEER.entity_id: PEER}),
    refreshed_at=NOON,
    sequence=7,
    own_expires_at=NOON + timedelta(hours=40),
    own_warn_at=NOON + timedelta(hours=30),
)


def codes(warner: Warner) -> list[str]:
    for warning in warner():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in warning.zh)
        assert warning.en.isascii()
    return [warning.code for warning in warner()]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def directory() -> Directory:
    return Directory(SNAPSHOT)


@pytest.fixture
def warner(directory: Directory, clock: FixedClock) -> Warner:
    return trust_warner(directory, clock, status_max_age_s=600)


def test_nothing_is_said_while_all_is_well(warner: Warner) -> None:
    assert codes(warner) == []


def test_nothing_is_said_before_there_is_anything(clock: FixedClock) -> None:
    nothing = Directory(TrustSnapshot("https://zj.example", "330000"))
    assert codes(trust_warner(nothing, clock, status_max_age_s=600)) == []


def test_an_old_status_then_chains_that_end_then_those_that_ended(warner: Warner, clock: FixedClock) -> None:
    clock.advance(seconds=601)
    assert codes(warner) == ["trust_status_old"]
    clock.at = NOON + timedelta(hours=18)
    assert codes(warner) == ["trust_status_old", "trust_chain_ending"]
    assert PEER.entity_id in warner()[1].en
    clock.at = NOON + timedelta(hours=24)
    assert codes(warner) == ["trust_status_old", "trust_chain_expired"]
    clock.at = NOON + timedelta(hours=31)
    assert codes(warner) == ["trust_status_old", "trust_chain_expired", "trust_chain_ending"]


def test_who_is_refused_anyway_is_not_waited_for(
    directory: Directory, warner: Warner, clock: FixedClock
) -> None:
    revoked = replace(PEER, standing="revoked")
    directory.swap(replace(SNAPSHOT, peers=MappingProxyType({PEER.entity_id: revoked})))
    clock.advance(hours=25)
    assert codes(warner) == ["trust_status_old"]


def test_a_mirror_in_the_anchors_place(directory: Directory, warner: Warner) -> None:
    directory.swap(replace(SNAPSHOT, mirror="https://sh.example/trust/mirror"))
    assert codes(warner) == ["trust_from_mirror"]


def test_a_node_that_was_revoked_itself(directory: Directory, warner: Warner) -> None:
    directory.swap(replace(SNAPSHOT, revoked=MappingProxyType({SNAPSHOT.own_entity: "moved"})))
    assert codes(warner) == ["trust_own_revoked"]
    assert "moved" in warner()[0].zh


def test_a_tls_certificate_that_should_have_been_renewed(clock: FixedClock) -> None:
    warner = tls_warner(lambda: (NOON, NOON + timedelta(days=90)), clock)
    clock.advance(days=60)
    assert codes(warner) == [], "now the node renews it"
    clock.advance(days=8)
    assert codes(warner) == ["tls_ending"]


def test_a_warning_leaves_the_node_at_work(warner: Warner, clock: FixedClock) -> None:
    health = Health(warners=[warner])
    health.stage = Stage.SERVING
    clock.advance(seconds=601)
    assert health.is_ready
    assert [warning.code for warning in health.warnings()] == ["trust_status_old"]
