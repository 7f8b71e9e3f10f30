"""The anchor changes its root key: nodes that pinned the old one follow, and nobody else's roll-over counts."""

from __future__ import annotations

import shutil
from datetime import timedelta

import orjson
import pytest

from federation.statements import StatementKind
from node.anchor import anchor_jwks, rotate_root
from tests.federation.trust_doubles import ANCHOR, ANHUI, ZHEJIANG, Country, Own
from tests.support.clock import FixedClock
from tests.trust.federation import bend
from trust.algorithms import b64url, b64url_bytes
from trust.documents import ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import configuration_url, read_statement, statement_digest
from trust.keys import SigningKey, jwks_of, keys_from_jwks
from trust.rollover import build_roll_over, roll_overs_document
from trust.status import STATUS_TYPE

ROLL_OVERS = ANCHOR + ROLL_OVERS_PATH
ROW = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
OVERLAP = timedelta(days=7)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""FIPS 186-4 §D.1.2.3."""


def rotate(country: Country) -> None:
    rotate_root(country.directory, now=country.clock.now(), reason="yearly", overlap=OVERLAP)


def respelled(token: str) -> str:
    """The same token with the other ES256 signature that verifies."""
    message, _, signature = token.rpartition(".")
    raw = b64url_bytes(signature)
    other = P256_ORDER - int.from_bytes(raw[32:], "big")
    return f"{message}.{b64url(raw[:32] + other.to_bytes(32, 'big'))}"


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


async def test_nor_statements_although_a_configuration_that_lives_on_still_names_it(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """Its thief besides has the online status key: then only the time of the root key stands in the way."""
    old = country.folder.key("federation")
    rotate(country)
    await own.sync.refresh_once()
    clock.advance(days=8)
    assert old.kid in read_statement(country.folder.configuration()).keys
    thief = SigningKey.generate()
    forged = bend(country.statement(ZHEJIANG), old, jwks=jwks_of([thief.verification_key]))
    digests = {one: statement_digest(country.statement(one)) for one in country.keys}
    status_key = country.folder.key("status")
    told = bend(
        country.status(),
        status_key,
        typ=STATUS_TYPE,
        statements={**digests, ZHEJIANG: statement_digest(forged)},
    )
    country.served[ANCHOR + STATUS_PATH] = told.encode()
    country.served[ANCHOR + statement_path(ZHEJIANG)] = forged.encode()
    report = await own.sync.refresh_once()
    assert "not one of the issuer's" in report.problems[ZHEJIANG]
    assert own.store.rows[(ANCHOR, ZHEJIANG, StatementKind.SUBORDINATE)].token == country.statement(ZHEJIANG)


async def test_who_comes_during_the_overlap_never_pins_the_old_key(
    country: Country, clock: FixedClock
) -> None:
    """Its thief, years later, need not even show the roll-over that ended it to a node that starts afresh."""
    old = country.folder.key("federation")
    rotate(country)
    country.pinned = keys_from_jwks(anchor_jwks(country.directory))
    clock.advance(days=8)
    country.served[configuration_url(ANCHOR)] = bend(country.folder.configuration(), old).encode()
    country.served[ROLL_OVERS] = b"[]"
    fresh = Own(country)
    report = await fresh.sync.refresh_once()
    assert "not one of the issuer's" in report.problems[ANCHOR]
    assert fresh.directory.current.peers == {}


async def test_a_second_spelling_of_a_signature_takes_no_number_from_the_anchor(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """For every ECDSA signature r, s there is r, n - s: any mirror can make it, and it verifies."""
    rotate(country)
    (token,) = orjson.loads(country.folder.roll_overs())
    country.served[ROLL_OVERS] = roll_overs_document([respelled(token)]).encode()
    assert (await own.sync.refresh_once()).problems == {}
    country.served.clear()
    assert (await own.sync.refresh_once()).problems == {}
    clock.advance(days=8)
    rotate(country)
    assert (await own.sync.refresh_once()).problems == {}
    assert own.store.rows[ROW].mark == 2


async def test_a_roll_over_from_the_future_takes_no_number(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """The anchor's clock was a year ahead; it goes back to its copy of before, and changes its key again."""
    await own.sync.refresh_once()
    before = shutil.copytree(country.directory, country.directory.with_name("copy"))
    clock.advance(days=365)
    rotate(country)
    clock.advance(days=-365)
    report = await own.sync.refresh_once()
    assert "roll-over 1 is from the future" in report.problems[ANCHOR]
    assert ROW not in own.store.rows
    shutil.rmtree(country.directory)
    before.rename(country.directory)
    clock.advance(minutes=5)
    rotate(country)
    assert (await own.sync.refresh_once()).problems == {}
    assert own.store.rows[ROW].mark == 1


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
