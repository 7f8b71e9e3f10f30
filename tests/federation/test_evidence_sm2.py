"""Evidence that was signed with SM2: it holds offline, what is altered does not, and who has no SM2 is told so."""

from __future__ import annotations

import pytest

from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import ANSWERING, ASKING, Exchange, World, only, resealed
from tests.support.sm2 import without_sm2
from tests.trust.federation import bend
from trust.container import answer_part, read_container, request_part, write_container
from trust.errors import AlgorithmUnavailable, EvidenceBroken
from trust.keys import SigningKey, jwks_of
from trust.tokens import read_token

REQUEST, ANSWER = request_part(1), answer_part(1)


def world_of(**algorithms: str) -> World:
    """A world whose two nodes sign with these."""
    world = World()
    for entity, alg in {ASKING: algorithms["asking"], ANSWERING: algorithms["answering"]}.items():
        world.envelope_keys[entity] = SigningKey.generate(alg)
    world.publish(NOON)
    return world


@pytest.fixture(params=[("SM2", "SM2"), ("SM2", "ES256"), ("ES256", "SM2")], ids="-asks-".join)
def world(request: pytest.FixtureRequest) -> World:
    asking, answering = request.param
    return world_of(asking=asking, answering=answering)


@pytest.mark.parametrize("exported_by", [ASKING, ANSWERING])
async def test_it_holds_from_the_anchors_key_alone(world: World, exported_by: str) -> None:
    exchange = Exchange(world, exported_by=exported_by)
    report = only(await world.export(exchange, exported_by), world.anchor_jwks)
    assert (report.outcome, report.exported_by.entity_id) == ("answered", exported_by)


@pytest.mark.parametrize("part", [REQUEST, ANSWER])
async def test_an_altered_signature_does_not_hold(part: str) -> None:
    world = world_of(asking="SM2", answering="SM2")
    exchange = Exchange(world)

    def alter(parts: dict[str, bytes]) -> None:
        at = (
            parts[part].rindex(world.envelope_keys[ASKING if part == REQUEST else ANSWERING].kid.encode())
            - 10
        )
        parts[part] = parts[part][:at] + bytes([parts[part][at] ^ 1]) + parts[part][at + 1 :]

    data = resealed(world, await world.export(exchange), alter)
    with pytest.raises(EvidenceBroken, match="SM2 signature does not verify") as broken:
        only(data, world.anchor_jwks)
    assert broken.value.part == part


async def test_who_has_no_sm2_is_told_so_and_not_that_it_does_not_hold(world: World) -> None:
    data = await world.export(Exchange(world))
    with without_sm2(), pytest.raises(AlgorithmUnavailable, match="SM2 needs OpenSSL 3"):
        only(data, world.anchor_jwks)


async def test_a_left_out_key_that_signed_nothing_here_is_no_matter() -> None:
    """Zhejiang has an SM2 key to come; what it signed with ES256 can be checked everywhere."""
    world = World()
    place = (ANSWERING, ANSWERING, StatementKind.CONFIGURATION)
    metadata = read_token(world.statements[place]).claims["metadata"]
    keys = [world.envelope_keys[ANSWERING].verification_key, SigningKey.generate("SM2").verification_key]
    node = metadata["yrd_node"] | {"envelope_jwks": jwks_of(keys)}
    world.statements[place] = bend(
        world.statements[place], world.federation_keys[ANSWERING], metadata=metadata | {"yrd_node": node}
    )
    data = await world.export(Exchange(world))
    with without_sm2():
        assert only(data, world.anchor_jwks).outcome == "answered"


async def test_a_broken_file_is_broken_without_sm2_too(world: World) -> None:
    parts = read_container(await world.export(Exchange(world)))
    del parts[REQUEST]
    with without_sm2(), pytest.raises(EvidenceBroken, match="not there"):
        only(write_container(parts), world.anchor_jwks)
