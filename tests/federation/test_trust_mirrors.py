"""The anchor is away: what peers mirror is as good, and a hostile mirror changes nothing and costs little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from federation.anchor import Key
from federation.anchor_documents import Refresh, mirrors_of
from federation.errors import PeerRevoked
from federation.statements import StatementUnavailable, StoredStatement
from node.anchor import publish, revoke, rotate_root
from tests.federation.trust_doubles import ANCHOR, ANHUI, SHANGHAI, ZHEJIANG, Country, Own
from tests.support.clock import FixedClock
from trust.documents import MIRROR_PATH, ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN

MIRROR, OTHER = "https://mirror.example/yrd", "https://other.example"
Document = Callable[[str], str | None]


@pytest.fixture
async def held(country: Country) -> Document:
    """What a node that was there before holds of the anchor's documents."""
    peer = Own(country)
    await peer.sync.refresh_once()
    return mirror_of(peer)


def mirror_of(peer: Own) -> Document:
    def document(path: str) -> str | None:
        row = peer.sync.mirrored(path)
        return None if row is None else row.token

    return document


async def test_a_mirror_has_what_its_node_holds_and_nothing_else(country: Country) -> None:
    peer = Own(country)
    assert peer.sync.mirrored(WELL_KNOWN) is None
    await peer.sync.refresh_once()
    document = mirror_of(peer)
    assert document(WELL_KNOWN) == country.folder.configuration()
    assert document(statement_path(ANHUI)) == country.statement(ANHUI)
    assert (document(STATUS_PATH) or "").count(".") == 2
    assert document(ROLL_OVERS_PATH) is None
    for path in (
        "",
        "/",
        "/federation/statements/",
        "/federation/statements/none",
        statement_path(ANHUI) + "/",
    ):
        assert document(path) is None
    rotate_root(country.directory, now=country.clock.now(), reason="yearly")
    await peer.sync.refresh_once()
    assert document(ROLL_OVERS_PATH) == country.folder.roll_overs()


async def test_a_fresh_node_starts_from_a_mirror(country: Country, held: Document) -> None:
    country.away.add(ANCHOR)
    country.mirrors[MIRROR] = held
    fresh = Own(country, mirrors=(MIRROR,))
    report = await fresh.sync.refresh_once()
    assert (report.members, set(report.problems)) == (2, {ANCHOR})
    assert fresh.directory.current.mirror == MIRROR


async def test_also_when_the_anchor_has_been_away_for_longer_than_a_status_lives(
    country: Country, clock: FixedClock, held: Document
) -> None:
    clock.advance(hours=20)
    country.away.add(ANCHOR)
    country.mirrors[MIRROR] = held
    fresh = Own(country, mirrors=(MIRROR,))
    report = await fresh.sync.refresh_once()
    assert (report.members, set(report.problems)) == (2, {ANCHOR})
    assert report.status_issued_at is not None
    assert (report.at - report.status_issued_at).total_seconds() == 20 * 3600, "that it is old is told"


async def test_of_several_old_words_a_fresh_node_takes_the_last(
    country: Country, clock: FixedClock, held: Document
) -> None:
    clock.advance(minutes=10)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    later = Own(country)
    await later.sync.refresh_once()
    clock.advance(hours=20)
    country.away.add(ANCHOR)
    country.mirrors |= {MIRROR: held, OTHER: mirror_of(later)}
    for mirrors in ((MIRROR, OTHER), (OTHER, MIRROR)):
        fresh = Own(country, mirrors=mirrors)
        assert (await fresh.sync.refresh_once()).members == 1
        with pytest.raises(PeerRevoked):
            fresh.directory.current.peer(ANHUI)


async def test_a_fresh_node_follows_roll_overs_from_a_mirror(country: Country, clock: FixedClock) -> None:
    rotate_root(country.directory, now=clock.now(), reason="yearly")
    clock.advance(days=40)
    publish(country.directory, now=clock.now())
    peer = Own(country)
    await peer.sync.refresh_once()
    country.away.add(ANCHOR)
    country.mirrors[MIRROR] = mirror_of(peer)
    fresh = Own(country, mirrors=(MIRROR,))
    assert (await fresh.sync.refresh_once()).members == 2


async def test_the_mirrors_of_known_peers_are_asked_without_being_named(
    country: Country, clock: FixedClock
) -> None:
    own, peer = Own(country), Own(country)
    await own.sync.refresh_once()
    clock.advance(seconds=60)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    await peer.sync.refresh_once()
    country.away.add(ANCHOR)
    country.mirrors[ZHEJIANG + MIRROR_PATH] = mirror_of(peer)
    report = await own.sync.refresh_once()
    assert report.revoked == 1
    assert own.directory.current.mirror == ZHEJIANG + MIRROR_PATH
    with pytest.raises(PeerRevoked, match="private key lost"):
        own.directory.current.peer(ANHUI).require_standing(clock.now())


async def test_the_highest_sequence_wins_whoever_has_it(
    country: Country, clock: FixedClock, held: Document
) -> None:
    clock.advance(seconds=30)
    later = Own(country)
    newest = await later.sync.refresh_once()
    country.away.add(ANCHOR)
    country.mirrors |= {MIRROR: mirror_of(later), OTHER: held}
    for mirrors in ((MIRROR, OTHER), (OTHER, MIRROR)):
        fresh = Own(country, mirrors=mirrors)
        assert (await fresh.sync.refresh_once()).sequence == newest.sequence
        assert fresh.directory.current.mirror == MIRROR


async def test_a_mirror_never_takes_a_node_back(country: Country, clock: FixedClock, held: Document) -> None:
    own = Own(country, mirrors=(MIRROR,))
    clock.advance(seconds=30)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    newest = await own.sync.refresh_once()
    country.away.add(ANCHOR)
    country.mirrors[MIRROR] = held
    report = await own.sync.refresh_once()
    assert report.sequence == newest.sequence
    assert ANHUI not in own.directory.current.peers
    assert MIRROR not in report.problems, "being behind is no offence"
    assert own.directory.current.mirror == ""


async def test_when_the_anchor_is_back_it_is_the_anchor_again(
    country: Country, clock: FixedClock, held: Document
) -> None:
    country.away.add(ANCHOR)
    country.mirrors[MIRROR] = held
    own = Own(country, mirrors=(MIRROR,))
    await own.sync.refresh_once()
    country.away.clear()
    clock.advance(seconds=1)
    assert (await own.sync.refresh_once()).problems == {}
    assert own.directory.current.mirror == ""


async def test_mirrors_are_left_alone_while_the_anchor_speaks(country: Country, held: Document) -> None:
    country.mirrors[MIRROR] = held
    own = Own(country, mirrors=(MIRROR,))
    for _ in range(2):
        await own.sync.refresh_once()
    assert not [url for url in country.asked if url.startswith(MIRROR)]


async def test_an_anchor_that_is_frozen_is_not_waited_for(
    country: Country, clock: FixedClock, held: Document
) -> None:
    """Someone in between serves the anchor's last words for as long as they hold."""
    own, peer = Own(country, mirrors=(MIRROR,)), Own(country)
    await own.sync.refresh_once()
    country.served[ANCHOR + STATUS_PATH] = own.sync.mirrored(STATUS_PATH).token.encode()  # type: ignore[union-attr]
    clock.advance(seconds=121)
    revoke(country.directory, ANHUI, "private key lost", now=clock.now())
    frozen = country.served.pop(ANCHOR + STATUS_PATH)
    await peer.sync.refresh_once()
    country.served[ANCHOR + STATUS_PATH] = frozen
    country.mirrors[MIRROR] = mirror_of(peer)
    assert (await own.sync.refresh_once()).revoked == 1


async def test_a_statement_that_the_anchor_does_not_give_is_had_from_a_mirror(
    country: Country, held: Document
) -> None:
    country.mirrors[MIRROR] = held
    country.served[ANCHOR + statement_path(ZHEJIANG)] = country.statement(ANHUI).encode()
    own = Own(country, mirrors=(MIRROR,))
    assert (await own.sync.refresh_once()).problems == {}


def of_anchor(own: Own) -> dict[Key, StoredStatement]:
    return {key: row for key, row in own.store.rows.items() if row.iss == ANCHOR}


def garbage(_path: str) -> str:
    return "{}"


def huge(_path: str) -> str:
    return "A" * 1_000_000


def foreign(country: Country) -> Document:
    """A whole federation by someone else, under the same name."""
    return Country(country.directory.with_name("foreign"), country.clock).document


def mixed_up(country: Country) -> Document:
    return lambda path: (
        country.document(statement_path(ANHUI)) if path == STATUS_PATH else country.document(path)
    )


HOSTILE: dict[str, Callable[[Country], Document]] = {
    "garbage": lambda _: garbage,
    "huge": lambda _: huge,
    "empty": lambda _: lambda _path: "",
    "nothing": lambda _: lambda _path: None,
    "foreign": foreign,
    "mixed-up": mixed_up,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_mirror_changes_nothing(
    country: Country, held: Document, hostile: Callable[[Country], Document]
) -> None:
    own = Own(country, mirrors=(OTHER,))
    await own.sync.refresh_once()
    before, rows = own.directory.current, of_anchor(own)
    country.away.add(ANCHOR)
    country.mirrors[OTHER] = hostile(country)
    country.asked.clear()
    report = await own.sync.refresh_once()
    assert of_anchor(own) == rows
    assert own.directory.current.peers.keys() == before.peers.keys()
    assert own.directory.current.sequence == before.sequence
    assert report.members == 2
    asked = [url for url in country.asked if url.startswith(OTHER)]
    assert len(asked) <= 3, "three documents, and none twice from who does not answer"
    country.mirrors[MIRROR] = held
    fresh = Own(country, mirrors=(OTHER, MIRROR))
    assert (await fresh.sync.refresh_once()).members == 2, "the good one beside it is enough"


async def test_what_a_mirror_made_up_is_told(country: Country) -> None:
    country.away.add(ANCHOR)
    country.mirrors[OTHER] = foreign(country)
    report = await Own(country, mirrors=(OTHER,)).sync.refresh_once()
    assert "not one of the issuer's" in report.problems[OTHER]
    assert report.members == 0


async def test_an_anchor_that_does_not_answer_is_asked_once_in_a_refresh(country: Country) -> None:
    own = Own(country)
    await own.sync.refresh_once()
    country.away.add(ANCHOR)
    country.asked.clear()
    await own.sync.refresh_once()
    assert len([url for url in country.asked if url.startswith(ANCHOR)]) == 1


def test_many_mirrors_are_asked_by_turns(country: Country) -> None:
    peers = [f"https://node{number}.example" for number in range(6)] + [SHANGHAI]
    own = Own(country, mirrors=(MIRROR, peers[0] + MIRROR_PATH)).settings
    turns = [mirrors_of(own, peers, turn) for turn in range(2)]
    assert turns[0] == [MIRROR, *(peer + MIRROR_PATH for peer in peers[:3])]
    assert {base for turn in turns for base in turn} == {MIRROR, *(peer + MIRROR_PATH for peer in peers[:6])}
    assert not [base for turn in range(9) for base in mirrors_of(own, peers, turn) if SHANGHAI in base]


async def test_a_refresh_has_so_many_documents_bytes_and_seconds(country: Country) -> None:
    seconds = [0.0]
    country.mirrors[OTHER] = lambda _path: "x" * 100

    def begin(**caps: Any) -> Refresh:
        own = Own(country, **caps)
        return Refresh(country, own.settings, now_s=lambda: seconds[0])

    refresh = begin(documents_max=2)
    for _ in range(2):
        await refresh.get(OTHER, "/a")
    with pytest.raises(StatementUnavailable, match="had its share"):
        await refresh.get(OTHER, "/a")
    refresh = begin(refresh_max_bytes=200)
    for _ in range(2):
        await refresh.get(OTHER, "/a")
    with pytest.raises(StatementUnavailable, match="had its share"):
        await refresh.get(OTHER, "/a")
    refresh = begin(refresh_max_s=10, mirrors_max_s=2)
    await refresh.get(OTHER, "/a", of_mirror=True)
    seconds[0] += 2
    with pytest.raises(StatementUnavailable, match="had its share"):
        await refresh.get(OTHER, "/a", of_mirror=True)
    await refresh.get(OTHER, "/a")
    seconds[0] += 8
    with pytest.raises(StatementUnavailable, match="had its share"):
        await refresh.get(OTHER, "/a")
