"""What an operator does with the node's keys: look at them, rotate one, retire one (`yrd keys`).

The same whether it comes through a running node's control socket or straight to the store: all that happens are
rows, which every replica follows within its poll.

A new key is published before it is used. How long before, and what else it waits for, depends on who must know it:

 - envelope: peers take the node's configuration every minute, so `publish_s`; sooner only by force
 - federation: the anchor must vouch for it first; then `publish_s`, for peers to see that
 - TLS: the anchor's CA must issue X.509 for it first; then at once
 - openid, log, witness: nobody but the node's own replicas must know it before, so two polls suffice
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from federation.ports import Clock
from federation.statements import StatementKind, TrustStore
from node.config import Config
from node.control import CommandRefused, Handler
from node.keystore import ALGORITHMS_FOR, Keystore, KeystoreError, Purpose
from node.store.database import Database
from node.store.keys import KeyRow, KeyState
from node.store.trust import TrustRows
from trust.entity import read_statement
from trust.errors import KeyRejected, TrustError

__all__ = ["KeySteering", "check_reason", "key_steering", "vouched_by_anchor"]

_LATEST_PUBLISH_S = 30 * 86400.0
_MOST_REASON = 200
_TIMES = ("created_at", "activates_at", "activated_at", "retires_at", "retired_at")


def vouched_by_anchor(
    store: TrustStore, *, entity_id: str, anchor: str
) -> Callable[[str, str], Awaitable[bool]]:
    """Whether the newest statement of the anchor about this node, as verified and stored, lists a key."""

    async def is_vouched(_purpose: str, kid: str) -> bool:
        for stored in await store.load_statements():
            key = stored.iss, stored.sub, stored.kind
            if key == (anchor, entity_id, StatementKind.SUBORDINATE):
                try:
                    return kid in read_statement(stored.token, allow_http_on_loopback=True).keys
                except TrustError:
                    return False
        return False

    return is_vouched


@dataclass(frozen=True, slots=True)
class KeySteering:
    """The commands on keys. `replicas_learn_s` is how long until every replica has seen a change."""

    keystore: Keystore
    clock: Clock
    may_activate: Callable[[str, str], Awaitable[bool]]
    replicas_learn_s: float

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {"keys.list": self.list_keys, "keys.rotate": self.rotate, "keys.retire": self.retire}

    async def advance(self) -> None:
        """Follow what other replicas did, and write what has become due. Raises OwnStoreUnavailable."""
        await self.keystore.advance(self.may_activate)

    async def list_keys(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Every key, by purpose and generation, as it is now."""
        await self.advance()
        return {"keys": [self._told(row) for row in self.keystore.describe()]}

    async def rotate(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the next key of a `purpose`. The result says what it waits for and when the one before ends.

        `alg` is the one before's without. `publish_s` or `now`: when to use it; `force`: sooner than is safe.
        """
        purpose = _purpose(arguments)
        await self.advance()
        old = self._active(purpose)
        alg = _algorithm(arguments, purpose, old)
        waits_for = _waits_for(purpose)
        in_s = self._in_s(arguments, purpose, is_first=old is None)
        now = self.clock.now()
        with _explained():
            new = await self.keystore.generate(
                purpose,
                alg=alg,
                activate=in_s == 0,
                activates_at=None if in_s is None else now + timedelta(seconds=in_s),
                alone=True,
            )
        return self._plan(new.kid, old, waits_for if in_s is None else "")

    async def retire(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have nobody take the key `kid` any more, from now on, for a `reason`.

        The active one only with a successor: one that is published already, or with `replace` a new one.
        """
        kid, reason = str(arguments.get("kid", "")), check_reason(arguments.get("reason", ""))
        await self.advance()
        row = self._row(kid)
        successor = ""
        if row.state is KeyState.ACTIVE:
            successor = await self._successor(row, arguments)
        with _explained():
            await self.keystore.retire(kid, reason, successor=successor)
        return {"retired": self._told(self._row(kid)), "successor": successor}

    # --- when a new key is used -----------------------------------------------------------------------------

    def _in_s(self, arguments: Mapping[str, Any], purpose: str, *, is_first: bool) -> float | None:
        """In how many seconds the new key is used; None: when what it waits for is there."""
        forced = bool(arguments.get("force"))
        asked = 0.0 if arguments.get("now") else arguments.get("publish_s")
        if _waits_for(purpose):
            if asked is None:
                return None
            if purpose == Purpose.FEDERATION and forced:
                return _seconds(asked)
            raise _too_soon(purpose, *_WAITING[purpose])
        if is_first:
            return 0.0
        least = self.keystore.plan.publish_s if purpose == Purpose.ENVELOPE else self.replicas_learn_s
        if asked is None:
            return max(self.keystore.plan.publish_s, least)
        if arguments.get("now") and purpose != Purpose.ENVELOPE:
            return least
        if _seconds(asked) < least and not forced:
            raise _too_soon(
                purpose,
                f"须先公布至少 {least:g} 秒，让{_WHO[purpose][0]}知道新密钥；--force 可不等待",
                f"{_WHO[purpose][1]} must learn the new key first, which takes {least:g} s; --force does not wait",
            )
        return _seconds(asked)

    async def _successor(self, row: KeyRow, arguments: Mapping[str, Any]) -> str:
        """The key that takes over from an active one that is retired now."""
        if row.purpose == Purpose.TLS:
            raise CommandRefused(
                "keys.only_one",
                "正在使用的 TLS 密钥不能立即停用：先 yrd keys rotate tls，新证书到达后再停用旧密钥",
                "the active TLS key cannot be retired, since without X.509 no other one can stand in: yrd keys "
                "rotate tls, and retire this one when the new one is active",
            )
        if row.purpose == Purpose.FEDERATION and not arguments.get("force"):
            waiting = self._waiting(row.purpose)
            if waiting is None or not await self.may_activate(row.purpose, waiting):
                raise CommandRefused("keys.not_vouched", _VOUCH_ZH, _VOUCH_EN)
        if waiting := self._waiting(row.purpose):
            return waiting
        if not arguments.get("replace"):
            raise CommandRefused(
                "keys.only_one",
                f"{row.kid} 是唯一在用的 {row.purpose} 密钥：加 --replace 立即换用新密钥",
                f"{row.kid} is the only active {row.purpose} key: with --replace a new one takes over at once",
            )
        with _explained():
            return (await self.keystore.generate(row.purpose, alg=row.alg, activate=False, alone=True)).kid

    # --- what is there --------------------------------------------------------------------------------------

    def _plan(self, kid: str, old: KeyRow | None, waits_for: str) -> Mapping[str, Any]:
        new = self._row(kid)
        used_at = new.activated_at or new.activates_at
        ends_at = used_at + timedelta(seconds=self.keystore.plan.overlap_s) if old and used_at else None
        return {
            "new": self._told(new),
            "old": None if old is None else self._told(old),
            "waits_for": waits_for,
            "used_at": _iso(used_at),
            "old_ends_at": _iso(ends_at),
            "publish_s": self.keystore.plan.publish_s,
            "overlap_s": self.keystore.plan.overlap_s,
        }

    def _active(self, purpose: str) -> KeyRow | None:
        rows = [row for row in self.keystore.describe() if row.purpose == purpose]
        return next((row for row in rows if row.state is KeyState.ACTIVE), None)

    def _waiting(self, purpose: str) -> str | None:
        """A published key that could take over: one that cannot be opened here signs nothing."""
        faults = self.keystore.faults
        rows = [row for row in self.keystore.describe() if row.purpose == purpose and row.kid not in faults]
        return next((row.kid for row in rows if row.state is KeyState.PUBLISHED), None)

    def _row(self, kid: str) -> KeyRow:
        for row in self.keystore.describe():
            if row.kid == kid:
                return row
        raise CommandRefused("keys.unknown", f"没有密钥 {kid}", f"there is no key {kid} in this node's store")

    def _told(self, row: KeyRow) -> Mapping[str, Any]:
        return {
            "purpose": row.purpose,
            "kid": row.kid,
            "alg": row.alg,
            "state": row.state.value,
            "generation": row.generation,
            "backend": row.backend,
            **{name: _iso(getattr(row, name)) for name in _TIMES},
            "reason": row.retired_reason,
            "waits_for": _waits_for(row.purpose) if _is_waiting(row) else "",
            "fault": self.keystore.faults.get(row.kid, ""),
        }


_WHO: Mapping[str, tuple[str, str]] = {
    Purpose.ENVELOPE: ("对端节点", "peers"),
    Purpose.OPENID: ("各副本", "all replicas"),
    Purpose.DPOP: ("各副本", "all replicas"),
    Purpose.CONSENT: ("对端节点", "peers"),
    Purpose.LOG: ("各副本", "all replicas"),
    Purpose.WITNESS: ("各副本", "all replicas"),
}

_VOUCH_ZH = "锚须先在声明中列入新密钥；--force 不等待，锚更新之前对端只用已有的配置"
_VOUCH_EN = (
    "the anchor must list the new key in its statement first; --force does not wait, and until the anchor does, peers "
    "go on with the configuration that they have"
)
_X509_EN = "a TLS key is used as soon as the anchor's CA has issued X.509 for it; no time can be set"
_WAITING: Mapping[str, tuple[str, str]] = {
    Purpose.FEDERATION: (_VOUCH_ZH, _VOUCH_EN),
    Purpose.TLS: ("新 TLS 密钥在锚签发证书之后自动启用，不能指定时间", _X509_EN),
}


def check_reason(reason: object) -> str:
    """Why a key is taken back, as it is published. Raises CommandRefused when there is none, or a long one."""
    text = str(reason).strip()
    if not text or len(text) > _MOST_REASON:
        raise CommandRefused(
            "keys.reason", "须说明原因（至多 200 字）", f"say why, in at most {_MOST_REASON} characters"
        )
    return text


def _waits_for(purpose: str) -> str:
    return {Purpose.FEDERATION: "anchor", Purpose.TLS: "x509"}.get(Purpose(purpose), "")


def _is_waiting(row: KeyRow) -> bool:
    return row.state is KeyState.PUBLISHED and row.activates_at is None


def _purpose(arguments: Mapping[str, Any]) -> str:
    purpose = arguments.get("purpose")
    if not isinstance(purpose, str) or purpose not in ALGORITHMS_FOR:
        known = ", ".join(ALGORITHMS_FOR)
        raise CommandRefused(
            "keys.purpose", f"没有这种用途；可用：{known}", f"no such purpose; known: {known}"
        )
    return purpose


def _algorithm(arguments: Mapping[str, Any], purpose: str, old: KeyRow | None) -> str:
    allowed = ALGORITHMS_FOR[purpose]
    alg = arguments.get("alg") or (old.alg if old else allowed[0])
    if alg not in allowed:
        said = ", ".join(allowed)
        raise CommandRefused(
            "keys.alg", f"{purpose} 密钥的算法只可为 {said}", f"a {purpose} key is one of: {said}; not {alg}"
        )
    return str(alg)


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LATEST_PUBLISH_S:
        raise CommandRefused(
            "keys.publish_s",
            "公布时间须为 0 至 2592000 秒",
            f"publish_s is a number of seconds, 0 to {_LATEST_PUBLISH_S:.0f}",
        )
    return float(value)


def _too_soon(purpose: str, zh: str, en: str) -> CommandRefused:
    return CommandRefused("keys.too_soon", f"{purpose} 密钥不能这样启用：{zh}", f"{purpose}: {en}")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


@contextmanager
def _explained() -> Iterator[None]:
    """What the keystore refuses, in words for the operator."""
    try:
        yield
    except (KeystoreError, KeyRejected) as error:
        said = error.detail if isinstance(error, KeyRejected) else str(error)
        raise CommandRefused("keys.refused", "密钥操作未执行", said) from None


def key_steering(config: Config, database: Database, keystore: Keystore, clock: Clock) -> KeySteering:
    """The commands on the keys of a configured node."""
    vouched = vouched_by_anchor(
        TrustRows(database), entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    sole_process = database.dialect == "sqlite"
    return KeySteering(keystore, clock, vouched, 0.0 if sole_process else 2 * config.keys.poll_s)
