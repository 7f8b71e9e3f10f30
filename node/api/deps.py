"""What the platform API is made of, given by `compose`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from federation.exchange import DialectHolder
from federation.ports import Clock
from node.api.access_tokens import OpenIdKeys
from node.api.ports import Asker, Clients, EvidenceExporter, IdempotencyKeys, Records, Replays, Secrets

__all__ = ["PlatformDeps", "PlatformSettings"]


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """`issuer` is the URL that platforms know this listener by, without a slash at its end."""

    issuer: str
    version: str = "0.1.0"
    request_body_bytes: int = 65_536
    deadline_s: float = 5.0
    skew_s: float = 60.0
    token_life_s: int = 600
    client_poll_s: float = 2.0
    reads_per_s: float = 50.0
    """How often one client may read evidence and peers; what it asks of others has its own quota."""
    reads_burst: float = 100.0


@dataclass(frozen=True, slots=True)
class PlatformDeps:
    """Everything the application uses; it opens and closes none of it."""

    settings: PlatformSettings
    asker: Asker
    records: Records
    evidence: EvidenceExporter
    dialect: DialectHolder
    clients: Clients
    secrets: Secrets
    idempotency: IdempotencyKeys
    replays: Replays
    keys: OpenIdKeys
    clock: Clock
    now_s: Callable[[], float] = field(default=time.monotonic)
