"""What an operator can have a running node do, command by command (`node.control` carries them).

Access rules and the dialect are files of this process: a reload reads them again and swaps the snapshot
whole, or, when they have faults, tells all of them and leaves the old one in force. Denials are rows:
every replica follows them with its next refresh.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from federation.access import AccessFaults, AccessHolder, AccessPolicy, parse_access
from federation.exchange import DialectHolder
from federation.peers import Directory
from federation.ports import Clock
from federation.translation_counts import TranslationCounts
from federation.trust_sync import RefreshReport, TrustSync
from mapping.codelists import code_lists
from mapping.coverage import coverage_faults, coverage_of
from mapping.errors import RuleSetFaults
from mapping.translate import Dialect, load_dialect
from node.config import Config
from node.control import CommandRefused, Handler
from node.health import Health
from node.metrics import Metrics, node_version
from node.translation_view import translation_view
from trust.errors import TrustError
from trust.identity import check_entity_id

__all__ = ["Steering", "checked_dialect", "read_access", "read_dialect"]


def read_access(config: Config) -> AccessPolicy:
    """The access rules that the configuration names. Raises AccessFaults, OSError."""
    try:
        text = config.access.policy.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandRefused("access.faults", "规则文件不是 UTF-8", "the rules are not UTF-8") from None
    return parse_access(text)


def read_dialect(config: Config) -> Dialect:
    """The dialect that the configuration names. Raises RuleSetFaults, OSError."""
    dialect = load_dialect(config.dialect.province, config.dialect.directory)
    if dialect.province != config.dialect.province:
        said = f"dialect.toml: province is {dialect.province}, [dialect] of this node says {config.dialect.province}"
        raise RuleSetFaults([said])
    return dialect


def checked_dialect(config: Config, on: date) -> Dialect:
    """The dialect, when `yrd map check` finds no fault with it on that day. Raises RuleSetFaults, OSError."""
    dialect = read_dialect(config)
    faults = coverage_faults(coverage_of(dialect.rules, code_lists(), on))
    if faults:
        raise RuleSetFaults(faults)
    return dialect


@dataclass(frozen=True, slots=True)
class Steering:
    """The commands, over the parts of a node that they touch."""

    config: Config
    directory: Directory
    trust_sync: TrustSync
    access: AccessHolder
    dialect: DialectHolder
    health: Health
    metrics: Metrics
    translations: TranslationCounts
    clock: Clock
    tls_not_after: Callable[[], datetime]
    own_log: Callable[[], Mapping[str, Any]] = dict

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {
            "status": self.status,
            "trust.show": self.show_trust,
            "trust.refresh": self.refresh_trust,
            "trust.deny": self.deny,
            "trust.allow": self.allow,
            "reload.access": self.reload_access,
            "reload.maps": self.reload_maps,
        }

    async def status(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Everything that an operator looks at first."""
        snapshot = self.directory.current
        reasons = self.health.reasons()
        return {
            "name": self.config.node.name,
            "province": self.config.node.province,
            "entity_id": self.config.node.entity_id,
            "version": node_version(),
            "pid": os.getpid(),
            "stage": self.health.stage.value,
            "ready": not reasons,
            "reasons": [{"code": r.code, "zh": r.zh, "en": r.en} for r in reasons],
            "warnings": [{"code": w.code, "zh": w.zh, "en": w.en} for w in self.health.warnings()],
            "trust": {
                "sequence": snapshot.sequence,
                "refreshed_at": snapshot.refreshed_at.isoformat() if snapshot.refreshed_at else None,
                "peers": [
                    {
                        "entity_id": peer.entity_id,
                        "province": peer.province,
                        "standing": peer.standing,
                        "grpc_target": peer.grpc_target,
                        "expires_at": peer.expires_at.isoformat(),
                    }
                    for peer in snapshot.peers.values()
                ],
            },
            "tls_not_after": self.tls_not_after().isoformat(),
            "access": {"version": self.access.current.version, "digest": self.access.current.digest.hex()},
            "dialect": self._dialect(),
            "log": self.own_log(),
            "in_flight": dict(self.metrics.in_flight),
            "outcomes": self.metrics.exchanges_by_outcome(),
        }

    def _dialect(self) -> Mapping[str, Any]:
        """The rule set in force, and what was translated since this process started."""
        view = translation_view(self.dialect, self.translations, self.clock.now())
        return {
            **_named(self.dialect.current),
            "since": view.since.isoformat() if view.since else None,
            "translations": view.totals,
            "unmapped_codes": len(view.codes),
        }

    async def show_trust(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tree of trust: `federation.trust_picture.TrustPicture` as JSON."""
        picture: Mapping[str, Any] = msgspec.to_builtins(self.trust_sync.picture())
        return picture

    async def refresh_trust(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fetch the federation's statements now."""
        return _report(await self.trust_sync.refresh_once())

    async def deny(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop dealing with an entity at once, whatever the anchor says."""
        entity_id = self._entity(arguments)
        return _report(await self.trust_sync.deny(entity_id, str(arguments.get("reason", ""))[:500]))

    async def allow(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take a denial back."""
        return _report(await self.trust_sync.allow(self._entity(arguments)))

    def _entity(self, arguments: Mapping[str, Any]) -> str:
        entity_id = arguments.get("entity_id")
        try:
            checked = check_entity_id(
                str(entity_id), allow_http_on_loopback=self.config.node.allow_http_on_loopback
            )
        except TrustError as error:
            raise CommandRefused("control.entity", "不是实体标识", error.detail) from None
        if checked == self.config.node.entity_id:
            raise CommandRefused("control.entity", "这是本节点自己", "that is this node itself")
        return checked

    async def reload_access(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read the access rules again; with faults the old ones stay."""
        try:
            policy = await asyncio.to_thread(read_access, self.config)
        except AccessFaults as error:
            faults = tuple(f"{self.config.access.policy}: {fault}" for fault in error.faults)
            raise _kept("access.faults", "访问规则", "the access rules have", faults) from None
        except OSError as error:
            raise _unreadable("access.faults", error) from None
        self.access.swap(policy)
        return {"version": policy.version, "digest": policy.digest.hex()}

    async def reload_maps(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read and check the dialect again; with faults the old one stays. Exchanges at work keep theirs."""
        before = self.dialect.current
        try:
            dialect = await asyncio.to_thread(checked_dialect, self.config, self.clock.now().date())
        except RuleSetFaults as error:
            raise _kept("maps.faults", "方言", "the dialect has", tuple(map(str, error.faults))) from None
        except OSError as error:
            raise _unreadable("maps.faults", error) from None
        self.dialect.put_in_force(dialect, self.clock.now())
        return {**_named(dialect), "before": _named(before)}


def _named(dialect: Dialect) -> Mapping[str, str]:
    return {"version": dialect.version, "digest": dialect.digest.hex()}


def _kept(code: str, zh: str, en: str, faults: tuple[str, ...]) -> CommandRefused:
    return CommandRefused(
        code,
        f"{zh}有 {len(faults)} 处错误，原有的继续有效",
        f"{en} {len(faults)} fault{'' if len(faults) == 1 else 's'}; what was in force stays",
        faults,
    )


def _unreadable(code: str, error: OSError) -> CommandRefused:
    return CommandRefused(
        code,
        f"无法读取 {error.filename}，原有的继续有效",
        f"{error.filename} cannot be read ({error.strerror}); what was in force stays",
    )


def _report(report: RefreshReport) -> Mapping[str, Any]:
    return {
        "sequence": report.sequence,
        "members": report.members,
        "revoked": report.revoked,
        "denied": report.denied,
        "problems": dict(report.problems),
    }
