"""My page at a node, with a record and consents that a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from federation.holder_record import CitizenRecord, Login, NotAsked
from federation.login.model import AuthRequest, Identity
from federation.login.my_page import MyPage
from federation.login.ports import PaperView
from federation.login.steps import GoTo, Step, Visitor
from federation.query import BasisKind, HolderUse, Outcome
from federation.quota import TokenBuckets
from node.store.database import open_database
from node.web.login.flow import LoginBorder
from node.web.login.my_page import MyPages, add_my_page
from node.web.login.steps import StepAnswers
from node.web.pages import Pages
from tests.support.clock import NOON, FixedClock
from tests.support.login_people import HOME, IDENTITY_PROVIDER, VISITED, open_login_rows
from tests.support.logout import NODE, Heard, LogoutNode, OwnProvider, make_logout_node

__all__ = ["MyNode", "Papers", "Record", "paper", "running_my_page", "use"]


def use(number: int, **changes: Any) -> HolderUse:
    """Somebody looked."""
    plain = HolderUse(
        request_id=f"0199-{number:04d}",
        request_identity=number.to_bytes(32),
        asking=VISITED,
        answering=HOME,
        operation="certificates.query",
        asked_at=NOON - timedelta(hours=number),
        platform="办事大厅",
        certificate_types=("11100000000013338W031",),
        basis=BasisKind.OFFICIAL_DUTY,
        service_item_name="新生儿落户",
        case_number=f"AH-{number}",
        outcome=Outcome.ANSWERED,
    )
    return replace(plain, **changes)


def paper(paper_id: str, **changes: Any) -> PaperView:
    """A consent that was given."""
    plain = PaperView(
        paper_id=paper_id,
        asking=VISITED,
        platform="portal",
        platform_name="安徽政务服务网",
        answering=("浙江省节点",),
        certificate_types=("结婚证",),
        fields=("持证者",),
        service_item="新生儿落户",
        case_number="AH-1",
        purpose="落户",
        uses=1,
        expires_at=int((NOON + timedelta(days=30)).timestamp()),
    )
    return replace(plain, **changes)


@dataclass
class Record:
    """Who looked, newest first; `asked` is who asked for it."""

    uses: Sequence[HolderUse] = ()
    missing: tuple[NotAsked, ...] = ()
    asked: list[Login] = field(default_factory=list)

    async def gather(self, login: Login, *, before: str = "", limit: int = 100) -> CitizenRecord:
        """As `HolderRecords.gather`."""
        self.asked.append(login)
        found = [one for one in self.uses if not before or one.request_id > before]
        more = found[limit - 1].request_id if len(found) > limit else ""
        return CitizenRecord(tuple(found[:limit]), more, self.missing)


@dataclass
class Papers:
    """Consents by subject."""

    given: dict[str, list[PaperView]] = field(default_factory=dict)

    def read(self, text: str) -> str:
        """Nothing is asked for here."""
        raise AssertionError(text)

    def describe(self, request: AuthRequest) -> Sequence[PaperView]:
        """Nothing is asked for here."""
        raise AssertionError(request)

    async def issue(self, request: AuthRequest, identity: Identity) -> tuple[Mapping[str, Any], ...]:
        """Nothing is asked for here."""
        raise AssertionError(request, identity)

    async def of(self, identity: Identity) -> Sequence[PaperView]:
        """As `Papers.of`."""
        return self.given.get(identity.subject, [])

    async def withdraw(self, identity: Identity, paper_id: str) -> bool:
        """As `Papers.withdraw`."""
        mine = self.given.get(identity.subject, [])
        for place, one in enumerate(mine):
            if one.paper_id == paper_id and one.withdrawn_at is None:
                mine[place] = replace(one, withdrawn_at=int(NOON.timestamp()))
                return True
        return False


@dataclass
class BeginOnly:
    """A flow of which the page needs the beginning."""

    asked: list[AuthRequest] = field(default_factory=list)

    async def begin(self, request: AuthRequest, visitor: Visitor) -> Step:
        """On to the identity provider."""
        assert visitor.browser
        self.asked.append(request)
        return GoTo(url=f"{IDENTITY_PROVIDER}/authorize?client_id=x")

    async def show(self, interaction_id: str, visitor: Visitor) -> Step:
        """Not asked for."""
        raise AssertionError(interaction_id, visitor)

    async def act(self, interaction_id: str, form: Mapping[str, str], visitor: Visitor) -> Step:
        """Not asked for."""
        raise AssertionError(interaction_id, form, visitor)

    async def callback(self, parameters: Mapping[str, str], visitor: Visitor) -> Step:
        """Not asked for."""
        raise AssertionError(parameters, visitor)


@dataclass
class MyNode:
    """The page, and the node that it is on."""

    node: LogoutNode
    record: Record
    papers: Papers
    flow: BeginOnly
    now_s: list[float]


@asynccontextmanager
async def running_my_page(folder: Path) -> AsyncIterator[MyNode]:
    """The page, served."""
    clock = FixedClock()
    database = open_database(f"sqlite:///{folder / 'me.db'}")
    try:
        node = make_logout_node(await open_login_rows(database, clock), clock, Heard(), OwnProvider())
        mine = MyNode(node, Record(), Papers(), BeginOnly(), [0.0])
        app = web.Application()
        add_my_page(app, _pages(mine))
        async with TestClient(TestServer(app)) as client:
            node.client = client
            yield mine
    finally:
        await database.close()


def _pages(mine: MyNode) -> MyPages:
    node, pages = mine.node, Pages(NODE)
    rules = MyPage(
        entity_id=HOME,
        name=NODE.name,
        identity_provider=IDENTITY_PROVIDER,
        sessions=node.rows.sessions,
        endings=node.rows.sessions,
        agreements=node.rows.agreements,
        papers=mine.papers,
        parties=node.parties,
        logout=node.logout,
        record=mine.record,
        directory=node.directory,
        looks=TokenBuckets(0.5, 20, now_s=lambda: mine.now_s[0]),
        now=node.clock.now,
    )
    return MyPages(
        rules=rules,
        end=node.end,
        flow=mine.flow,
        answers=StepAnswers(node.cookies, pages),
        pages=pages,
        cookies=node.cookies,
        border=LoginBorder(pages, node.cookies),
        type_names=lambda: {"11100000000013338W031": "居民身份证"},
    )
