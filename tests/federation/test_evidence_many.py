"""Files of many exchanges: what they share is in them once, and one that does not hold spoils no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from federation.evidence import EvidenceFile, EvidenceVerifier, verify_evidence
from federation.evidence_export import ExportedFile
from federation.evidence_ports import ExchangeRef
from federation.ports import StoredRecord
from tests.support.clock import NOON
from tests.support.evidence import ASKING, CODEC, Exchange, Log, World, exporter_of, only
from tests.support.replacing import replace
from trust.container import read_container
from trust.errors import EvidenceBroken


class Book:
    """Several exchanges in one log, one after the other."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = {one.request_id: one for one in exchanges}
        for place, one in enumerate(exchanges):
            one.records[:] = [
                replace(record, log_index=2 * place + at) for at, record in enumerate(one.records)
            ]

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        return self.exchanges[request_id].records

    async def refs(self) -> AsyncIterator[ExchangeRef]:
        for request_id in self.exchanges:
            yield ExchangeRef(request_id, True)

    @property
    def records(self) -> list[StoredRecord]:
        return [record for one in self.exchanges.values() for record in one.records]


async def exported(
    world: World, book: Book, *, split_exchanges: int = 100, split_bytes: int = 1 << 24
) -> list[ExportedFile]:
    exporter = exporter_of(world, book, ASKING, Log(world, ASKING, book.records))
    files = exporter.export_many(
        book.refs(), "period", split_exchanges=split_exchanges, split_bytes=split_bytes
    )
    return [file async for file in files]


async def test_what_exchanges_share_is_in_the_file_once(world: World) -> None:
    book = Book([Exchange(world) for _ in range(20)])
    [file] = await exported(world, book)
    names = list(read_container(file.data))
    assert sum(name.startswith("statements/") for name in names) == 9
    assert sum(name.startswith("checkpoints/") for name in names) == 1
    report = verify_evidence(file.data, world.anchor_jwks, CODEC)
    assert (report.scope, file.exchanges) == ("period", 20)
    assert [one.request_id for one in report.exchanges] == list(book.exchanges)
    assert {one.verdict for one in report.exchanges} == {"proven"}
    with pytest.raises(ValueError, match="too many"):
        _ = report.only


@pytest.mark.parametrize("limit", [{"split_exchanges": 3}, {"split_bytes": 36_000}])
async def test_what_is_too_large_for_one_file_becomes_several(world: World, limit: dict[str, int]) -> None:
    book = Book([Exchange(world) for _ in range(8)])
    files = await exported(world, book, **limit)
    assert len(files) > 1
    found = [
        one.request_id
        for file in files
        for one in verify_evidence(file.data, world.anchor_jwks, CODEC).exchanges
    ]
    assert found == list(book.exchanges)


async def test_nothing_makes_no_file(world: World) -> None:
    assert await exported(world, Book([])) == []


async def test_one_that_does_not_hold_spoils_no_other(world: World) -> None:
    later = NOON + timedelta(minutes=5)
    bad = {"asked_at": later, "expires_at": later + timedelta(seconds=30)}
    exchanges = [Exchange(world), Exchange(world, request_says=bad, answered=False), Exchange(world)]
    [file] = await exported(world, Book(exchanges))
    opened = EvidenceVerifier(world.anchor_jwks, CODEC).open(file.data)
    assert [opened.verify(number).outcome for number in (1, 3)] == ["answered", "answered"]
    assert opened.request_id(2) == exchanges[1].request_id
    with pytest.raises(EvidenceBroken, match=r"exchanges/000002/request\.envelope"):
        opened.verify(2)
    with pytest.raises(EvidenceBroken):
        verify_evidence(file.data, world.anchor_jwks, CODEC)


async def test_what_was_verified_once_is_remembered_only_for_these_very_bytes(world: World) -> None:
    """A verifier that has seen good files still refuses a bad one that shares all but one statement with them."""
    good, other = Exchange(world), Exchange(world)
    verifier = EvidenceVerifier(world.anchor_jwks, CODEC)
    assert verifier.verify(await world.export(good)).only.verdict == "proven"
    world.former_keys[ASKING] = (world.clock.at - timedelta(seconds=9), [])
    assert verifier.verify(await world.export(other)).only.verdict == "signed"
    thief = World()
    with pytest.raises(EvidenceBroken):
        verifier.verify(await thief.export(Exchange(thief)))
    assert verifier.verify(await world.export(good)).only.outcome == "answered"


async def test_several_files_are_opened_each_by_itself() -> None:
    world = World()
    whole = [await world.export(Exchange(world)) for _ in range(3)]
    broken = whole[1][:-1]
    verifier = EvidenceVerifier(world.anchor_jwks, CODEC)
    for _ in range(2):  # with nothing remembered, and with everything
        first, second, third = verifier.open_all([whole[0], broken, whole[2]])
        assert isinstance(second, EvidenceBroken)
        for data, file in ((whole[0], first), (whole[2], third)):
            assert isinstance(file, EvidenceFile)
            assert (
                list(file.results()) == list(verifier.open(data).reports()) == [only(data, world.anchor_jwks)]
            )
