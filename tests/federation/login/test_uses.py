"""What a request shows that is good once: used up by its write, or by itself when it comes to none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from federation.errors import OwnStoreUnavailable
from federation.login.refusals import OAuthRefusal
from federation.login.uses import Use, UsedBefore, Uses

AT = datetime(2026, 10, 9, tzinfo=UTC)
REFUSED = OAuthRefusal("invalid_grant", "something else is wrong")


class _Replays:
    def __init__(self) -> None:
        self.used: list[str] = []

    async def use_once(self, _issuer: str, jti: str, _expires_at: datetime) -> bool:
        first = jti not in self.used
        self.used += [jti] if first else []
        return first


def _use(jti: str) -> Use:
    return Use("login:portal", jti, AT, UsedBefore("invalid_client", f"{jti} was used before"))


async def _request(replays: _Replays, *jtis: str, error: BaseException | None = None) -> None:
    """A request that shows these, and comes to no write."""
    async with Uses(replays) as uses:
        for jti in jtis:
            uses.add(_use(jti))
        if error is not None:
            raise error


async def test_what_a_write_took_is_left_to_it() -> None:
    replays = _Replays()
    async with Uses(replays) as uses:
        uses.add(_use("a"))
        assert [one.jti for one in uses.taken()] == ["a"]
        assert not uses.taken()
    assert not replays.used


async def test_what_no_write_took_is_used_up_all_the_same() -> None:
    replays = _Replays()
    await _request(replays, "a")
    with pytest.raises(OAuthRefusal, match="something else"):
        await _request(replays, "b", error=REFUSED)
    with pytest.raises(OwnStoreUnavailable):
        await _request(replays, "c", error=OwnStoreUnavailable("away"))
    assert replays.used == ["a", "b", "c"]


async def test_a_second_use_outranks_what_else_is_wrong() -> None:
    replays = _Replays()
    replays.used = ["a"]
    with pytest.raises(UsedBefore, match="a was used before"):
        await _request(replays, "a", "b", error=REFUSED)
    assert replays.used == ["a"], "behind the one that is late nothing is used"


async def test_who_goes_away_uses_nothing_up() -> None:
    replays = _Replays()
    with pytest.raises(asyncio.CancelledError):
        await _request(replays, "a", error=asyncio.CancelledError())
    assert not replays.used
