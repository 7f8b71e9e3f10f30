"""Evidence files that were altered, or say what does not fit together: each fails, with the part named."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.ports import RecordKind
from federation.query import (
    Answer,
    CertificateAnswer,
    Operation,
)
from tests.support.clock import NOON
from tests.support.evidence import (
    ANSWERING,
    CODEC,
    PAPERS,
    Exchange,
    World,
    broken,
    resealed,
)
from tests.support.replacing import replace
from trust.container import (
    INDEX,
    MANIFEST,
    STATUS,
    answer_part,
    read_container,
    request_part,
    write_container,
)
from trust.envelope import parse, seal
from trust.keys import SigningKey, jwks_of

REQUEST, ANSWER = request_part(1), answer_part(1)
OF_A_CHAIN = "statements/"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_fails_and_names_a_part(data: st.DataObject) -> None:
    file = _FILE
    place = data.draw(st.integers(0, len(file) - 1))
    flipped = bytearray(file)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    error = broken(_WORLD, bytes(flipped))
    named = {*read_container(file), "container"}
    assert error.part in named
    assert error.detail.startswith(f"{error.part}: ")
    inside = [name for name, content in read_container(file).items() if _holds(file, content, place)]
    if inside:
        assert error.part == inside[0]


def _holds(file: bytes, content: bytes, place: int) -> bool:
    return any(start <= place < start + len(content) for start in _starts(file, content))


def _starts(file: bytes, content: bytes) -> list[int]:
    found, at = [], file.find(content)
    while at >= 0:
        found.append(at)
        at = file.find(content, at + 1)
    return found if len(found) == 1 else []


_WORLD = World()
_FILE = asyncio.run(_WORLD.export(Exchange(_WORLD)))


@given(st.binary(max_size=400))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert broken(_WORLD, garbage).part


@given(st.integers(0, len(_FILE) - 1))
@settings(max_examples=50, deadline=None)
def test_a_file_that_is_cut_off_is_refused(size: int) -> None:
    assert broken(_WORLD, _FILE[:size]).part


async def test_another_anchor_proves_nothing(world: World) -> None:
    other = jwks_of([SigningKey.generate().verification_key])
    assert broken(world, await world.export(Exchange(world)), other).part.startswith(OF_A_CHAIN)


async def test_a_part_altered_with_its_checksum_is_caught_by_the_manifest(world: World) -> None:
    parts = read_container(await world.export(Exchange(world)))
    parts[INDEX] = parts[INDEX].replace(b"41", b"40")
    assert broken(world, write_container(parts)).part == INDEX


async def test_a_part_that_is_missing_or_not_named_is_named(world: World) -> None:
    parts = read_container(await world.export(Exchange(world)))
    status = parts.pop(STATUS)
    assert broken(world, write_container(parts)).part == STATUS
    parts = read_container(await world.export(Exchange(world, answered=False)))
    assert broken(world, write_container({**parts, ANSWER: b"x", STATUS: status})).part == ANSWER


async def test_a_manifest_by_anyone_else_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))
    assert broken(world, resealed(world, data, len, key=SigningKey.generate())).part == MANIFEST


async def test_a_manifest_of_another_nodes_name_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))
    assert broken(world, resealed(world, data, len, by=ANSWERING)).part == MANIFEST


async def test_an_index_for_another_request_is_refused(world: World) -> None:
    first, second = Exchange(world), Exchange(world)
    ids = first.request_id.encode(), second.request_id.encode()
    data = resealed(
        world, await world.export(first), lambda parts: parts.update({INDEX: parts[INDEX].replace(*ids)})
    )
    assert broken(world, data).part == INDEX


async def test_a_request_signed_with_another_key_is_refused(world: World) -> None:
    exchange = Exchange(world)
    data = await world.export(exchange)

    def forge(parts: dict[str, bytes]) -> None:
        request = parse(parts[REQUEST], max_bytes=1 << 20)
        parts[REQUEST] = seal(request.payload_type, request.payload, SigningKey.generate()).envelope

    assert broken(world, resealed(world, data, forge)).part == REQUEST


async def test_an_answer_of_another_exchange_is_refused(world: World) -> None:
    first, second = await world.export(Exchange(world)), await world.export(Exchange(world))
    other = read_container(second)[ANSWER]
    data = resealed(world, first, lambda parts: parts.update({ANSWER: other}))
    assert broken(world, data).part == ANSWER


@pytest.mark.parametrize(
    ("request_says", "part"),
    [
        ({"asking": "https://node.ah.example"}, REQUEST),
        ({"answering": "https://node.ah.example"}, REQUEST),
        ({"asked_at": NOON - timedelta(minutes=2)}, "statements/000006.jwt"),
        (
            {"asked_at": NOON + timedelta(hours=24), "expires_at": NOON + timedelta(hours=25)},
            "statements/000006.jwt",
        ),
    ],
)
async def test_a_request_that_does_not_fit_its_signer_is_refused(
    world: World, request_says: dict[str, Any], part: str
) -> None:
    data = await world.export(Exchange(world, request_says=request_says))
    assert broken(world, data).part == part


@pytest.mark.parametrize(
    "answer_says",
    [
        {"request_id": "0193aaaa-0000-7000-8000-000000000000"},
        {"asking": "https://node.ah.example"},
        {"answering": "https://node.ah.example"},
        {"operation": Operation.CERTIFICATES_GET},
    ],
)
async def test_an_answer_that_does_not_fit_its_request_is_refused(
    world: World, answer_says: dict[str, Any]
) -> None:
    answer = CertificateAnswer() if "operation" in answer_says else PAPERS
    exchange = Exchange(world, answer=answer, answer_says=answer_says)
    assert broken(world, await world.export(exchange)).part == ANSWER


async def test_an_answer_whose_payload_is_of_another_operation_than_its_header_is_refused(
    world: World,
) -> None:
    exchange = Exchange(world, answered=False, exported_by=ANSWERING)
    header = exchange.answer_header(Operation.CERTIFICATES_QUERY, exchange.records[0].identity, None)
    payload = CODEC.encode_answer(Answer(header, PAPERS))
    lie = seal(Operation.CERTIFICATES_GET.answer_type, payload, world.envelope_keys[ANSWERING])
    exchange.records.append(exchange.record(1, RecordKind.ANSWERED_ANSWER, lie, Operation.CERTIFICATES_QUERY))
    error = broken(world, await world.export(exchange, ANSWERING))
    assert (error.part, "its type is" in error.detail) == (ANSWER, True)


async def test_a_leaf_of_other_bytes_is_refused(world: World) -> None:
    exchange = Exchange(world)
    other = b"\x01" + hashlib.sha256(b"other").digest()
    exchange.records[1] = replace(exchange.records[1], leaf=other)
    error = broken(world, await world.export(exchange))
    assert (error.part, "leaf of record 42" in error.detail) == (INDEX, True)


@pytest.mark.parametrize("garbage", [b"{}", b"[]", b"[1,2]", b"[ ]", b'[{"kind":1},{"kind":2}]', b"\xff"])
async def test_malformed_records_are_refused(world: World, garbage: bytes) -> None:
    data = resealed(world, await world.export(Exchange(world)), lambda parts: parts.update({INDEX: garbage}))
    assert broken(world, data).part == INDEX


async def test_a_statement_that_is_missing_is_named(world: World) -> None:
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.pop("statements/000004.jwt")
    )
    assert broken(world, data).part == "statements/000004.jwt"
