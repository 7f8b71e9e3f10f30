"""A CA, an anchor's desk that checks requests as the anchor does, and a node's store to renew in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from federation.peers import Directory, TrustSnapshot
from node.connectors.renewal import RenewalRefused
from node.enrolled import EnrolmentFile
from node.keystore import KeyEncryptionKey, Keystore, Purpose
from node.renewal import RenewalParties, TlsRenewal
from node.store.database import Database
from node.store.replay import ReplayRows
from node.store.tls import TlsRows
from node.tls import TlsRing
from tests.support.clock import NOON, FixedClock
from trust.errors import TrustError
from trust.keys import SigningKey, VerificationKey
from trust.renewal import read_renewal_request
from trust.x509 import create_csr, issue_from_csr, make_ca

ENTITY, ANCHOR, OTHER = "https://node.zj.example", "https://anchor.example", "https://node.ah.example"
WRAPPING = KeyEncryptionKey(bytes(32))


class Authority:
    """A CA."""

    def __init__(self, name: str = "yrd", at: datetime = NOON) -> None:
        self.key = SigningKey.generate()
        self.pem = make_ca(self.key, name, at)

    def issue(self, csr: bytes, now: datetime, *, entity_id: str = ENTITY, days: int = 90) -> str:
        """A chain for a request."""
        return issue_from_csr(csr, self.pem, self.key, entity_id, now, days=days).decode()

    def chain(self, key: SigningKey, now: datetime, *, entity_id: str = ENTITY, days: int = 90) -> str:
        """A chain for a key."""
        return self.issue(create_csr(key, entity_id), now, entity_id=entity_id, days=days)


@dataclass
class Desk:
    """The anchor's desk. `fault` is raised instead, `answer` given instead."""

    authority: Authority
    clock: FixedClock
    keys: dict[str, Mapping[str, VerificationKey]] = field(default_factory=dict)
    fault: Exception | None = None
    answer: str = ""
    asked: int = 0

    async def renew(self, request: str) -> str:
        """See RenewalDesk."""
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        try:
            read = read_renewal_request(request, anchor=ANCHOR, now=self.clock.now(), keys_of=self.keys.get)
        except TrustError as error:
            raise RenewalRefused(error.detail) from error
        return self.answer or self.authority.issue(read.csr_pem, self.clock.now())


@dataclass
class Replica:
    """One process of the node."""

    keystore: Keystore
    ring: TlsRing
    renewal: TlsRenewal
    directory: Directory
    outcomes: list[str]

    def trust(self, *authorities: Authority) -> None:
        """The anchor's configuration, as refreshed, names these CAs."""
        pems = tuple(authority.pem.decode() for authority in authorities)
        self.directory.swap(TrustSnapshot(ENTITY, "330000", tls_ca_pem=pems))

    async def look(self) -> None:
        """What the background does at each poll."""
        await self.keystore.reload()
        await self.ring.refresh()


@dataclass
class World:
    """A node's store and folder, its anchor, and a clock."""

    database: Database
    folder: Path
    clock: FixedClock
    authority: Authority
    desk: Desk

    @property
    def enrolled(self) -> Path:
        """What the anchor gave at enrolment."""
        return self.folder / "enrolled.json"

    def write_enrolled(self, chain: str, *, ca: Authority | None = None) -> None:
        """The bundle with this chain."""
        bundle = {
            "entity_id": ENTITY,
            "anchor": ANCHOR,
            "statement": "a.b.c",
            "anchor_jwks": {"keys": []},
            "tls_chain_pem": chain,
            "tls_ca_pem": (ca or self.authority).pem.decode(),
        }
        self.enrolled.write_text(json.dumps(bundle), encoding="utf-8")

    async def replica(self) -> Replica:
        """One more process of this node."""
        keystore = await Keystore.open(self.database, WRAPPING, self.clock)
        directory = Directory(TrustSnapshot(ENTITY, "330000"))
        enrolment = EnrolmentFile(self.enrolled, entity_id=ENTITY, anchor=ANCHOR)
        ring = await TlsRing.open(keystore, TlsRows(self.database), enrolment, directory, self.clock)
        replays, outcomes = ReplayRows(self.database, self.clock), list[str]()

        async def claim(turn: str, until: datetime) -> bool:
            return await replays.use_once("tls-renewal", turn, until)

        renewal = TlsRenewal(
            RenewalParties(ENTITY, ANCHOR),
            ring=ring,
            keystore=keystore,
            desk=self.desk,
            claim=claim,
            clock=self.clock,
            note=outcomes.append,
        )
        return Replica(keystore, ring, renewal, directory, outcomes)


async def make_world(database: Database, folder: Path) -> World:
    """A node that was enrolled now."""
    clock, authority = FixedClock(), Authority()
    keystore = await Keystore.open(database, WRAPPING, clock)
    await keystore.generate(Purpose.TLS)
    await keystore.generate(Purpose.FEDERATION)
    desk = Desk(authority, clock, {ENTITY: keystore.verification_keys(Purpose.FEDERATION)})
    world = World(database, folder, clock, authority, desk)
    world.write_enrolled(authority.chain(keystore.tls_key(), clock.now()))
    return world
