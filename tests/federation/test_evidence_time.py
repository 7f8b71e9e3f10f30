"""Evidence time: who settles a checkpoint, and that no key that ended before it proves anything any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from federation.evidence_chains import ChainArchive
from federation.evidence_checks import checks_of
from federation.evidence_report import EvidenceReport
from federation.evidence_text import render_report
from federation.ports import Cosignature
from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import (
    ANCHOR,
    ANSWERING,
    ASKING,
    QUORUM,
    SETTLED_AT,
    WITNESSES,
    Exchange,
    Log,
    World,
    exporter_of,
    only,
    resealed,
)
from tests.support.replacing import replace
from tests.trust.federation import bend
from trust.container import (
    INDEX,
    answer_part,
    checkpoint_part,
    former_keys_part,
    read_container,
    request_part,
)
from trust.errors import EvidenceBroken
from trust.evidence_index import read_index, write_index
from trust.historical import HistoricalKey
from trust.keys import SigningKey
from trust.profile import witness_name
from trust.status import Revocation
from trust.tokens import read_token

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
REQUEST, ANSWER, CHECKPOINT = request_part(1), answer_part(1), checkpoint_part(1)
LIST_OF_ASKING = former_keys_part(3)
"""Lists are in the order of the entity ids, and those of two witnesses are in each file."""
LogOf = Callable[[World, Exchange], Log]


async def report_of(world: World, log_of: LogOf | None = None, **exchange: Any) -> EvidenceReport:
    made = Exchange(world, **exchange)
    if log_of is None:
        return only(await world.export(made), world.anchor_jwks)
    exporter = exporter_of(world, made, ASKING, log_of(world, made))
    return only(await exporter.export(made.request_id), world.anchor_jwks)


async def broken(world: World, log_of: LogOf | None = None, **exchange: Any) -> EvidenceBroken:
    with pytest.raises(EvidenceBroken) as caught:
        await report_of(world, log_of, **exchange)
    return caught.value


def retired(key: SigningKey, at: datetime, *, stolen: bool = False) -> HistoricalKey:
    """A key as its node's list has it."""
    revoked_at, reason = (at, "compromised") if stolen else (None, "")
    return HistoricalKey(key.verification_key, at, NOON - 300 * DAY, revoked_at, reason, "envelope")


# --- the time ---


async def test_the_quorums_time_is_the_evidence_time(world: World) -> None:
    report = await report_of(world)
    assert (report.verdict, report.evidence_at) == ("proven", SETTLED_AT)
    assert [check.proven for check in checks_of(report)] == [True] * 11


async def test_without_enough_witnesses_it_is_signed_and_its_time_unproven(world: World) -> None:
    del world.cosigners[WITNESSES[1]]
    report = await report_of(world)
    assert (report.verdict, report.evidence_at, report.outcome) == ("signed", None, "answered")
    assert "1 of 2 witnesses: signed, time unproven" in render_report(report)


async def test_a_late_witness_moves_nothing(world: World) -> None:
    world.cosigners[ANSWERING] = NOON + 30 * DAY
    assert (await report_of(world)).evidence_at == SETTLED_AT


async def test_a_node_is_no_witness_of_itself(world: World) -> None:
    world.cosigners = {ASKING: NOON + SECOND, WITNESSES[0]: NOON + SECOND}
    report = await report_of(world)
    assert report.verdict == "signed"
    assert "no witness of itself" in render_report(report)


async def test_a_peer_of_the_exchange_is_a_witness(world: World) -> None:
    world.cosigners = {ANSWERING: NOON + SECOND, WITNESSES[0]: NOON + SECOND}
    assert (await report_of(world)).verdict == "proven"


class Said(Log):
    """A log with other cosignatures than the witnesses gave."""

    def __init__(
        self, world: World, records: Sequence[Any], said: Mapping[str, Sequence[tuple[SigningKey, datetime]]]
    ):
        super().__init__(world, ASKING, records)
        self._said = said

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        return [
            Cosignature(entity, at, self.line(entity, key, at))
            for entity, lines in self._said.items()
            for key, at in lines
        ]


async def test_one_witness_twice_counts_once(world: World) -> None:
    key = world.witness_keys[WITNESSES[0]]
    twice = {WITNESSES[0]: [(key, NOON + SECOND), (key, NOON + 2 * SECOND)]}
    report = await report_of(world, lambda world, made: Said(world, made.records, twice))
    assert report.verdict == "signed"


async def test_one_key_of_two_witnesses_counts_once(world: World) -> None:
    world.witness_keys[WITNESSES[1]] = world.witness_keys[WITNESSES[0]]
    world.publish(NOON)
    report = await report_of(world)
    assert report.verdict == "signed"
    assert f"cosigned with the key of {WITNESSES[0]}" in render_report(report)


async def test_a_cosignature_that_does_not_verify_does_not_count(world: World) -> None:
    wrong = {
        WITNESSES[0]: [(world.witness_keys[WITNESSES[0]], NOON + SECOND)],
        WITNESSES[1]: [(SigningKey.generate("EdDSA"), NOON + SECOND)],
    }
    report = await report_of(world, lambda world, made: Said(world, made.records, wrong))
    assert report.verdict == "signed"


async def test_who_is_no_member_is_no_witness(world: World) -> None:
    stranger, thief = "https://node.stranger.example", World()
    thief.envelope_keys[stranger] = thief.federation_keys[stranger] = SigningKey.generate()
    thief.log_keys[stranger] = thief.witness_keys[stranger] = SigningKey.generate("EdDSA")
    thief.log_keys[stranger] = SigningKey.generate("EdDSA")
    thief.publish_node(stranger, NOON, ("350000", "假节点"))
    for key in (
        (stranger, stranger, StatementKind.CONFIGURATION),
        (ANCHOR, stranger, StatementKind.SUBORDINATE),
    ):
        world.statements[key] = thief.statements[key]
    world.witness_keys[stranger] = thief.witness_keys[stranger]
    world.cosigners = {stranger: NOON + SECOND, WITNESSES[0]: NOON + SECOND}
    report = await report_of(world)
    assert report.verdict == "signed"
    assert f"{stranger}: " in render_report(report)


async def test_a_revoked_witness_counts_no_more(world: World) -> None:
    world.publish(NOON, [Revocation(WITNESSES[1], NOON, "退出")])
    assert (await report_of(world)).verdict == "signed"
    world.publish(NOON, [Revocation(WITNESSES[1], SETTLED_AT + SECOND, "退出")])
    assert (await report_of(world)).verdict == "proven"


async def test_only_the_anchor_says_how_many_witnesses_it_takes(world: World) -> None:
    """A node that writes a quorum into what it says of itself settles nothing by that."""
    world.quorum = None
    world.publish(NOON)
    place = (ASKING, ASKING, StatementKind.CONFIGURATION)
    metadata = read_token(world.statements[place]).claims["metadata"]
    metadata = metadata | {"yrd_anchor": {"witness_quorum": 1}}
    metadata["yrd_node"] = metadata["yrd_node"] | {"witness_quorum": 1}
    world.statements[place] = bend(world.statements[place], world.federation_keys[ASKING], metadata=metadata)
    report = await report_of(world)
    assert report.verdict == "signed"
    assert "the anchor sets no quorum" in render_report(report)


async def test_a_quorum_that_the_anchor_did_not_sign_is_refused(world: World) -> None:
    world.cosigners = {WITNESSES[0]: NOON + SECOND}
    place = (ANCHOR, ANCHOR, StatementKind.CONFIGURATION)
    metadata = read_token(world.statements[place]).claims["metadata"]
    metadata = metadata | {"yrd_anchor": metadata["yrd_anchor"] | {"witness_quorum": 1}}
    world.statements[place] = bend(world.statements[place], SigningKey.generate(), metadata=metadata)
    assert (await broken(world)).part.startswith("statements/")


async def test_a_higher_quorum_takes_more_witnesses(world: World) -> None:
    world.quorum = QUORUM + 1
    world.publish(NOON)
    assert (await report_of(world)).verdict == "signed"


# --- the checkpoint ---


async def test_a_checkpoint_of_another_log_is_refused(world: World) -> None:
    assert (await broken(world, lambda world, made: Log(world, ANSWERING, made.records))).part == CHECKPOINT


async def test_a_checkpoint_of_another_generation_is_refused(world: World) -> None:
    class Elsewhere(Log):
        """Its notes are of another generation than its rows say."""

        def __init__(self, world: World, records: Sequence[Any]) -> None:
            super().__init__(world, ASKING, records, generation=2)
            self._generation = 1

    error = await broken(world, lambda world, made: Elsewhere(world, made.records))
    assert (error.part, "/log/2" in error.detail) == (CHECKPOINT, True)


async def test_a_checkpoint_signed_by_another_key_is_refused(world: World) -> None:
    def log_of(world: World, made: Exchange) -> Log:
        thief = World()
        return Log(replace_keys(world, thief), ASKING, made.records)

    assert (await broken(world, log_of)).part == CHECKPOINT


def replace_keys(world: World, thief: World) -> World:
    """The thief, who knows what the witnesses said, with a log key of his own."""
    thief.cosigners, thief.witness_keys = world.cosigners, world.witness_keys
    return thief


async def test_a_proof_of_another_leaf_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))

    def swap(parts: dict[str, bytes]) -> None:
        index = read_index(parts[INDEX], parts)
        first, second = index.exchanges[0].records
        records = (replace(first, proof=second.proof), second)
        parts[INDEX] = write_index(replace(index, exchanges=(replace(index.exchanges[0], records=records),)))

    with pytest.raises(EvidenceBroken, match="proof of record 41") as caught:
        only(resealed(world, data, swap), world.anchor_jwks)
    assert caught.value.part == INDEX


async def test_a_record_that_is_not_in_the_tree_is_refused(world: World) -> None:
    error = await broken(world, lambda world, made: Log(world, ASKING, []))
    assert (error.part, "does not lead to the root" in error.detail) == (INDEX, True)


# --- the signers' keys ---


@pytest.mark.parametrize(("entity", "part"), [(ASKING, REQUEST), (ANSWERING, ANSWER)])
async def test_a_key_that_was_retired_before_proves_nothing(world: World, entity: str, part: str) -> None:
    key = world.envelope_keys[entity]
    for at in (NOON - 30 * DAY, SETTLED_AT):
        world.former_keys[entity] = (world.clock.at, [retired(key, at)])
        error = await broken(world)
        assert (error.part, "was retired at" in error.detail) == (part, True)
    world.former_keys[entity] = (world.clock.at, [retired(key, SETTLED_AT + SECOND)])
    assert (await report_of(world)).verdict == "proven"


async def test_a_back_dated_request_under_a_stolen_key_fails_for_its_evidence_time(world: World) -> None:
    """The thief has the key of last month, and the chain of last month; the log he writes to is of today."""
    world.publish(NOON - 30 * DAY)
    last_month = dict(world.statements)
    stolen = world.envelope_keys[ASKING]
    exchange = Exchange(
        world,
        answered=False,
        request_says={"asked_at": NOON - 30 * DAY, "expires_at": NOON - 30 * DAY + 30 * SECOND},
    )
    world.envelope_keys[ASKING] = SigningKey.generate()
    world.former_keys[ASKING] = (world.clock.at, [retired(stolen, NOON - 20 * DAY, stolen=True)])
    world.publish(NOON)
    world.before = (NOON, last_month)  # what was known before today: the thief signs in that day's name
    with pytest.raises(EvidenceBroken) as caught:
        only(await world.export(exchange), world.anchor_jwks)
    assert caught.value.part == REQUEST or caught.value.part.startswith("statements/")


async def test_a_stolen_key_fails_although_an_old_chain_still_names_it(world: World) -> None:
    """Its owner revoked it an hour ago; the chain of this morning lives until tomorrow."""
    world.publish(NOON - timedelta(hours=4))
    stolen = retired(world.envelope_keys[ASKING], NOON - timedelta(hours=1), stolen=True)
    world.former_keys[ASKING] = (world.clock.at, [stolen])
    error = await broken(world)
    assert (error.part, "compromised" in error.detail) == (REQUEST, True)


async def test_an_older_list_does_not_prove_that_a_key_was_not_retired(world: World) -> None:
    world.former_keys[ASKING] = (SETTLED_AT - SECOND, [])
    report = await report_of(world)
    assert report.verdict == "signed"
    assert report.evidence_at == SETTLED_AT
    assert "not proven that its key was not retired later" in render_report(report)


async def test_an_older_list_that_names_the_key_is_enough_to_refuse(world: World) -> None:
    world.former_keys[ASKING] = (NOON, [retired(world.envelope_keys[ASKING], NOON - DAY)])
    assert (await broken(world)).part == REQUEST


async def test_without_a_list_it_is_told(world: World) -> None:
    del world.former_keys[ANSWERING]
    report = await report_of(world)
    assert report.verdict == "signed"
    assert f"no list of the former keys of {ANSWERING}" in render_report(report)


async def test_a_list_under_a_federation_key_that_was_learnt_of_later_comes_with_its_chain(
    world: World,
) -> None:
    """A node signs with its new key before others have fetched the statement that names it."""
    said_at = world.former_keys[ANSWERING][0]
    exchange, before = Exchange(world), dict(world.statements)
    world.federation_keys[ANSWERING] = SigningKey.generate()
    world.publish_node(ANSWERING, said_at)
    world.before = (said_at + SECOND, before)
    world.clock.at = said_at + 30 * SECOND
    assert only(await world.export(exchange), world.anchor_jwks).verdict == "proven"


@pytest.mark.parametrize("role", ["log", "witness"])
async def test_a_checkpoint_comes_with_the_chains_that_name_the_keys_it_was_signed_with(
    world: World, role: str
) -> None:
    """In the minute in which a key took over, chains are known with the key before and with the one after."""
    exchange, before = Exchange(world), dict(world.statements)
    if role == "log":
        world.log_keys[ASKING] = SigningKey.generate("EdDSA")
    for witness in world.cosigners:
        if role == "witness":
            world.witness_keys[witness] = SigningKey.generate("EdDSA")
    world.publish(NOON)
    world.before = (NOON + timedelta(milliseconds=1), before)
    assert only(await world.export(exchange), world.anchor_jwks).verdict == "proven"


async def test_a_node_that_began_again_within_the_minute_has_the_chain_of_the_moment(world: World) -> None:
    """Its own configuration was there before the anchor's new statement about it."""
    known = (ANCHOR, ASKING, StatementKind.SUBORDINATE)
    before = {known: world.statements[known]}
    world.federation_keys[ASKING] = SigningKey.generate()
    world.publish_node(ASKING, NOON)
    world.before = (NOON + timedelta(milliseconds=1), before)
    chains = ChainArchive(world, ANCHOR)
    assert not (await chains.of(ASKING, NOON)).is_whole
    assert (await chains.of(ASKING, NOON + SECOND)).is_whole


async def test_an_unsettled_checkpoint_under_a_log_key_of_before_is_left_out(world: World) -> None:
    world.cosigners.clear()
    exchange = Exchange(world)
    exporter = world.exporter(exchange)
    world.log_keys[ASKING] = SigningKey.generate("EdDSA")
    world.publish(NOON)
    report = only(await exporter.export(exchange.request_id), world.anchor_jwks)
    assert (report.verdict, report.checkpoints) == ("signed", 0)


async def test_a_list_by_anyone_else_is_refused(world: World) -> None:
    world.federation_keys[ASKING] = SigningKey.generate()
    assert (await broken(world)).part == LIST_OF_ASKING


async def test_a_list_from_the_future_is_refused(world: World) -> None:
    world.former_keys[ASKING] = (world.clock.at + 5 * timedelta(minutes=1), [])
    assert (await broken(world)).part == LIST_OF_ASKING


async def test_what_the_log_signs_with_a_retired_key_is_not_settled(world: World) -> None:
    world.former_keys[ASKING] = (world.clock.at, [retired(world.log_keys[ASKING], NOON - DAY)])
    assert (await report_of(world)).verdict == "signed"


async def test_a_retired_witness_key_counts_no_more(world: World) -> None:
    world.cosigners = {ANSWERING: NOON + SECOND, WITNESSES[0]: NOON + SECOND}
    world.former_keys[ANSWERING] = (world.clock.at, [retired(world.witness_keys[ANSWERING], NOON)])
    assert (await report_of(world)).verdict == "signed"


async def test_nothing_is_in_the_log_before_it_was_signed(world: World) -> None:
    later = NOON + timedelta(minutes=3)
    error = await broken(
        world, request_says={"asked_at": later, "expires_at": later + 30 * SECOND}, answered=False
    )
    assert (error.part, "it was in the log by" in error.detail) == (REQUEST, True)


# --- missing and forgotten ---


async def test_every_missing_part_is_noticed(world: World) -> None:
    data = await world.export(Exchange(world))
    for name in sorted(read_container(data)):
        if name in ("manifest.envelope", "status.jwt"):
            continue
        less = resealed(world, data, partial(_without, name))
        with pytest.raises(EvidenceBroken):
            only(less, world.anchor_jwks)


def _without(name: str, parts: dict[str, bytes]) -> None:
    del parts[name]


async def test_a_part_that_nothing_refers_to_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))
    more = resealed(world, data, lambda parts: parts.update({request_part(2): parts[REQUEST]}))
    with pytest.raises(EvidenceBroken, match="nothing in the index refers to it"):
        only(more, world.anchor_jwks)


def forget(exchange: Exchange, *places: int) -> Exchange:
    """Take away what is forgotten of these records."""
    for place in places:
        exchange.records[place] = replace(exchange.records[place], envelope=b"", salt=b"")
    return exchange


async def test_a_forgotten_exchange_keeps_leaf_and_proof(world: World) -> None:
    data = await world.export(forget(Exchange(world), 0, 1))
    assert not any(name.startswith("exchanges/") for name in read_container(data))
    report = only(data, world.anchor_jwks)
    assert (report.verdict, report.outcome, report.evidence_at) == ("forgotten", "forgotten", SETTLED_AT)
    assert (report.request, report.asking) == (None, None)
    assert "leaf and proof are left" in render_report(report)


async def test_a_forgotten_request_takes_its_answer_along(world: World) -> None:
    data = await world.export(forget(Exchange(world), 0))
    assert only(data, world.anchor_jwks).outcome == "forgotten"


async def test_a_forgotten_answer_leaves_the_request(world: World) -> None:
    report = only(await world.export(forget(Exchange(world), 1)), world.anchor_jwks)
    assert (report.verdict, report.outcome) == ("proven", "forgotten")
    assert "the answer was forgotten" in render_report(report)


async def test_another_leaf_of_a_forgotten_record_is_refused(world: World) -> None:
    exchange = forget(Exchange(world), 0, 1)
    log = Log(world, ASKING, exchange.records)
    exchange.records[0] = replace(exchange.records[0], leaf=bytes(33))
    exporter = exporter_of(world, exchange, ASKING, log)
    with pytest.raises(EvidenceBroken, match="does not lead to the root"):
        only(await exporter.export(exchange.request_id), world.anchor_jwks)


def test_the_name_of_a_witness_follows_from_its_entity_id() -> None:
    assert witness_name(WITNESSES[0]) == "node.js.example/witness"
