"""An exchange keeps the dialect that it began with, whatever is put in force meanwhile."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from federation.exchange import DialectHolder
from federation.query import CertificatesAnswer
from mapping.translate import load_dialect
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import command, make_country


async def test_both_sides_name_and_use_the_version_from_before_the_look_up() -> None:
    sh, zj = make_country()
    before = {node.province: node.parts.dialect.current for node in (sh, zj)}
    zj.registry.hold = asyncio.Event()
    asking = asyncio.create_task(sh.asker.ask(command(sh, zj)))
    await zj.registry.reached()
    for node in (sh, zj):  # each gets the other's words, which fit nothing that is under way
        other = before["330000" if node is sh else "310000"]
        node.parts.dialect.swap(replace(other, version="later", digest=b"2" * 32))
    zj.registry.hold.set()
    result = await asking
    assert result.request_header.map_set.version == result.dialect.version == before["310000"].version
    assert result.answer_header.map_set.version == before["330000"].version
    assert isinstance(result.body, CertificatesAnswer)
    [card] = result.body.certificates
    assert card.certificate_type == "居民身份证"
    assert {element.name for element in card.elements} >= {"sex", "nation", "certState"}
    tables = {element.table for element in card.elements if "sex@" in element.table}
    assert tables == {"sex@2026.2"}


async def test_a_fetch_is_put_into_the_words_of_now_and_says_so() -> None:
    sh, zj = make_country()
    first = await sh.asker.ask(command(sh, zj))
    later = replace(sh.parts.dialect.current, version="later", digest=b"2" * 32)
    sh.parts.dialect.swap(later)
    again = await sh.asker.fetch(first.request_id)
    assert (first.dialect.version, again.dialect) == ("310000@2026.2", later)
    assert again.body == first.body


def test_the_same_rule_set_again_is_in_force_since_it_first_was() -> None:
    clock = FixedClock()
    holder = DialectHolder(load_dialect("330000"), clock.now())
    clock.advance(hours=1)
    holder.put_in_force(load_dialect("330000"), clock.now())
    assert holder.since == NOON
    holder.put_in_force(replace(load_dialect("330000"), digest=b"2" * 32), clock.now())
    assert (holder.since, holder.loaded_at) == (clock.now(), NOON)
