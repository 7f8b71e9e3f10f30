"""What a simulated identity provider is asked for, and what it keeps while somebody logs in."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from simulators.identity.accounts import ACR_VALUES, Account
from simulators.identity.client import ProviderClient

__all__ = ["Asked", "BadRequestError", "Kept", "LoggedIn", "RefusedError", "Transaction", "read_request"]

T = TypeVar("T")
_MOST_KEPT = 10_000
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})


class BadRequestError(Exception):
    """A request that cannot be answered by redirect: client or redirect URI are not those of the registration."""


class RefusedError(Exception):
    """An error that goes back to the client: its code and description."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request. `level` is the place of the level that is asked for, 0 when none is."""

    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    scopes: frozenset[str]
    prompt: frozenset[str]
    max_age_s: int | None
    level: int
    login_hint: str


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A browser that somebody is logged in with. `level` is the place of what was reached."""

    account: Account
    auth_time: int
    level: int
    sid: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def acr(self) -> str:
        """What was reached, as this province calls it."""
        return ACR_VALUES[self.account.resident.home][self.level]

    @property
    def amr(self) -> list[str]:
        """RFC 8176: how it was reached."""
        return ["pwd", "sms", "mfa"] if self.level == 2 else ["pwd"]

    def satisfies(self, asked: Asked, now: int) -> bool:
        """Whether nothing more has to be asked of the citizen."""
        best = 2 if self.account.is_verified else 0
        return self.may_stay(asked, now) and self.level >= min(asked.level, best)

    def may_stay(self, asked: Asked, now: int) -> bool:
        """Whether the password need not be given again. A `max_age` of 0 always asks for it."""
        age_s = now - self.auth_time
        fresh = asked.max_age_s is None or (asked.max_age_s > 0 and age_s <= asked.max_age_s)
        return fresh and not asked.prompt & {"login", "select_account"}

    def with_code(self, now: int) -> LoggedIn:
        """The same after a second factor."""
        return replace(self, level=2, auth_time=now)


@dataclass(slots=True)
class Transaction:
    """One login at work. `browser` is the cookie that it belongs to; `so_far` who gave a password already."""

    asked: Asked
    browser: str
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    so_far: LoggedIn | None = None
    code: str = ""


class Kept(Generic[T]):
    """Things under random names; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._things: OrderedDict[str, T] = OrderedDict()

    def keep(self, thing: T) -> str:
        """A new name for it."""
        name = secrets.token_urlsafe(24)
        self._things[name] = thing
        if len(self._things) > _MOST_KEPT:
            self._things.popitem(last=False)
        return name

    def find(self, name: str) -> T | None:
        """The thing of that name."""
        return self._things.get(name)

    def take(self, name: str) -> T | None:
        """The thing of that name, once."""
        return self._things.pop(name, None)

    def items(self) -> list[tuple[str, T]]:
        """All of them now."""
        return list(self._things.items())


def read_request(client: ProviderClient, province: str, said: Mapping[str, str]) -> Asked:
    """Check an authorization request. Raises BadRequestError, and RefusedError once it is known whom to answer."""
    redirect_uri = said.get("redirect_uri", "")
    if said.get("client_id") != client.client_id or redirect_uri not in client.redirect_uris:
        raise BadRequestError("client_id 或 redirect_uri 未登记 / is not registered")
    scopes, prompt = frozenset(said.get("scope", "").split()), frozenset(said.get("prompt", "").split())
    if said.keys() & {"request", "request_uri"}:
        raise RefusedError("request_not_supported", "request objects are not taken here")
    if said.get("response_type") != "code" or said.get("response_mode", "query") != "query":
        raise RefusedError("unsupported_response_type", "only response_type=code and response_mode=query")
    if "openid" not in scopes:
        raise RefusedError("invalid_scope", "scope must have openid in it")
    if said.get("code_challenge_method") != "S256" or len(said.get("code_challenge", "")) != 43:
        raise RefusedError("invalid_request", "PKCE with S256 is required")
    max_age = said.get("max_age")
    if not prompt <= _PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise RefusedError("invalid_request", "prompt is not one of those known, or none with another")
    if max_age is not None and not (max_age.isascii() and max_age.isdecimal()):
        raise RefusedError("invalid_request", "max_age must be a whole number")
    return Asked(
        redirect_uri=redirect_uri,
        state=said.get("state", ""),
        nonce=said.get("nonce", ""),
        code_challenge=said["code_challenge"],
        scopes=scopes,
        prompt=prompt,
        max_age_s=None if max_age is None else int(max_age),
        level=_level(province, said.get("acr_values", "")),
        login_hint=said.get("login_hint", ""),
    )


def _level(province: str, acr_values: str) -> int:
    """The place of the first value that is known: the order is that of preference (OpenID Connect Core §3.1.2.1)."""
    known = ACR_VALUES[province]
    return next((known.index(value) for value in acr_values.split() if value in known), 0)
