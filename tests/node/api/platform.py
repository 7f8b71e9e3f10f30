"""Shanghai's platform API on a real socket, with Zhejiang behind it in memory and the store in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from federation.errors import OwnNotFound
from federation.exchange import DialectHolder, ExchangeLimits
from node.api.access_tokens import AccessTokens, OpenIdKeys
from node.api.app import CLIENTS, platform_app
from node.api.client_directory import ClientDirectory
from node.api.deps import PlatformDeps, PlatformSettings
from node.api.ports import Asker
from node.store.clients import ClientRows
from node.store.database import Database, open_database
from node.store.idempotency import IdempotencyRows
from node.store.replay import ReplayRows
from node.store.secret_checks import SecretChecks
from tests.support.clock import FixedClock
from tests.support.exchange import HOLDER, Node, make_country
from trust.keys import SigningKey

__all__ = ["BASIS", "ISSUER", "ITEM_CODE", "Platform", "open_platform"]

ISSUER = "http://platform.test"
ITEM_CODE = "11330102MB1234562U4010100100000"
BASIS = {
    "kind": "official_duty",
    "service_item_name": "出生一件事",
    "service_item_code": ITEM_CODE,
    "case_number": "C-1",
    "purpose": "核验",
}


class MemoryExporter:
    """Evidence files in memory: the ids of the records, so that a test can tell them apart."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def export(self, request_id: str) -> bytes:
        records = await self._node.journal.find_records(request_id)
        if not records:
            raise OwnNotFound("no such exchange")
        return b"PK" + b"".join(record.identity for record in records)


@dataclass
class Platform:
    """A running platform API and all that a test may want to turn."""

    http: aiohttp.ClientSession
    url: str
    own: Node
    peer: Node
    clock: FixedClock
    clients: ClientRows
    key: SigningKey
    tokens: AccessTokens
    database: Database
    directory: ClientDirectory
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def token(self, client: str = "portal", *scope: str) -> dict[str, str]:
        """The header that this client sends."""
        return {"Authorization": f"Bearer {self.tokens.issue(client, frozenset(scope or ('*',)))}"}

    def query(self, **changes: Any) -> dict[str, Any]:
        """A certificates/query that is answered."""
        id_type = self.own.registry.dialect.code_to_local("holder_id_type", "111").value
        body = {"province": "330000", "holder": {"id_type": id_type, "id": HOLDER}, "basis": BASIS}
        return {**body, "officer": "officer-7", **changes}

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers and body; with a token of the portal unless `headers` are given."""
        sent = self.token() if headers is None else headers
        async with self.http.request(method, self.url + path, headers=sent, **options) as response:
            is_json = response.content_type.endswith("json")
            body = await response.json(content_type=None) if is_json else await response.read()
            return response.status, response.headers, body


@asynccontextmanager
async def open_platform(
    directory: Path, *, limits: ExchangeLimits | None = None, asker: Asker | None = None, **settings: Any
) -> AsyncIterator[Platform]:
    clock = FixedClock()
    own, peer = make_country("310000", "330000", clock=clock, limits=limits)
    database = open_database(f"sqlite:///{directory / 'node.db'}")
    clients = ClientRows(database, clock)
    key = SigningKey.generate()
    keys = OpenIdKeys(lambda: key, lambda: {key.kid: key.verification_key})
    seconds = [0.0]
    await clients.add_with_keys("portal", "门户", ["*"], {"keys": [dict(key.verification_key.jwk)]})
    await clients.add_with_keys("narrow", "窄", ["services.search"], {"keys": []})
    deps = PlatformDeps(
        settings=PlatformSettings(ISSUER, client_poll_s=3600, **settings),
        asker=asker or own.asker,
        records=own.journal,
        evidence=MemoryExporter(own),
        dialect=DialectHolder(own.registry.dialect),
        clients=clients,
        secrets=SecretChecks(clients.find),
        idempotency=IdempotencyRows(database, clock),
        replays=ReplayRows(database, clock),
        keys=keys,
        clock=clock,
        now_s=lambda: seconds[0],
    )
    app = platform_app(deps)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        yield Platform(
            http,
            url,
            own,
            peer,
            clock,
            clients,
            key,
            AccessTokens(ISSUER, keys, clock),
            database,
            app[CLIENTS],
            seconds,
        )
    await runner.cleanup()
    await database.close()
