"""A hostile peer: a node that the anchor took in, with real keys and a real TLS certificate, that misbehaves.

Everything around the misbehaviour is an honest node's: its folder is made by `yrd init`, it publishes its entity
configuration, and follows the federation's trust. So what is shown is the other side's refusal, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from federation.errors import FederationError, code_of
from federation.peers import Peer
from federation.ports import Clock
from federation.query import Operation
from federation.request_ids import RequestIds
from federation.rpc.callers import CallerCheck
from federation.rpc.client import GrpcPeerTransport
from federation.rpc.convert import ProtobufCodec
from federation.rpc.credentials import TlsMaterial
from federation.rpc.limits import RpcLimits
from federation.rpc.server import PeerServer
from node.compose import Node, compose
from node.config import Config
from node.enrolled import read_enrolled
from node.keystore.configured import opened_keystore
from node.store.database import open_database
from simulators.attacks import Attack, Shot
from simulators.forging import Forge
from simulators.lies import Liar, Lie
from trust.envelope import parse
from trust.keys import Signer

__all__ = ["HostilePeer", "TargetUnawareError", "hostile_peer"]

_AT_ONCE = 400
_TIMEOUT_S = 5.0
_PAUSE_S = 0.25
_MOST_BYTES = 4 * 1024 * 1024
_GENEROUS = RpcLimits(message_out_bytes=16 * 1024 * 1024)


class TargetUnawareError(Exception):
    """The target has not heard of this peer yet, or cannot be reached; the last code it gave is the message."""


@dataclass(frozen=True, slots=True)
class HostilePeer:
    """The peer, ready to misbehave."""

    node: Node
    clock: Clock
    key: Signer
    material: TlsMaterial
    transport: GrpcPeerTransport

    async def attack(self, attack: Attack, province: str, *, wait_s: float = 90.0) -> Counter[str]:
        """The codes that came back, by how often; only the last shot's. `answered` when it was not refused.

        Raises TargetUnawareError when the target does not take even an honest request within `wait_s`.
        """
        target = await self._find(province)
        forge = self._forge(target)
        await self._await_welcome(target, forge, wait_s)
        codes: Counter[str] = Counter()
        for shot in attack.shots(forge):
            codes = await self._fire(target, shot)
        return codes

    async def _find(self, province: str) -> Peer:
        await self.node.trust_sync.refresh_once()
        return self.node.asker.peers().peer_in(province)

    def _forge(self, target: Peer) -> Forge:
        own = self.node.config.node.entity_id
        others = [entity for entity in self.node.asker.peers().peers if entity != target.entity_id]
        ids = RequestIds(self.clock)
        third = others[0] if others else "https://node.example"
        return Forge(self.key, own, target.entity_id, third, self.clock.now, ids.new)

    async def _await_welcome(self, target: Peer, forge: Forge, wait_s: float) -> None:
        """Until the target takes an honest request of this peer: it may not have fetched its keys yet."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            code = await self._send(target, Shot(forge.sealed().envelope))
            if not code.startswith(("peer.", "trust.")):
                return
            if loop.time() > until:
                raise TargetUnawareError(code)
            await asyncio.sleep(_PAUSE_S)

    async def _fire(self, target: Peer, shot: Shot) -> Counter[str]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def once() -> str:
            async with gate:
                return await self._send(target, shot)

        return Counter(await asyncio.gather(*(once() for _ in range(shot.times))))

    async def _send(self, target: Peer, shot: Shot) -> str:
        """The code of the refusal, signed or not; ``answered`` when there was none."""
        try:
            if shot.method is None:
                said = await self.transport.exchange(
                    target, Operation.NODE_STATE, shot.envelope, timeout_s=_TIMEOUT_S
                )
            else:
                said = await self.transport.exchange_unary(
                    target, shot.method, shot.envelope, timeout_s=_TIMEOUT_S
                )
        except FederationError as refused:
            return code_of(refused)
        sealed = parse(said, max_bytes=_MOST_BYTES)
        answer = ProtobufCodec().decode_answer(sealed.payload_type, sealed.payload)
        return answer.header.refusal_code or "answered"

    @asynccontextmanager
    async def lying(self, lie: Lie) -> AsyncIterator[int]:
        """Answer everybody with this lie while inside; gives the gRPC port."""
        liar = Liar(lie, self.key, self.clock.now)
        server = PeerServer(liar, CallerCheck(self.clock, _welcome), lambda: self.material, _GENEROUS)
        port = await server.start(str(self.node.config.listen.grpc))
        await server.set_serving(True)
        try:
            yield port
        finally:
            await server.stop(0)


def _welcome(entity_id: str) -> None:
    """Everybody may call."""


@asynccontextmanager
async def hostile_peer(config: Config, clock: Clock) -> AsyncIterator[HostilePeer]:
    """The peer of an enrolled node's folder; it publishes its configuration while inside.

    Raises what `node.compose.compose` raises, and OSError when its public port is taken.
    """
    async with compose(config, clock) as node:
        runner = web.AppRunner(node.public, access_log=None)
        await runner.setup()
        following = asyncio.create_task(node.trust_sync.run(config.trust.refresh_s))
        key, material = await _own_keys(config, clock)
        transport = GrpcPeerTransport(material, _GENEROUS)
        try:
            await web.TCPSite(runner, config.listen.public.host, config.listen.public.port).start()
            yield HostilePeer(node, clock, key, material, transport)
        finally:
            await transport.close()
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await runner.cleanup()


async def _own_keys(config: Config, clock: Clock) -> tuple[Signer, TlsMaterial]:
    enrolled = read_enrolled(
        config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock) as keystore:
            tls = keystore.tls_key().to_pem()
            material = TlsMaterial(enrolled.tls_ca_pem.encode(), enrolled.tls_chain_pem.encode(), tls)
            return keystore.signing_key("envelope"), material
    finally:
        await database.close()
