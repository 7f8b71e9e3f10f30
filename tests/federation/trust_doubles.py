"""A small federation: an anchor in a folder, nodes with keys, and a source that serves them or misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from federation.anchor import check_mark
from federation.errors import OwnStoreUnavailable
from federation.peers import Directory, TrustSnapshot
from federation.statements import (
    Denial,
    Fetched,
    StatementKind,
    StatementMissing,
    StatementUnavailable,
    StoredStatement,
)
from federation.trust_sync import RefreshReport, TrustSettings, TrustSync
from node.anchor import AnchorFolder, anchor_jwks, current_status, enroll, enrolment_request, init_anchor
from tests.support.clock import FixedClock
from trust.documents import ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, build_entity_configuration, statement_digest
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import NODE_TYPE, node_metadata

Found = TypeVar("Found")

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
        check_mark(self.rows.get(key), statement)
        self.rows[key] = statement

    async def drop_statement(self, statement: StoredStatement) -> None:
        self._require()
        key = (statement.iss, statement.sub, statement.kind)
        if (known := self.rows.get(key)) is not None and known.token == statement.token:
            del self.rows[key]

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

    `served` overrides what is at a URL: bytes, or None for a source that is away; `away` are hosts that are.
    `mirrors` are further places below which something serves the anchor's documents, by path.
    """

    def __init__(self, directory: Path, clock: FixedClock) -> None:
        self.clock = clock
        self.directory = directory
        self.folder: AnchorFolder = init_anchor(directory, ANCHOR, name="长三角锚", now=clock.now())
        self.served: dict[str, bytes | None] = {}
        self.away: set[str] = set()
        self.hanging: dict[str, Hanging] = {}
        self.mirrors: dict[str, Callable[[str], str | None]] = {}
        self.asked: list[str] = []
        self.not_modified = 0
        self.pinned = keys_from_jwks(anchor_jwks(directory))
        self.keys: dict[str, SigningKey] = {}
        self.envelope_keys: dict[str, SigningKey] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        """What a node tells of its log and of itself as a witness."""
        self.lists: dict[str, str] = {}
        """Where a node says that the list of its former keys is."""
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
            federation_keys=[self.keys[entity_id].verification_key],
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
            **self.notes.get(entity_id, {}),
        )
        if entity_id in self.lists:
            metadata[NODE_TYPE]["historical_keys_uri"] = self.lists[entity_id]
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

    def document(self, path: str) -> str | None:
        """What the anchor serves as a plain file."""
        files: dict[str, Callable[[], str]] = {
            WELL_KNOWN: self.folder.configuration,
            ROLL_OVERS_PATH: self.folder.roll_overs,
            STATUS_PATH: self.status,
        }
        if path in files:
            return files[path]()
        members = {statement_path(one.entity_id): one for one in self.folder.members().values()}
        return members[path].statement if path in members else None

    def _body(self, url: str) -> bytes | None:
        if url in self.served:
            return self.served[url]
        parts = urlsplit(url)
        entity_id = f"{parts.scheme}://{parts.netloc}"
        for base, mirror in self.mirrors.items():
            if url.startswith(base + "/"):
                return _encoded(url, mirror(url.removeprefix(base)))
        if entity_id in self.away:
            return None
        if entity_id == ANCHOR:
            return _encoded(url, self.document(parts.path))
        return _encoded(url, self.configuration(entity_id) if parts.path == WELL_KNOWN else None)

    def hang(self, entity_id: str) -> Hanging:
        """Let a host not answer for now."""
        return self.hanging.setdefault(entity_id, Hanging())

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        """See StatementSource."""
        self.asked.append(url)
        for host, hanging in self.hanging.items():
            if url.startswith(host + "/"):
                await hanging.wait()
        body = self._body(url)
        if body is None:
            raise StatementUnavailable(f"{url} is away")
        if len(body) > max_bytes:
            raise StatementUnavailable(f"{url} gives more than {max_bytes} bytes")
        tag = f'"{statement_digest(body.decode("ascii"))}"' if body.isascii() else ""
        if etag and etag == tag:
            self.not_modified += 1
            return Fetched(None, tag)
        return Fetched(body, tag)


def _encoded(url: str, text: str | None) -> bytes:
    if text is None:
        raise StatementMissing(f"{url} answers 404")
    return text.encode()


class Hanging:
    """A host that keeps whoever asks it waiting until `go_on` is set; `reached` when someone does."""

    def __init__(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    def during(self, work: Coroutine[Any, Any, Found]) -> asyncio.Task[Found]:
        """Let `work` run into it."""
        return asyncio.create_task(work)

    async def wait(self) -> None:
        """Keep the caller."""
        self.reached.set()
        await self.go_on.wait()


class Own:
    """Shanghai's view: a TrustSync with its directory and store."""

    def __init__(self, country: Country, store: MemoryTrustStore | None = None, **settings: Any) -> None:
        self.store = store or MemoryTrustStore()
        self.directory = Directory(TrustSnapshot(SHANGHAI, PROVINCES[SHANGHAI]))
        self.reports: list[RefreshReport] = []
        self.seen: asyncio.Queue[RefreshReport] = asyncio.Queue()
        self.settings = TrustSettings(
            own_entity=SHANGHAI,
            own_province=PROVINCES[SHANGHAI],
            anchor=ANCHOR,
            anchor_keys=country.pinned,
            **settings,
        )
        self.sync = TrustSync(
            self.settings,
            store=self.store,
            source=country,
            directory=self.directory,
            clock=country.clock,
            on_refresh=self._see,
        )

    def _see(self, report: RefreshReport) -> None:
        self.reports.append(report)
        self.seen.put_nowait(report)
