"""What an operator does about the TLS key of a running node: renew it now, by hand where the CA is offline, or take
up an enrolled.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.control import CommandRefused, Handler
from node.enrolled import EnrolmentUnusable
from node.key_steering import KeySteering
from node.keystore import Purpose
from node.renewal import RenewalFailed, TlsRenewal
from node.store.keys import KeyState
from node.tls import TlsRing

__all__ = ["TlsSteering"]


@dataclass(frozen=True, slots=True)
class TlsSteering:
    """The commands. `keys` has those on the keys of every purpose, and what it says of a rotation."""

    keys: KeySteering
    ring: TlsRing
    renewal: TlsRenewal

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name; ``keys.rotate`` stands for that of `keys`."""
        return {
            "keys.rotate": self.rotate,
            "reload.tls": self.reload,
            "tls.request": self.request,
            "tls.take": self.take,
        }

    async def rotate(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rotate a key; for one of TLS also fetch its X.509 from the anchor, and use it at once."""
        if arguments.get("purpose") != Purpose.TLS:
            return await self.keys.rotate(arguments)
        waiting = any(key["state"] == KeyState.PUBLISHED for key in await self._tls_keys())
        plan = {} if waiting else await self.keys.rotate(arguments)
        try:
            until = await self.renewal.renew_now()
        except RenewalFailed as error:
            raise CommandRefused(
                "tls.not_renewed",
                f"{error.zh}；节点将自行重试",
                f"{error.en}. The node goes on trying by itself",
            ) from None
        keys = await self._tls_keys()
        new = next(key for key in keys if key["state"] == KeyState.ACTIVE)
        old = next((key for key in reversed(keys) if key["state"] == KeyState.PASSIVE), None)
        return {
            "publish_s": self.keys.keystore.plan.publish_s,
            "overlap_s": self.keys.keystore.plan.overlap_s,
            **plan,
            "new": new,
            "old": old,
            "waits_for": "",
            "used_at": new["activated_at"],
            "old_ends_at": old["retires_at"] if old else None,
            "tls_not_after": until.isoformat(),
        }

    async def reload(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the TLS certificate of an enrolled.json that the anchor made anew; else the one before stays."""
        try:
            until = await self.ring.reload()
        except EnrolmentUnusable as error:
            raise CommandRefused("tls.unusable", error.zh, error.en) from None
        return {"tls_not_after": until.isoformat()}

    async def request(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """A signed request for the next TLS certificate, to be carried to a CA that is offline."""
        try:
            return {"request": await self.renewal.request()}
        except RenewalFailed as error:
            raise CommandRefused("tls.no_request", error.zh, error.en) from None

    async def take(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Use the chain (`tls_chain_pem`) that a CA issued on such a request."""
        try:
            until = await self.renewal.take(str(arguments.get("tls_chain_pem", "")))
        except RenewalFailed as error:
            raise CommandRefused("tls.not_taken", error.zh, error.en) from None
        return {"tls_not_after": until.isoformat()}

    async def _tls_keys(self) -> list[Mapping[str, Any]]:
        keys = (await self.keys.list_keys({}))["keys"]
        return [key for key in keys if key["purpose"] == Purpose.TLS]
