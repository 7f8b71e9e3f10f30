"""Each registry over real HTTP, by the node's own connector and the settings that node.toml gets."""

import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from federation.errors import FederationError
from federation.query import Operation
from mapping.codelists import SERVICE_ITEM
from mapping.element import Relation
from mapping.translate import Dialect, load_dialect
from node.connectors.http_registry import HttpRegistry
from node.connectors.settings import HttpRegistrySettings
from node.connectors.settings_reader import read_registry
from simulators.divisions import PROVINCES
from simulators.papers import Paper
from simulators.people import Resident
from simulators.population import Population
from simulators.registry import SHAPES, make_registry
from simulators.services import catalogue_of

POPULATION = Population(residents=200)


@dataclass(frozen=True)
class Registry:
    province: str
    url: str
    dialect: Dialect
    connector: HttpRegistry

    async def ask(self, operation: Operation, timeout_s: float = 3.0, **asked: str) -> list[dict[str, Any]]:
        said = await self.connector.look_up(operation, asked, timeout_s=timeout_s)
        return [dict(document) for document in said.documents]

    def local(self, name: str, shared: str) -> str:
        return self.dialect.code_to_local(name, shared).value

    async def certificates(self, who: Resident, **more: str) -> list[dict[str, Any]]:
        return await self.ask(
            Operation.CERTIFICATES_QUERY,
            holder_id_type=self.local("holder_id_type", "111"),
            holder_id=who.citizen_number,
            timeout_s=3.0,
            **more,
        )

    async def fault(self, **said: object) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/_faults", json=said) as answer,
        ):
            return answer.status


@pytest_asyncio.fixture(params=PROVINCES)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    province: str = request.param
    runner = web.AppRunner(make_registry(province, POPULATION), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = read_registry(tomllib.loads(SHAPES[province].registry_toml(url))["registry"])
    assert isinstance(settings, HttpRegistrySettings)
    async with HttpRegistry(settings) as connector:
        yield Registry(province, url, load_dialect(province), connector)
    await runner.cleanup()


def with_papers_in(province: str) -> tuple[Resident, tuple[Paper, ...]]:
    """Somebody from another province with papers in this one."""
    for index in range(200):
        for home in PROVINCES:
            who = POPULATION.resident(home, index)
            papers = POPULATION.papers_in(province, "111", who.citizen_number)
            if home != province and len(papers) >= 2:
                return who, papers
    raise AssertionError("nobody moved")


def shared_of(registry: Registry, document: dict[str, Any]) -> dict[str, str]:
    kind = registry.dialect.document_kind(document)
    return {e.name: e.value for e in registry.dialect.to_shared(kind, document) if not e.groups}


async def test_holders_from_elsewhere_are_found_and_read_back(registry: Registry) -> None:
    who, papers = with_papers_in(registry.province)

    documents = await registry.certificates(who)

    assert len(documents) == len(papers)
    for document, paper in zip(documents, papers, strict=True):
        said = shared_of(registry, document)
        assert said["证照标识"] == paper.certificate_id
        assert {e.name: e.value for e in paper.elements if not e.groups}.items() <= said.items()


async def test_every_type_reads_back_as_it_was(registry: Registry) -> None:
    seen = set()
    for home in PROVINCES:
        for index in range(200):
            who = POPULATION.resident(home, index)
            for paper in POPULATION.papers_in(registry.province, "111", who.citizen_number):
                if paper.certificate_type in seen or paper.fault:
                    continue
                seen.add(paper.certificate_type)
                document = registry.dialect.render_local(paper.certificate_type, paper.elements)
                back = registry.dialect.to_shared(paper.certificate_type, document)
                lost = {e.name for e in back if e.relation in (Relation.UNMAPPED, Relation.INVALID)}
                assert not lost, (paper.certificate_type, lost)
    assert len(seen) >= 9


async def test_one_type_can_be_asked_for(registry: Registry) -> None:
    who, papers = with_papers_in(registry.province)
    kind = papers[-1].certificate_type

    (document,) = await registry.certificates(who, certificate_type=registry.local("certificate_type", kind))

    assert registry.dialect.document_kind(document) == kind


async def test_an_enterprise_is_found_by_its_credit_code(registry: Registry) -> None:
    who = POPULATION.organisation(registry.province, 2)

    (document,) = await registry.ask(
        Operation.CERTIFICATES_QUERY,
        holder_id_type=registry.local("holder_id_type", "001"),
        holder_id=who.credit_code,
    )

    assert shared_of(registry, document)["持证主体"] == who.name


@pytest.mark.parametrize("operation", [Operation.CERTIFICATES_GET, Operation.CERTIFICATES_VERIFY])
async def test_one_certificate_by_its_id(registry: Registry, operation: Operation) -> None:
    _, papers = with_papers_in(registry.province)
    local_id = registry.local("certificate_id", papers[0].certificate_id)

    (document,) = await registry.ask(operation, certificate_id=local_id)

    assert registry.dialect.document_id(document) == papers[0].certificate_id
    assert await registry.ask(operation, certificate_id=local_id[:-3] + "000") == []


async def test_nobody_has_nothing(registry: Registry) -> None:
    stranger = Population(residents=1000).resident("310000", 900)

    assert await registry.certificates(stranger) == []


async def test_services_come_in_pages_with_their_guides(registry: Registry) -> None:
    entries = catalogue_of(registry.province, POPULATION.seed).entries
    asked = {"page": "2", "page_size": "10"}

    said = await registry.connector.look_up(Operation.SERVICES_SEARCH, asked, timeout_s=3)

    assert said.total == len(entries)
    assert len(said.documents) == 10
    shared = registry.dialect.to_shared(SERVICE_ITEM, said.documents[0])
    assert {e.name: e.value for e in shared}["实施编码"] == entries[10].item_code
    assert next(e for e in shared if e.name == "申请材料").groups


async def test_services_by_words_and_by_division(registry: Registry) -> None:
    entry = next(e for e in catalogue_of(registry.province, POPULATION.seed).entries if e.name == "生育登记")

    assert len(await registry.ask(Operation.SERVICES_SEARCH, words="生育登记")) == 3
    found = await registry.ask(
        Operation.SERVICES_SEARCH, division=registry.local("division", entry.division), words="生育登记"
    )
    assert found


async def test_one_service_item(registry: Registry) -> None:
    entry = catalogue_of(registry.province, POPULATION.seed).entries[-1]

    (document,) = await registry.ask(Operation.SERVICES_GET, item_code=entry.item_code)

    shared = {e.name: e for e in registry.dialect.to_shared(SERVICE_ITEM, document)}
    assert shared["实施编码"].value == entry.item_code
    for wanted in entry.elements:
        if wanted.value:
            assert shared[wanted.name].value == wanted.value
    assert await registry.ask(Operation.SERVICES_GET, item_code=entry.item_code[:-4] + "9999") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"mode": "slow", "delay_s": 30}, "registry.timeout"),
        ({"mode": "down"}, "registry.unreachable"),
        ({"mode": "wrong_json"}, "registry.bad_answer"),
    ],
)
async def test_faults_are_shown_on_demand(registry: Registry, fault: dict[str, object], code: str) -> None:
    assert await registry.fault(**fault) == 200

    with pytest.raises(FederationError) as refused:
        await registry.ask(Operation.SERVICES_SEARCH, timeout_s=0.2)
    assert refused.value.code == code

    assert await registry.fault(mode="none") == 200
    assert await registry.ask(Operation.SERVICES_SEARCH)


async def test_an_unknown_code_comes_through_unmapped(registry: Registry) -> None:
    who, _ = with_papers_in(registry.province)
    await registry.fault(mode="unknown_code", count=1)

    document, *_ = await registry.certificates(who)
    again, *_ = await registry.certificates(who)

    kind = registry.dialect.document_kind(document)
    (state,) = (e for e in registry.dialect.to_shared(kind, document) if e.name == "证照状态")
    assert (state.relation, state.value, state.original) == (Relation.UNMAPPED, "Z9", "Z9")
    (state,) = (e for e in registry.dialect.to_shared(kind, again) if e.name == "证照状态")
    assert state.relation is not Relation.UNMAPPED


@pytest.mark.parametrize(
    "said", [{"mode": "gone"}, {"mode": "slow", "delay_s": "x"}, {"mode": "down", "count": 0}, {}]
)
async def test_a_fault_that_is_none_is_refused(registry: Registry, said: dict[str, object]) -> None:
    assert await registry.fault(**said) == 400


async def test_it_says_that_it_is_synthetic(registry: Registry) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{registry.url}/_about") as answer:
            about = await answer.json()
        async with session.get(f"{registry.url}/_people?index=3") as answer:
            person = await answer.json()
        async with session.get(f"{registry.url}/_people?index=999999") as answer:
            assert answer.status == 400
        assert answer.headers["X-Synthetic"] == "true"

    assert about["synthetic"]
    assert about["province"] == registry.province
    assert person["citizen_number"] == POPULATION.resident(registry.province, 3).citizen_number


async def test_a_call_without_the_provinces_credentials_is_refused(registry: Registry) -> None:
    """What each insists on: a session, an application key, a servicecode, a source."""
    route = next(r for r in SHAPES[registry.province].routes if r.operation is Operation.SERVICES_SEARCH)
    async with (
        aiohttp.ClientSession() as session,
        session.request(route.method, registry.url + route.path) as answer,
    ):
        said = await answer.json()
    assert not any(word in str(said) for word in ("itemList", "datas", "tasks", "rows"))
