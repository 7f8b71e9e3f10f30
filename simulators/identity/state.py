"""What a simulated identity provider remembers, all of it in memory, and who is told when somebody logs out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from simulators.divisions import province_name
from simulators.identity.accounts import Accounts
from simulators.identity.client import ClientCheck, ProviderClient
from simulators.identity.misbehaviour import Misbehaving
from simulators.identity.requests import Asked, Kept, LoggedIn, Transaction
from simulators.identity.tokens import Signing

__all__ = ["Access", "Code", "State"]

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_TELL_AFTER_S = (0.0, 0.5, 2.0, 8.0)


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for."""

    asked: Asked
    who: LoggedIn
    made_at: float


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token stands for."""

    who: LoggedIn
    scopes: frozenset[str]
    made_at: float


@dataclass(slots=True)
class State:
    """One identity provider at work."""

    accounts: Accounts
    issuer: str
    client: ProviderClient
    signing: Signing
    misbehaving: Misbehaving
    sessions: Kept[LoggedIn] = field(default_factory=Kept)
    transactions: Kept[Transaction] = field(default_factory=Kept)
    codes: Kept[Code] = field(default_factory=Kept)
    accesses: Kept[Access] = field(default_factory=Kept)
    http: aiohttp.ClientSession = field(init=False)
    check: ClientCheck = field(init=False)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.check = ClientCheck(self.client, (self.issuer, f"{self.issuer}/token"))

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Its connections to the node, for as long as the application runs."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as self.http:
            yield
            for task in self._telling:
                task.cancel()
            await asyncio.gather(*self._telling, return_exceptions=True)

    @property
    def province(self) -> str:
        """Whose it is."""
        return self.accounts.province

    @property
    def place(self) -> str:
        """What its pages are headed by."""
        return f"{province_name(self.province)}统一身份认证"

    @property
    def cookie(self) -> str:
        """The name of its cookie: cookies know hosts, not ports, and the country may be on one host."""
        return f"sim-idp-{self.province}"

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(time.time())

    def end(self, session: str) -> None:
        """End a session, and tell the node."""
        who = self.sessions.take(session)
        if who is not None:
            task = asyncio.create_task(self._tell(who))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, who: LoggedIn) -> None:
        for after_s in _TELL_AFTER_S:
            await asyncio.sleep(after_s)
            claims = {"aud": self.client.client_id, "sub": who.account.subject, "sid": who.sid}
            form = {"logout_token": self.signing.logout_token(claims, now=self.now())}
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.post(self.client.backchannel_logout_uri, data=form) as answer:
                    if answer.status < 500:
                        return
