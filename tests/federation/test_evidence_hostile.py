"""Evidence files made by somebody who means harm: each is refused by name, and none ends a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from federation.evidence_text import render_report
from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import ANCHOR, SETTLED_AT, WITNESSES, Exchange, World, only, resealed
from trust.container import INDEX, MANIFEST, ROLL_OVERS, checkpoint_part, read_container, write_container
from trust.envelope import parse, seal
from trust.errors import EvidenceBroken
from trust.evidence import MANIFEST_TYPE, canonical_json
from trust.evidence_index import read_index, write_index
from trust.historical import HistoricalKey
from trust.keys import SigningKey
from trust.note import base64_bytes, base64_text
from trust.rollover import build_roll_over, roll_overs_document

DAY = timedelta(days=1)


def roll_over(number: int, old: SigningKey, new: SigningKey, *, days_ago: int) -> str:
    at = NOON - days_ago * DAY
    return build_roll_over(
        anchor=ANCHOR, number=number, old=old, new=new, now=at, old_until=at + DAY, reason="每年更换"
    )


# --- roll-overs ---


async def test_a_longer_line_of_roll_overs_from_a_stolen_key_does_not_outvote_the_given_one(
    world: World,
) -> None:
    """The pinned key was replaced; a thief of it makes two roll-overs of their own, and encloses them."""
    pinned, stolen = world.anchor_jwks, world.anchor_key
    first, second = SigningKey.generate(), SigningKey.generate()
    given = roll_overs_document([roll_over(1, stolen, SigningKey.generate(), days_ago=100)])
    forged = [roll_over(1, stolen, first, days_ago=100), roll_over(2, first, second, days_ago=98)]
    world.anchor_key = second
    world.publish(NOON)
    world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = roll_overs_document(forged)
    data = await world.export(Exchange(world))
    with pytest.raises(EvidenceBroken, match="contradicts the roll-overs you gave") as refused:
        only(data, pinned, roll_overs=given)
    assert refused.value.part == ROLL_OVERS


async def test_either_list_of_roll_overs_may_go_on_from_the_other(world: World) -> None:
    pinned, keys = world.anchor_jwks, [world.anchor_key, SigningKey.generate(), SigningKey.generate()]
    tokens = [
        roll_over(1, keys[0], keys[1], days_ago=100),
        roll_over(2, keys[1], keys[2], days_ago=50),
    ]
    world.anchor_key = keys[2]
    world.publish(NOON)
    for enclosed, given in ((tokens, tokens[:1]), (tokens[:1], tokens)):
        world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = roll_overs_document(enclosed)
        data = await world.export(Exchange(world))
        assert only(data, pinned, roll_overs=roll_overs_document(given)).outcome == "answered"


# --- times at the ends of what there is ---


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+23:59"]
)
async def test_a_manifest_of_the_last_or_the_first_day_is_refused(world: World, at: str) -> None:
    """It needs no key: the chain is looked at before the signature."""
    parts = dict(read_container(await world.export(Exchange(world))))
    claims = json.loads(parse(parts[MANIFEST], max_bytes=1 << 20).payload) | {"exported_at": at}
    parts[MANIFEST] = seal(MANIFEST_TYPE, canonical_json(claims), SigningKey.generate()).envelope
    with pytest.raises(EvidenceBroken, match="does not say when it was made"):
        only(write_container(parts), world.anchor_jwks)


@pytest.mark.parametrize("seconds", [0, 253370764800, 253402300799, 2**64 - 1])
async def test_a_cosignature_of_a_time_that_is_none_does_not_count(world: World, seconds: int) -> None:
    def change(parts: dict[str, bytes]) -> None:
        text, _, last = parts[checkpoint_part(1)].decode().rstrip("\n").rpartition(" ")
        line = base64_bytes(last)
        line = line[:4] + seconds.to_bytes(8, "big") + line[12:]
        parts[checkpoint_part(1)] = f"{text} {base64_text(line)}\n".encode()

    report = only(resealed(world, await world.export(Exchange(world)), change), world.anchor_jwks)
    assert report.verdict == "signed"
    assert any("time is none" in said.en for said in report.unproven)


@pytest.mark.parametrize("recorded_at", [-1, 253370764800_000_000, 2**62])
async def test_a_forgotten_record_of_a_time_that_is_none_is_refused(world: World, recorded_at: int) -> None:
    def change(parts: dict[str, bytes]) -> None:
        index = read_index(parts[INDEX], parts)
        (one,) = index.exchanges
        records = tuple(replace(record, salt=b"", recorded_at=recorded_at) for record in one.records)
        one = replace(one, records=records, asking=(), answering=())
        parts[INDEX] = write_index(replace(index, exchanges=(one,)))
        for name in [name for name in parts if name.startswith("exchanges/")]:
            del parts[name]

    data = resealed(world, await world.export(Exchange(world)), change)
    with pytest.raises(EvidenceBroken, match="a number that no log has"):
        only(data, world.anchor_jwks)


# --- witnesses whose key was stolen ---


async def test_a_witness_key_that_was_retired_before_it_cosigned_does_not_count(world: World) -> None:
    """The witness says so itself: its list of former keys is in the file, although it took no part in the exchange."""
    witness = WITNESSES[0]
    stolen = HistoricalKey(
        world.witness_keys[witness].verification_key,
        expires_at=NOON + DAY,
        revoked_at=NOON - timedelta(seconds=1),
        reason="密钥失窃",
    )
    world.former_keys[witness] = (world.clock.at, [stolen])
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert report.verdict == "signed"
    assert any("密钥失窃" in said.en for said in report.unproven)


async def test_without_a_witness_own_list_what_it_cosigned_does_not_count(world: World) -> None:
    """Else whoever makes the file left out, or took from before the theft, the list that names the stolen key."""
    witness = WITNESSES[0]
    cosigned_at = world.cosigners[witness]
    for newest in (None, cosigned_at - timedelta(seconds=1)):
        world.former_keys.pop(witness)
        if newest is not None:
            world.former_keys[witness] = (newest, [])
        report = only(await world.export(Exchange(world)), world.anchor_jwks)
        assert (report.verdict, report.evidence_at) == ("signed", None)
        why = "there is none" if newest is None else f"the newest is of {newest.isoformat()}"
        told = f"{witness} cosigned at {cosigned_at.isoformat()}, and no list of its former keys is as new: {why}"
        assert told in render_report(report)
        world.former_keys[witness] = (cosigned_at, [])
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert (report.verdict, report.evidence_at) == ("proven", SETTLED_AT)


# --- more work than a file is worth ---


def cosigned_by_one(*, chains: int, lines: int) -> Callable[[dict[str, bytes]], None]:
    """The first checkpoint with so many chains of its first witness, and so many lines of it that do not verify."""

    def change(parts: dict[str, bytes]) -> None:
        index = read_index(parts[INDEX], parts)
        one = index.checkpoints[0]
        first, *others = one.witnesses
        copies = tuple(range(len(index.chains) + 1, len(index.chains) + chains))
        one = replace(one, witnesses=(first, *copies, *others))
        same = (index.chains[first - 1],) * len(copies)
        parts[INDEX] = write_index(replace(index, chains=(*index.chains, *same), checkpoints=(one,)))
        text, _, signed = parts[checkpoint_part(1)].decode().rpartition("\n\n")
        own, cosigned, *rest = signed.splitlines()
        head, _, last = cosigned.rpartition(" ")
        key_id, at = base64_bytes(last)[:4], int(NOON.timestamp())
        forged = [
            f"{head} {base64_text(key_id + (at + n).to_bytes(8, 'big') + bytes(64))}" for n in range(1, lines)
        ]
        parts[checkpoint_part(1)] = "\n".join([f"{text}\n", own, cosigned, *forged, *rest, ""]).encode()

    return change


async def test_a_few_lines_of_a_witness_are_looked_at_and_not_many(world: World) -> None:
    data = await world.export(Exchange(world))
    few = only(resealed(world, data, cosigned_by_one(chains=1, lines=4)), world.anchor_jwks)
    assert few.verdict == "proven"
    with pytest.raises(EvidenceBroken, match="signs it more than 4 times") as refused:
        only(resealed(world, data, cosigned_by_one(chains=1, lines=5)), world.anchor_jwks)
    assert refused.value.part == checkpoint_part(1)


async def test_a_witness_has_one_chain_under_a_checkpoint(world: World) -> None:
    data = await world.export(Exchange(world))
    with pytest.raises(EvidenceBroken, match="two chains of its witness"):
        only(resealed(world, data, cosigned_by_one(chains=2, lines=1)), world.anchor_jwks)


async def test_a_chain_of_a_witness_is_named_once_under_a_checkpoint(world: World) -> None:
    def change(parts: dict[str, bytes]) -> None:
        index = read_index(parts[INDEX], parts)
        one = index.checkpoints[0]
        one = replace(one, witnesses=(one.witnesses[0],) * 2)
        parts[INDEX] = write_index(replace(index, checkpoints=(one,)))

    data = resealed(world, await world.export(Exchange(world)), change)
    with pytest.raises(EvidenceBroken, match="names the chain of a witness twice"):
        only(data, world.anchor_jwks)
