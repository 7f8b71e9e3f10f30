"""A small federation: an anchor in a folder, nodes with keys, and a source that serves them or misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from federation.errors import OwnStoreUnavailable
from federation.peers import Directory, TrustSnapshot
from federation.statements import Denial, Fetched, StatementKind, StatementUnavailable, StoredStatement
from federation.trust_sync import RefreshReport, TrustSettings, TrustSync
from node.anchor import AnchorFolder, anchor_jwks, enroll, enrolment_request, init_anchor
from node.anchor.office import current_status
from tests.support.clock import FixedClock
from trust.entity import WELL_KNOWN, build_entity_configuration, statement_digest
from trust.errors import StatementRolledBack
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import node_metadata

ANCHOR = "https://anchor.example"
SHANGHAI, ZHEJIANG, ANHUI = "https://node.sh.example", "https://node.zj.example", "https://node.ah.example"
PROVINCES = {SHANGHAI: "310000", ZHEJIANG: "330000", ANHUI: "340000"}


class MemoryTrustStore:
    """`TrustStore` in a dict; `away` makes every method fail."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, StatementKind], StoredStatement] = {}
        self.denials: dict[str, Denial] = {}
        self.away = False

    def _require(self) -> None:
        if self.away:
            raise OwnStoreUnavailable("the store is away")

    async def load_statements(self) -> Sequence[StoredStatement]:
        self._require()
        return list(self.rows.values())

    async def save_statement(self, statement: StoredStatement) -> None:
        self._require()
        key = (statement.iss, statement.sub, statement.kind)
        if key in self.rows and self.rows[key].mark > statement.mark:
            raise StatementRolledBack("the stored mark is higher")
        self.rows[key] = statement

    async def load_denials(self) -> Sequence[Denial]:
        self._require()
        return list(self.denials.values())

    async def deny(self, denial: Denial) -> None:
        self._require()
        self.denials[denial.entity_id] = denial

    async def allow(self, entity_id: str) -> None:
        self._require()
        self.denials.pop(entity_id, None)


class Country:
    """The anchor and three nodes; it is also the `StatementSource` that serves all of them.

    `served` overrides what is at a URL: bytes, or None for a source that is away.
    """

    def __init__(self, directory: Path, clock: FixedClock) -> None:
        self.clock = clock
        self.directory = directory
        self.folder: AnchorFolder = init_anchor(directory, ANCHOR, name="长三角锚", now=clock.now())
        self.served: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self.not_modified = 0
        self.keys: dict[str, SigningKey] = {}
        self.envelope_keys: dict[str, SigningKey] = {}
        for entity_id in PROVINCES:
            self.enroll(entity_id)

    def enroll(self, entity_id: str) -> None:
        """Enrol with new federation and envelope keys."""
        self.keys[entity_id], self.envelope_keys[entity_id] = SigningKey.generate(), SigningKey.generate()
        request = enrolment_request(
            entity_id=entity_id,
            province=PROVINCES[entity_id],
            name=entity_id[8:],
            grpc_endpoint=entity_id[8:] + ":443",
            federation_key=self.keys[entity_id].verification_key,
            tls_key=SigningKey.generate(),
        )
        enroll(self.directory, request, now=self.clock.now())

    def configuration(self, entity_id: str) -> str:
        """What a node says about itself now."""
        metadata = node_metadata(
            entity_id=entity_id,
            province=PROVINCES[entity_id],
            name=entity_id[8:],
            grpc_endpoint=entity_id[8:] + ":443",
            envelope_keys=[self.envelope_keys[entity_id].verification_key],
        )
        return build_entity_configuration(
            entity_id=entity_id,
            signer=self.keys[entity_id],
            metadata=metadata,
            now=self.clock.now(),
            authority_hints=[ANCHOR],
        )

    def statement(self, entity_id: str) -> str:
        """The anchor's current statement about a node."""
        return self.folder.members()[entity_id].statement

    def status(self) -> str:
        """A new status."""
        return current_status(self.folder, self.folder.members().values(), now=self.clock.now())

    def _body(self, url: str) -> bytes | None:
        if url in self.served:
            return self.served[url]
        parts = urlsplit(url)
        entity_id = f"{parts.scheme}://{parts.netloc}"
        if entity_id != ANCHOR:
            return self.configuration(entity_id).encode() if parts.path == WELL_KNOWN else None
        bodies = {WELL_KNOWN: self.folder.configuration, "/federation/status": self.status}
        if parts.path in bodies:
            return bodies[parts.path]().encode()
        return self.statement(parse_qs(parts.query)["sub"][0]).encode()

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        """See StatementSource."""
        self.asked.append(url)
        body = self._body(url)
        if body is None:
            raise StatementUnavailable(f"{url} is away")
        if len(body) > max_bytes:
            raise StatementUnavailable(f"{url} gives more than {max_bytes} bytes")
        tag = statement_digest(body.decode("latin-1")) if body.isascii() else ""
        if etag and etag == tag:
            self.not_modified += 1
            return Fetched(None, tag)
        return Fetched(body, tag)


class Own:
    """Shanghai's view: a TrustSync with its directory and store."""

    def __init__(self, country: Country, store: MemoryTrustStore | None = None) -> None:
        self.store = store or MemoryTrustStore()
        self.directory = Directory(TrustSnapshot(SHANGHAI, PROVINCES[SHANGHAI]))
        self.reports: list[RefreshReport] = []
        self.seen: asyncio.Queue[RefreshReport] = asyncio.Queue()
        self.sync = TrustSync(
            TrustSettings(
                own_entity=SHANGHAI,
                own_province=PROVINCES[SHANGHAI],
                anchor=ANCHOR,
                anchor_keys=keys_from_jwks(anchor_jwks(country.directory)),
            ),
            store=self.store,
            source=country,
            directory=self.directory,
            clock=country.clock,
            on_refresh=self._see,
        )

    def _see(self, report: RefreshReport) -> None:
        self.reports.append(report)
        self.seen.put_nowait(report)
