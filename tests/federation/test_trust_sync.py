"""The trust list: what it takes in, what it refuses, and what it does when things are away."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from federation.errors import OwnStoreUnavailable, PeerChainExpired, PeerDenied, PeerRevoked
from federation.statements import StatementKind
from federation.trust_sync import pause_s
from node.anchor import publish, revoke
from tests.federation.trust_doubles import (
    ANCHOR,
    ANHUI,
    PROVINCES,
    SHANGHAI,
    ZHEJIANG,
    Country,
    MemoryTrustStore,
    Own,
)
from tests.support.clock import NOON, FixedClock
from tests.trust.federation import bend
from trust.documents import STATUS_PATH, statement_path
from trust.entity import configuration_url
from trust.keys import SigningKey
from trust.status import STATUS_TYPE
from trust.tokens import read_token

STATUS = ANCHOR + STATUS_PATH


async def test_a_member_that_lets_everyone_wait_puts_off_no_revocation(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """Members are asked for their configurations in the same refresh, and may take their time."""
    await own.sync.refresh_once()
    revoke(country.directory, ANHUI, "left", now=clock.now())
    slow = country.hang(ZHEJIANG)
    refresh = slow.during(own.sync.refresh_once())
    await slow.reached.wait()
    with pytest.raises(PeerRevoked, match="left"):
        own.directory.current.peer(ANHUI).require_standing(clock.now())
    own.directory.current.peer(ZHEJIANG).require_standing(clock.now())
    slow.go_on.set()
    assert (await refresh).revoked == 1


async def test_a_refresh_finds_the_peers(own: Own, country: Country) -> None:
    report = await own.sync.refresh_once()
    assert report.problems == {}
    assert (report.members, report.revoked, report.denied) == (2, 0, 0)
    assert report.expires_at == NOON + timedelta(hours=24)
    snapshot = own.directory.current
    assert set(snapshot.peers) == {ZHEJIANG, ANHUI}
    peer = snapshot.peer_in("330000")
    assert (peer.entity_id, peer.grpc_target, peer.standing) == (ZHEJIANG, "node.zj.example:443", "member")
    assert set(peer.envelope_keys) == {country.envelope_keys[ZHEJIANG].kid}
    assert (snapshot.sequence, snapshot.refreshed_at) == (report.sequence, NOON)
    assert own.reports == [report]
    peer.require_standing(NOON)


async def test_log_witness_and_quorum_come_with_the_peers(own: Own, country: Country) -> None:
    log, witness = (SigningKey.generate("EdDSA") for _ in range(2))
    country.notes[ZHEJIANG] = {
        "log_keys": [log.verification_key],
        "witness_keys": [witness.verification_key],
        "log_generation": 4,
    }
    await own.sync.refresh_once()
    snapshot = own.directory.current
    peer, other = snapshot.peer(ZHEJIANG), snapshot.peer(ANHUI)
    assert (set(peer.log_keys), set(peer.witness_keys), peer.log_generation) == ({log.kid}, {witness.kid}, 4)
    assert (dict(other.log_keys), dict(other.witness_keys), other.log_generation) == ({}, {}, 0)
    assert snapshot.witness_quorum == 2


async def test_what_did_not_change_is_not_sent_again(own: Own, country: Country) -> None:
    await own.sync.refresh_once()
    country.asked.clear()
    await own.sync.refresh_once()
    assert not [url for url in country.asked if "/statements/" in url], (
        "the status names the stored statements"
    )
    assert country.not_modified == 1, "the anchor's configuration; ECDSA signs the others anew"


async def test_a_node_starts_without_anchor_and_network(own: Own, country: Country) -> None:
    await own.sync.refresh_once()
    again = Own(country, own.store)
    country.asked.clear()
    report = await again.sync.load()
    assert country.asked == []
    assert set(again.directory.current.peers) == {ZHEJIANG, ANHUI}
    assert report.problems == {}


async def test_an_empty_store_gives_no_peers_and_says_so(own: Own) -> None:
    report = await own.sync.load()
    assert own.directory.current.peers == {}
    assert "nothing is stored" in report.problems[ANCHOR]


async def test_all_goes_on_when_anchor_and_peers_are_away_until_the_chains_end(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    for url in (configuration_url(ANCHOR), STATUS, configuration_url(ZHEJIANG), configuration_url(ANHUI)):
        country.served[url] = None
    clock.advance(hours=23)
    report = await own.sync.refresh_once()
    assert {ANCHOR, ZHEJIANG, ANHUI} <= set(report.problems)
    own.directory.current.peer(ZHEJIANG).require_standing(clock.now())
    clock.advance(hours=2)
    report = await own.sync.refresh_once()
    assert "expired at" in report.problems[ZHEJIANG]
    with pytest.raises(PeerChainExpired, match="expired at"):
        own.directory.current.peer(ZHEJIANG).require_standing(clock.now())


async def test_a_revoked_peer_is_refused_after_the_next_refresh(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    report = await own.sync.refresh_once()
    assert (report.members, report.revoked) == (1, 1)
    with pytest.raises(PeerRevoked, match="private key lost"):
        own.directory.current.peer(ANHUI).require_standing(clock.now())
    restarted = Own(country, own.store)
    await restarted.sync.load()
    with pytest.raises(PeerRevoked):
        restarted.directory.current.peer(ANHUI).require_standing(clock.now())


async def test_a_node_that_takes_a_revoked_ones_province_is_the_one_that_is_asked(
    own: Own, country: Country, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    await own.sync.refresh_once()
    assert own.directory.current.peer_in("340000").standing == "revoked"
    successor = "https://nodes.ah.example"
    monkeypatch.setitem(PROVINCES, successor, "340000")
    country.enroll(successor)
    clock.advance(seconds=60)
    assert (await own.sync.refresh_once()).problems == {}
    assert own.directory.current.peer_in("340000").entity_id == successor
    with pytest.raises(PeerRevoked):
        own.directory.current.peer(ANHUI).require_standing(clock.now())


async def test_an_old_mirror_does_not_bring_a_revoked_peer_back(
    own: Own, country: Country, clock: FixedClock
) -> None:
    old = country.status()
    clock.advance(seconds=1)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    await own.sync.refresh_once()
    country.served[STATUS] = old.encode()
    report = await own.sync.refresh_once()
    assert "after" in report.problems[ANCHOR]
    assert ANHUI not in own.directory.current.peers


async def test_a_denied_peer_is_refused_at_once_and_without_the_anchor(own: Own, country: Country) -> None:
    await own.sync.refresh_once()
    country.asked.clear()
    report = await own.sync.deny(ZHEJIANG, "incident 17")
    assert (report.members, report.denied, country.asked) == (1, 1, [])
    with pytest.raises(PeerDenied, match="incident 17"):
        own.directory.current.peer(ZHEJIANG).require_standing(NOON)
    assert (await own.sync.refresh_once()).denied == 1, "a refresh does not undo it"
    await own.sync.allow(ZHEJIANG)
    own.directory.current.peer(ZHEJIANG).require_standing(NOON)


async def test_a_denial_holds_when_nothing_else_can_be_believed(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(days=31)
    await own.sync.deny(ZHEJIANG, "incident 17")
    assert own.directory.current.peer(ZHEJIANG).standing == "denied"


async def test_mix_up_zhejiangs_statement_with_anhuis_configuration(own: Own, country: Country) -> None:
    country.served[configuration_url(ZHEJIANG)] = country.configuration(ANHUI).encode()
    report = await own.sync.refresh_once()
    assert "about" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peers) == {ANHUI}


async def test_another_subjects_statement_is_not_taken(own: Own, country: Country) -> None:
    country.served[ANCHOR + statement_path(ZHEJIANG)] = country.statement(ANHUI).encode()
    report = await own.sync.refresh_once()
    assert "not the one that the status names" in report.problems[ZHEJIANG]


async def test_a_node_that_claims_another_province_is_refused(own: Own, country: Country) -> None:
    metadata = {
        "yrd_node": {"province": "340000", "grpc_endpoint": "node.ah.example:443"},
        "openid_provider": {"issuer": ZHEJIANG},
    }
    bent = bend(country.configuration(ZHEJIANG), country.keys[ZHEJIANG], metadata=metadata)
    country.served[configuration_url(ZHEJIANG)] = bent.encode()
    report = await own.sync.refresh_once()
    assert "claims another" in report.problems[ZHEJIANG]
    assert own.directory.current.peer_in("340000").entity_id == ANHUI


async def test_a_configuration_signed_by_another_is_refused_and_the_stored_one_kept(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    thief = SigningKey.generate()
    country.served[configuration_url(ZHEJIANG)] = bend(country.configuration(ZHEJIANG), thief).encode()
    report = await own.sync.refresh_once()
    assert "key" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peer(ZHEJIANG).envelope_keys) == {country.envelope_keys[ZHEJIANG].kid}


async def test_a_rolled_back_configuration_is_refused(own: Own, country: Country, clock: FixedClock) -> None:
    old = country.configuration(ZHEJIANG)
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    clock.advance(seconds=60)
    await own.sync.refresh_once()
    country.served[configuration_url(ZHEJIANG)] = old.encode()
    report = await own.sync.refresh_once()
    assert "was seen" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peer(ZHEJIANG).envelope_keys) == {country.envelope_keys[ZHEJIANG].kid}


async def test_a_mark_that_another_replica_set_counts(own: Own, country: Country, clock: FixedClock) -> None:
    old = country.configuration(ZHEJIANG)
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    clock.advance(seconds=60)
    await Own(country, own.store).sync.refresh_once()
    country.served[configuration_url(ZHEJIANG)] = old.encode()
    assert ZHEJIANG in (await own.sync.refresh_once()).problems


async def test_a_statement_from_the_future_sets_no_mark(
    own: Own, country: Country, clock: FixedClock
) -> None:
    clock.advance(days=2)
    ahead = country.configuration(ZHEJIANG)
    ahead_status = country.status()
    clock.advance(days=-2)
    country.served[configuration_url(ZHEJIANG)] = ahead.encode()
    country.served[STATUS] = ahead_status.encode()
    report = await own.sync.refresh_once()
    assert "future" in report.problems[ANCHOR]
    country.served.pop(STATUS)
    report = await own.sync.refresh_once()
    assert "future" in report.problems[ZHEJIANG]
    country.served.clear()
    assert (await own.sync.refresh_once()).problems == {}


async def test_an_anchor_that_is_not_the_pinned_one_is_not_believed(own: Own, country: Country) -> None:
    forged = bend(country.folder.configuration(), SigningKey.generate())
    country.served[configuration_url(ANCHOR)] = forged.encode()
    report = await own.sync.refresh_once()
    assert "not one of the issuer's" in report.problems[ANCHOR]
    assert own.directory.current.peers == {}


async def test_an_anchor_with_endpoints_elsewhere_is_not_believed(own: Own, country: Country) -> None:
    metadata = {"federation_entity": {"federation_fetch_endpoint": "https://evil.example/fetch"}}
    bent = bend(country.folder.configuration(), country.folder.key("federation"), metadata=metadata)
    country.served[configuration_url(ANCHOR)] = bent.encode()
    assert "not its own" in (await own.sync.refresh_once()).problems[ANCHOR]


async def test_a_status_by_the_wrong_key_or_expired_is_not_believed(
    own: Own, country: Country, clock: FixedClock
) -> None:
    status = country.status()
    country.served[STATUS] = bend(status, country.folder.key("federation"), typ=STATUS_TYPE).encode()
    assert "not one of the issuer's" in (await own.sync.refresh_once()).problems[ANCHOR]
    country.served[STATUS] = status.encode()
    clock.advance(hours=1)
    assert "expired" in (await own.sync.refresh_once()).problems[ANCHOR]


FUTURE_KEYS = [
    {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"},
    {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"},
    {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
    {"kty": 7, "crv": ["x"] * 100},
]


@pytest.mark.parametrize("jwk", FUTURE_KEYS, ids=lambda jwk: str(jwk["kty"]))
async def test_an_envelope_key_of_an_algorithm_that_is_not_known_here_is_left_out_and_told(
    country: Country, jwk: dict[str, Any]
) -> None:
    metadata = read_token(country.configuration(ZHEJIANG)).claims["metadata"]
    for keys, known in (([jwk, *metadata["yrd_node"]["envelope_jwks"]["keys"]], True), ([jwk], False)):
        node = metadata["yrd_node"] | {"envelope_jwks": {"keys": keys}}
        bent = bend(
            country.configuration(ZHEJIANG), country.keys[ZHEJIANG], metadata=metadata | {"yrd_node": node}
        )
        country.served[configuration_url(ZHEJIANG)] = bent.encode()
        own = Own(country)
        report = await own.sync.refresh_once()
        assert report.problems.keys() == {ZHEJIANG}
        assert "only P-256, Ed25519 and SM2" in report.problems[ZHEJIANG]
        assert (ZHEJIANG in own.directory.current.peers) is known
        if known:
            keys_here = own.directory.current.peer(ZHEJIANG).envelope_keys
            assert set(keys_here) == {country.envelope_keys[ZHEJIANG].kid}


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"not a token", b"A" * 70000], ids=["none", "bytes", "text", "big"]
)
async def test_noise_is_a_problem_and_nothing_else(own: Own, country: Country, body: bytes) -> None:
    country.served[configuration_url(ZHEJIANG)] = body
    report = await own.sync.refresh_once()
    assert set(report.problems) == {ZHEJIANG}
    assert set(own.directory.current.peers) == {ANHUI}


async def test_a_new_statement_is_fetched_and_an_outdated_one_only_kept_for_a_while(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    publish(country.directory, now=clock.now())
    country.served[ANCHOR + statement_path(ZHEJIANG)] = None
    for _ in range(2):
        report = await own.sync.refresh_once()
        assert "away" in report.problems[ZHEJIANG]
        assert ZHEJIANG in own.directory.current.peers
        clock.advance(seconds=600)
    clock.advance(seconds=1)
    report = await own.sync.refresh_once()
    assert "newer statement" in report.problems[ZHEJIANG]
    assert set(own.directory.current.peers) == {ANHUI}
    country.served.clear()
    report = await own.sync.refresh_once()
    assert report.problems == {}
    assert own.store.rows[(ANCHOR, ZHEJIANG, StatementKind.SUBORDINATE)].token == country.statement(ZHEJIANG)


async def test_a_node_that_was_enrolled_again_with_new_keys_is_followed(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    country.enroll(ZHEJIANG)
    assert (await own.sync.refresh_once()).problems == {}
    assert set(own.directory.current.peer(ZHEJIANG).envelope_keys) == {country.envelope_keys[ZHEJIANG].kid}


async def test_the_own_node_is_told_that_it_was_revoked(own: Own, country: Country) -> None:
    revoke(country.directory, SHANGHAI, "moved", now=NOON)
    assert (await own.sync.refresh_once()).problems[SHANGHAI] == "revoked: moved"


async def test_a_store_that_is_away_leaves_the_picture(own: Own, country: Country) -> None:
    await own.sync.refresh_once()
    own.store.away = True
    with pytest.raises(OwnStoreUnavailable):
        await own.sync.refresh_once()
    assert set(own.directory.current.peers) == {ZHEJIANG, ANHUI}


async def test_the_loop_outlives_errors_and_wakes_when_asked(country: Country, clock: FixedClock) -> None:
    store = MemoryTrustStore()
    store.away = True
    own = Own(country, store)
    loop = asyncio.create_task(own.sync.run(3600))
    assert "store" in (await own.seen.get()).problems[SHANGHAI]
    store.away = False
    assert own.sync.request_refresh(ZHEJIANG)
    assert (await own.seen.get()).members == 2
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


def test_what_a_refresh_takes_does_not_come_on_top_of_the_interval() -> None:
    assert [pause_s(60, took_s) for took_s in (0, 5, 29, 30, 60, 600)] == [60, 55, 31, 30, 30, 30]


async def test_requests_for_a_refresh_are_rate_limited(own: Own, clock: FixedClock) -> None:
    assert own.sync.request_refresh(ZHEJIANG)
    assert not own.sync.request_refresh(ZHEJIANG)
    await own.sync.follow_key(ZHEJIANG)
    assert not own.sync.request_refresh(ZHEJIANG)
    clock.advance(seconds=5)
    assert own.sync.request_refresh(ZHEJIANG)
