"""Assurance levels: what a client demands, what an identity provider said, and whether the one is met by the other.

A level passes from the identity provider through both nodes as it is. What cannot be met fails with
``unmet_authentication_requirements`` (OpenID Connect Core Unmet Authentication Requirements 1.0); it is never lowered,
and a level that is not known is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.login.claims import VERIFIED_CLAIMS, VERIFIED_LEVEL
from federation.login.model import LEVELS, AuthRequest, Level, meets
from federation.login.refusals import OAuthRefusal

__all__ = ["UNMET", "ProviderLevels", "demanded_level", "require_level"]

UNMET = "unmet_authentication_requirements"


def demanded_level(request: AuthRequest) -> Level:
    """The lowest level with which a request is met: the lowest that its `acr_values` name, and at least the one that
    its claims and consents need. Raises OAuthRefusal when it names levels, and none that is known.
    """
    named = [value for value in request.acr_values if value in LEVELS]
    if request.acr_values and not named:
        raise OAuthRefusal(UNMET, f"acr_values names none of {' '.join(LEVELS)}")
    floor = min(named, key=LEVELS.index) if named else LEVELS[0]
    if request.authorization_details or not VERIFIED_CLAIMS.isdisjoint(request.claims):
        return max(floor, VERIFIED_LEVEL, key=LEVELS.index)
    return floor


def require_level(acr: Level, demanded: Level) -> None:
    """Return when a login meets what is demanded. Raises OAuthRefusal."""
    if not meets(acr, demanded):
        raise OAuthRefusal(UNMET, f"the login reached {acr or 'no known level'}; {demanded} is needed")


@dataclass(frozen=True, slots=True)
class ProviderLevels:
    """What the `acr` values of an identity provider are worth, from the weakest to the strongest. `when_absent` is
    what a login without one is worth; empty: nothing.
    """

    levels: Mapping[str, Level]
    when_absent: Level = ""

    def level_of(self, acr: str) -> Level:
        """The level of what it said; empty for a value that is not known."""
        return self.levels.get(acr, "") if acr else self.when_absent

    def values_for(self, demanded: Level) -> Sequence[str]:
        """The values to ask it for, the weakest that will do first."""
        return [value for value, level in self.levels.items() if meets(level, demanded)]
