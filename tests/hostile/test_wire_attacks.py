"""An enrolled peer asks for someone's papers in every wrong way: nothing is looked up, each attempt is noticed.

The attacks are those of simulators/attacks.py with a question in them that has a registry behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from aiohttp import web
from yrd.certificates.v1.certificates_pb2 import QueryRequest

from federation.errors import FederationError
from federation.peers import Peer
from federation.query import CertificateQuery, Operation, Request
from federation.rpc.convert import ProtobufCodec
from node.clock import SystemClock
from node.config import read_config
from simulators.forging import Forge, with_der_signature, with_flipped_byte, with_two_signatures
from simulators.peer import HostilePeer, hostile_peer
from simulators.population import Population
from simulators.registry import SHAPES, make_registry
from tests.support.federation import RunningNode, allow_all, make_anchor, make_node, running, serving_anchor
from tests.support.two_nodes import records_of
from trust.envelope import Sealed, parse, seal
from trust.keys import Signer, SigningKey

pytestmark = [
    pytest.mark.journey,
    pytest.mark.xdist_group("hostile-peer"),
    pytest.mark.asyncio(loop_scope="module"),
]

QUERY = Operation.CERTIFICATES_QUERY
POPULATION = Population()


@dataclass(frozen=True)
class Scene:
    """Zhejiang's node with its registry, and the peer that attacks it."""

    target: RunningNode
    peer: HostilePeer
    at: Peer
    looked_up: list[str] = field(default_factory=list)

    @property
    def forge(self) -> Forge:
        own = self.peer.node.config.node.entity_id
        ids = self.peer.node.asker.new_request_id
        third = "https://node.340000.example"
        return Forge(self.peer.key, own, self.at.entity_id, third, self.peer.clock.now, ids)

    async def send(self, envelope: bytes, method: Operation = QUERY) -> str:
        """The code of the refusal, signed or not; ``answered`` when there was none."""
        try:
            said = await self.peer.transport.exchange_unary(self.at, method, envelope, timeout_s=5)
        except FederationError as refused:
            return refused.code
        sealed = parse(said, max_bytes=1 << 22)
        answer = ProtobufCodec().decode_answer(sealed.payload_type, sealed.payload)
        return answer.header.refusal_code or "answered"

    async def counted(self, code: str) -> float:
        """How often the target counted this code."""
        async with self.target.http.get(f"http://{self.target.at.operations}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        figures = [line for line in lines if line.startswith("yrd_turned_away_total") and code in line]
        return sum(float(line.rpartition(" ")[2]) for line in figures)


def asking(forge: Forge, signer: Signer | None = None, **changes: object) -> Sealed:
    """A request for someone's papers with which everything is right, but for the changes."""
    holder = POPULATION.resident("330000", 0).citizen_number
    request = Request(forge.header(operation=QUERY, **changes), CertificateQuery("111", holder, ""))
    return seal(QUERY.request_type, ProtobufCodec().encode_request(request), signer or forge.signer)


def asked(forge: Forge, ago_s: float, life_s: float = 30) -> bytes:
    """A request of so many seconds ago; of the future when negative."""
    at = forge.now() - timedelta(seconds=ago_s)
    return asking(forge, asked_at=at, expires_at=at + timedelta(seconds=life_s)).envelope


def naming_another_operation(forge: Forge) -> bytes:
    """A header whose operation is not that of the payload type and of the method."""
    message = QueryRequest.FromString(asking(forge).payload)
    message.header.operation = Operation.CERTIFICATES_GET
    return seal(QUERY.request_type, message.SerializeToString(), forge.signer).envelope


ATTACKS: dict[str, tuple[str, Callable[[Forge], bytes]]] = {
    "malformed": ("peer.malformed", lambda forge: asking(forge).envelope[:-1]),
    "altered": ("peer.bad_signature", lambda forge: with_flipped_byte(asking(forge))),
    "two_signatures": ("peer.two_signatures", lambda forge: with_two_signatures(asking(forge))),
    "der_signature": ("peer.signature_form", lambda forge: with_der_signature(asking(forge))),
    "foreign_key": ("peer.foreign_key", lambda forge: asking(forge, SigningKey.generate()).envelope),
    "wrong_asker": ("peer.wrong_asker", lambda forge: asking(forge, asking=forge.third_entity).envelope),
    "wrong_audience": (
        "peer.wrong_audience",
        lambda forge: asking(forge, answering=forge.third_entity).envelope,
    ),
    "wrong_operation": ("peer.wrong_operation", naming_another_operation),
    "expired": ("peer.expired", lambda forge: asked(forge, 80, 10)),
    "stale": ("peer.stale", lambda forge: asked(forge, 660)),
    "from_future": ("peer.from_future", lambda forge: asked(forge, -660)),
    "unknown_critical": (
        "peer.unknown_critical",
        lambda forge: asking(forge, critical=("from_next_year",)).envelope,
    ),
    "unknown_type": (
        "peer.unsupported_type",
        lambda forge: seal(QUERY.request_type.replace("v1", "v9"), b"", forge.signer).envelope,
    ),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("wire")
    looked_up: list[str] = []

    @web.middleware
    async def note(request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        looked_up.append(request.path)
        return await handler(request)  # type: ignore[misc, no-any-return]

    async with AsyncExitStack() as stack:
        registry = make_registry("330000", POPULATION)
        registry.middlewares.append(note)
        runner = web.AppRunner(registry, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        section = folder / "registry.toml"
        section.write_text(
            SHAPES["330000"].registry_toml(f"http://127.0.0.1:{runner.addresses[0][1]}"), "utf-8"
        )
        public, _ = await make_anchor(folder / "anchor")
        honest = await make_node(public, folder / "honest", "330000", "--registry", str(section))
        hostile = await make_node(public, folder / "hostile", "990000", "--dialect", "310000")
        for path in (honest, hostile):
            allow_all(path.parent / "access.toml")
        await stack.enter_async_context(serving_anchor(folder / "anchor"))
        (target,) = await stack.enter_async_context(running(honest))
        peer = await stack.enter_async_context(hostile_peer(read_config(hostile), SystemClock()))
        await target.node.trust_sync.refresh_once()
        await peer.node.trust_sync.refresh_once()
        yield Scene(target, peer, peer.node.asker.peers().peer_in("330000"), looked_up)


@pytest.mark.parametrize("name", ATTACKS)
async def test_nothing_is_looked_up_and_the_attempt_is_counted_and_logged(scene: Scene, name: str) -> None:
    code, forged = ATTACKS[name]
    before = await scene.counted(code)
    looked_up, records = len(scene.looked_up), records_of(scene.target.config_path)
    with structlog.testing.capture_logs() as lines:
        assert await scene.send(forged(scene.forge)) == code
    assert await scene.counted(code) == before + 1
    assert [line["code"] for line in lines if line["event"] == "turned_away"] == [code]
    assert len(scene.looked_up) == looked_up
    assert records_of(scene.target.config_path) == records


async def test_a_request_on_another_method_is_not_looked_up(scene: Scene) -> None:
    looked_up = len(scene.looked_up)
    code = await scene.send(asking(scene.forge).envelope, Operation.SERVICES_SEARCH)
    assert code == "peer.wrong_operation"
    assert len(scene.looked_up) == looked_up


async def test_other_bytes_under_the_same_id_are_not_looked_up(scene: Scene) -> None:
    forge, looked_up = scene.forge, len(scene.looked_up)
    request_id = forge.new_id()
    first, other = (asking(forge, request_id=request_id, officer=who).envelope for who in ("one", "other"))
    assert await scene.send(first) == "answered"
    assert len(scene.looked_up) == looked_up + 1
    assert await scene.send(other) == "peer.replayed"
    assert await scene.send(first) == "answered"
    assert len(scene.looked_up) == looked_up + 1
