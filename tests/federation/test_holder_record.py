"""A citizen sees who looked, across the provinces; nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from federation.errors import (
    AccessDenied,
    FederationError,
    PeerUnreachable,
    TrustAuthenticationRejected,
)
from federation.holder_record import CitizenRecord, Login
from federation.peers import Peer
from federation.query import (
    BasisKind,
    CertificateQuery,
    HolderRecord,
    HolderRecordAnswer,
    HolderUse,
    Outcome,
)
from mapping.identifiers import make_citizen_number
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import DUTY, HOLDER, ID_CARD, command, make_country
from tests.support.pair_log import Comparing
from tests.support.replacing import replace
from trust.authentication import Authentication, seal_authentication

OTHER = make_citizen_number("110101", NOON.date().replace(year=1985), 3)
NOBODY = 'version = "none"\nasking = []\nanswering = []\n'


@dataclass
class Provinces:
    """Shanghai, where the holder is logged in, Zhejiang and Jiangsu."""

    sh: Comparing
    zj: Comparing
    js: Comparing
    clock: FixedClock

    @property
    def login(self) -> Login:
        """The holder, logged in five minutes ago."""
        return Login("111", HOLDER, "high", self.clock.now() - timedelta(minutes=5))

    async def ask(self, asking: Comparing, answering: Comparing, number: str = HOLDER) -> str:
        """One query about a holder; its request id."""
        self.clock.advance(seconds=1)
        id_type = asking.node.registry.dialect.code_to_local("holder_id_type", "111").value
        body = CertificateQuery(id_type, number)
        asked = command(asking.node, answering.node, body, request_id=asking.asker.new_request_id())
        with suppress(FederationError):
            await asking.node.asker.ask(asked)
        return asked.request_id

    async def gather(self, **options: Any) -> CitizenRecord:
        """The holder's record as Shanghai gathers it."""
        return await self.sh.holders.gather(self.login, **options)

    def peer(self, own: Comparing, other: Comparing) -> Peer:
        """How one knows the other."""
        return own.node.directory.current.peer(other.node.entity_id)


@pytest.fixture
def at() -> Provinces:
    clock = FixedClock()
    sh, zj, js = (Comparing(node) for node in make_country("310000", "330000", "320000", clock=clock))
    return Provinces(sh, zj, js, clock)


def ids(uses: tuple[HolderUse, ...]) -> list[str]:
    """Their request ids, in order."""
    return [use.request_id for use in uses]


async def test_every_exchange_about_the_holder_is_told_once_newest_first(at: Provinces) -> None:
    first = await at.ask(at.sh, at.zj)
    await at.ask(at.sh, at.zj, OTHER)
    between_others = await at.ask(at.zj, at.js)
    last = await at.ask(at.js, at.sh)
    record = await at.gather()
    assert ids(record.uses) == [last, between_others, first]
    assert (record.missing, record.next) == ((), "")


async def test_a_use_says_who_asked_whom_for_what_when_and_why_and_names_no_one(at: Provinces) -> None:
    await at.ask(at.zj, at.js)
    (use,) = (await at.gather()).uses
    assert (use.asking, use.answering) == (at.zj.node.entity_id, at.js.node.entity_id)
    assert (use.operation, use.asked_at, use.platform) == ("certificates.query", at.clock.now(), "portal")
    assert (use.basis, use.service_item_name) == (BasisKind.OFFICIAL_DUTY, DUTY.service_item_name)
    assert (use.case_number, use.purpose) == (DUTY.case_number, DUTY.purpose)
    assert (use.outcome, use.certificate_types) == (Outcome.ANSWERED, (ID_CARD,))
    assert HOLDER not in str(use)
    assert "officer-7" not in str(use)


async def test_a_refusal_and_a_question_that_never_arrived_are_told_as_such(at: Provinces) -> None:
    at.js.node.govern(NOBODY)
    refused = await at.ask(at.zj, at.js)
    at.zj.node.transport.faults.append(PeerUnreachable("away"))
    lost = await at.ask(at.zj, at.sh)
    record = await at.gather()
    told = {use.request_id: (use.outcome, use.refusal_code) for use in record.uses}
    assert told == {refused: (Outcome.REFUSED, "access.denied"), lost: (None, "")}


async def test_no_access_rule_is_needed_and_asking_is_itself_in_both_logs(at: Provinces) -> None:
    at.zj.node.govern(NOBODY)
    await at.gather()
    operations = [record.meta.operation.value for record in at.zj.node.journal.records]
    assert operations == ["holder.record"] * 2
    assert "holder.record" in [record.meta.operation.value for record in at.sh.node.journal.records]


async def test_another_node_that_asks_for_the_record_is_told_and_the_holders_own_looks_are_not(
    at: Provinces,
) -> None:
    await at.gather()
    await at.gather()
    await at.js.holders.gather(at.login)
    record = await at.gather()
    assert {(use.operation, use.asking) for use in record.uses} == {("holder.record", at.js.node.entity_id)}
    assert len(record.uses) == 2


async def test_a_province_that_is_away_is_named(at: Provinces) -> None:
    kept = await at.ask(at.sh, at.js)
    at.sh.node.know(at.zj.node.peer(standing="revoked"), at.js.node.peer())
    record = await at.gather()
    assert ids(record.uses) == [kept]
    assert [(one.province, one.code) for one in record.missing] == [("330000", "peer.revoked")]


async def test_pages_of_all_logs_are_one_record(at: Provinces) -> None:
    made = []
    for number in range(9):
        asking, answering = [(at.sh, at.zj), (at.zj, at.js), (at.js, at.sh)][number % 3]
        made.append(await at.ask(asking, answering))
    seen: list[str] = []
    before = ""
    while True:
        page = await at.gather(before=before, limit=2)
        seen += ids(page.uses)
        before = page.next
        if not before:
            break
    assert seen == list(reversed(made))


async def test_of_what_was_forgotten_only_what_the_log_knows_is_told(at: Provinces) -> None:
    await at.ask(at.zj, at.js)
    journal = at.js.node.journal
    request = journal.records[0]
    about = {request.meta.request_id}
    journal.records = [
        replace(record, envelope=b"", salt=b"") if record.meta.request_id in about else record
        for record in journal.records
    ]

    async def forgotten(*_: object, **__: object) -> list[list[Any]]:
        return [journal.records[:2]]

    own = at.js.holders._own
    own._log.exchanges = forgotten  # type: ignore[method-assign]
    (use,) = (await own.page("111", HOLDER, limit=10)).uses
    assert (use.forgotten, use.outcome, use.platform, use.purpose) == (True, Outcome.ANSWERED, "", "")
    # The other log still has it all.
    assert [one.forgotten for one in (await at.gather()).uses] == [False]


# --- who may not ------------------------------------------------------------------------------------


async def send(at: Provinces, statement: bytes, *, number: str = HOLDER, request_id: str = "") -> object:
    """Shanghai asks Zhejiang with this statement."""
    body = HolderRecord("111", number, statement)
    peer = at.peer(at.sh, at.zj)
    return await at.sh.asker.ask(peer, body, purpose="test", timeout_s=5, request_id=request_id)


def statement(at: Provinces, request_id: str, *, by: Comparing | None = None, **changes: Any) -> bytes:
    """A statement for Zhejiang, right but for the changes."""
    now = at.clock.now()
    said = Authentication(
        holder_id_type="111",
        holder_id=HOLDER,
        acr="high",
        auth_time=now - timedelta(minutes=5),
        aud=at.zj.node.entity_id,
        iat=now,
        exp=now + timedelta(seconds=300),
        jti=request_id,
    )
    return seal_authentication(replace(said, **changes), (by or at.sh).node.key).envelope


async def test_an_honest_statement_is_answered(at: Provinces) -> None:
    request_id = at.sh.asker.new_request_id()
    answer = await send(at, statement(at, request_id), request_id=request_id)
    assert isinstance(answer, HolderRecordAnswer)


@pytest.mark.parametrize(
    "attack", ["foreign_signer", "stale", "audience", "other_holder", "login", "garbage"]
)
async def test_a_statement_that_does_not_hold_is_refused_with_a_signed_answer(
    at: Provinces, attack: str
) -> None:
    await at.ask(at.js, at.zj)
    request_id = at.sh.asker.new_request_id()
    number = OTHER if attack == "other_holder" else HOLDER
    attacks: dict[str, Callable[[], bytes]] = {
        "foreign_signer": lambda: statement(at, request_id, by=at.js),
        "stale": lambda: statement(
            at, request_id, iat=NOON - timedelta(minutes=20), exp=NOON - timedelta(minutes=16)
        ),
        "audience": lambda: statement(at, request_id, aud=at.js.node.entity_id),
        "other_holder": lambda: statement(at, request_id),
        "login": lambda: statement(at, request_id, auth_time=at.clock.now() - timedelta(hours=2)),
        "garbage": lambda: b"no envelope",
    }
    with pytest.raises(TrustAuthenticationRejected) as refused:
        await send(at, attacks[attack](), number=number, request_id=request_id)
    assert HOLDER not in refused.value.detail
    assert at.zj.node.journal.records[-1].meta.outcome == "refused"


async def test_a_statement_is_used_once(at: Provinces) -> None:
    request_id = at.sh.asker.new_request_id()
    seen = statement(at, request_id)
    await send(at, seen, request_id=request_id)
    with pytest.raises(TrustAuthenticationRejected, match="for request"):
        await send(at, seen)
    with pytest.raises(FederationError) as refused:  # other bytes under the same request id
        await send(at, statement(at, request_id, acr="low"), request_id=request_id)
    assert refused.value.code == "peer.replayed"


async def test_no_platform_can_ask_for_a_record(at: Provinces) -> None:
    body = HolderRecord("111", HOLDER, b"x")
    with pytest.raises(AccessDenied):
        await at.sh.node.asker.ask(command(at.sh.node, at.zj.node, body))


@pytest.mark.parametrize("lie", ["of_others", "out_of_order"])
async def test_a_peer_that_tells_of_others_or_out_of_order_is_named_as_missing(
    at: Provinces, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await at.ask(at.js, at.zj)
    asked = type(at.sh.asker).ask

    async def lying(self: object, peer: Peer, body: object, **rest: object) -> object:
        answer = await asked(self, peer, body, **rest)  # type: ignore[arg-type]
        assert isinstance(answer, HolderRecordAnswer)
        if peer.province != "330000":
            return answer
        if lie == "out_of_order":
            return HolderRecordAnswer(tuple(reversed(answer.uses)))
        return HolderRecordAnswer(tuple(replace(use, answering="https://x.example") for use in answer.uses))

    monkeypatch.setattr(type(at.sh.asker), "ask", lying)
    record = await at.gather()
    assert [(one.province, one.code) for one in record.missing] == [("330000", "peer.wrong_answer")]
    assert len(record.uses) == 2
