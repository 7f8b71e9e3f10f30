from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from federation.peers import Directory, Peer, TrustSnapshot
from node.health import Health, KeyWatch, Stage, StoreWatch, keys_probe, keys_warner, trust_probe
from tests.support.clock import NOON, FixedClock
from tests.support.replacing import replace

OWN = TrustSnapshot("https://zj.example", "330000")
PEER = Peer(
    "https://sh.example",
    "310000",
    "上海",
    "sh.example:8313",
    "x.peer.yrd",
    MappingProxyType({}),
    expires_at=NOON + timedelta(days=1),
)
TRUSTED = replace(OWN, peers=MappingProxyType({PEER.entity_id: PEER}), refreshed_at=NOON)


def codes(health: Health) -> list[str]:
    for reason in health.reasons():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in reason.zh)
        assert reason.en.isascii()
    return [reason.code for reason in health.reasons()]


def test_a_node_is_ready_once_it_serves_and_trust_is_there() -> None:
    directory = Directory(OWN)
    health = Health([trust_probe(directory, FixedClock())])
    assert codes(health) == ["starting", "trust_unresolved"]
    health.stage = Stage.SERVING
    assert codes(health) == ["trust_unresolved"]
    directory.swap(TRUSTED)
    assert health.is_ready


def test_old_trust_is_not_a_reason_but_expired_chains_are() -> None:
    clock = FixedClock()
    probe = trust_probe(Directory(TRUSTED), clock)
    clock.advance(hours=23)
    assert probe() is None
    clock.advance(hours=1)
    reason = probe()
    assert reason is not None
    assert reason.code == "trust_expired"


def test_a_draining_node_is_not_ready() -> None:
    health = Health()
    health.stage = Stage.DRAINING
    assert codes(health) == ["draining"]


def test_a_store_that_fails_makes_unready_until_it_writes_or_should_be_tried() -> None:
    clock = FixedClock()
    watch = StoreWatch(clock, retry_s=5)
    health = Health([watch])
    health.stage = Stage.SERVING
    assert health.is_ready
    watch.failed()
    assert codes(health) == ["store_failing"]
    watch.succeeded()
    assert health.is_ready
    watch.failed()
    clock.advance(seconds=6)
    assert health.is_ready


def test_a_key_that_cannot_be_used_makes_unready_until_it_should_be_tried() -> None:
    clock = FixedClock()
    watch = KeyWatch(clock, retry_s=5)
    health = Health([watch])
    health.stage = Stage.SERVING
    assert health.is_ready
    watch.failed()
    assert codes(health) == ["key_failing"]
    clock.advance(seconds=6)
    assert health.is_ready


def test_a_purpose_that_nothing_signs_for_is_a_reason_until_something_does() -> None:
    silent: list[str] = []
    health = Health([keys_probe(lambda: silent)])
    health.stage = Stage.SERVING
    assert health.is_ready
    silent.append("envelope")
    assert codes(health) == ["key_unusable"]
    assert "envelope" in health.reasons()[0].en
    silent.clear()
    assert health.is_ready


def test_a_key_that_cannot_be_opened_is_a_warning_and_no_reason() -> None:
    faults = {"abc": "the token is away"}
    health = Health([], [keys_warner(lambda: faults)])
    health.stage = Stage.SERVING
    assert health.is_ready
    assert [(one.code, "abc" in one.en) for one in health.warnings()] == [("key_not_opened", True)]
