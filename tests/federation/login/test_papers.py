"""Consents at the home node: read, shown, signed for somebody who is verified, listed and ended."""

from __future__ import annotations

from dataclasses import replace as replaced
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from federation.login.model import Identity
from federation.login.refusals import OAuthRefusal
from tests.support.clock import NOON
from tests.support.consents import USE, Consents, identity, login_request, make_consents
from tests.support.exchange import HOLDER, ID_CARD
from trust.consent import read_consent, read_holder, verify_consent
from trust.errors import StatementRejected
from trust.recipient_keys import decrypt

BEGUN = int(NOON.timestamp())


@pytest.fixture
async def consents() -> Consents:
    return await make_consents()


def text(*changes: dict[str, Any]) -> str:
    return orjson.dumps([USE | one for one in changes or ({},)]).decode()


def test_what_is_asked_for_is_read_into_shared_words_and_again_unchanged(consents: Consents) -> None:
    read = consents.home.papers.read(text())
    assert consents.answering.papers.read(read) == consents.home.papers.read(read) == read


def test_the_citizen_is_shown_names_and_nothing_is_kept(consents: Consents) -> None:
    (view,) = consents.home.papers.describe(login_request(consents, text()))
    assert (view.paper_id, view.issued_at) == ("", 0)
    assert (view.asking, view.platform, view.platform_name) == ("340000", "portal", "皖事通")
    assert (view.answering, view.certificate_types) == (("330000",), ("居民身份证",))
    assert (view.fields, view.service_item) == (("姓名", "公民身份号码"), "出生一件事")
    assert (view.case_number, view.purpose, view.uses) == ("C-1", "核验身份", 2)
    assert (view.service_item_code, view.basis) == (USE["service_item_code"], "holders_consent")
    assert view.expires_at == BEGUN + 3600
    assert consents.home.papers_kept.kept == []


async def test_a_consent_is_bound_to_all_that_was_shown(consents: Consents) -> None:
    request = login_request(consents, text({}, {"case_number": "C-2", "answering": ["320000", "330000"]}))
    granted = await consents.home.papers.issue(request, identity())
    assert [(one["case_number"], one["expires_at"]) for one in granted] == [
        ("C-1", BEGUN + 3600),
        ("C-2", BEGUN + 3600),
    ]
    home, answering = consents.home, consents.answering
    keys = {home.openid.kid: home.openid.verification_key}
    first, second = (verify_consent(read_consent(one["consent"]), keys=keys) for one in granted)
    assert (first.iss, first.asking, first.platform) == (home.entity_id, consents.asking.entity_id, "portal")
    assert (first.answering, first.certificate_types) == ((answering.entity_id,), (ID_CARD,))
    assert (first.fields, first.uses, first.basis) == (("姓名", "公民身份号码"), 2, "holders_consent")
    assert (first.case_number, first.purpose) == ("C-1", "核验身份")
    assert (first.issued_at, first.status_index) == (NOON, 0)
    assert second.answering == (home.entity_id, answering.entity_id)
    assert (second.jti != first.jti, second.status_index) == (True, 1)


async def test_each_answering_node_reads_whose_it_is_and_nobody_else(consents: Consents) -> None:
    request = login_request(consents, text({"answering": ["320000", "330000"]}))
    (granted,) = await consents.home.papers.issue(request, identity())
    assert HOLDER not in granted["consent"]
    holders = read_consent(granted["consent"]).consent.holders
    keys = {one.private.kid: one.private for one in consents.nodes}
    for one in (consents.home, consents.answering):
        assert read_holder(decrypt(holders[one.entity_id], keys.__getitem__)) == ("111", HOLDER)
        with pytest.raises(StatementRejected):
            decrypt(holders[one.entity_id], lambda _kid: consents.asking.private)


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (identity(acr="yrd.l1"), "unmet_authentication_requirements"),
        (identity(acr="high"), "unmet_authentication_requirements"),
        (identity(claims={"name": "王芳"}), "access_denied"),
        (identity(claims={"citizen_number": HOLDER[:-1] + "!", "holder_id_type": "111"}), "access_denied"),
        (identity(claims={"citizen_number": [HOLDER], "holder_id_type": "111"}), "access_denied"),
    ],
    ids=["level 1", "unknown level", "no number", "wrong number", "several numbers"],
)
async def test_only_somebody_who_is_verified_gives_a_consent(
    consents: Consents, who: Identity, error: str
) -> None:
    with pytest.raises(OAuthRefusal) as caught:
        await consents.home.papers.issue(login_request(consents, text()), who)
    assert caught.value.error == error
    assert consents.home.papers_kept.kept == []


async def test_a_node_asks_on_behalf_of_a_platform_or_not_at_all(consents: Consents) -> None:
    request = replace(login_request(consents, text()), on_behalf=None)
    with pytest.raises(OAuthRefusal) as caught:
        await consents.home.papers.issue(request, identity())
    assert caught.value.error == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [{"standing": "revoked"}, {"consent_keys": {}}],
    ids=["it was revoked", "it takes no consents"],
)
def test_a_province_that_cannot_answer_is_refused(consents: Consents, changes: dict[str, Any]) -> None:
    papers = consents.answering.papers
    described = consents.home.peer()
    consents.answering.node.know(replaced(described, **changes), consents.asking.peer())
    with pytest.raises(OAuthRefusal) as caught:
        papers.read(text({"answering": ["320000"]}))
    assert caught.value.error == "invalid_authorization_details"
    with pytest.raises(OAuthRefusal):
        papers.read(text({"answering": ["310000"]}))


async def test_a_citizen_sees_the_own_consents_and_ends_them(consents: Consents) -> None:
    papers = consents.home.papers
    await papers.issue(login_request(consents, text()), identity())
    consents.clock.advance(minutes=5)
    await papers.issue(login_request(consents, text({"case_number": "C-2"})), identity())
    mine = await papers.of(identity())
    assert [one.case_number for one in mine] == ["C-2", "C-1"]
    assert await papers.of(identity(subject="another")) == []
    assert await papers.withdraw(identity(), mine[1].paper_id)
    assert not await papers.withdraw(identity(), mine[1].paper_id)
    assert [one.withdrawn_at for one in await papers.of(identity())] == [None, BEGUN + 300]
