"""Two nodes compare their logs over the ordinary exchange; what was changed behind one's back is found by the other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from federation import between_nodes, reconciling
from federation.errors import (
    AccessDenied,
    PeerMalformed,
    PeerTimeout,
    PeerUnreachable,
    PeerWrongAnswer,
)
from federation.pair_log import Reconciled
from federation.peers import Peer
from federation.query import (
    BETWEEN_NODES,
    PLATFORM_OPERATIONS,
    EvidenceRecords,
    EvidenceRecordsAnswer,
    EvidenceRoots,
    EvidenceRootsAnswer,
    Operation,
)
from federation.reconcile import hour_of, start_of_hour
from federation.reconciling import ReconcileLimits
from tests.support.clock import FixedClock
from tests.support.exchange import Node, command, make_country
from tests.support.pair_log import Comparing
from tests.support.replacing import replace

LIMITS = ReconcileLimits(reconcile_s=60, audit_records=100)


@dataclass
class Pair:
    """Shanghai, Zhejiang and Jiangsu, of which the first two compare."""

    sh: Comparing
    zj: Comparing
    js: Comparing
    clock: FixedClock

    async def ask(self, asking: Comparing, answering: Comparing) -> str:
        """One exchange; its request id."""
        result = await asking.node.asker.ask(command(asking.node, answering.node))
        self.clock.advance(seconds=1)
        return result.request_id

    def later(self, *, minutes: float = 3) -> None:
        """All that was asked is settled."""
        self.clock.advance(minutes=minutes)
        for one in (self.sh, self.zj, self.js):
            one.node.seconds[0] += minutes * 60

    async def look(
        self, own: Comparing, other: Comparing, *, most: int = 100
    ) -> dict[str, set[tuple[str, str]]]:
        """What one node finds about the other: by request id, kind and place."""
        hour = hour_of(self.clock.now())
        looked = await own.reconciler.look(peer_of(own.node, other.node), hour - 1, 2, most=most)
        return found_in(looked.hours)


def found_in(hours: tuple[Reconciled, ...]) -> dict[str, set[tuple[str, str]]]:
    """Findings by request id."""
    found: dict[str, set[tuple[str, str]]] = {}
    for hour in hours:
        for one in hour.findings:
            found.setdefault(one.request_id, set()).add((one.kind.value, one.place.value))
    return found


def peer_of(own: Node, other: Node) -> Peer:
    """The other node as this one knows it."""
    return own.directory.current.peer(other.entity_id)


def delete(node: Comparing, request_id: str) -> None:
    """Take an exchange out of a node's log behind its back."""
    journal = node.node.journal
    journal.records = [record for record in journal.records if record.meta.request_id != request_id]


@pytest.fixture
def pair() -> Pair:
    clock = FixedClock()
    nodes = [Comparing(node, LIMITS) for node in make_country("310000", "330000", "320000", clock=clock)]
    return Pair(nodes[0], nodes[1], nodes[2], clock)


async def test_two_honest_logs_agree_and_say_nothing_of_a_third_partys(pair: Pair) -> None:
    for _ in range(3):
        await pair.ask(pair.sh, pair.zj)
        await pair.ask(pair.zj, pair.sh)
        await pair.ask(pair.js, pair.zj)
    pair.later()
    assert await pair.look(pair.sh, pair.zj) == {}
    (hour,) = pair.sh.rows.rows.values()
    assert (hour.state, hour.exchanges) == ("agree", 6)
    # Looking is itself an exchange, and agrees the next time.
    pair.later()
    assert await pair.look(pair.zj, pair.sh) == {}
    assert [row.exchanges for row in pair.zj.rows.rows.values()] == [7]


async def test_where_roots_agree_no_records_are_asked_for(pair: Pair) -> None:
    await pair.ask(pair.sh, pair.zj)
    pair.later()
    sent = len(pair.sh.node.transport.sent)
    await pair.look(pair.sh, pair.zj)
    assert len(pair.sh.node.transport.sent) == sent + 1


@pytest.mark.parametrize("asked_here", [True, False])
async def test_an_exchange_that_a_peer_lost_is_found_by_both(pair: Pair, asked_here: bool) -> None:
    ends = (pair.sh, pair.zj) if asked_here else (pair.zj, pair.sh)
    kept = await pair.ask(*ends)
    lost = await pair.ask(*ends)
    delete(pair.zj, lost)
    pair.later()
    assert await pair.look(pair.sh, pair.zj) == {lost: {("missing_there", "there")}}
    assert await pair.look(pair.zj, pair.sh) == {lost: {("missing_here", "here")}}
    assert kept != lost
    assert [hour.state for hour in pair.sh.alarms] == ["alarm"]


async def test_an_exchange_that_was_put_into_a_log_is_found(pair: Pair) -> None:
    await pair.ask(pair.sh, pair.zj)
    invented = await pair.ask(pair.sh, pair.zj)
    delete(pair.sh, invented)
    pair.later()
    assert await pair.look(pair.sh, pair.zj) == {invented: {("missing_here", "here")}}


async def test_bytes_that_were_changed_are_found_at_once_by_the_peer_and_told_by_the_node_itself(
    pair: Pair,
) -> None:
    await pair.ask(pair.sh, pair.zj)
    changed = await pair.ask(pair.sh, pair.zj)
    pair.zj.log.altered.add(3)
    pair.clock.advance(seconds=6)
    assert await pair.look(pair.sh, pair.zj) == {changed: {("altered", "there")}}
    (told,) = pair.zj.rows.rows.values()
    assert (told.state, found_in((told,))) == ("alarm", {changed: {("altered", "here")}})


async def test_what_was_found_altered_stays_found_when_others_are_looked_at(pair: Pair) -> None:
    changed = await pair.ask(pair.sh, pair.zj)
    pair.zj.log.altered.add(1)
    pair.later()
    await pair.look(pair.sh, pair.zj)
    for _ in range(60):
        await pair.ask(pair.sh, pair.zj)
    pair.later()
    assert await pair.look(pair.sh, pair.zj, most=10) == {changed: {("altered", "there")}}
    pair.zj.log.altered.clear()
    assert await pair.look(pair.sh, pair.zj) == {}


async def test_a_request_that_never_arrived_is_explained(pair: Pair) -> None:
    pair.sh.node.transport.faults.append(PeerUnreachable("away"))
    with pytest.raises(PeerUnreachable):
        await pair.ask(pair.sh, pair.zj)
    request_id = pair.sh.node.journal.records[-1].meta.request_id
    assert await pair.look(pair.sh, pair.zj) == {}  # it may still be on its way
    pair.later()
    assert await pair.look(pair.sh, pair.zj) == {request_id: {("one_sided", "here")}}
    assert await pair.look(pair.zj, pair.sh) == {}
    assert pair.sh.alarms == []


async def test_an_answer_that_never_came_back_is_fetched(pair: Pair) -> None:
    def lose(_envelope: bytes) -> bytes:
        raise PeerTimeout("lost")

    pair.sh.node.transport.tamper = lose
    with pytest.raises(PeerTimeout):
        await pair.ask(pair.sh, pair.zj)
    pair.sh.node.transport.tamper = lambda envelope: envelope
    request_id = pair.sh.node.journal.records[-1].meta.request_id
    pair.later()
    assert await pair.look(pair.zj, pair.sh) == {request_id: {("unfetched", "there")}}
    assert await pair.look(pair.sh, pair.zj) == {request_id: {("unfetched", "here")}}
    assert await pair.look(pair.sh, pair.zj) == {}
    assert [record.meta.client for record in await pair.sh.node.journal.find_records(request_id)] == [
        "portal"
    ] * 2
    assert pair.sh.alarms == pair.zj.alarms == []


async def test_an_hour_of_many_pages_is_compared_to_its_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.reconciling.PAGE_EXCHANGES", 2)
    made = [await pair.ask(pair.sh, pair.zj) for _ in range(9)]
    for number in (0, 4, 8):
        delete(pair.zj, made[number])
    delete(pair.sh, made[5])
    pair.later()
    found = await pair.look(pair.sh, pair.zj)
    assert set(found) == {made[0], made[4], made[5], made[8]}
    assert found[made[5]] == {("missing_here", "here")}


async def test_what_went_into_archives_is_not_compared(pair: Pair) -> None:
    lost = await pair.ask(pair.sh, pair.zj)
    delete(pair.zj, lost)
    pair.zj.log.archived = pair.clock.now()
    pair.later()
    assert await pair.look(pair.sh, pair.zj) == {}
    assert pair.sh.rows.rows == {}
    (look,) = pair.sh.reconciler.looks.values()
    assert look.archived_before == start_of_hour(hour_of(pair.zj.log.archived) + 1), "and it is told"


# --- what a peer may ask, and what it may answer ----------------------------------------------------


async def ask_body(pair: Pair, body: EvidenceRoots | EvidenceRecords) -> object:
    """Zhejiang's answer to Shanghai."""
    peer = peer_of(pair.sh.node, pair.zj.node)
    return await pair.sh.asker.ask(peer, body, purpose="test", timeout_s=5)


async def test_more_hours_than_are_answered_are_refused(pair: Pair) -> None:
    with pytest.raises(PeerMalformed, match="at most 48"):
        await ask_body(pair, EvidenceRoots(1, 49, pair.clock.now()))


async def test_no_platform_can_ask_what_nodes_ask_each_other(pair: Pair) -> None:
    body = EvidenceRoots(1, 1, pair.clock.now())
    with pytest.raises(AccessDenied):
        await pair.sh.node.asker.ask(command(pair.sh.node, pair.zj.node, body))


async def test_stored_bytes_are_looked_at_as_often_as_the_budget_allows_however_often_a_peer_asks(
    pair: Pair,
) -> None:
    for _ in range(30):
        await pair.ask(pair.sh, pair.zj)
    pair.later()
    hour = hour_of(pair.clock.now())
    for _ in range(5):
        await ask_body(pair, EvidenceRoots(hour, 1, pair.clock.now()))
    assert sum(count for _, count in pair.zj.log.checked) <= 100
    pair.zj.node.seconds[0] += 60
    before = sum(count for _, count in pair.zj.log.checked)
    await ask_body(pair, EvidenceRoots(hour, 1, pair.clock.now()))
    assert sum(count for _, count in pair.zj.log.checked) > before


async def test_an_hour_with_too_many_exchanges_for_a_root_is_compared_page_by_page(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between_nodes, "MOST_SUMMED", 4)
    made = [await pair.ask(pair.sh, pair.zj) for _ in range(9)]
    pair.later()
    hour = hour_of(pair.clock.now())
    answer = await ask_body(pair, EvidenceRoots(hour, 1, pair.clock.now()))
    assert isinstance(answer, EvidenceRootsAnswer)
    assert answer.hours == (), "what it costs to answer is bounded"
    assert await pair.look(pair.sh, pair.zj) == {}
    (seen,) = pair.sh.reconciler.looks[pair.zj.node.entity_id].hours
    assert (seen.state, seen.exchanges >= 9) == ("agree", True)
    delete(pair.zj, made[3])
    assert await pair.look(pair.sh, pair.zj) == {made[3]: {("missing_there", "there")}}


async def test_hours_that_are_left_out_are_asked_for_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between_nodes, "MOST_SUMMED", 4)
    first = hour_of(pair.clock.now())
    for _ in range(3):
        for _ in range(3):
            await pair.ask(pair.sh, pair.zj)
        pair.later(minutes=60)
    peer = peer_of(pair.sh.node, pair.zj.node)
    look = await pair.sh.reconciler.look(peer, first, 3, most=100)
    assert [(one.hour, one.exchanges) for one in look.hours] == [(first + n, 3) for n in range(3)]


@pytest.mark.parametrize("lie", ["other_hour", "no_progress", "backwards", "elsewhere"])
async def test_an_answer_that_leads_nowhere_is_not_followed(
    pair: Pair, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await pair.ask(pair.sh, pair.zj) for _ in range(3)]
    delete(pair.sh, made[0])
    pair.later()
    asked = type(pair.sh.asker).ask

    async def lying(self: object, peer: Peer, body: object, **rest: object) -> object:
        answer = await asked(self, peer, body, **rest)  # type: ignore[arg-type]
        if isinstance(answer, EvidenceRootsAnswer) and lie == "other_hour":
            return replace(answer, hours=answer.hours[:1])
        if isinstance(answer, EvidenceRecordsAnswer):
            first = answer.messages[0]
            return {
                "no_progress": EvidenceRecordsAnswer((), made[0]),
                "backwards": EvidenceRecordsAnswer(tuple(reversed(answer.messages)), ""),
                "elsewhere": EvidenceRecordsAnswer(
                    (replace(first, request_id="f" + first.request_id[1:]),), ""
                ),
            }.get(lie, answer)
        return answer

    monkeypatch.setattr(type(pair.sh.asker), "ask", lying)
    with pytest.raises(PeerWrongAnswer):
        await pair.look(pair.sh, pair.zj)


# --- when -------------------------------------------------------------------------------------------


async def test_looks_follow_what_platforms_ask_and_never_themselves(pair: Pair) -> None:
    schedule = pair.sh.schedule
    assert await schedule.tick_once() == 2  # the first time everyone
    assert await schedule.tick_once() == 0
    for _ in range(3):  # what is younger than is compared is not looked at, however much comes
        await pair.ask(pair.sh, pair.zj)
        pair.sh.node.seconds[0] += 1
        pair.clock.advance(seconds=1)
        assert await schedule.tick_once() == 0
    pair.sh.node.seconds[0] += 5
    pair.clock.advance(seconds=5)
    assert await schedule.tick_once() == 1
    pair.sh.node.seconds[0] += 7  # once more, when the newest are old enough
    pair.clock.advance(seconds=7)
    assert await schedule.tick_once() == 1
    pair.sh.node.seconds[0] += 20
    assert await schedule.tick_once() == 0
    pair.sh.node.seconds[0] += 60
    assert await schedule.tick_once() == 2


async def test_nodes_at_rest_look_ever_more_seldom_until_something_is_asked(pair: Pair) -> None:
    schedule, looks = pair.sh.schedule, 0
    for _ in range(24 * 60):
        looks += await schedule.tick_once()
        pair.sh.node.seconds[0] += 60
    assert 2 * 24 <= looks <= 2 * 32, "about once an hour and peer"
    await pair.ask(pair.sh, pair.zj)
    assert await schedule.tick_once() >= 1
    pair.sh.node.seconds[0] += 60
    assert await schedule.tick_once() >= 1


async def test_what_a_look_had_to_sum_up_is_rested_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reconciling, "SUMMED_FOR_ONE", 0.1
    )  # an exchange as ten messages: thirty cost three rests
    for _ in range(30):
        await pair.ask(pair.sh, pair.zj)
    pair.later()
    pair.sh.node.know(pair.zj.node.peer())
    looks = []
    for _ in range(5):
        looks.append(await pair.sh.schedule.tick_once())
        await pair.ask(pair.sh, pair.zj)
        pair.sh.node.seconds[0] += 61
    assert looks == [1, 0, 0, 0, 1]


async def test_a_change_behind_a_nodes_back_is_found_at_the_second_tick_while_the_log_is_small(
    pair: Pair,
) -> None:
    changed = await pair.ask(pair.sh, pair.zj)
    pair.later()
    await pair.sh.schedule.tick_once()
    pair.zj.log.altered.add(0)
    for _ in range(2):
        pair.sh.node.seconds[0] += 2
        pair.clock.advance(seconds=2)
        await pair.ask(pair.sh, pair.zj)
        await pair.sh.schedule.tick_once()
    assert found_in(tuple(pair.sh.alarms)) == {changed: {("altered", "there")}}


async def test_under_load_a_look_is_followed_by_rest(pair: Pair) -> None:
    for _ in range(60):
        await pair.ask(pair.sh, pair.zj)
    pair.later()
    await pair.sh.schedule.tick_once()
    ticks = 0
    for _ in range(59):
        await pair.ask(pair.sh, pair.zj)
        pair.sh.node.seconds[0] += 1
        ticks += await pair.sh.schedule.tick_once()
    assert ticks == 0


async def test_a_peer_that_is_away_is_told_and_asked_again_later(pair: Pair) -> None:
    pair.sh.node.transport.faults += [PeerUnreachable("away")] * 2
    assert await pair.sh.schedule.tick_once() == 2
    assert {look.problem for look in pair.sh.reconciler.looks.values()} == {"peer.unreachable: away"}
    assert await pair.sh.schedule.tick_once() == 0
    pair.later()
    assert await pair.sh.schedule.tick_once() == 2
    assert {look.problem for look in pair.sh.reconciler.looks.values()} == {""}


async def test_older_hours_come_in_turn_down_to_the_beginning_and_again(pair: Pair) -> None:
    lost = await pair.ask(pair.sh, pair.zj)
    delete(pair.zj, lost)
    pair.later(minutes=60 * 60)
    for _ in range(2):
        await pair.sh.schedule.tick_once()
        pair.sh.node.seconds[0] += 61
    assert pair.sh.alarms == []
    await pair.sh.schedule.tick_once()
    assert found_in(tuple(pair.sh.alarms)) == {lost: {("missing_there", "there")}}
    pair.sh.alarms.clear()
    for after_s in (61, 121, 121):  # slower, since nothing is asked
        pair.sh.node.seconds[0] += after_s
        await pair.sh.schedule.tick_once()
    assert found_in(tuple(pair.sh.alarms)) == {lost: {("missing_there", "there")}}


async def test_a_revoked_peer_is_not_asked(pair: Pair) -> None:
    pair.sh.node.know(pair.zj.node.peer(standing="revoked"), pair.js.node.peer())
    assert await pair.sh.schedule.tick_once() == 1


def test_every_operation_between_nodes_is_none_of_a_platforms() -> None:
    assert set(PLATFORM_OPERATIONS) | BETWEEN_NODES == set(Operation)
