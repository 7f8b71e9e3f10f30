"""What an identity provider does wrong on demand, until it is taken back or was done often enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Misbehaving", "Misbehaviour", "Misdeed"]


class Misdeed(StrEnum):
    """What goes wrong."""

    NONE = "none"
    WRONG_NONCE = "wrong_nonce"
    """The ID token carries another nonce than was sent."""
    WRONG_AUDIENCE = "wrong_audience"
    """It is for another client."""
    MORE_AUDIENCES = "more_audiences"
    """It is for another client as well."""
    NO_ALGORITHM = "no_algorithm"
    """It is not signed: ``alg`` ``none``."""
    OTHER_KEY = "other_key"
    """It is signed with a key that is not published, under the name of the one that is."""
    MAC_WITH_PUBLIC_KEY = "mac_with_public_key"
    """It is authenticated (HS256) with the published key as if that were a secret."""
    OLD_TOKEN = "old_token"  # noqa: S105 - no secret
    """It expired an hour ago."""
    OTHER_ISSUER = "other_issuer"
    """``iss`` of the ID token is somebody else."""
    OTHER_ANSWERING_ISSUER = "other_answering_issuer"
    """``iss`` of the authorization response is somebody else (RFC 9207)."""
    NO_ANSWERING_ISSUER = "no_answering_issuer"
    """The authorization response names no issuer, though discovery says that it does."""
    OTHER_STATE = "other_state"
    """The authorization response carries another state."""
    LOWER_ACR = "lower_acr"
    """The lowest level, whatever was done."""
    UNKNOWN_ACR = "unknown_acr"
    """A level that nobody knows."""
    OLD_AUTHENTICATION = "old_authentication"
    """``auth_time`` is a day ago, whatever was asked."""
    OTHER_SUBJECT = "other_subject"
    """Userinfo is about somebody else."""
    NO_NUMBER = "no_number"
    """Userinfo has no citizen number, though the level says that it was verified."""
    SEVERAL_NUMBERS = "several_numbers"
    """Userinfo has two."""
    BAD_NUMBER = "bad_number"
    """The citizen number's check character is wrong."""
    SERVER_ERROR = "server_error"
    """The token endpoint answers 500 with a page."""
    SLOW = "slow"
    """Every answer but pages comes after `delay_s`."""
    AWAY = "away"
    """Connections are cut without an answer."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One misdeed; `count` is how many more times, None for always. It counts where it shows, not at each request."""

    misdeed: Misdeed = Misdeed.NONE
    delay_s: float = 10.0
    count: int | None = None

    @classmethod
    def read(cls, said: object) -> Misbehaviour:
        """One as JSON says it: ``{"misdeed": …, "delay_s": …, "count": …}``. Raises ValueError."""
        if not isinstance(said, dict) or not set(said) <= {"misdeed", "delay_s", "count"}:
            raise ValueError("a misbehaviour is {misdeed, delay_s, count}")
        if said.get("misdeed") not in tuple(Misdeed):
            raise ValueError(f"misdeed must be one of {', '.join(Misdeed)}")
        delay_s, count = said.get("delay_s", 10.0), said.get("count")
        if not isinstance(delay_s, int | float) or not 0 <= delay_s <= 600:
            raise ValueError("delay_s must be a number from 0 to 600")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ValueError("count must be a whole number from 1")
        return cls(Misdeed(said["misdeed"]), float(delay_s), count)

    def as_json(self) -> dict[str, object]:
        """The misbehaviour as `read` takes it."""
        return {"misdeed": self.misdeed.value, "delay_s": self.delay_s, "count": self.count}


class Misbehaving:
    """What is done wrong now."""

    def __init__(self) -> None:
        self.current = Misbehaviour()

    def does(self, misdeed: Misdeed) -> bool:
        """Whether this is to be done here and now; counts it."""
        now = self.current
        if now.misdeed is not misdeed:
            return False
        if now.count is not None:
            left = now.count - 1
            self.current = Misbehaviour(misdeed, now.delay_s, left) if left else Misbehaviour()
        return True
