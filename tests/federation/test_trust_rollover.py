"""The anchor changes its root key: nodes that pinned the old one follow, and nobody else's roll-over counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from federation.statements import StatementKind
from node.anchor import rotate_root
from tests.federation.trust_doubles import ANCHOR, ANHUI, ZHEJIANG, Country, Own
from tests.support.clock import FixedClock
from tests.trust.federation import bend
from trust.documents import ROLL_OVERS_PATH, statement_path
from trust.entity import configuration_url
from trust.keys import SigningKey
from trust.rollover import build_roll_over, roll_overs_document

ROLL_OVERS = ANCHOR + ROLL_OVERS_PATH
ROW = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
OVERLAP = timedelta(days=7)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def country(tmp_path: Path, clock: FixedClock) -> Country:
    return Country(tmp_path / "anchor", clock)


@pytest.fixture
def own(country: Country) -> Own:
    return Own(country)


def rotate(country: Country) -> None:
    rotate_root(country.directory, now=country.clock.now(), reason="yearly", overlap=OVERLAP)


def roll_over(country: Country, old: SigningKey, new: SigningKey, number: int = 1) -> str:
    now = country.clock.now()
    return build_roll_over(
        anchor=ANCHOR, number=number, old=old, new=new, now=now, old_until=now + OVERLAP, reason="forged"
    )


async def test_a_node_follows_without_a_change_of_its_settings(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(hours=1)
    rotate(country)
    report = await own.sync.refresh_once()
    assert report.problems == {}
    assert set(own.directory.current.peers) == {ZHEJIANG, ANHUI}
    assert own.store.rows[ROW].mark == 1


async def test_so_does_a_restart_with_the_old_key_pinned_and_no_network(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    rotate(country)
    await own.sync.refresh_once()
    clock.advance(hours=20)
    again = Own(country, own.store)
    country.asked.clear()
    report = await again.sync.load()
    assert (report.problems, report.members, country.asked) == ({}, 2, [])


async def test_so_does_a_node_that_was_away_during_the_whole_overlap(
    own: Own, country: Country, clock: FixedClock
) -> None:
    await own.sync.refresh_once()
    clock.advance(days=1)
    rotate(country)
    clock.advance(days=10)
    rotate(country)
    clock.advance(days=10)
    report = await own.sync.refresh_once()
    assert (report.problems, report.members) == ({}, 2)
    assert own.store.rows[ROW].mark == 2


async def test_the_old_key_signs_no_more_when_its_time_is_over(
    own: Own, country: Country, clock: FixedClock
) -> None:
    old = country.folder.key("federation")
    rotate(country)
    await own.sync.refresh_once()
    clock.advance(days=8)
    country.served[configuration_url(ANCHOR)] = bend(country.folder.configuration(), old).encode()
    report = await own.sync.refresh_once()
    assert "not one of the issuer's" in report.problems[ANCHOR]


async def test_another_roll_over_under_a_known_number_is_refused(own: Own, country: Country) -> None:
    old = country.folder.key("federation")
    rotate(country)
    await own.sync.refresh_once()
    first = own.store.rows[ROW]
    forged = roll_overs_document([roll_over(country, old, SigningKey.generate())])
    country.served[ROLL_OVERS] = forged.encode()
    report = await own.sync.refresh_once()
    assert "another than the one seen first" in report.problems[ANCHOR]
    assert own.store.rows[ROW] == first
    assert set(own.directory.current.peers) == {ZHEJIANG, ANHUI}


@pytest.mark.parametrize("served", [b"[]", None], ids=["none", "gone"])
async def test_roll_overs_that_were_seen_do_not_go_away(
    own: Own, country: Country, served: bytes | None
) -> None:
    rotate(country)
    await own.sync.refresh_once()
    first = own.store.rows[ROW]
    if served is None:
        country.mirrors[ANCHOR] = lambda path: None if path == ROLL_OVERS_PATH else country.document(path)
    else:
        country.served[ROLL_OVERS] = served
    report = await own.sync.refresh_once()
    assert ANCHOR in report.problems
    assert own.store.rows[ROW] == first
    assert report.members == 2


async def test_what_a_stranger_made_up_takes_no_number(own: Own, country: Country) -> None:
    forged = roll_over(country, SigningKey.generate(), SigningKey.generate())
    country.served[ROLL_OVERS] = roll_overs_document([forged]).encode()
    report = await own.sync.refresh_once()
    assert "not those of a key that is pinned" in report.problems[ANCHOR]
    assert report.members == 2
    country.served.clear()
    rotate(country)
    assert (await own.sync.refresh_once()).problems == {}


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"\xff", b'["a.b.c"]', b"[" * 5000])
async def test_noise_instead_of_roll_overs_stops_nothing_else(
    own: Own, country: Country, body: bytes
) -> None:
    country.served[ROLL_OVERS] = body
    report = await own.sync.refresh_once()
    assert set(report.problems) == {ANCHOR}
    assert report.members == 2


async def test_an_anchor_of_the_first_release_has_no_such_files(own: Own, country: Country) -> None:
    statements = {statement_path(entity_id): entity_id for entity_id in country.keys}

    def released(path: str) -> str | None:
        if path.startswith("/federation/fetch?sub="):
            label = path.rpartition("%2F")[2]
            return next(country.statement(one) for one in country.keys if one.endswith(label))
        return None if path == ROLL_OVERS_PATH or path in statements else country.document(path)

    country.mirrors[ANCHOR] = released
    report = await own.sync.refresh_once()
    assert (report.problems, report.members) == ({}, 2)
    assert ROW not in own.store.rows
