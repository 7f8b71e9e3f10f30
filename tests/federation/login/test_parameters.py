"""What single parameters of an authorization request demand, where they stand beside each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from federation.login.levels import demanded_level
from federation.login.model import RelyingParty
from federation.login.parameters import acr_values, claims_asked
from federation.login.refusals import OAuthRefusal
from tests.support.login_flow import platform_request

_OPENID = frozenset({"openid"})
_PORTAL = RelyingParty(client_id="portal", name="安徽政务服务网", scopes=_OPENID)


def levels(values: str = "", **acr: Any) -> tuple[str, ...]:
    """The levels that will do; `acr` is what the claims parameter wishes for in each place."""
    claims = {place: {"acr": wish} for place, wish in acr.items()}
    given = {"acr_values": values, "claims": json.dumps(claims)}
    return acr_values(given, claims_asked(given, _OPENID, _PORTAL).levels)


_L3 = {"essential": True, "value": "yrd.l3"}


@pytest.mark.parametrize(
    ("found", "demanded"),
    [
        (levels(), "yrd.l1"),
        (levels("yrd.l2 yrd.l1"), "yrd.l1"),
        (levels(id_token=_L3), "yrd.l3"),
        (levels("yrd.l1", id_token=_L3), "yrd.l3"),
        (levels("yrd.l4", id_token=_L3), "yrd.l4"),
        (levels("urn:gold yrd.l2", id_token={"essential": True}), "yrd.l2"),
        (levels(id_token=_L3, userinfo={"values": ["yrd.l1", "yrd.l2"]}), "yrd.l3"),
    ],
)
def test_no_demand_lowers_another(found: tuple[str, ...], demanded: str) -> None:
    assert demanded_level(platform_request(acr_values=found)) == demanded


@pytest.mark.parametrize(
    ("values", "wish"),
    [("yrd.l1", {"value": "urn:gold"}), ("urn:gold", _L3), ("urn:gold", None)],
    ids=["claims", "acr_values beside claims", "acr_values"],
)
def test_each_demand_must_name_a_level_that_is_known(values: str, wish: dict[str, Any] | None) -> None:
    with pytest.raises(OAuthRefusal) as caught:
        levels(values, id_token=wish)
    assert caught.value.error == "unmet_authentication_requirements"


def test_the_order_of_preference_is_kept_and_that_of_claims_comes_first() -> None:
    assert levels("yrd.l4 yrd.l1 yrd.l2", id_token={"value": "yrd.l2"}) == ("yrd.l2", "yrd.l4")
