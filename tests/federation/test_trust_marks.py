"""Nothing goes back, and no wrong clock locks anyone out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from federation.errors import PeerChainExpired, PeerRevoked
from federation.statements import StatementKind, StoredStatement
from node.anchor import finish, revoke, rotate_status
from tests.federation.trust_doubles import ANCHOR, ANHUI, SHANGHAI, ZHEJIANG, Country, MemoryTrustStore, Own
from tests.support.clock import NOON, FixedClock
from tests.trust.federation import bend
from trust.documents import STATUS_PATH
from trust.entity import configuration_url
from trust.errors import StatementRolledBack
from trust.keys import SigningKey
from trust.status import STATUS_TYPE

STATUS = ANCHOR + STATUS_PATH


def envelope_keys(own: Own) -> set[str]:
    return set(own.directory.current.peer(ZHEJIANG).envelope_keys)


async def test_another_status_under_the_same_number_is_refused(own: Own, country: Country) -> None:
    first = country.status()
    country.served[STATUS] = first.encode()
    await own.sync.refresh_once()
    country.served[STATUS] = bend(
        first, country.folder.key("status"), typ=STATUS_TYPE, statements={}
    ).encode()
    report = await own.sync.refresh_once()
    assert "another than the one seen first" in report.problems[ANCHOR]
    assert report.members == 2


async def test_the_number_of_a_stolen_status_key_goes_with_the_key(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """Its thief signed the highest of all numbers; while the key counts, nothing goes back."""
    last = bend(country.status(), country.folder.key("status"), typ=STATUS_TYPE, sequence=2**53 - 1)
    country.served[STATUS] = last.encode()
    await own.sync.refresh_once()
    country.served.clear()
    assert "after 9007199254740991 was seen" in (await own.sync.refresh_once()).problems[ANCHOR]
    rotate_status(country.directory, now=clock.now(), lead_s=0)
    clock.advance(seconds=1)
    finish(country.directory, now=clock.now(), early=True)
    revoke(country.directory, ANHUI, "left", now=clock.now())
    report = await own.sync.refresh_once()
    assert (report.problems, report.members, report.revoked) == ({}, 1, 1)


async def test_another_configuration_of_the_same_second_is_taken(own: Own, country: Country) -> None:
    await own.sync.refresh_once()
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    assert (await own.sync.refresh_once()).problems == {}
    assert envelope_keys(own) == {country.envelope_keys[ZHEJIANG].kid}


async def test_a_replica_of_a_peer_that_signed_the_same_earlier_is_no_offence(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """Each replica signs its configuration hourly by itself, and a load balancer shows now one, now the other."""
    earlier = country.configuration(ZHEJIANG)
    clock.advance(minutes=20)
    await own.sync.refresh_once()
    stored = own.store.rows[(ZHEJIANG, ZHEJIANG, StatementKind.CONFIGURATION)]
    country.served[configuration_url(ZHEJIANG)] = earlier.encode()
    assert (await own.sync.refresh_once()).problems == {}
    assert own.store.rows[(ZHEJIANG, ZHEJIANG, StatementKind.CONFIGURATION)] == stored


class Ahead(MemoryTrustStore):
    """A store that another replica writes to in between."""

    async def save_statement(self, statement: StoredStatement) -> None:
        if statement.kind is StatementKind.STATUS:
            raise StatementRolledBack("a replica has stored a higher one")
        await super().save_statement(statement)


async def test_what_a_replica_stored_meanwhile_is_not_overwritten(country: Country) -> None:
    own = Own(country, Ahead())
    assert "higher" in (await own.sync.refresh_once()).problems[ANCHOR]


async def test_a_mark_that_a_wrong_clock_set_gives_way_when_it_is_right_again(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """This node's clock was a day ahead together with a peer's; both are put right."""
    clock.advance(days=1)
    await own.sync.refresh_once()
    assert own.store.rows[(ZHEJIANG, ZHEJIANG, StatementKind.CONFIGURATION)].mark > NOON.timestamp()
    clock.at = NOON
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    restarted = Own(country, own.store)
    await restarted.sync.load()
    report = await restarted.sync.refresh_once()
    assert report.problems == {}
    assert envelope_keys(restarted) == {country.envelope_keys[ZHEJIANG].kid}
    assert own.store.rows[(ZHEJIANG, ZHEJIANG, StatementKind.CONFIGURATION)].mark == NOON.timestamp()


async def test_but_a_mark_of_the_past_never_does(own: Own, country: Country, clock: FixedClock) -> None:
    old = country.configuration(ZHEJIANG)
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    clock.advance(seconds=90)
    await own.sync.refresh_once()
    clock.advance(seconds=-60)  # within the allowed skew: the stored one still holds
    country.served[configuration_url(ZHEJIANG)] = old.encode()
    assert "was seen" in (await own.sync.refresh_once()).problems[ZHEJIANG]
    assert envelope_keys(own) == {country.envelope_keys[ZHEJIANG].kid}


async def test_chains_that_only_a_wrong_clock_sees_expired_are_good_again_without_a_network(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    country.away |= {ANCHOR, ZHEJIANG, ANHUI, SHANGHAI}
    clock.advance(days=400)
    await own.sync.refresh_once()
    with pytest.raises(PeerChainExpired):
        own.directory.current.peer(ZHEJIANG).require_standing(clock.now())
    clock.advance(days=-400)
    report = await own.sync.refresh_once()
    assert report.members == 2
    own.directory.current.peer(ZHEJIANG).require_standing(clock.now())


@pytest.mark.parametrize("days", [2, 31, 400], ids=["configuration", "statement", "anchor"])
async def test_an_expired_chain_says_since_when_also_after_a_restart(
    own: Own, country: Country, clock: FixedClock, days: int
) -> None:
    await own.sync.refresh_once()
    country.away |= {ANCHOR, ZHEJIANG, ANHUI, SHANGHAI}
    clock.advance(days=days)
    restarted = Own(country, own.store)
    report = await restarted.sync.load()
    assert "expired at" in report.problems[ZHEJIANG]
    peer = restarted.directory.current.peer_in("330000")
    assert peer.expires_at == NOON + timedelta(days=1)
    with pytest.raises(PeerChainExpired) as refused:
        peer.require_standing(clock.now())
    assert (NOON + timedelta(days=1)).isoformat() in refused.value.detail
    assert clock.now().isoformat() in refused.value.detail


async def test_a_future_statement_is_not_made_good_by_an_expired_one(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """That an expired chain is still read takes nothing from step 3: what is from the future is refused."""
    await own.sync.refresh_once()
    clock.advance(days=1, minutes=5)
    ahead = country.configuration(ZHEJIANG)
    clock.advance(minutes=-10)
    country.served[configuration_url(ZHEJIANG)] = ahead.encode()
    assert "future" in (await own.sync.refresh_once()).problems[ZHEJIANG]


async def test_who_was_revoked_before_it_was_known_is_told_so(country: Country, clock: FixedClock) -> None:
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    own = Own(country)
    await own.sync.refresh_once()
    with pytest.raises(PeerRevoked, match="private key lost"):
        own.directory.current.peer(ANHUI)


async def test_an_anchor_restored_from_an_old_copy_takes_no_revocation_back(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """Its numbers follow the clock, so the status after the restore has a higher one than that with the revocation."""
    before = country.folder.members()[ANHUI]
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    await own.sync.refresh_once()
    country.folder.write_member(before)
    clock.advance(hours=1)
    report = await own.sync.refresh_once()
    assert f"has forgotten the revocation of {ANHUI}" in report.problems[ANCHOR]
    with pytest.raises(PeerRevoked):
        own.directory.current.peer(ANHUI).require_standing(clock.now())
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    clock.advance(seconds=60)
    assert (await own.sync.refresh_once()).problems == {}


async def test_a_denial_waits_for_no_source(own: Own, country: Country) -> None:
    """`yrd trust deny` is at once, also while a refresh hangs on someone who does not answer."""
    await own.sync.refresh_once()
    hanging = country.hang(ANCHOR)
    refresh = hanging.during(own.sync.refresh_once())
    await hanging.reached.wait()
    report = await own.sync.deny(ZHEJIANG, "incident 17")
    assert report.denied == 1
    hanging.go_on.set()
    assert (await refresh).denied == 1, "the refresh that was under way does not undo it"


async def test_what_another_replica_denied_is_known_before_a_source_is_asked(
    own: Own, country: Country
) -> None:
    await own.sync.refresh_once()
    await Own(country, own.store).sync.deny(ZHEJIANG, "incident 17")
    hanging = country.hang(ANCHOR)
    refresh = hanging.during(own.sync.refresh_once())
    await hanging.reached.wait()
    assert own.directory.current.peer(ZHEJIANG).standing == "denied"
    hanging.go_on.set()
    await refresh
