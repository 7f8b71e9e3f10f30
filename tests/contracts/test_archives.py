"""Old months into sealed files and out of the database, on SQLite and on PostgreSQL; broken off after every step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from federation.archive_files import archived_exchanges
from federation.errors import OwnBadValue, OwnBusy, OwnRecordDamaged
from federation.evidence import verify_evidence
from federation.keeping import Retention
from federation.pair_log import Span
from federation.ports import StoredRecord
from federation.query import Certificate, CertificatesAnswer, Operation
from federation.statements import StatementKind, StoredStatement
from mapping.element import Element
from node.archive_folder import ArchiveFolder
from node.archive_forgetting import ArchiveForgetting
from node.archive_parts import ArchiveParts
from node.archiving import Archivist, month_before, month_of
from node.keeping import Keeping
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys, DataPurpose
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.sealed_files import SEALED_SUFFIX, Unsealer
from node.store.archives import ArchiveRows
from node.store.audit import AuditRows
from node.store.database import Database
from node.store.keeping import KeepingRows
from node.store.log_check import LogCheck
from node.store.reconcile import PairRows
from node.store.search import EvidenceSearch, Wanted
from node.store.tables import BODIES, CHECKPOINTS, HOLDERS, LABELS, RECORDS
from node.store.times import to_micros
from tests.support.clock import NOON, FixedClock
from tests.support.evidence import ANCHOR, ANSWERING, ASKING, CODEC, Exchange, Log, World
from tests.support.exchange_rows import rows_of
from trust import container
from trust.errors import EvidenceBroken

AFTER_DAYS = 400
KEEP = Retention()
HOLDER = b"\x00\x02" + b"h" * 16
Breaking = Callable[[], Awaitable[object]]


class Broken(Exception):
    """The process ended here."""


@dataclass
class Breaker:
    """Ends the work after its `at`-th step; 0 never."""

    at: int = 0
    steps: list[str] = field(default_factory=list)

    def __call__(self, step: str) -> None:
        self.steps.append(step)
        if len(self.steps) == self.at:
            raise Broken(step)


class History:
    """The statements as they were at a time: those of before `since`, and those that are there now."""

    def __init__(self, world: World, since: datetime) -> None:
        self._world, self._before, self._since = world, dict(world.statements), since

    async def find_statement(
        self, iss: str, sub: str, kind: StatementKind, *, at: datetime
    ) -> StoredStatement | None:
        token = (self._before if at < self._since else self._world.statements).get((iss, sub, kind))
        return None if token is None else StoredStatement(iss, sub, kind, token, 1, "", at)


class Scene:
    """A node's log of five exchanges: three of November, settled; one that is not; one of much later."""

    def __init__(
        self, database: Database, folder: Path, keys: DataKeys, clock: FixedClock, **settings: Any
    ) -> None:
        self.database, self.folder, self.keys, self.clock = database, folder, keys, clock
        self.world, self.breaker = World(), Breaker()
        self.history = History(self.world, clock.at + timedelta(days=100))
        operation = Operation.CERTIFICATES_QUERY
        self.exchanges = [
            Exchange(self.world, operation=operation, answered=number != 1, **settings) for number in range(5)
        ]
        self.records: list[StoredRecord] = []
        for exchange in self.exchanges:
            for record in exchange.records:
                self.records.append(_at(record, len(self.records)))
        self.rows = ArchiveRows(database, EncryptedBodies(keys))
        self.keeping_rows = KeepingRows(database)

    async def store(self) -> None:
        bodies = EncryptedBodies(self.keys).seal([one.salt + one.envelope for one in self.records])
        async with self.database.writing() as connection:
            for record in self.records[:2]:
                await connection.execute(insert(LABELS).values(label=int(record.kind), **_label(record)))
            for number, record in enumerate(self.records):
                row = {"log_index": number, "key_id": bodies.key_id, **_row(record)}
                await connection.execute(insert(RECORDS).values(**row, wrapped=bodies.wrapped[number]))
                body = {"log_index": number, "sealed": bodies.sealed[number]}
                await connection.execute(insert(BODIES).values(**body))
            await connection.execute(insert(HOLDERS).values(segment=0, holder=HOLDER, log_index=0))
            later = to_micros(NOON + timedelta(days=600))
            last = update(RECORDS).where(RECORDS.c.log_index >= 7)
            await connection.execute(last.values(recorded_at=later))
        await self.settle(5)

    async def settle(self, size: int) -> None:
        checkpoint = {"generation": 1, "size": size, "root": bytes(32), "made_at": 0, "settled_at": 1}
        async with self.database.writing() as connection:
            await connection.execute(insert(CHECKPOINTS).values(**checkpoint))

    @property
    def parts(self) -> ArchiveParts:
        return ArchiveParts(
            folder=self.folder,
            rows=self.rows,
            keeping=self.keeping_rows,
            keys=self.keys,
            statements=self.history,
            tree=Log(self.world, ASKING, self.records),
            codec=CODEC,
            signer=lambda: self.world.envelope_keys[ASKING],
            clock=self.clock,
            entity_id=ASKING,
            anchor=ANCHOR,
            anchor_jwks=self.world.anchor_jwks,
            former_keys=self.world,
            after=self.breaker,
        )

    @property
    def forgetting(self) -> ArchiveForgetting:
        return ArchiveForgetting(self.parts)

    def keeping(self, retention: Retention = KEEP, *, folder: bool = True) -> Keeping:
        audit, forgetting = AuditRows(self.database, self.clock), self.forgetting if folder else None
        return Keeping(self.keeping_rows, self.keys, audit, self.clock, retention, forgetting, publish_s=1.0)

    async def archive(self) -> list[int]:
        """Run; the log indices that are left in the database."""
        await Archivist(self.parts).archive(month_before(self.clock.at, AFTER_DAYS))
        return await self.left()

    async def left(self) -> list[int]:
        return [row["log_index"] for row in await rows_of(self.database, RECORDS)]

    def files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SEALED_SUFFIX}"))

    async def inside(self) -> list[tuple[str, tuple[int, ...], str]]:
        """What is in the files, as they verify."""
        found = []
        for row in await self.rows.all():
            data = await ArchiveFolder(self.folder, self.keys).read(row)
            report = verify_evidence(data, self.world.anchor_jwks, CODEC)
            for one, exchange in zip(archived_exchanges(data), report.exchanges, strict=True):
                assert one.indices == exchange.log_indices
                found.append((one.request_id, one.indices, exchange.verdict))
        return found


def _at(record: StoredRecord, index: int) -> StoredRecord:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return StoredRecord(**{**fields, "log_index": index, "generation": 1})


def _label(record: StoredRecord) -> dict[str, object]:
    names = ("asking", "answering", "operation", "outcome", "client")
    return {"kind": int(record.kind), **{name: getattr(record.meta, name) for name in names}}


def _row(record: StoredRecord) -> dict[str, object]:
    return {
        "generation": 1,
        "kind": int(record.kind),
        "label": int(record.kind),
        "request_id": record.meta.request_id,
        "case_number": record.meta.case_number,
        "recorded_at": to_micros(record.recorded_at),
        "identity": record.identity,
        "leaf": record.leaf,
    }


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await scene_of(database, tmp_path)


async def scene_of(database: Database, tmp_path: Path, **settings: Any) -> Scene:
    clock = FixedClock()
    keys = await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock, publish_s=1.0)
    made = Scene(database, tmp_path / "archive", keys, clock, **settings)
    await made.store()
    clock.advance(days=450)
    made.world.publish(clock.at)
    return made


async def test_an_old_month_goes_into_a_file_that_verifies(scene: Scene) -> None:
    ids = [exchange.request_id for exchange in scene.exchanges]
    assert await scene.archive() == [5, 6, 7, 8]  # not settled, and much later
    assert [path.name for path in scene.files()] == [f"2026-11.{0:012d}{SEALED_SUFFIX}"]
    assert await scene.inside() == [
        (ids[0], (0, 1), "proven"),
        (ids[1], (2,), "proven"),
        (ids[2], (3, 4), "proven"),
    ]
    (row,) = await scene.rows.all()
    assert (row.first_index, row.last_index, row.emptied_at) == (0, 4, scene.clock.at)
    assert row.operations == ("certificates.query",)
    assert [one["log_index"] for one in await rows_of(scene.database, BODIES)] == [5, 6, 7, 8]
    assert [one["log_index"] for one in await rows_of(scene.database, HOLDERS)] == [0]


async def test_what_is_settled_later_goes_into_another_file(scene: Scene) -> None:
    await scene.archive()
    await scene.settle(7)
    assert await scene.archive() == [7, 8]
    assert len(scene.files()) == 2
    assert await scene.archive() == [7, 8]
    assert len(scene.files()) == 2


async def test_a_month_may_have_several_files(scene: Scene) -> None:
    parts = scene.parts
    small = ArchiveParts(
        **{name: getattr(parts, name) for name in parts.__struct_fields__} | {"split_bytes": 1}
    )
    await Archivist(small).archive(month_before(scene.clock.at, AFTER_DAYS))
    assert len(await scene.inside()) == 3


@pytest.mark.parametrize(("split_bytes", "files"), [(15_000, 3), (1 << 30, 3)])
async def test_a_month_of_large_answers_goes_into_files_that_the_format_allows(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split_bytes: int, files: int
) -> None:
    certificate = Certificate("1", "1.2.156.3005.2", (Element("证照名称", "x" * 20_000),))
    made = await scene_of(database, tmp_path, answer=CertificatesAnswer((certificate,)))
    await made.settle(7)
    monkeypatch.setattr(container, "MAX_FILE_BYTES", 60_000)
    parts = made.parts
    split = ArchiveParts(
        **{name: getattr(parts, name) for name in parts.__struct_fields__} | {"split_bytes": split_bytes}
    )
    await Archivist(split).archive(month_before(made.clock.at, AFTER_DAYS))
    assert await made.left() == [7, 8]
    assert len(made.files()) == files
    assert [verdict for _, _, verdict in await made.inside()] == ["proven"] * 4


async def test_nothing_readable_is_in_the_folder(scene: Scene) -> None:
    await scene.archive()
    (path,) = scene.files()
    sealed = path.read_bytes()
    assert scene.exchanges[0].request_id.encode() not in sealed
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(EvidenceBroken, match="altered"):
        Unsealer.of(scene.keys)(path.read_bytes())


async def test_a_record_that_was_altered_stays_in_the_database(scene: Scene) -> None:
    async with scene.database.writing() as connection:
        changed = update(BODIES).where(BODIES.c.log_index == 4)
        await connection.execute(changed.values(sealed=bytes(100)))
    assert await scene.archive() == [3, 4, 5, 6, 7, 8]
    assert [indices for _, indices, _ in await scene.inside()] == [(0, 1), (2,)]


async def test_a_record_whose_body_is_gone_was_not_forgotten(scene: Scene) -> None:
    async with scene.database.writing() as connection:
        await connection.execute(delete(BODIES).where(BODIES.c.log_index.in_([3, 4])))
    assert await scene.rows.forgotten_among([3, 4]) == []
    with pytest.raises(OwnRecordDamaged, match="not forgotten"):
        await scene.rows.read([4])
    request_id = scene.exchanges[2].request_id
    page = await EvidenceSearch(scene.database).page(Wanted(request_id=request_id))
    assert [one.forgotten for one in page.found] == [False]
    check = LogCheck(scene.database, EncryptedBodies(scene.keys), entity_id=ASKING)
    (row,) = (await check.page(4, 5)).values()
    check.check_record(4, row)
    assert (check.findings.fault_count, check.findings.forgotten) == (1, 0)
    pair = PairRows(scene.database, EncryptedBodies(scene.keys), ASKING)
    altered = (await pair.check(Span(ANSWERING, "0", "f"), most=100, newest=True)).altered
    assert [message.request_id for message in altered].count(request_id) == 2
    assert await scene.archive() == [3, 4, 5, 6, 7, 8]


async def test_a_record_that_names_no_data_key_stops_nothing_else(scene: Scene) -> None:
    async with scene.database.writing() as connection:
        await connection.execute(update(RECORDS).where(RECORDS.c.log_index == 4).values(key_id=999))
    pair = PairRows(scene.database, EncryptedBodies(scene.keys), ASKING)
    altered = (await pair.check(Span(ANSWERING, "0", "f"), most=100, newest=True)).altered
    assert scene.exchanges[2].request_id in [message.request_id for message in altered]
    assert await scene.archive() == [3, 4, 5, 6, 7, 8]
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=600)
    done = await scene.keeping().rewrap()
    assert (done.keys, done.archives, done.damaged, done.dropped) == (5, 1, 1, ())


async def test_a_record_that_does_not_verify_stays_in_the_database(scene: Scene) -> None:
    async with scene.database.writing() as connection:
        changed = update(RECORDS).where(RECORDS.c.log_index == 2)
        await connection.execute(changed.values(leaf=b"\x01" + bytes(32)))
    assert await scene.archive() == [2, 5, 6, 7, 8]
    assert [indices for _, indices, _ in await scene.inside()] == [(0, 1), (3, 4)]


async def test_only_one_process_at_a_time_works_on_a_folder(scene: Scene) -> None:
    with ArchiveFolder(scene.folder, scene.keys).alone(), pytest.raises(OwnBusy):
        await scene.archive()


async def broken_off(scene: Scene, work: Breaking, check: Callable[[], Awaitable[None]]) -> Sequence[str]:
    """Begin, break off after the first step, run again; then after the second, and so on, to the end."""
    for at in range(1, 50):
        scene.breaker.at, scene.breaker.steps = at, []
        try:
            await work()
        except Broken:
            await check()
        else:
            return scene.breaker.steps
    raise AssertionError("it never ended")


async def test_broken_off_after_any_step_nothing_is_lost(scene: Scene) -> None:
    whole = set(range(9))

    async def check() -> None:
        archived = {index for _, indices, _ in await scene.inside() for index in indices}
        assert archived | set(await scene.left()) == whole

    # Each attempt goes one step further than the one before it, over what that one left behind.
    await broken_off(scene, scene.archive, check)
    assert await scene.left() == [5, 6, 7, 8]
    assert len(await scene.inside()) == 3
    assert [path.name for path in scene.folder.iterdir() if path.name.endswith("partial")] == []


async def test_forgetting_writes_the_file_anew(scene: Scene) -> None:
    await scene.archive()
    before = scene.files()[0].read_bytes()
    forgotten = scene.exchanges[0].request_id
    keeping = scene.keeping()
    indices = await keeping.records_of(forgotten)
    assert list(indices) == [0, 1]
    done = await keeping.forget(indices)
    assert (done.in_database, done.in_archives) == (0, 2)
    assert [verdict for _, _, verdict in await scene.inside()] == ["forgotten", "proven", "proven"]
    assert await rows_of(scene.database, HOLDERS) == []
    data = Unsealer.of(scene.keys)(scene.files()[0].read_bytes())
    assert scene.records[0].envelope not in data
    assert scene.records[0].envelope in Unsealer.of(scene.keys)(before)
    assert (await keeping.forget(indices)).in_archives == 0


async def test_of_two_nodes_under_one_id_the_one_that_is_named_is_forgotten_in_its_file(scene: Scene) -> None:
    """One of them is in a file, the other still in the database."""
    await scene.archive()
    keeping, twice = scene.keeping(), scene.exchanges[0].request_id
    async with scene.database.writing() as connection:
        label = {"label": 77, **_label(scene.records[0]), "kind": 3, "asking": ANSWERING}
        await connection.execute(insert(LABELS).values(label))
        moved = update(RECORDS).where(RECORDS.c.log_index == 8)
        await connection.execute(moved.values(request_id=twice, label=77))
    with pytest.raises(OwnBadValue, match="several nodes asked under that id, say which"):
        await keeping.records_of(twice)
    assert await keeping.records_of(twice, asking=ANSWERING) == [8]
    assert await keeping.records_of(twice, asking=ASKING) == [0, 1]
    await keeping.forget([0, 1])
    # Who asked for what was forgotten in a file is not known any more.
    assert await keeping.records_of(twice) == [0, 1, 8]


async def test_forgetting_in_a_file_may_be_broken_off(scene: Scene) -> None:
    await scene.archive()
    keeping = scene.keeping()

    async def check() -> None:
        assert len(await scene.inside()) == 3

    await broken_off(scene, lambda: keeping.forget([0, 1]), check)
    assert [verdict for _, _, verdict in await scene.inside()] == ["forgotten", "proven", "proven"]


async def found_by_holder(scene: Scene) -> list[int]:
    return list(await scene.keeping_rows.requests_of([HOLDER], after=-1, limit=10))


async def test_a_holder_is_found_until_the_files_are_without_them(scene: Scene) -> None:
    await scene.archive()
    keeping = scene.keeping()
    with ArchiveFolder(scene.folder, scene.keys).alone(), pytest.raises(OwnBusy):
        await keeping.forget([0])
    assert await found_by_holder(scene) == [0]
    with pytest.raises(OwnBadValue, match=r"set `archive` in \[evidence\]"):
        await scene.keeping(folder=False).forget([0])
    assert await found_by_holder(scene) == [0]
    assert (await scene.keeping(folder=False).forget([7])).in_database == 1

    async def check() -> None:
        if (await scene.inside())[0][2] != "forgotten":
            assert await found_by_holder(scene) == [0]

    await broken_off(scene, lambda: keeping.forget([0]), check)
    assert (await scene.inside())[0][2] == "forgotten"
    assert await found_by_holder(scene) == []


async def test_what_is_forgotten_while_a_file_is_written_is_not_in_it(scene: Scene) -> None:
    scene.breaker.at = 4
    with pytest.raises(Broken):
        await scene.archive()
    assert scene.breaker.steps == ["written", "verified", "named", "stored"]
    scene.breaker.at = 0
    await scene.keeping_rows.forget([3, 4], scene.clock.at)
    await scene.archive()
    assert [verdict for _, _, verdict in await scene.inside()] == ["proven", "proven", "forgotten"]


async def test_a_file_beyond_its_retention_goes(scene: Scene) -> None:
    await scene.archive()
    longer = Retention(default_days=10, by_operation={"certificates.query": 2000})
    assert (await scene.keeping(longer).apply_retention()).in_archives == 0
    done = await scene.keeping(Retention(default_days=449)).apply_retention()
    assert done.in_archives == 5
    assert scene.files() == []
    assert await scene.rows.all() == []
    assert await rows_of(scene.database, HOLDERS) == []


async def test_a_new_data_key_reaches_the_files(scene: Scene) -> None:
    await scene.archive()
    before = scene.files()[0].read_bytes()
    old = scene.keys.newest(DataPurpose.RECORDS).key_id
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=10)
    done = await scene.keeping().rewrap()
    assert (done.keys, done.archives, done.dropped) == (4, 1, (old,))
    after = scene.files()[0].read_bytes()
    assert after[-200:] == before[-200:]
    assert scene.keys.get(old) is None
    assert len(await scene.inside()) == 3


async def test_who_is_not_told_the_folder_drops_no_data_key(scene: Scene) -> None:
    await scene.archive()
    old = scene.keys.newest(DataPurpose.RECORDS).key_id
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=10)
    done = await scene.keeping(folder=False).rewrap()
    assert (done.keys, done.dropped, done.without_folder) == (4, (), True)
    assert len(await scene.inside()) == 3
    done = await scene.keeping().rewrap()
    assert (done.archives, done.dropped, done.without_folder) == (1, (old,), False)
    assert len(await scene.inside()) == 3


def test_months_end_where_they_end() -> None:
    assert month_of(NOON) == datetime.fromisoformat("2026-11-01T00:00:00Z")
    assert month_before(NOON, 3) == datetime.fromisoformat("2026-10-01T00:00:00Z")
