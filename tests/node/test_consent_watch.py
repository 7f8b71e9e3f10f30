"""How old the peers' status lists are, as a figure and as a warning."""

from __future__ import annotations

from node.consent_watch import ConsentWatch
from tests.support.consents import Consents, make_consents


def ages(watch: ConsentWatch) -> dict[str, float]:
    (metric,) = watch.collect()
    return {sample.labels["province"]: sample.value for sample in metric.samples}


def watching(consents: Consents) -> ConsentWatch:
    one = consents.answering
    return ConsentWatch(one.lists, one.node.directory, consents.clock, status_max_age_s=600)


async def test_a_list_that_does_not_come_any_more_is_told_before_it_refuses() -> None:
    consents = await make_consents()
    watch = watching(consents)
    assert (ages(watch), watch.warnings()) == ({"320000": 0.0, "340000": 0.0}, [])
    consents.clock.advance(minutes=6)
    consents.away.add(consents.home.entity_id)
    await consents.refresh()
    assert ages(watch) == {"320000": 360.0, "340000": 0.0}
    (told,) = watch.warnings()
    assert told.code == "status_list_old"
    assert consents.home.entity_id in told.en


async def test_one_that_never_came_is_as_old_as_the_process() -> None:
    consents = await make_consents()
    consents.answering.lists_kept.rows.clear()
    consents.away.add(consents.home.entity_id)
    await consents.answering.lists.refresh_once()
    watch = watching(consents)
    assert watch.warnings() == []
    consents.clock.advance(minutes=6)
    assert ages(watch)["320000"] == 360.0


async def test_who_offers_no_logins_has_no_list() -> None:
    consents = await make_consents()
    consents.know(openid=None)
    assert ages(watching(consents)) == {"340000": 0.0}
