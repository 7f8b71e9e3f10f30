"""What a witness cosigns, what it refuses with which status, and what it keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from federation.errors import OwnKeyUnavailable
from federation.log_conflicts import RESTART_TOLD, ConflictKind, is_alarming
from federation.witness import (
    NotWitnessed,
    PassedGeneration,
    SharedOrigin,
    TooManyRequests,
    Witness,
    WitnessParts,
)
from node.store.database import Database, open_database
from node.store.witness import ConflictRows, WitnessRows
from tests.support.clock import NOON, FixedClock
from tests.support.logs import OWN, MadeUpLog, directory_of, keys_of, peer_of
from trust.cosignature import cosign, verify_cosignatures
from trust.keys import SigningKey, VerificationKey
from trust.note import read_note, write_note
from trust.profile import witness_name
from trust.witnessing import (
    BadProof,
    CheckpointRefused,
    Fork,
    MalformedRequest,
    Shrunk,
    UnknownKey,
    UnknownOrigin,
    WrongOldSize,
    write_add_checkpoint,
)

PEER = "https://node.zj.example"
WITNESS_KEY, LOG_KEY, OTHER_KEY = (SigningKey.generate("EdDSA") for _ in range(3))
NAME = witness_name(OWN)


class Scene:
    """A witness, the peer that it knows, and that peer's log."""

    def __init__(self, database: Database) -> None:
        self.clock = FixedClock()
        self.seconds = 0.0
        self.log = MadeUpLog(PEER, key=LOG_KEY)
        self.peer = peer_of(PEER, log_keys=keys_of(LOG_KEY), log_generation=1)
        self.directory = directory_of([self.peer])
        self.rows, self.conflicts = WitnessRows(database), ConflictRows(database)
        self.looked_at: list[str] = []
        self.key: SigningKey | None = WITNESS_KEY
        self.witness = Witness(
            WitnessParts(
                self.directory,
                self.rows,
                self.conflicts,
                self._signer,
                self.clock,
                lambda: self.seconds,
                self.looked_at.append,
            )
        )

    def _signer(self) -> SigningKey:
        if self.key is None:
            raise OwnKeyUnavailable("the token is away")
        return self.key

    def know(self, **changes: Any) -> None:
        """Change what is known of the peer."""
        self.peer = replace(self.peer, **changes)
        self.directory.swap(directory_of([self.peer]).current)

    async def cosigned(self, old: int, new: int, log: MadeUpLog | None = None, **bent: Any) -> None:
        """Ask; the cosignature must verify and tell the time of the clock."""
        log = log or self.log
        lines = await self.witness.add_checkpoint(log.request(old, new, **bent))
        note = read_note(write_note(log.checkpoint(new).text(), [lines]).encode())
        known: dict[str, dict[str, VerificationKey]] = {NAME: dict(keys_of(WITNESS_KEY))}
        assert verify_cosignatures(note, known) == {NAME: self.clock.at}

    async def kinds(self) -> list[ConflictKind]:
        """What was kept, the newest first."""
        return [one.kind for one in await self.conflicts.newest(limit=100)]

    async def alarms(self) -> list[ConflictKind]:
        """What still alarms."""
        sizes = await self.rows.sizes()
        found = await self.conflicts.unacknowledged(limit=100)
        return [one.kind for one in found if is_alarming(one, sizes, self.clock.at)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield Scene(database)
    await database.close()


async def test_a_log_that_grows_is_cosigned(scene: Scene) -> None:
    for old, new in ((0, 3), (3, 4), (4, 4), (4, 300)):
        await scene.cosigned(old, new)
        scene.clock.advance(seconds=1)
    assert await scene.kinds() == []
    known = await scene.rows.newest(PEER)
    assert known is not None
    assert (known.origin, known.size, known.generation, known.note) == (
        scene.log.origin,
        300,
        1,
        scene.log.note(300),
    )
    assert await scene.witness.known_of(PEER) == scene.log.note(300)
    assert await scene.witness.known_of(OWN) is None


async def test_an_empty_log_may_be_cosigned(scene: Scene) -> None:
    await scene.cosigned(0, 0)
    await scene.cosigned(0, 5)


async def test_the_same_note_again_is_cosigned_again_and_is_no_second_history(scene: Scene) -> None:
    await scene.cosigned(0, 7)
    scene.clock.advance(seconds=30)
    await scene.cosigned(7, 7)
    assert await scene.kinds() == []


async def test_a_clock_that_goes_back_tells_no_earlier_time(scene: Scene) -> None:
    await scene.cosigned(0, 7)
    scene.clock.advance(seconds=-60)
    lines = await scene.witness.add_checkpoint(scene.log.request(7, 9))
    expected = cosign(scene.log.checkpoint(9).text(), name=NAME, signer=WITNESS_KEY, at=NOON)
    assert lines == expected


async def test_a_clock_that_was_far_ahead_once_is_not_believed_again(scene: Scene) -> None:
    scene.clock.advance(days=20)
    await scene.cosigned(0, 7)
    scene.clock.at = NOON
    with capture_logs() as told:
        await scene.cosigned(7, 9)
    assert [line["event"] for line in told] == ["witness.clock_was_ahead"]
    scene.clock.advance(seconds=1)
    with capture_logs() as told:
        await scene.cosigned(9, 9)
    assert told == []


async def test_of_two_members_with_one_origin_the_first_is_cosigned(scene: Scene) -> None:
    """Their entity ids differ in the scheme alone, so their logs would be one to whoever reads a cosignature."""
    twin = MadeUpLog(PEER.replace("https", "http"), key=OTHER_KEY, history="other")
    peer = peer_of(twin.entity_id, log_keys=keys_of(OTHER_KEY), log_generation=1)
    scene.directory.swap(directory_of([peer, scene.peer]).current)
    assert twin.origin == scene.log.origin
    await scene.cosigned(0, 7)
    with pytest.raises(SharedOrigin, match="another member"):
        await scene.cosigned(0, 3, twin)
    await scene.cosigned(7, 9)
    assert await scene.rows.newest(twin.entity_id) is None
    assert await scene.kinds() == []


Bend = Callable[[Scene], bytes]
FORGED = MadeUpLog(PEER, key=LOG_KEY, history="other ")
REFUSALS: list[tuple[str, Bend, type[CheckpointRefused], int, ConflictKind | None]] = [
    ("fork at the same size", lambda s: FORGED.request(8, 8), Fork, 409, ConflictKind.FORK),
    ("shrunk", lambda s: s.log.request(0, 5), Shrunk, 409, ConflictKind.SHRUNK),
    ("shrunk to nothing", lambda s: s.log.request(0, 0), Shrunk, 409, ConflictKind.SHRUNK),
    ("another history", lambda s: FORGED.request(8, 12), BadProof, 422, ConflictKind.BAD_PROOF),
    (
        "no proof",
        lambda s: s.log.request(8, 12, proof=()),
        BadProof,
        422,
        ConflictKind.BAD_PROOF,
    ),
    (
        "a proof too long",
        lambda s: s.log.request(8, 12, proof=(*s.log.proof(8, 12), bytes(32))),
        BadProof,
        422,
        ConflictKind.BAD_PROOF,
    ),
    (
        "a proof where none belongs",
        lambda s: s.log.request(8, 8, proof=(bytes(32),)),
        BadProof,
        422,
        ConflictKind.BAD_PROOF,
    ),
    ("from another size", lambda s: s.log.request(5, 12), WrongOldSize, 409, None),
    ("from nothing", lambda s: s.log.request(0, 12), WrongOldSize, 409, None),
    ("another's key", lambda s: MadeUpLog(PEER, key=OTHER_KEY).request(8, 12), UnknownKey, 403, None),
    (
        "another's key, this one's name",
        lambda s: s.log.request(8, 12, note=_resigned(s.log, 12)),
        UnknownKey,
        403,
        None,
    ),
    (
        "origin of someone else",
        lambda s: MadeUpLog("https://node.xx.example", key=LOG_KEY).request(0, 3),
        UnknownOrigin,
        404,
        None,
    ),
    ("own origin", lambda s: MadeUpLog(OWN, key=LOG_KEY).request(0, 3), UnknownOrigin, 404, None),
    (
        "a generation to come",
        lambda s: MadeUpLog(PEER, key=LOG_KEY, generation=2).request(0, 3),
        UnknownOrigin,
        404,
        None,
    ),
    (
        "no generation",
        lambda s: MadeUpLog(PEER, key=LOG_KEY, generation=0).request(0, 3),
        UnknownOrigin,
        404,
        None,
    ),
    ("old size above", lambda s: s.log.request(9, 8, proof=()), MalformedRequest, 400, None),
    ("no request", lambda s: b"hello", MalformedRequest, 400, None),
    ("nothing", lambda s: b"", MalformedRequest, 400, None),
    ("trailing bytes", lambda s: s.log.request(8, 12) + b"x", MalformedRequest, 400, None),
    ("oversized", lambda s: s.log.request(8, 12) + b"\n" * 70_000, MalformedRequest, 400, None),
    (
        "a spelling of its own",
        lambda s: s.log.request(8, 12).replace(b"old 8", b"old 08"),
        MalformedRequest,
        400,
        None,
    ),
]


def _resigned(log: MadeUpLog, size: int) -> str:
    """The note of another log's key, with the id of the right one in its line."""
    right, wrong = (read_note(made.note(size).encode()) for made in (log, MadeUpLog(PEER, key=OTHER_KEY)))
    line = replace(wrong.signatures[0], key_id=right.signatures[0].key_id)
    return write_note(right.text, [line])


@pytest.mark.parametrize(
    ("request_of", "refusal", "status", "kind"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
async def test_what_is_refused(
    scene: Scene,
    request_of: Bend,
    refusal: type[CheckpointRefused],
    status: int,
    kind: ConflictKind | None,
) -> None:
    await scene.cosigned(0, 8)
    before = await scene.rows.newest(PEER)
    with pytest.raises(refusal) as refused:
        await scene.witness.add_checkpoint(request_of(scene))
    assert refused.value.status == status
    assert refused.value.detail
    if isinstance(refused.value, WrongOldSize):
        assert refused.value.known_size == 8
    assert await scene.rows.newest(PEER) == before, "a refusal changes nothing"
    assert await scene.kinds() == ([kind] if kind else [])
    await scene.cosigned(8, 20)  # and the honest log goes on


async def test_both_signed_notes_of_a_conflict_are_kept_once(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    for _ in range(3):
        with pytest.raises(Fork):
            await scene.witness.add_checkpoint(FORGED.request(8, 8))
    (conflict,) = await scene.conflicts.newest(limit=9)
    assert (conflict.known, conflict.offered) == (scene.log.note(8), FORGED.note(8))
    assert (conflict.entity_id, conflict.origin, conflict.at) == (PEER, scene.log.origin, NOON)


async def test_only_the_signatures_of_the_log_itself_are_kept(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    note = read_note(FORGED.note(8).encode())
    stranger = replace(note.signatures[0], key_id=b"none")
    other = replace(note.signatures[0], name="witness.example/w1")
    body = write_add_checkpoint(8, (), write_note(note.text, [stranger, *note.signatures, other]))
    with pytest.raises(Fork):
        await scene.witness.add_checkpoint(body)
    (conflict,) = await scene.conflicts.newest(limit=9)
    assert conflict.offered == FORGED.note(8)


async def test_an_old_note_sent_again_alarms_only_until_the_log_goes_on(scene: Scene) -> None:
    """Anyone may send what a log signed once; nobody but the log can show that it extends what is known."""
    await scene.cosigned(0, 8)
    for old in (3, 5, 6):
        with pytest.raises(Shrunk):
            await scene.witness.add_checkpoint(scene.log.request(0, old))
    assert await scene.alarms() == [ConflictKind.SHRUNK], "told once for each state of what is known"
    await scene.cosigned(8, 8)
    assert await scene.alarms() == [ConflictKind.SHRUNK], "what is known already shows nothing"
    await scene.cosigned(8, 9)
    assert await scene.alarms() == []
    assert await scene.kinds() == [ConflictKind.SHRUNK]
    assert await scene.conflicts.unacknowledged(limit=9) == [], "nobody needs to take note any more"


async def test_a_fork_is_told_however_often_old_notes_are_sent_again(scene: Scene) -> None:
    await scene.cosigned(0, 2)
    for size in range(3, 25):
        scene.clock.advance(seconds=1)
        scene.seconds += 1
        await scene.cosigned(size - 1, size)
        with pytest.raises(Shrunk):
            await scene.witness.add_checkpoint(scene.log.request(0, 1))
    with pytest.raises(Fork):
        await scene.witness.add_checkpoint(FORGED.request(24, 24))
    assert ConflictKind.FORK in await scene.alarms()


async def test_a_fork_alarms_until_somebody_takes_note(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    with pytest.raises(Fork):
        await scene.witness.add_checkpoint(FORGED.request(8, 8))
    await scene.cosigned(8, 9)
    assert await scene.alarms() == [ConflictKind.FORK]
    await scene.conflicts.acknowledge(1, scene.clock.at)
    assert await scene.alarms() == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"standing": "revoked", "reason": "key lost"}, "revoked by the anchor: key lost"),
        ({"standing": "denied"}, "denied by this node's operator"),
        ({"expires_at": NOON}, "expired"),
    ],
)
async def test_only_members_in_good_standing_are_witnessed(
    scene: Scene, changes: dict[str, Any], error: str
) -> None:
    await scene.cosigned(0, 8)
    scene.know(**changes)
    with pytest.raises(NotWitnessed, match=error) as refused:
        await scene.witness.add_checkpoint(scene.log.request(8, 9))
    assert refused.value.status == 403


async def test_a_member_without_a_log_is_looked_at_again(scene: Scene) -> None:
    scene.know(log_keys={}, log_generation=0)
    with pytest.raises(UnknownOrigin):
        await scene.witness.add_checkpoint(scene.log.request(0, 3))
    assert scene.looked_at == [PEER]


async def test_a_new_log_key_is_taken_once_the_configuration_tells_of_it(scene: Scene) -> None:
    await scene.cosigned(0, 3)
    rotated = MadeUpLog(PEER, key=OTHER_KEY)
    with pytest.raises(UnknownKey):
        await scene.witness.add_checkpoint(rotated.request(3, 4))
    assert scene.looked_at == [PEER]
    scene.know(log_keys=keys_of(OTHER_KEY, LOG_KEY))
    await scene.cosigned(3, 4, rotated)


# --- generations ---


async def test_a_log_begun_anew_is_told_for_a_while(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    scene.know(log_generation=2, log_reason="restored from Monday")
    anew = MadeUpLog(PEER, key=LOG_KEY, generation=2, history="anew ")
    await scene.cosigned(0, 2, anew)
    await scene.cosigned(2, 3, anew)
    (conflict,) = await scene.conflicts.newest(limit=9)
    assert (conflict.kind, conflict.origin, conflict.known) == (
        ConflictKind.RESTART,
        anew.origin,
        scene.log.note(8),
    )
    assert "generation 2 after 1, which was cosigned up to size 8" in conflict.detail
    assert conflict.detail.endswith("it says why: restored from Monday")
    assert await scene.alarms() == [ConflictKind.RESTART]
    scene.clock.advance(seconds=RESTART_TOLD.total_seconds())
    assert await scene.alarms() == []


async def test_a_generation_that_is_over_stays_over(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    scene.know(log_generation=2)
    with pytest.raises(PassedGeneration) as refused:
        await scene.witness.add_checkpoint(scene.log.request(8, 9))
    assert refused.value.status == 410
    await scene.cosigned(0, 2, MadeUpLog(PEER, key=LOG_KEY, generation=2))
    with pytest.raises(PassedGeneration):
        await scene.witness.add_checkpoint(scene.log.request(8, 9))
    assert await scene.kinds() == [ConflictKind.RESTART], "an old checkpoint sent again says nothing"


async def test_a_configuration_that_goes_back_a_generation_is_a_conflict(scene: Scene) -> None:
    scene.know(log_generation=2)
    anew = MadeUpLog(PEER, key=LOG_KEY, generation=2)
    await scene.cosigned(0, 2, anew)
    scene.know(log_generation=1)
    for _ in range(2):
        with pytest.raises(PassedGeneration):
            await scene.witness.add_checkpoint(scene.log.request(0, 9))
    assert await scene.kinds() == [ConflictKind.GENERATION]


# --- limits, keys, and several at once ---


async def test_a_log_that_asks_too_often_is_told_when_to_come_again(scene: Scene) -> None:
    for size in range(50):
        await scene.cosigned(size, size + 1)
    with pytest.raises(TooManyRequests) as refused:
        await scene.cosigned(50, 51)
    assert (refused.value.status, 0 < refused.value.retry_after_s <= 1) == (429, True)
    scene.seconds += 1
    await scene.cosigned(50, 51)


async def test_what_is_sent_again_counts_against_its_sender_and_not_the_log(scene: Scene) -> None:
    await scene.cosigned(0, 8)
    again = [scene.log.request(0, 3), scene.log.request(3, 8), scene.log.request(7, 9)]
    again.append(scene.log.request(8, 12, proof=(bytes(32),)))
    for number in range(100):
        with pytest.raises((Shrunk, WrongOldSize, BadProof)):
            await scene.witness.add_checkpoint(again[number % len(again)], sender="192.0.2.7")
    with pytest.raises(TooManyRequests):
        await scene.witness.add_checkpoint(again[0], sender="192.0.2.7")
    await scene.cosigned(8, 9)
    with pytest.raises(WrongOldSize):
        await scene.witness.add_checkpoint(scene.log.request(8, 9), sender="192.0.2.8")


async def test_a_flood_of_what_nobody_signed_leaves_room_for_the_log_and_for_others(scene: Scene) -> None:
    unsigned = MadeUpLog(PEER, key=OTHER_KEY).request(0, 8)

    async def refused(sender: str) -> type[CheckpointRefused]:
        with pytest.raises(CheckpointRefused) as error:
            await scene.witness.add_checkpoint(unsigned, sender=sender)
        return type(error.value)

    assert [await refused("192.0.2.7") for _ in range(201)] == [UnknownKey] * 200 + [TooManyRequests]
    assert [await refused("192.0.2.7") for _ in range(500)] == [TooManyRequests] * 500
    await scene.cosigned(0, 8)
    assert [await refused("192.0.2.8") for _ in range(199)] == [UnknownKey] * 199
    assert await refused("192.0.2.9") is TooManyRequests, "that was what all senders may ask for together"
    scene.seconds += 1
    await scene.cosigned(8, 9)


async def test_without_the_witness_key_nothing_leaves_and_a_repeat_gets_it(scene: Scene) -> None:
    scene.key = None
    with pytest.raises(OwnKeyUnavailable):
        await scene.witness.add_checkpoint(scene.log.request(0, 8))
    scene.key = WITNESS_KEY
    with pytest.raises(WrongOldSize) as refused:
        await scene.witness.add_checkpoint(scene.log.request(0, 8))
    await scene.cosigned(refused.value.known_size, 8)


async def test_of_two_histories_at_once_one_is_cosigned(scene: Scene) -> None:
    """The log forks from size 8 and asks for both at once, many times over."""
    await scene.cosigned(0, 8)
    forks = [MadeUpLog(PEER, key=LOG_KEY, history=f"{n} ", shared=8) for n in range(8)]
    answers = await asyncio.gather(
        *(scene.witness.add_checkpoint(fork.request(8, 9)) for fork in forks), return_exceptions=True
    )
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Fork) for answer in answers) == 7
    assert await scene.kinds() == [ConflictKind.FORK] * 7


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
async def test_garbage_is_refused_as_what_it_is(scene: Scene, data: bytes) -> None:
    with pytest.raises(CheckpointRefused):
        await scene.witness.add_checkpoint(data)
