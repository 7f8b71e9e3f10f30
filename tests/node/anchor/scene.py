"""An anchor that serves on loopback, entities that serve what they say about themselves, and a node that looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from federation.peers import Directory, TrustSnapshot
from federation.trust_sync import TrustSettings, TrustSync
from node.anchor import (
    AnchorFolder,
    Member,
    MemberWatch,
    anchor_app,
    anchor_jwks,
    enroll,
    enrolment_request,
    plain_request,
)
from node.connectors.statements import HttpStatementSource
from node.web.federation import add_entity_configuration
from tests.federation.trust_doubles import MemoryTrustStore
from tests.support.clock import FixedClock
from trust.entity import build_entity_configuration
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import node_metadata

__all__ = ["LOOKING", "Entity", "Looking", "PortFactory", "Served", "city", "request"]

PortFactory = Callable[[], int]
LOOKING = "https://node.sh.example"
"""The node that looks; it is no member, so that it has no configuration of its own to fetch."""


@dataclass
class Entity:
    """Something that serves a configuration; its parts can be changed while it serves."""

    entity_id: str
    superior: str
    clock: FixedClock
    metadata: dict[str, Any]
    signer: SigningKey = field(default_factory=SigningKey.generate)
    published: Sequence[SigningKey] = ()
    answer: str = ""
    """What it serves instead, when not empty."""

    def configuration(self) -> str:
        return self.answer or build_entity_configuration(
            entity_id=self.entity_id,
            signer=self.signer,
            metadata=self.metadata,
            now=self.clock.now(),
            authority_hints=[self.superior],
            published=[key.verification_key for key in self.published],
        )


@dataclass
class Served:
    """A running anchor, or an authority below one."""

    url: str
    directory: Path
    clock: FixedClock
    http: aiohttp.ClientSession
    runners: list[web.AppRunner]

    @property
    def folder(self) -> AnchorFolder:
        return AnchorFolder(self.directory)

    def member(self, entity_id: str) -> Member:
        return self.folder.members()[entity_id]

    async def serve(self, app: web.Application, port: int) -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        self.runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", port).start()

    async def serve_itself(self) -> None:
        await self.serve(anchor_app(self.directory, self.clock), int(self.url.rpartition(":")[2]))

    async def text(self, path: str) -> str:
        async with self.http.get(self.url + path) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def error(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.url + path) as response:
            return response.status, (await response.json())["error"]

    def enroll(self, entity_id: str, province: str, key: SigningKey) -> str:
        request = enrolment_request(
            entity_id=entity_id,
            province=province,
            name=province,
            grpc_endpoint="127.0.0.1:" + province[:4],
            federation_keys=[key.verification_key],
            tls_key=SigningKey.generate(),
        )
        statement: str = enroll(self.directory, request, now=self.clock.now())["statement"]
        return statement

    async def node(self, port: int, province: str = "330000") -> Entity:
        """A node that serves and that the anchor has taken in."""
        entity_id = f"http://127.0.0.1:{port}"
        metadata = node_metadata(
            entity_id=entity_id,
            province=province,
            name=province,
            grpc_endpoint="127.0.0.1:" + province[:4],
            envelope_keys=[SigningKey.generate().verification_key],
        )
        entity = await self.entity(port, metadata)
        self.enroll(entity_id, province, entity.signer)
        return entity

    async def entity(self, port: int, metadata: dict[str, Any]) -> Entity:
        """Something that serves a configuration that names this anchor; it is not taken in."""
        entity = Entity(f"http://127.0.0.1:{port}", self.url, self.clock, metadata)
        app = web.Application()
        add_entity_configuration(app, entity.configuration)
        await self.serve(app, port)
        return entity

    def watch(self) -> MemberWatch:
        source = HttpStatementSource(self.http, allow_http_on_loopback=True)
        return MemberWatch(self.folder, source, self.clock)


class Looking:
    """A node's picture of the federation, from what is served and what it has stored."""

    def __init__(self, anchor: Served, store: MemoryTrustStore | None = None) -> None:
        self.store = store or MemoryTrustStore()
        self.directory = Directory(TrustSnapshot(LOOKING, "310000"))
        self.sync = TrustSync(
            TrustSettings(
                own_entity=LOOKING,
                own_province="310000",
                anchor=anchor.url,
                anchor_keys=keys_from_jwks(anchor_jwks(anchor.directory)),
                allow_http_on_loopback=True,
            ),
            store=self.store,
            source=HttpStatementSource(anchor.http, allow_http_on_loopback=True),
            directory=self.directory,
            clock=anchor.clock,
        )

    async def refresh(self) -> dict[str, str]:
        """Look; what was not believed, by entity id."""
        return dict((await self.sync.refresh_once()).problems)

    @property
    def standings(self) -> dict[str, str]:
        return {entity_id: peer.standing for entity_id, peer in self.directory.current.peers.items()}


def request(entity: Entity, types: Sequence[str] = ("openid_provider",), **changes: Any) -> dict[str, Any]:
    """What an authority takes a city in by."""
    wanted = plain_request(
        entity_id=entity.entity_id,
        name="杭州市",
        federation_keys=[entity.signer.verification_key],
        entity_types=types,
    )
    return {**wanted, **changes}


async def city(authority: Served, port: int, **metadata: Any) -> Entity:
    """A city that serves and names the authority; it is not taken in."""
    own = {
        "openid_provider": {
            "issuer": f"http://127.0.0.1:{port}",
            "client_registration_types_supported": ["automatic"],
        }
    }
    return await authority.entity(port, {**own, **metadata})
