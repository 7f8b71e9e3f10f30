"""What an attacker on the federation's trust has: a node's stolen keys, copies of signed documents, and a web server.

Nothing of what is refused is made by the code under test, except with a real member's keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web

from federation.rpc.credentials import TlsMaterial
from node.clock import SystemClock
from node.config import Config, read_config
from node.enrolled import read_enrolled
from node.keystore.configured import opened_keystore
from node.store.database import open_database
from trust.documents import FETCH_PATH, ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, build_entity_configuration
from trust.keys import Signer
from trust.profile import node_metadata

__all__ = ["Documents", "StolenKeys", "copy_of_anchor", "serving", "stolen_from"]

_CONFIGURATION = "application/entity-statement+jwt"


@dataclass(frozen=True, slots=True)
class StolenKeys:
    """Every key of an enrolled node, and its configuration file."""

    config: Config
    federation: Signer
    envelope: Signer
    tls: TlsMaterial

    def configuration(self, now: datetime, signer: Signer | None = None, **said: Any) -> str:
        """An entity configuration of this node, with `said` of its facts (see `node_metadata`) otherwise.

        `openid_provider` is what its OpenID provider says besides, or otherwise.
        """
        node = self.config.node
        provider = said.pop("openid_provider", {})
        facts = {
            "entity_id": node.entity_id,
            "province": node.province,
            "name": node.name,
            "grpc_endpoint": str(self.config.grpc_target),
        } | said
        metadata = node_metadata(**facts, envelope_keys=[self.envelope.verification_key])
        metadata["openid_provider"] |= provider
        return build_entity_configuration(
            entity_id=facts["entity_id"],
            signer=signer or self.federation,
            metadata=metadata,
            now=now,
            authority_hints=[self.config.trust.anchor],
        )


async def stolen_from(config_path: Path) -> StolenKeys:
    """The keys that lie in a node's store."""
    config = await asyncio.to_thread(read_config, config_path)
    enrolled = read_enrolled(
        config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, SystemClock()) as keystore:
            tls = TlsMaterial(
                enrolled.tls_ca_pem.encode(),
                enrolled.tls_chain_pem.encode(),
                keystore.tls_key().to_pem(),
            )
            return StolenKeys(
                config, keystore.signing_key("federation"), keystore.signing_key("envelope"), tls
            )
    finally:
        await database.close()


@dataclass
class Documents:
    """What a web server gives out, by path with query: media type and bytes. Anything else is 404."""

    by_path: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put_configuration(self, token: str) -> None:
        """Serve this as the entity configuration."""
        self.by_path[WELL_KNOWN] = (_CONFIGURATION, token.encode("ascii"))

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        self.asked.append(request.path_qs)
        found = self.by_path.get(request.path_qs)
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found[1], content_type=found[0])


@asynccontextmanager
async def serving(documents: Documents, url: str) -> AsyncIterator[None]:
    """Give these out at an address that is free, as whoever is at home there would."""
    app = web.Application()
    app.router.add_get("/{path:.*}", documents.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", urlsplit(url).port or 80).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def copy_of_anchor(anchor: str, subjects: Iterable[str]) -> Documents:
    """All that an anchor serves now, as a mirror or an eavesdropper would keep it."""
    copy = Documents()
    paths = [WELL_KNOWN, STATUS_PATH, ROLL_OVERS_PATH]
    for subject in subjects:
        paths += [statement_path(subject), f"{FETCH_PATH}?{urlencode({'sub': subject})}"]
    async with aiohttp.ClientSession() as http:
        for path in paths:
            async with http.get(anchor + path) as answer:
                if answer.status == 200:
                    copy.by_path[path] = (answer.content_type, await answer.read())
    return copy
