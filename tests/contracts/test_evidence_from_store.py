"""Evidence out of a real store: journal, trust rows and keystore together, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

from federation.evidence_export import Exporter
from federation.evidence_text import render_report
from federation.ports import Claim
from federation.query import Operation
from federation.statements import StatementKind, StoredStatement
from node.keystore import KeyEncryptionKey, Keystore, Purpose
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.trust import TrustRows
from tests.support.clock import NOON, FixedClock
from tests.support.evidence import ANCHOR, ANSWERING, ASKING, CODEC, Exchange, World, only
from tests.support.exchanges import meta_of
from trust.entity import read_statement
from trust.envelope import parse
from trust.keys import SigningKey, jwks_of


async def keep_statements(rows: TrustRows, world: World, clock: FixedClock) -> None:
    marks = {
        StatementKind.STATUS: world.status_sequence,
        StatementKind.ROLL_OVERS: len(world.roll_overs),
    }
    for (iss, sub, kind), token in world.statements.items():
        mark = marks[kind] if kind in marks else int(read_statement(token).issued_at.timestamp())
        await rows.save_statement(StoredStatement(iss, sub, kind, token, mark, "", clock.at))


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
    exporter = Exporter(
        records=asking,
        archive=rows,
        codec=CODEC,
        signer=lambda: world.envelope_keys[ASKING],
        clock=clock,
        entity_id=ASKING,
        anchor=ANCHOR,
    )
    data = await exporter.export(exchange.request_id)
    report = only(data, world.anchor_jwks)
    first = jwks_of([world.former_anchor_keys[0].verification_key])
    assert render_report(only(data, first)) == render_report(report)
    assert (report.outcome, report.log_indices) == ("answered", (0, 3))
    assert report.request.header.operation is Operation.CERTIFICATES_QUERY
    assert report.exported_at - NOON == timedelta(days=40, seconds=1)
