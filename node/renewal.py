"""The node's next TLS certificate, which it fetches by itself well before the last one ends (design §5).

One renewal, in this order:

 1. a TLS key that nobody has seen: the published one, or a new one
 2. the request for it, signed with the federation key, to the anchor
 3. the chain that comes back is for this entity and this key, of now, and issued by a CA that is trusted already;
    an answer never adds one
 4. the chain becomes a row; with that the key is the active one (`node.tls`), in every replica, and the key before
    it stays for the connections that were made with it

A renewal that fails leaves everything as it was, and is tried again, ever more slowly; or when the anchor says, for a
few times in a row. Of several replicas one tries at a time; should two try at once, both get a chain for the same key,
and nothing is lost.

A key whose request an operator carries to a CA that is offline is left to the operator for as long as the CA takes the
request, unless the chain that is shown would end before. Only the replica that made the request knows that; should
another one ask for the same key, it is one key with two chains, and the later of them is shown.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from federation.errors import FederationError
from federation.ports import Clock
from node.connectors.renewal import RenewalRefused
from node.health import Reason
from node.keystore import Keystore, KeystoreError, Purpose
from node.store.keys import KeyRow, KeyState
from node.store.tls import TlsRow
from node.tls import TlsRing, tls_row
from trust.errors import TrustError
from trust.renewal import build_renewal_request
from trust.x509 import create_csr, read_leaf, verify_issued_by

__all__ = [
    "RenewalDesk",
    "RenewalFailed",
    "RenewalParties",
    "TlsRenewal",
    "renew_at",
    "tls_probe",
    "untrusted_warner",
]

_log = structlog.get_logger("yrd.tls")

_AT_LIFE = 2 / 3
_JITTER_LIFE = 1 / 24
_TURN_S = 120
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 3600.0
_SKEW = timedelta(seconds=60)
_LEAST_RETRY_S, _PROMPT_RETRIES = 1.0, 3
_CARRIED_FOR = timedelta(days=7)

Claim = Callable[[str, datetime], Awaitable[bool]]
"""(turn, until): True for the first replica that asks for this turn."""


class RenewalDesk(Protocol):
    """Where a request goes."""

    async def renew(self, request: str) -> str:
        """The chain that was issued, in PEM, unverified. Raises RenewalRefused."""
        ...


class RenewalFailed(Exception):
    """There is no new TLS certificate; the one before is still shown. `zh` and `en` say why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class RenewalParties:
    """Who asks whom."""

    entity_id: str
    anchor: str


def renew_at(row: TlsRow, entity_id: str) -> datetime:
    """When a chain is due: at two thirds of its life, and for each entity a little later by a share of its own, so
    that a federation that was enrolled in one hour does not come back in one hour.
    """
    share = int.from_bytes(hashlib.sha256(entity_id.encode()).digest()[:4], "big") / 2**32
    return row.not_before + (row.not_after - row.not_before) * (_AT_LIFE + share * _JITTER_LIFE)


class TlsRenewal:
    """Renews when it is due, or when it is told to."""

    def __init__(
        self,
        who: RenewalParties,
        *,
        ring: TlsRing,
        keystore: Keystore,
        desk: RenewalDesk,
        claim: Claim,
        clock: Clock,
        note: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """`note` is told ``renewed`` or ``failed`` for each attempt."""
        self._who = who
        self._ring = ring
        self._keystore = keystore
        self._desk = desk
        self._claim = claim
        self._clock = clock
        self._note = note
        self._failures = 0
        self._not_before: datetime | None = None
        self._told_at: datetime | None = None
        self._carried: tuple[str, datetime] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the chain that is shown is old or by a CA that is not trusted any more, or a new key waits for its
        own: an operator rotated it, or an attempt was cut off. Never while an operator carries the request for it.
        """
        shown = self._ring.shown
        if self._is_carried():
            return False
        is_old = self._clock.now() >= renew_at(shown.row, self._who.entity_id)
        return is_old or not shown.is_trusted or self._waiting() is not None

    async def renew_once(self) -> bool:
        """Renew when it is due and nobody else is at it; whether there is a new chain.

        A failure is logged and counted, and the next attempts come ever more slowly. Raises OwnStoreUnavailable.
        """
        now, told_at = self._clock.now(), self._told_at
        not_before = told_at or self._not_before
        if not self.is_due or (not_before is not None and now < not_before):
            return False
        if told_at is None and not await self._is_our_turn(now):
            return False
        if not await self._is_still_due():
            return False
        try:
            until = await self.renew_now()
        except RenewalFailed as error:
            self._failures += 1
            pause_s = min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S)
            self._not_before = now + timedelta(seconds=pause_s)
            _log.warning(
                "tls.not_renewed",
                why=error.en,
                until=self._ring.not_after().isoformat(),
                again_in_s=((self._told_at or self._not_before) - now).total_seconds(),
            )
            return False
        self._failures, self._not_before = 0, None
        _log.info("tls.renewed", until=until.isoformat())
        return True

    async def renew_now(self) -> datetime:
        """Renew, due or not; until when the new chain is good.

        Raises RenewalFailed, OwnStoreUnavailable; then everything is as before, but for a published key that the
        next attempt takes. Cancelled: the same. A repeat is safe.
        """
        self._told_at = self._carried = None
        try:
            kid, request = await self._request()
            row = self._checked(await self._desk.renew(request), kid)
            await self._ring.store(row)
        except (RenewalRefused, TrustError, KeystoreError) as error:
            self._note("failed")
            self._told_at = self._return_at(error)
            raise RenewalFailed(
                f"TLS 证书未能更新，现有证书至 {self._ring.not_after().isoformat()} 有效",
                f"the TLS certificate was not renewed: {error}; the one before is good until "
                f"{self._ring.not_after().isoformat()}",
            ) from error
        except FederationError:
            self._note("failed")
            raise
        self._note("renewed")
        return row.not_after

    async def request(self) -> str:
        """The signed request for the next TLS certificate, for a CA that is offline; its operator takes it for some
        days. The chain that comes of it is for `take`. Raises RenewalFailed, OwnStoreUnavailable.
        """
        try:
            kid, request = await self._request()
            self._carried = kid, self._clock.now() + _CARRIED_FOR
            return request
        except (TrustError, KeystoreError) as error:
            raise RenewalFailed("无法生成申请", f"the request cannot be made: {error}") from error

    async def take(self, chain_pem: str) -> datetime:
        """Use a chain that was brought here by hand, if it is for a key of this node; until when it is good.

        Raises RenewalFailed with nothing changed, OwnStoreUnavailable. A repeat is safe.
        """
        try:
            kid = read_leaf(chain_pem.encode()).kid
            if all(key.kid != kid or key.state is KeyState.RETIRED for key in self._keys()):
                raise RenewalRefused(f"{kid} is no TLS key of this node that is in use or waits")
            row = self._checked(chain_pem, kid)
        except (RenewalRefused, TrustError, KeystoreError, UnicodeEncodeError) as error:
            raise RenewalFailed("TLS 证书未被采用", f"the TLS certificate is not taken: {error}") from error
        await self._ring.store(row)
        return self._ring.not_after()

    def _return_at(self, error: Exception) -> datetime | None:
        """When the anchor wants to be asked again, where it said so: within bounds, and not for ever."""
        if not isinstance(error, RenewalRefused) or error.retry_after_s is None:
            return None
        if self._failures >= _PROMPT_RETRIES:
            return None
        pause_s = min(max(error.retry_after_s, _LEAST_RETRY_S), _LONGEST_PAUSE_S)
        return self._clock.now() + timedelta(seconds=pause_s)

    def _is_carried(self) -> bool:
        """Whether the key that waits is on its way to a CA that is offline, and there is time for that."""
        if self._carried is None:
            return False
        kid, until = self._carried
        shown = self._ring.shown
        has_time = self._clock.now() < until < shown.row.not_after and shown.is_trusted
        return has_time and self._waiting() == kid

    async def _is_our_turn(self, now: datetime) -> bool:
        """One replica tries in each span of time; the others find its chain with their next look."""
        turn = int(now.timestamp()) // _TURN_S
        until = now + timedelta(seconds=2 * _TURN_S)
        return await self._claim(f"{self._ring.shown.row.kid}/{turn}", until)

    async def _is_still_due(self) -> bool:
        """Whether nobody else has renewed since this replica last looked."""
        await self._keystore.reload()
        await self._ring.refresh()
        return self.is_due

    async def _next_key(self) -> str:  # 1
        await self._keystore.reload()
        return self._waiting() or (await self._keystore.generate(Purpose.TLS, activate=False)).kid

    def _waiting(self) -> str | None:
        """The youngest published key: one that cannot be opened here asks for nothing, and holds nothing up."""
        faults = self._keystore.faults
        waiting = (row for row in reversed(self._keys()) if row.state is KeyState.PUBLISHED)
        return next((row.kid for row in waiting if row.kid not in faults), None)

    def _keys(self) -> list[KeyRow]:
        """This node's TLS keys, oldest first."""
        return [row for row in self._keystore.describe() if row.purpose == Purpose.TLS]

    async def _request(self) -> tuple[str, str]:
        """The id of the key that is asked for, and the request."""
        kid, who, now = await self._next_key(), self._who, self._clock.now()
        request = await asyncio.to_thread(  # the key may be in a token that takes its time
            build_renewal_request,  # 2
            entity_id=who.entity_id,
            anchor=who.anchor,
            csr_pem=create_csr(self._keystore.tls_key(kid), who.entity_id),
            signer=self._keystore.signing_key(Purpose.FEDERATION),
            now=now,
        )
        return kid, request

    def _checked(self, chain_pem: str, kid: str) -> TlsRow:  # 3
        """The row of a chain from outside. Raises RenewalRefused, TlsIdentityRejected."""
        chain, ca_pem, now = chain_pem.encode(), self._ring.material().ca_pem, self._clock.now()
        leaf = read_leaf(chain)
        if leaf.entity_id != self._who.entity_id:
            raise RenewalRefused(f"the anchor gave a TLS certificate for {leaf.entity_id}")
        if leaf.kid != kid:
            raise RenewalRefused("the anchor gave a TLS certificate for another key")
        if leaf.not_before > now + _SKEW or leaf.not_after <= now:
            raise RenewalRefused(
                f"the anchor gave a TLS certificate from {leaf.not_before.isoformat()} to "
                f"{leaf.not_after.isoformat()}; own clock {now.isoformat()}"
            )
        verify_issued_by(chain, ca_pem)
        return tls_row(chain_pem, ca_pem.decode(), now)


def untrusted_warner(ring: TlsRing) -> Callable[[], Sequence[Reason]]:
    """Warns when the CA of the chain that is shown is not trusted now: peers that follow the anchor refuse it."""

    def look() -> list[Reason]:
        if ring.shown.is_trusted:
            return []
        return [
            Reason(
                "tls_untrusted",
                "本节点的 TLS 证书不是由现行 CA 签发的",
                "this node's TLS certificate is by a CA that the anchor does not name any more",
            )
        ]

    return look


def tls_probe(ring: TlsRing, clock: Clock) -> Callable[[], Reason | None]:
    """Unready when the TLS certificate has expired: no peer takes it any more."""

    def probe() -> Reason | None:
        if clock.now() < ring.not_after():
            return None
        until = ring.not_after().isoformat()
        return Reason("tls_expired", f"TLS 证书已于 {until} 过期", f"the TLS certificate expired at {until}")

    return probe
