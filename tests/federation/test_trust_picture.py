from __future__ import annotations

from datetime import timedelta

from federation.trust_picture import Branch, Standing, TrustPicture
from node.anchor import revoke
from tests.federation.trust_doubles import ANCHOR, ANHUI, SHANGHAI, ZHEJIANG, Country, Own
from tests.support.clock import NOON, FixedClock


def branches(picture: TrustPicture) -> dict[str, Branch]:
    return {branch.entity_id: branch for branch in picture.members}


async def test_everyone_is_there_with_keys_and_times(country: Country) -> None:
    own = Own(country)
    await own.sync.refresh_once()
    picture = own.sync.picture()
    assert picture.anchor.entity_id == ANCHOR
    assert [key.purpose for key in picture.anchor.keys] == ["federation", "status"]
    assert picture.sequence > 0
    assert [branch.entity_id for branch in picture.members] == [SHANGHAI, ZHEJIANG, ANHUI]
    found = branches(picture)
    assert (found[SHANGHAI].standing, found[ANHUI].standing) == (Standing.OWN, Standing.MEMBER)
    keys = {key.purpose: key for key in found[ZHEJIANG].keys}
    assert keys["federation"].kid == country.keys[ZHEJIANG].kid
    assert keys["envelope"].kid == country.envelope_keys[ZHEJIANG].kid
    assert keys["envelope"].until == NOON + timedelta(days=1)
    assert keys["federation"].until == NOON + timedelta(days=30)
    assert [one.kind for one in found[ZHEJIANG].statements] == [
        "subordinate-statement",
        "entity-configuration",
    ]
    assert found[ZHEJIANG].problem == ""


async def test_the_gravest_standing_is_told_with_its_reason(country: Country) -> None:
    own = Own(country)
    await own.sync.refresh_once()
    await own.sync.deny(ZHEJIANG, "演练")
    await own.sync.deny(ANHUI, "演练")
    revoke(country.directory, ANHUI, "密钥泄露", now=country.clock.now())
    country.clock.advance(seconds=61)
    await own.sync.refresh_once()
    found = branches(own.sync.picture())
    assert (found[ZHEJIANG].standing, found[ZHEJIANG].reason) == (Standing.DENIED, "演练")
    assert (found[ANHUI].standing, found[ANHUI].reason) == (Standing.REVOKED, "密钥泄露")


async def test_what_is_not_believed_is_told_not_left_out(country: Country) -> None:
    own = Own(country)
    country.served[f"{ANHUI}/.well-known/openid-federation"] = country.configuration(ZHEJIANG).encode()
    await own.sync.refresh_once()
    branch = branches(own.sync.picture())[ANHUI]
    assert branch.standing is Standing.REFUSED
    assert branch.problem
    assert branch.expires_at is None


async def test_a_chain_that_is_over_says_so(country: Country, clock: FixedClock) -> None:
    own = Own(country)
    await own.sync.refresh_once()
    clock.advance(hours=25)
    picture = own.sync.picture()
    assert {branch.standing for branch in picture.members} == {Standing.EXPIRED}
    assert branches(picture)[ANHUI].expires_at == NOON + timedelta(days=1)


async def test_a_node_that_knows_nothing_says_why(country: Country) -> None:
    own = Own(country)
    picture = own.sync.picture()
    assert picture.members == ()
    assert "its statements are not stored yet" in picture.anchor.problem
    country.served[f"{ANCHOR}/.well-known/openid-federation"] = None
    await own.sync.refresh_once()
    assert "away" in own.sync.picture().anchor.problem
