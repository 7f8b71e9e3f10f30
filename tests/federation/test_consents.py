"""A consent given in Jiangsu, asked on by Anhui, answered by by Zhejiang: what is answered, and each thing that is not.

Two parametrized tests hold a row for each way in which a consent can be wrong: what Zhejiang refuses although Anhui
let it pass (a node that does not check), and that Anhui's own node lets none of it leave.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from federation.consents import ConsentCheck
from federation.errors import (
    AccessConsentMismatch,
    AccessConsentStatusOld,
    AccessConsentUnsupported,
    AccessConsentUsedUp,
    AccessConsentWithdrawn,
    FederationError,
    RegistryTimeout,
)
from federation.query import (
    BasisKind,
    CertificateGet,
    CertificatesAnswer,
    CertificateTypes,
    CertificateVerify,
)
from mapping.element import Element
from mapping.identifiers import make_certificate_id, make_citizen_number
from tests.support.clock import NOON
from tests.support.consents import USE, Consents, identity, login_request, make_consents
from tests.support.exchange import AUTHORITY, HOLDER, ID_CARD, MARRIAGE, command, id_card, make_country
from trust.consent import holder_for, sign_consent
from trust.keys import SigningKey
from trust.status_list import Statuses

OTHER = make_citizen_number("330106", NOON.date().replace(year=1980), 31)
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
OWN_RULES = """\
version = "own"
{side} = [
  {{ rule = "own", {counterpart} = "*", platform = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], bases = ["*"], own_consents = true }},
]
"""  # noqa: E501 - a rule is one line


@pytest.fixture
async def consents() -> Consents:
    return await make_consents()


class _Trusting(ConsentCheck):
    """An asking node that does not check."""

    async def require_to_ask(self, request: Any, grant: Any) -> Any:
        return grant


def _trust_everything(consents: Consents) -> None:
    check = consents.asking.node.parts.consents
    assert check is not None
    check.__class__ = _Trusting


async def _issued(consents: Consents, **changes: Any) -> tuple[str, str]:
    """A consent as Jiangsu issues it: its token and its jti."""
    text = consents.home.papers.read(orjson.dumps([USE | changes]).decode())
    (granted,) = await consents.home.papers.issue(login_request(consents, text), identity())
    return str(granted["consent"]), consents.home.papers_kept.kept[-1][2].paper_id


# --- what is answered ---------------------------------------------------------------------------------


async def test_a_query_with_the_holders_consent_is_answered_within_what_it_covers(consents: Consents) -> None:
    token, _ = await _issued(consents)
    result = await consents.ask(token)
    assert isinstance(result.body, CertificatesAnswer)
    assert len(result.body.certificates) == 1
    answer = consents.answering.node.journal.records[-1]
    values = [element.original for element in result.body.certificates[0].elements]
    assert sorted(values) == sorted(["王芳", HOLDER])  # the fields that were agreed to, and no other
    status = result.answer_header.decision.consent_status
    assert status.startswith(
        f"{consents.home.entity_id}/oidc/status-list idx=0 iat={NOON.isoformat()} sha256="
    )
    assert answer.meta.outcome == "answered"


async def test_the_certificate_by_its_id_and_its_verification_are_too(consents: Consents) -> None:
    token, _ = await _issued(consents)
    got = await consents.ask(token, CertificateGet(CARD_ID))
    assert got.answer_header.refusal_code == ""
    assert (await consents.ask(token, CertificateVerify(CARD_ID, bytes(32)))).answer_header.refusal_code == ""


async def test_a_query_for_all_types_gets_those_of_the_consent(consents: Consents) -> None:
    token = consents.token(certificate_types=(MARRIAGE,))
    assert (await consents.ask(token)).body == CertificatesAnswer(())


async def test_the_holder_of_the_answering_province_consents_likewise(consents: Consents) -> None:
    """Zhejiang answers by what it issued itself: the place is looked up in its own rows."""
    zhejiang = consents.answering
    consent = consents.consent(
        iss=zhejiang.entity_id, status_uri=f"{zhejiang.entity_id}/oidc/status-list", status_index=0
    )
    token = sign_consent(consent, zhejiang.openid)
    text = zhejiang.papers.read(orjson.dumps([USE]).decode())
    await zhejiang.papers.issue(login_request(consents, text), identity())
    result = await consents.ask(token)
    assert " own " in result.answer_header.decision.consent_status
    paper = zhejiang.papers_kept.kept[0][2]
    await zhejiang.papers.withdraw(identity(), paper.paper_id)
    with pytest.raises(AccessConsentWithdrawn):  # at once, with no list in between
        await consents.ask(consents.token(zhejiang.openid, **_as(consent, jti="j-2")))


def _as(consent: Any, **changes: Any) -> dict[str, Any]:
    return {name: getattr(consent, name) for name in consent.__struct_fields__} | changes


# --- withdrawn ----------------------------------------------------------------------------------------


async def test_after_withdrawal_it_is_refused_within_one_interval(consents: Consents) -> None:
    token, jti = await _issued(consents)
    await consents.ask(token)
    assert await consents.home.papers.withdraw(identity(), jti)
    assert not await consents.home.papers.withdraw(identity(), jti)
    await consents.answering.lists.refresh_once()
    with pytest.raises(AccessConsentWithdrawn):
        await consents.ask(token)
    refused = consents.answering.node.journal.records[-1]
    assert refused.meta.outcome == "refused"  # signed and kept, like any other refusal
    await consents.asking.lists.refresh_once()
    sent = len(consents.asking.node.transport.sent)
    with pytest.raises(AccessConsentWithdrawn):
        await consents.ask(token)
    assert len(consents.asking.node.transport.sent) == sent


async def test_a_first_answer_is_not_given_again_after_withdrawal(consents: Consents) -> None:
    token, jti = await _issued(consents)
    result = await consents.ask(token)
    await consents.home.papers.withdraw(identity(), jti)
    await consents.answering.lists.refresh_once()
    asked, answerer = consents.asking.node.journal.records[0], consents.answering.node.answerer
    with pytest.raises(AccessConsentWithdrawn):
        await answerer.fetch_answer(asked.identity, asked.meta.request_id, tls_peer=consents.asking.entity_id)
    await consents.asking.lists.refresh_once()
    with pytest.raises(AccessConsentWithdrawn):
        await consents.asking.node.asker.fetch(result.request_id)


async def test_nobody_else_withdraws_it(consents: Consents) -> None:
    _, jti = await _issued(consents)
    assert not await consents.home.papers.withdraw(identity(subject="another"), jti)


async def test_a_status_list_that_is_too_old_refuses_and_a_fresh_one_lets_through_again(
    consents: Consents,
) -> None:
    token, _ = await _issued(consents)
    consents.away.add(consents.home.entity_id)
    consents.clock.advance(minutes=9)
    await consents.refresh()
    await consents.ask(token)
    consents.clock.advance(minutes=2)
    _trust_everything(consents)
    with pytest.raises(AccessConsentStatusOld, match="at most 600 s"):
        await consents.ask(token)
    consents.away.clear()
    await consents.refresh()
    await consents.ask(token)


async def test_without_a_status_list_nothing_is_answered(consents: Consents) -> None:
    consents.answering.lists_kept.rows.clear()
    consents.away.add(consents.home.entity_id)
    await consents.answering.lists.refresh_once()
    with pytest.raises(AccessConsentStatusOld, match="has not been had yet"):
        await consents.ask(consents.token())


# --- uses ---------------------------------------------------------------------------------------------


async def test_a_second_use_over_what_was_agreed_is_refused(consents: Consents) -> None:
    token = consents.token(uses=2)
    await consents.ask(token)
    await consents.ask(token)
    with pytest.raises(AccessConsentUsedUp):
        await consents.ask(token)


async def test_a_repeat_of_the_same_request_is_one_use(consents: Consents) -> None:
    await consents.ask(consents.token())
    envelope = consents.asking.node.transport.sent[0]
    answers = [
        await consents.answering.node.answerer.answer(
            envelope, tls_peer=consents.asking.entity_id, method_operation=None, timeout_s=5
        )
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert [len(one) for one in consents.answering.uses.counted.values()] == [1]


async def test_a_request_that_is_refused_in_the_end_uses_nothing(consents: Consents) -> None:
    token, registry = consents.token(), consents.answering.node.registry
    registry.fault = RegistryTimeout("slow")
    with pytest.raises(RegistryTimeout):
        await consents.ask(token)
    registry.fault = None
    await consents.ask(token)


# --- for something else -------------------------------------------------------------------------------

Wrong = Callable[[Consents], Any]


def _ask(token: Callable[[Consents], str], **question: Any) -> Wrong:
    body = question.pop("body", None)
    return lambda c: c.ask(token(c), body(c) if body else None, **question)


def _other(**changes: Any) -> Callable[[Consents], str]:
    return lambda c: c.token(**{name: v(c) if callable(v) else v for name, v in changes.items()})


def _good(c: Consents) -> str:
    return c.token()


def _self_issued(c: Consents) -> str:
    """By Anhui's node, whose own portal asks."""
    uri = f"{c.asking.entity_id}/oidc/status-list"
    return sign_consent(c.consent(iss=c.asking.entity_id, status_uri=uri), c.asking.openid)


def _altered(c: Consents) -> str:
    head, _, signature = c.token().split(".")
    return ".".join((head, c.token(platform="other").split(".")[1], signature))


BOTH: dict[str, tuple[Wrong, str]] = {
    "no consent": (_ask(lambda _: ""), "access.consent_missing"),
    "not a token": (_ask(lambda _: "consent"), "access.consent_rejected"),
    "another kind of token": (_ask(lambda c: c.home.status_list()), "access.consent_rejected"),
    "altered": (_ask(_altered), "access.consent_rejected"),
    "signed by another's key": (
        _ask(lambda c: c.token(SigningKey.generate())),
        "access.consent_rejected",
    ),
    "signed with an envelope key": (_ask(lambda c: c.token(c.home.node.key)), "access.consent_rejected"),
    "by no member": (_ask(_other(iss="https://node.xx.example")), "access.consent_rejected"),
    "in another's name": (_ask(_other(iss=lambda c: c.answering.entity_id)), "access.consent_rejected"),
    "for another platform": (_ask(_good, client="stranger"), "access.consent_mismatch"),
    "for another case": (_ask(_good, case_number="C-2"), "access.consent_mismatch"),
    "for another service item": (_ask(_good, service_item_name="死亡一件事"), "access.consent_mismatch"),
    "for another purpose": (_ask(_good, purpose="调查"), "access.consent_mismatch"),
    "for another basis": (_ask(_good, kind=BasisKind.DELEGATED_CONSENT), "access.consent_mismatch"),
    "for another asking node": (
        _ask(_other(asking=lambda c: c.home.entity_id)),
        "access.consent_mismatch",
    ),
    "for another answering node": (
        _ask(
            _other(
                answering=lambda c: (c.home.entity_id,),
                holders=lambda c: {
                    c.home.entity_id: holder_for(next(iter(c.home.public_keys.values())), "111", HOLDER)
                },
            )
        ),
        "access.consent_mismatch",
    ),
    "for another type": (
        _ask(_other(certificate_types=(MARRIAGE,)), body=lambda c: c.query(ID_CARD)),
        "access.consent_mismatch",
    ),
    "for another type than the certificate's": (
        _ask(_other(certificate_types=(MARRIAGE,)), body=lambda _: CertificateGet(CARD_ID)),
        "access.consent_mismatch",
    ),
    "ended": (_ask(_other(expires_at=NOON, issued_at=NOON - timedelta(days=1))), "access.consent_expired"),
    "longer than any": (_ask(_other(expires_at=NOON + timedelta(days=31))), "access.consent_rejected"),
    "from the future": (
        _ask(_other(issued_at=NOON + timedelta(minutes=2), expires_at=NOON + timedelta(hours=1))),
        "access.consent_rejected",
    ),
    "with another status list": (
        _ask(_other(status_uri=lambda c: f"{c.home.entity_id}/mine")),
        "access.consent_rejected",
    ),
    "with no place in the list": (_ask(_other(status_index=100_000)), "access.consent_withdrawn"),
    "issued by the asking node to itself": (_ask(_self_issued), "access.consent_self_issued"),
    "for what is no certificate": (
        _ask(_good, body=lambda _: CertificateTypes()),
        "access.consent_unsupported",
    ),
}

ANSWERING: dict[str, tuple[Wrong, str]] = {
    "of another holder": (_ask(_good, body=lambda c: c.query(number=OTHER)), "access.consent_mismatch"),
    "with another holder in it": (_ask(_other(holder=("111", OTHER))), "access.consent_mismatch"),
    "encrypted to somebody else": (_ask(_other(to=lambda c: c.home)), "access.consent_rejected"),
    "with no holder in it": (
        _ask(_other(holders=lambda c: {c.answering.entity_id: "nothing"})),
        "access.consent_rejected",
    ),
}


@pytest.mark.parametrize(("wrong", "code"), [*BOTH.values(), *ANSWERING.values()], ids=[*BOTH, *ANSWERING])
async def test_what_a_consent_is_not_for_is_refused_by_the_answering_node(
    consents: Consents, wrong: Wrong, code: str
) -> None:
    _trust_everything(consents)
    with pytest.raises(FederationError) as caught:
        await wrong(consents)
    assert caught.value.code == code
    assert HOLDER not in caught.value.detail
    assert consents.answering.node.registry.looked_up == []
    assert not any(consents.answering.uses.counted.values())


@pytest.mark.parametrize(("wrong", "code"), BOTH.values(), ids=BOTH)
async def test_and_does_not_leave_the_asking_node(consents: Consents, wrong: Wrong, code: str) -> None:
    with pytest.raises(FederationError) as caught:
        await wrong(consents)
    assert caught.value.code == code
    assert consents.asking.node.transport.sent == []
    assert consents.asking.node.journal.records == []


async def test_a_delegated_consent_is_asked_on_as_such(consents: Consents) -> None:
    token, _ = await _issued(consents, basis="delegated_consent")
    result = await consents.ask(token, kind=BasisKind.DELEGATED_CONSENT)
    assert isinstance(result.body, CertificatesAnswer)
    assert result.body.certificates


@pytest.mark.parametrize(
    "fallen",
    [{"standing": "revoked"}, {"standing": "denied"}, {"expires_at": NOON}, {"openid": None}],
    ids=["revoked", "denied", "its chain ended", "offers no logins"],
)
async def test_an_issuer_that_fell_is_not_believed(consents: Consents, fallen: dict[str, Any]) -> None:
    token = consents.token()
    consents.know(**fallen)
    _trust_everything(consents)
    with pytest.raises(FederationError) as caught:
        await consents.ask(token)
    assert caught.value.code == "access.consent_rejected"


async def test_an_unknown_key_of_a_member_has_its_keys_looked_at(consents: Consents) -> None:
    with pytest.raises(FederationError):
        await consents.ask(consents.token(SigningKey.generate()))
    assert consents.asking.refreshes == [consents.home.entity_id]


async def test_another_holders_certificate_by_its_id_is_refused_after_the_look_up(consents: Consents) -> None:
    registry = consents.answering.node.registry
    registry.documents[:] = [id_card(registry.dialect, 持证主体代码=OTHER, 公民身份号码=OTHER)]
    for body in (CertificateGet(CARD_ID), CertificateVerify(CARD_ID, bytes(32))):
        with pytest.raises(AccessConsentMismatch, match="another holder"):
            await consents.ask(consents.token(), body)
    assert not any(consents.answering.uses.counted.values())


async def test_a_field_that_was_not_agreed_to_cannot_be_verified_either(consents: Consents) -> None:
    token = consents.token(fields=("姓名",))
    local = consents.asking.node.registry.dialect.field_name(ID_CARD, "住址")
    with pytest.raises(FederationError) as caught:
        await consents.ask(token, CertificateVerify(CARD_ID, face=(Element(local, "somewhere"),)))
    assert caught.value.code == "access.denied"


async def test_a_rule_may_take_what_the_asking_node_issued_itself(consents: Consents) -> None:
    consents.asking.node.govern(OWN_RULES.format(side="asking", counterpart="province"))
    with pytest.raises(FederationError) as caught:  # both sides must say so
        await consents.ask(_self_issued(consents))
    assert caught.value.code == "access.consent_withdrawn"  # the own place is looked up, and there is none
    text = consents.asking.papers.read(orjson.dumps([USE]).decode())
    request = replace(
        login_request(consents, text), is_peer=False, on_behalf=None, client_id="portal", client_name="皖事通"
    )
    (granted,) = await consents.asking.papers.issue(request, identity())
    with pytest.raises(FederationError) as caught:
        await consents.ask(granted["consent"])
    assert caught.value.code == "access.consent_self_issued"
    assert len(consents.asking.node.transport.sent) == 1
    consents.answering.node.govern(OWN_RULES.format(side="answering", counterpart="asking"))
    assert isinstance((await consents.ask(granted["consent"])).body, CertificatesAnswer)


async def test_a_node_without_consents_refuses_them(consents: Consents) -> None:
    asking, answering = make_country()
    basis = consents.question(consents.token()).basis
    with pytest.raises(AccessConsentUnsupported):
        await asking.asker.ask(command(asking, answering, basis=basis))


async def test_a_list_with_another_number_for_the_place_is_not_valid(consents: Consents) -> None:
    home = consents.home
    consents.served[home.entity_id] = home.status_list(statuses=Statuses.with_set([200], size=256))
    await consents.refresh()
    with pytest.raises(AccessConsentWithdrawn):
        await consents.ask(consents.token())
