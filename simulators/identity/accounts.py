"""Who can log in at a province's identity provider: one account per resident, with a name, a password, a level.

Accounts are computed from the population like everything else, so there is no table of them. Every tenth account was
never verified: it is a name and a password, and the identity provider vouches for nothing more. What the others'
userinfo says is in the province's own words: the fields of its 居民身份证, flat.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from mapping.translate import load_dialect
from simulators.faces import citizen_face
from simulators.people import Resident
from simulators.population import Population

__all__ = ["ACR_VALUES", "CITIZEN_CARD", "Account", "Accounts", "citizen_fields", "field_names"]

CITIZEN_CARD = "11100000000013127D001"
"""The certificate type of 居民身份证."""

ACR_VALUES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "310000": ("L1", "L2", "L3"),
        "320000": ("urn:sim:js:account", "urn:sim:js:realname", "urn:sim:js:realname-code"),
        "330000": ("0", "1", "2"),
        "340000": ("account", "realname", "realname+code"),
    }
)
"""How each identity provider calls its levels: an account alone, a verified one, a verified one with a code."""

_SHORT = {"310000": "sh", "320000": "js", "330000": "zj", "340000": "ah"}
_USER_NAME = re.compile(r"([a-z]{2})(\d{1,7})")
_UNVERIFIED_EVERY = 10
_UNVERIFIED = 7


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a resident who does not exist. `subject` is the identity provider's own id of it."""

    user_name: str
    password: str
    subject: str
    resident: Resident
    is_verified: bool

    def claims(self) -> dict[str, Any]:
        """What userinfo says beside the subject, in the province's own field names and codes."""
        if not self.is_verified:
            return {"user_name": self.user_name}
        return {"user_name": self.user_name, **citizen_fields(self.resident)}


class Accounts:
    """The accounts of one province."""

    def __init__(self, province: str, population: Population) -> None:
        self.province = province
        self._population = population

    def account(self, index: int) -> Account:
        """The account of resident `index`. Raises ValueError when there is none."""
        who = self._population.resident(self.province, index)
        secret = f"{who.seed}:{self.province}:{index}".encode()
        return Account(
            user_name=f"{_SHORT[self.province]}{index}",
            password=f"mima-{hashlib.sha256(b'password:' + secret).hexdigest()[:6]}",
            subject=hashlib.sha256(b"subject:" + secret).hexdigest()[:24],
            resident=who,
            is_verified=index % _UNVERIFIED_EVERY != _UNVERIFIED,
        )

    def find(self, user_name: str) -> Account | None:
        """By user name or, where the account is verified, by citizen number."""
        said = user_name.strip()
        named = _USER_NAME.fullmatch(said.lower())
        if named and named[1] == _SHORT[self.province] and int(named[2]) < self._population.residents:
            return self.account(int(named[2]))
        holder = self._population.find_holder("111", said.upper())
        if isinstance(holder, Resident) and holder.home == self.province:
            account = self.account(holder.index)
            return account if account.is_verified else None
        return None


def citizen_fields(who: Resident) -> dict[str, Any]:
    """The person's fields as the home province writes them, without what its documents wrap them in."""
    dialect = _dialect(who.home)
    said: Any = dialect.render_local(CITIZEN_CARD, citizen_face(who, who.draws("居民身份证"), who.born_on))
    while len(said) == 1:
        (said,) = said.values()
        said = json.loads(said) if isinstance(said, str) else said
    fields: dict[str, Any] = said
    return fields


def field_names(province: str) -> tuple[str, ...]:
    """The names of those fields in a province."""
    names = ("姓名", "性别", "民族", "出生日期", "住址", "公民身份号码")
    return tuple(_dialect(province).field_name(CITIZEN_CARD, name) for name in names)


_dialect = cache(load_dialect)
