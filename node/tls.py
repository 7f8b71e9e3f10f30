"""Which TLS key and X.509 chain this node shows now, and which CAs it trusts: followed, never fixed at start.

- A chain is a row, by the key it was issued for, so what one replica received every other one shows too.
- The active TLS key is shown as soon as it has a chain. A published one that has a chain becomes the active one:
  a renewal that was cut off after its chain was stored is completed by whoever looks next.
- `enrolled.json` is where the first chain comes from, and one that an operator fetched by hand: its chain becomes
  a row when it is for a key of this node and newer than the row.
- The trusted CAs are those that the anchor's verified configuration names, all of them, both as a server and as a
  client, so that one can follow another. Only when it names none are they the ones of the enrolment. Nothing
  that comes with a chain is ever trusted for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import structlog

from federation.peers import Directory
from federation.ports import Clock
from federation.rpc.credentials import TlsMaterial
from node.enrolled import Enrolled, EnrolmentFile, EnrolmentUnusable
from node.keystore import Keystore, KeystoreError, Purpose
from node.store.keys import KeyRow, KeyState
from node.store.tls import TlsRow, TlsRows
from trust.errors import TrustError
from trust.x509 import read_leaf, verify_issued_by

__all__ = ["TlsRing", "TlsShown", "tls_row"]

_log = structlog.get_logger("yrd.tls")


@dataclass(frozen=True, slots=True)
class TlsShown:
    """The chain that is shown, as it lies in the store, and everything that a handshake needs."""

    row: TlsRow
    material: TlsMaterial

    @property
    def is_trusted(self) -> bool:
        """Whether one of the CAs that are trusted now issued the chain."""
        try:
            verify_issued_by(self.row.chain_pem.encode(), self.material.ca_pem)
        except TrustError:
            return False
        return True


def tls_row(chain_pem: str, ca_pem: str, now: datetime) -> TlsRow:
    """The row of a chain that was received now. Raises TlsIdentityRejected."""
    leaf = read_leaf(chain_pem.encode())
    return TlsRow(leaf.kid, chain_pem, ca_pem, leaf.not_before, leaf.not_after, now)


class TlsRing:
    """Follows keys, chains and CAs. `shown` is whole at every moment and may be read by any thread."""

    def __init__(
        self, keystore: Keystore, rows: TlsRows, enrolment: EnrolmentFile, directory: Directory, clock: Clock
    ) -> None:
        self._keystore = keystore
        self._rows = rows
        self._enrolment = enrolment
        self._directory = directory
        self._clock = clock
        self._shown: TlsShown | None = None
        self._listeners: list[Callable[[TlsMaterial], None]] = []
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(
        cls, keystore: Keystore, rows: TlsRows, enrolment: EnrolmentFile, directory: Directory, clock: Clock
    ) -> Self:
        """A ring that has something to show. Raises EnrolmentUnusable, KeystoreError, OwnStoreUnavailable."""
        ring = cls(keystore, rows, enrolment, directory, clock)
        await ring.reload()
        return ring

    @property
    def shown(self) -> TlsShown:
        """What is shown now."""
        if self._shown is None:
            raise RuntimeError("a ring is opened before it is asked")
        return self._shown

    def material(self) -> TlsMaterial:
        """What a handshake that begins now shows, and whom it trusts."""
        return self.shown.material

    def not_after(self) -> datetime:
        """When the TLS certificate that is shown ends."""
        return self.shown.row.not_after

    def on_change(self, tell: Callable[[TlsMaterial], None]) -> None:
        """Have `tell` called, in the loop, whenever there is something else to show."""
        self._listeners.append(tell)

    async def reload(self) -> datetime:
        """Read enrolled.json, also when it did not change, and follow; when the chain that is shown ends.

        Raises EnrolmentUnusable, with what was shown still in force.
        """
        async with self._one_at_a_time:
            await self._take(await asyncio.to_thread(self._enrolment.read))
            await self._follow()
        return self.not_after()

    async def refresh(self) -> None:
        """Follow keys, rows, CAs, and enrolled.json when it changed. Raises OwnStoreUnavailable.

        When there is nothing that can be shown, what was shown stays. A repeat is safe, here or in a replica.
        """
        async with self._one_at_a_time:
            try:
                enrolled = await asyncio.to_thread(self._enrolment.read_if_changed)
                if enrolled is not None:
                    await self._take(enrolled)
                await self._follow()
            except (EnrolmentUnusable, KeystoreError) as error:
                _log.warning("tls.not_followed", why=str(error))

    async def store(self, row: TlsRow) -> None:
        """Keep a chain that was received, and show it. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            await self._rows.add(row)
            await self._follow()

    # --- what is followed -----------------------------------------------------------------------------------

    async def _take(self, enrolled: Enrolled) -> None:
        """Make a row of the chain in enrolled.json, when it is for a key of this node."""
        row = tls_row(enrolled.tls_chain_pem, enrolled.tls_ca_pem, self._clock.now())
        if row.kid in self._keys() and await self._rows.add(row):
            _log.info("tls.chain_taken", source="enrolled.json", until=row.not_after.isoformat())

    async def _follow(self) -> None:
        rows = await self._rows.load()
        await self._activate_what_has_a_chain(rows)
        row = self._choose(rows)
        key = self._keystore.tls_key(row.kid)
        ca_pem = "".join(self._directory.current.tls_ca_pem) or row.ca_pem
        shown = TlsShown(row, TlsMaterial(ca_pem.encode(), row.chain_pem.encode(), key.to_pem()))
        before, self._shown = self._shown, shown
        if before is not None and before.material != shown.material:
            _log.info("tls.replaced", kid=row.kid, until=row.not_after.isoformat())
            for tell in self._listeners:
                tell(shown.material)

    async def _activate_what_has_a_chain(self, rows: Mapping[str, TlsRow]) -> None:
        now = self._clock.now()
        for key in self._keys().values():
            row = rows.get(key.kid)
            if key.state is KeyState.PUBLISHED and row is not None and row.not_after > now:
                try:
                    await self._keystore.activate(key.kid)
                except KeystoreError:  # another replica was quicker
                    await self._keystore.reload()

    def _choose(self, rows: Mapping[str, TlsRow]) -> TlsRow:
        """The chain of the active key; while that has none, of the newest key before it. Raises EnrolmentUnusable."""
        keys = [key for key in self._keys().values() if key.state in (KeyState.ACTIVE, KeyState.PASSIVE)]
        keys.sort(key=lambda key: (key.state is KeyState.ACTIVE, key.generation), reverse=True)
        for key in keys:
            if key.kid in rows:
                return rows[key.kid]
        raise EnrolmentUnusable(
            "TLS 证书不是为本节点的密钥签发的，请用 enrolment.json 重新入网",
            "the TLS certificate is not for this node's key: enrol again with its enrolment.json",
        )

    def _keys(self) -> Mapping[str, KeyRow]:
        """This node's TLS keys that are not history, by id."""
        return {
            row.kid: row
            for row in self._keystore.describe()
            if row.purpose == Purpose.TLS and row.state is not KeyState.RETIRED
        }
