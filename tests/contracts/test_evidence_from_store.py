"""Evidence out of a real store: journal, trust rows and keystore together, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from federation.errors import OwnBadValue
from federation.evidence import verify_evidence
from federation.evidence_export import Exporter
from federation.evidence_ports import ExchangeRef, RefPage
from federation.evidence_text import render_report
from federation.ports import Claim, Cosignature
from federation.query import Operation
from federation.statements import StatementKind, StoredStatement
from node.keystore import KeyEncryptionKey, Keystore, Purpose
from node.keystore.data_keys import DataKeys
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.holder_hashes import HolderHashes
from node.sequencer import Sequencer
from node.store.database import Database
from node.store.evidence_rows import EvidenceRows
from node.store.journal import StoreJournal
from node.store.log_gate import StoreLogGate
from node.store.log_mark import FileMark
from node.store.settling import SettlingRows
from node.store.tree import TreeStore
from node.store.tree_growth import TreeGrowth
from node.store.trust import TrustRows
from tests.support.clock import NOON, FixedClock
from tests.support.evidence import (
    ANCHOR,
    ANSWERING,
    ASKING,
    CODEC,
    SETTLED_AT,
    WITNESSES,
    Exchange,
    World,
    only,
)
from tests.support.exchanges import meta_of
from trust.checkpoint import Checkpoint
from trust.cosignature import cosign
from trust.entity import read_statement
from trust.envelope import parse, seal
from trust.keys import SigningKey, jwks_of
from trust.profile import log_origin, witness_name


async def keep_statements(rows: TrustRows, world: World, clock: FixedClock) -> None:
    marks = {
        StatementKind.STATUS: world.status_sequence,
        StatementKind.ROLL_OVERS: len(world.roll_overs),
    }
    for (iss, sub, kind), token in world.statements.items():
        mark = marks[kind] if kind in marks else int(read_statement(token).issued_at.timestamp())
        await rows.save_statement(StoredStatement(iss, sub, kind, token, mark, "", clock.at))


def exporter_of(
    entity_id: str, records: StoreJournal, archive: TrustRows, world: World, clock: FixedClock
) -> Exporter:
    return Exporter(
        records=records,
        archive=archive,
        codec=CODEC,
        signer=lambda: world.envelope_keys[entity_id],
        clock=clock,
        entity_id=entity_id,
        anchor=ANCHOR,
    )


async def test_both_nodes_export_what_they_stored(database: Database) -> None:
    world, clock = World(), FixedClock()
    rows = TrustRows(database)
    await keep_statements(rows, world, clock)
    keystore = await Keystore.open(database, KeyEncryptionKey(bytes(32)), clock)
    # Both nodes share this store, so that one test sees both sides; the answering one's key is the keystore's.
    await keystore.add(Purpose.ENVELOPE, world.envelope_keys[ANSWERING])
    answering = StoreJournal(database, lambda: keystore.signing_key(Purpose.ENVELOPE), clock)
    asking = StoreJournal(database, lambda: world.envelope_keys[ASKING], clock, sign_batches=True)

    exchange = Exchange(world)
    sealed, answered = (parse(record.envelope, max_bytes=1 << 20) for record in exchange.records)
    meta = meta_of(exchange.request_id, outcome="answered")
    request = await asking.store_request(meta, sealed.payload_type, sealed.payload)
    await answering.claim(Claim(ASKING, exchange.request_id, request.identity, 10))
    answer = await answering.store_exchange(
        meta, request, request.identity, answered.payload_type, answered.payload
    )
    clock.advance(seconds=1)
    await asking.store_answer(meta, answer.identity, answer.envelope)
    await asking.close()
    await answering.close()

    # Days later every statement and key was replaced, the anchor's too.
    clock.advance(days=40)
    world.envelope_keys[ASKING] = SigningKey.generate()
    world.roll_over(clock.at, old_until=clock.at + timedelta(days=7))
    world.publish(clock.at)
    await keep_statements(rows, world, clock)
    exporter = exporter_of(ASKING, asking, rows, world, clock)
    data = await exporter.export(exchange.request_id)
    report = only(data, world.anchor_jwks)
    first = jwks_of([world.former_anchor_keys[0].verification_key])
    assert render_report(only(data, first)) == render_report(report)
    assert (report.outcome, report.log_indices) == ("answered", (0, 3))
    assert report.request is not None
    assert report.request.header.operation is Operation.CERTIFICATES_QUERY
    assert report.exported_at - NOON == timedelta(days=40, seconds=1)


HOLDER, OTHER = ("111", "330106199011020279"), ("111", "310101199001010017")


class Settled:
    """The asking node's store with settled exchanges of two holders."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.world, self.clock = World(), FixedClock()
        self.statements = TrustRows(database)
        self.tree = TreeStore(database)

    async def fill(self) -> None:
        """Three exchanges, the second of another holder; all under one settled checkpoint."""
        await keep_statements(self.statements, self.world, self.clock)
        keys = await DataKeys.open(self.database, KeyEncryptionKey(bytes(32)), self.clock)
        self.hashes, self.bodies = HolderHashes(keys), EncryptedBodies(keys)
        self.journal = StoreJournal(
            self.database, lambda: self.world.envelope_keys[ASKING], self.clock, bodies=self.bodies
        )
        self.exchanges = [Exchange(self.world) for _ in range(3)]
        for exchange, holder in zip(self.exchanges, (HOLDER, OTHER, HOLDER), strict=True):
            await self._store(exchange, holder)
        await self._settle()

    async def _store(self, exchange: Exchange, holder: tuple[str, str]) -> None:
        request, answer = (parse(record.envelope, max_bytes=1 << 20) for record in exchange.records)
        said = meta_of(exchange.request_id, outcome="answered", case_number="case 1")
        meta = replace(said, holders=(self.hashes(*holder),))
        await self.journal.store_request(meta, request.payload_type, request.payload)
        await self.journal.store_answer(meta, answer.identity, answer.envelope)
        self.clock.advance(seconds=0.1)

    async def _settle(self) -> None:
        growth = TreeGrowth(self.database)
        key = self.world.log_keys[ASKING]
        mark = FileMark(self.folder / "log.mark")
        try:
            await Sequencer(growth, mark, StoreLogGate(), lambda: key, self.clock, entity_id=ASKING).turn()
        finally:
            growth.close()
        row = await self.tree.latest()
        assert row is not None
        text = Checkpoint(log_origin(ASKING, 1), row.size, row.root).text()
        rows = SettlingRows(self.database)
        for entity, at in self.world.cosigners.items():
            line = cosign(text, name=witness_name(entity), signer=self.world.witness_keys[entity], at=at)
            await rows.add_cosignature(1, row.size, Cosignature(entity, at, line.rstrip("\n")))
        await rows.settle(1, row.size, SETTLED_AT)

    def exporter(self) -> Exporter:
        return Exporter(
            records=self.journal,
            archive=self.statements,
            codec=CODEC,
            signer=lambda: self.world.envelope_keys[ASKING],
            clock=self.world.clock,
            entity_id=ASKING,
            anchor=ANCHOR,
            tree=self.tree,
            former_keys=self.world,
        )

    def finder(self) -> EvidenceRows:
        return EvidenceRows(self.database, self.hashes.to_search)


@pytest.fixture
async def settled(database: Database, tmp_path: Path) -> AsyncIterator[Settled]:
    store = Settled(database, tmp_path)
    await store.fill()
    yield store
    await store.journal.close()


async def test_what_is_settled_in_the_store_is_exported_with_its_evidence_time(settled: Settled) -> None:
    data = await settled.exporter().export(settled.exchanges[1].request_id)
    report = only(data, settled.world.anchor_jwks)
    assert (report.verdict, report.evidence_at) == ("proven", SETTLED_AT)
    assert report.log_indices == (2, 3)


async def test_a_holders_exchanges_are_exported_and_nobody_elses(settled: Settled) -> None:
    finder = settled.finder()

    async def refs() -> AsyncIterator[ExchangeRef]:
        after = ""
        while True:
            page = await finder.find_by_holder(*HOLDER, after=after, limit=1)
            for ref in page.refs:
                yield ref
            if not (after := page.next):
                return

    files = [file async for file in settled.exporter().export_many(refs(), "holder")]
    (report,) = [verify_evidence(file.data, settled.world.anchor_jwks, CODEC) for file in files]
    first, _, third = (one.request_id for one in settled.exchanges)
    assert [one.request_id for one in report.exchanges] == [third, first]  # newest first
    assert {one.verdict for one in report.exchanges} == {"proven"}
    assert report.scope == "holder"


async def keep_heard(
    journal: StoreJournal, world: World, exchange: Exchange, asking: str, officer: str
) -> None:
    """This exchange at the node that answered it, as if that other node had asked."""
    sent, answered = (parse(record.envelope, max_bytes=1 << 20) for record in exchange.records)
    request = CODEC.decode_request(sent.payload_type, sent.payload)
    request = replace(request, header=replace(request.header, asking=asking, officer=officer))
    sealed = seal(sent.payload_type, CODEC.encode_request(request), world.envelope_keys[asking])
    answer = CODEC.decode_answer(answered.payload_type, answered.payload)
    said = replace(answer.header, asking=asking, request_identity=sealed.identity)
    meta = replace(meta_of(exchange.request_id, outcome="answered", case_number="case 1"), asking=asking)
    await journal.claim(Claim(asking, exchange.request_id, sealed.identity, 10))
    payload = CODEC.encode_answer(replace(answer, header=said))
    await journal.store_exchange(meta, sealed, sealed.identity, answered.payload_type, payload)


async def test_two_nodes_that_use_one_id_are_told_apart(database: Database) -> None:
    """And one that uses it again for other bytes, which are refused and signed: three exchanges under one id."""
    world, clock = World(), FixedClock()
    rows, other = TrustRows(database), WITNESSES[0]
    await keep_statements(rows, world, clock)
    journal = StoreJournal(database, lambda: world.envelope_keys[ANSWERING], clock)
    exchange = Exchange(world)
    for officer, asking in enumerate((ASKING, other, ASKING)):
        await keep_heard(journal, world, exchange, asking, f"officer-{officer}")
    await journal.close()
    exporter = exporter_of(ANSWERING, journal, rows, world, clock)

    with pytest.raises(OwnBadValue, match=f"{other}, {ASKING}"):
        await exporter.export(exchange.request_id)
    for asking, indices in ((ASKING, (0, 1)), (other, (2, 3))):
        report = only(await exporter.export(exchange.request_id, asking=asking), world.anchor_jwks)
        assert (report.outcome, report.log_indices) == ("answered", indices)
        assert report.request is not None
        assert report.request.header.asking == asking

    async def refs() -> AsyncIterator[ExchangeRef]:
        page = await EvidenceRows(database, lambda _type, _id: ()).find_by_case("case 1", limit=9)
        for ref in page.refs:
            yield ref

    (file,) = [one async for one in exporter.export_many(refs(), "case")]
    found = verify_evidence(file.data, world.anchor_jwks, CODEC).exchanges
    assert [one.log_indices for one in found] == [(4, 5), (2, 3), (0, 1)]


async def test_exchanges_are_found_by_holder_case_and_time(settled: Settled) -> None:
    finder = settled.finder()
    ids = [one.request_id for one in settled.exchanges]

    async def found(page: Awaitable[RefPage]) -> list[int]:
        refs = (await page).refs
        assert all(ref.asked_here for ref in refs)
        return [ids.index(ref.request_id) for ref in refs]

    assert await found(finder.find_by_holder(*HOLDER, limit=9)) == [2, 0]
    assert await found(finder.find_by_holder("111", "310101 19900101 0017", limit=9)) == [1]
    assert await found(finder.find_by_holder("414", HOLDER[1], limit=9)) == []
    assert await found(finder.find_by_case("case 1", limit=9)) == [2, 1, 0]
    assert await found(finder.find_by_case("case 2", limit=9)) == []
    middle = NOON + timedelta(milliseconds=100)
    assert await found(finder.between(NOON, middle, limit=9)) == [0]
    assert await found(finder.between(middle, NOON + timedelta(hours=1), limit=9)) == [2, 1]
    first = await finder.find_by_case("case 1", limit=2)
    assert await found(finder.find_by_case("case 1", after=first.next, limit=2)) == [0]
