"""The asking side: one connection per peer, and on it one finite call per frame.

What callers want to send in one tick of the loop leaves as one frame (`link`). When a connection breaks,
what is still open is sent again until each item's own deadline: repeats are idempotent, the peer gives
the first answer.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError
from yrd.exchange.v1 import exchange_pb2 as wire

from federation.errors import PeerMalformed
from federation.peers import Peer
from federation.query import Operation
from federation.rpc.credentials import TlsMaterial, channel_credentials, channel_options
from federation.rpc.faults import broken_connection
from federation.rpc.limits import RpcLimits
from federation.rpc.link import Link, pause_s
from federation.rpc.methods import FETCH_ANSWER, unary_method

__all__ = ["GrpcPeerTransport"]

Result = TypeVar("Result")


class GrpcPeerTransport:
    """The `PeerTransport` over gRPC.

    `unary` sends every request as a unary call of its operation's method instead of in frames. A
    connection is made at the first use of a peer, and made anew when the peer's address or name, or this
    node's credentials, change; calls on the old one finish.
    """

    def __init__(self, material: TlsMaterial, limits: RpcLimits, *, unary: bool = False) -> None:
        self._credentials = channel_credentials(material)
        self._limits = limits
        self._unary = unary
        self._links: dict[str, Link] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def exchange(self, peer: Peer, operation: Operation, envelope: bytes, *, timeout_s: float) -> bytes:
        """Send a request envelope, return the answer envelope.

        Raises the peer's unsigned refusal as its class; PeerTimeout at the deadline; PeerUnreachable when
        there is no connection for `unreachable_after_s`; PeerTlsIdentity when the other side is not this
        peer (nothing was sent); OwnBusy when too many requests are open. A caller that is cancelled
        leaves its request to its fate: the peer may answer it, and a repeat is safe.
        """
        if self._unary:
            return await self.exchange_unary(peer, operation, envelope, timeout_s=timeout_s)
        return await self._link(peer).exchange(operation, envelope, timeout_s)

    async def exchange_unary(
        self, peer: Peer, operation: Operation, envelope: bytes, *, timeout_s: float
    ) -> bytes:
        """As `exchange`, by the unary method of the operation."""
        return await self._call(peer, unary_method(operation), envelope, timeout_s)

    async def fetch_answer(
        self, peer: Peer, request_identity: bytes, request_id: str, *, timeout_s: float
    ) -> bytes:
        """The finished answer to an earlier request. Raises PeerNoAnswer and the errors of `exchange`."""
        request = wire.FetchAnswerRequest(request_identity=request_identity, request_id=request_id)
        raw = await self._call(peer, FETCH_ANSWER, request.SerializeToString(), timeout_s)
        try:
            return wire.FetchAnswerResponse.FromString(raw).envelope
        except DecodeError:
            raise PeerMalformed("the peer's bytes are not an answer to fetch") from None

    def replace_credentials(self, material: TlsMaterial) -> None:
        """Make every connection anew with these; open calls finish on the old ones."""
        self._credentials = channel_credentials(material)
        for link in list(self._links.values()):
            self._replace(link, link.peer)

    async def close(self) -> None:
        """End all connections. Open requests get PeerUnreachable."""
        links, self._links = self._links, {}
        await asyncio.gather(*(link.close(0) for link in links.values()), *self._closing)

    def _link(self, peer: Peer) -> Link:
        link = self._links.get(peer.entity_id)
        if link is not None and link.leads_to(peer):
            return link
        if link is not None:
            return self._replace(link, peer)
        return self._connect(peer)

    def _connect(self, peer: Peer) -> Link:
        channel = grpc.aio.secure_channel(
            peer.grpc_target, self._credentials, options=channel_options(peer, self._limits)
        )
        link = self._links[peer.entity_id] = Link(peer, channel, self._limits)
        return link

    def _replace(self, link: Link, peer: Peer) -> Link:
        successor = self._connect(peer)
        link.replace_with(successor)
        drain_s = max(self._limits.drain_s, self._limits.deadline_s)  # no call is open for longer than this
        task = asyncio.get_running_loop().create_task(link.close(drain_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return successor

    async def _call(self, peer: Peer, method: str, message: bytes, timeout_s: float) -> bytes:
        """One unary call, again when the connection breaks, until the deadline."""
        loop = asyncio.get_running_loop()
        deadline, attempt = loop.time() + timeout_s, 0
        while True:
            link = self._link(peer)
            remaining_s = deadline - loop.time()
            try:
                answer: bytes = await link.unary(method)(message, timeout=max(remaining_s, 0.001))
            except grpc.aio.AioRpcError as error:
                if not broken_connection(error):
                    raise link.explain(error) from None
                link.note_broken(error)
                await asyncio.sleep(pause_s(attempt))
                attempt += 1
            else:
                link.note_alive()
                return answer
