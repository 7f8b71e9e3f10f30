"""The anchor over real sockets: fetch, list, status, and a trust list that is built from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from federation.peers import Directory, TrustSnapshot
from federation.trust_sync import TrustSettings, TrustSync
from node.anchor import AnchorFolder, anchor_app, anchor_jwks, enroll, enrolment_request, init_anchor, revoke
from node.connectors.statements import HttpStatementSource
from node.web.federation import RenewedDocument, add_entity_configuration
from tests.federation.trust_doubles import MemoryTrustStore
from tests.support.clock import NOON, FixedClock
from trust.entity import WELL_KNOWN, build_entity_configuration, read_statement, statement_digest
from trust.keys import SigningKey, keys_from_jwks
from trust.profile import node_metadata
from trust.status import STATUS_TYPE, verify_status
from trust.tokens import read_token

PortFactory = Callable[[], int]


@dataclass
class Served:
    """A running anchor."""

    url: str
    directory: Path
    clock: FixedClock
    http: aiohttp.ClientSession
    runners: list[web.AppRunner]

    async def serve(self, app: web.Application, port: int) -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        self.runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", port).start()

    async def text(self, path: str) -> str:
        async with self.http.get(self.url + path) as response:
            assert response.status == 200
            return await response.text()

    def enroll(self, entity_id: str, province: str, key: SigningKey) -> str:
        request = enrolment_request(
            entity_id=entity_id,
            province=province,
            name=province,
            grpc_endpoint="127.0.0.1:" + province[:4],
            federation_key=key.verification_key,
            tls_key=SigningKey.generate(),
        )
        statement: str = enroll(self.directory, request, now=self.clock.now())["statement"]
        return statement


@pytest.fixture
async def anchor(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Served]:
    url, clock, directory = f"http://127.0.0.1:{unused_tcp_port}", FixedClock(), tmp_path / "anchor"
    init_anchor(directory, url, name="长三角锚", now=NOON, allow_http_on_loopback=True)
    async with aiohttp.ClientSession() as http:
        served = Served(url, directory, clock, http, [])
        await served.serve(anchor_app(directory, clock), unused_tcp_port)
        yield served
        for runner in served.runners:
            await runner.cleanup()


async def test_the_configuration_is_served_with_its_media_type_and_tag(anchor: Served) -> None:
    async with anchor.http.get(anchor.url + WELL_KNOWN) as response:
        assert response.content_type == "application/entity-statement+jwt"
        tag = response.headers["ETag"]
        token = await response.text()
    assert read_statement(token, allow_http_on_loopback=True).sub == anchor.url
    assert tag == f'"{statement_digest(token)}"'
    async with anchor.http.get(anchor.url + WELL_KNOWN, headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with anchor.http.get(anchor.url + WELL_KNOWN, headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_fetch_and_list_give_members_in_good_standing(anchor: Served) -> None:
    node = "https://node.zj.example"
    statement = anchor.enroll(node, "330000", SigningKey.generate())
    assert await anchor.text(f"/federation/fetch?sub={node}") == statement
    assert await anchor.text("/federation/list") == f'["{node}"]'
    revoke(anchor.directory, node, "gone", now=NOON)
    assert await anchor.text("/federation/list") == "[]"
    async with anchor.http.get(anchor.url + f"/federation/fetch?sub={node}") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/federation/fetch", 400, "invalid_request"),
        ("/federation/fetch?sub=", 400, "invalid_request"),
        ("/federation/fetch?sub={own}", 400, "invalid_request"),
        ("/federation/fetch?sub=https://nobody.example", 404, "not_found"),
        ("/federation/fetch?sub=https://a.example&sub=https://b.example", 400, "invalid_request"),
        ("/federation/fetch?sub=https://a.example&iss=https://b.example", 404, "invalid_issuer"),
        ("/federation/list?trust_marked=true", 400, "unsupported_parameter"),
        ("/federation/list?trust_mark_type=https://a.example/mark", 400, "unsupported_parameter"),
        ("/federation/list?colour=red", 400, "unsupported_parameter"),
        ("/federation/list?intermediate=perhaps", 400, "invalid_request"),
        ("/federation/list?intermediate=true&intermediate=true", 400, "invalid_request"),
        ("/federation/extended-list?limit=0", 400, "invalid_request"),
        ("/federation/extended-list?limit=-1", 400, "invalid_request"),
        ("/federation/extended-list?updated_after=yesterday", 400, "invalid_request"),
        ("/federation/extended-list?audit_timestamps=1", 400, "invalid_request"),
        ("/federation/resolve", 400, "invalid_request"),
        ("/federation/resolve?sub=https://a.example", 400, "invalid_request"),
        ("/federation/resolve?trust_anchor={own}", 400, "invalid_request"),
        (
            "/federation/resolve?sub=https://a.example&trust_anchor=https://b.example",
            404,
            "invalid_trust_anchor",
        ),
        ("/federation/resolve?sub=https://a.example&trust_anchor={own}", 404, "not_found"),
        ("/federation/resolve?sub=https://a.example&trust_anchor={own}&x=1", 400, "unsupported_parameter"),
        ("/federation/statements/nobody", 404, "not_found"),
        ("/federation/nothing", 404, "invalid_request"),
    ],
)
async def test_errors_are_those_of_the_standard(anchor: Served, path: str, status: int, code: str) -> None:
    async with anchor.http.get(anchor.url + path.format(own=anchor.url)) as response:
        assert (response.status, (await response.json())["error"]) == (status, code)


async def test_the_status_is_signed_anew_each_minute_and_when_a_member_changes(anchor: Served) -> None:
    key = AnchorFolder(anchor.directory).key("status").verification_key
    tokens = [await anchor.text("/federation/status"), await anchor.text("/federation/status")]
    assert tokens[0] == tokens[1]
    anchor.clock.advance(seconds=60)
    tokens.append(await anchor.text("/federation/status"))
    anchor.enroll("https://node.zj.example", "330000", SigningKey.generate())
    tokens.append(await anchor.text("/federation/status"))
    revoke(anchor.directory, "https://node.zj.example", "gone", now=anchor.clock.now())
    tokens.append(await anchor.text("/federation/status"))
    read = [
        verify_status(token, anchor=anchor.url, keys={key.kid: key}, now=anchor.clock.now())
        for token in tokens[1:]
    ]
    assert [status.sequence for status in read] == sorted({status.sequence for status in read})
    assert [len(status.digests) for status in read] == [0, 0, 1, 0]
    assert read[-1].revocations["https://node.zj.example"].reason == "gone"
    assert read_token(tokens[0]).header["typ"] == STATUS_TYPE


async def test_what_ends_soon_is_renewed_while_the_root_key_is_there(anchor: Served) -> None:
    first = await anchor.text(WELL_KNOWN)
    anchor.clock.advance(days=16)
    second = await anchor.text(WELL_KNOWN)
    assert read_statement(second, allow_http_on_loopback=True).issued_at == NOON + timedelta(days=16)
    assert first != second
    (anchor.directory / "keys" / "federation.pem").unlink()
    anchor.clock.advance(days=16)
    assert await anchor.text(WELL_KNOWN) == second


async def test_an_anchor_that_lost_its_status_key_says_so_without_details(anchor: Served) -> None:
    (anchor.directory / "keys" / "status.pem").unlink()
    async with anchor.http.get(anchor.url + "/federation/status") as response:
        assert response.status == 503
        assert "keys" not in await response.text()


async def test_a_trust_list_is_built_over_the_wire(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    key, envelope_key = SigningKey.generate(), SigningKey.generate()
    node = f"http://127.0.0.1:{unused_tcp_port_factory()}"

    def build(now: object) -> str:
        return build_entity_configuration(
            entity_id=node,
            signer=key,
            metadata=node_metadata(
                entity_id=node,
                province="330000",
                name="330000",
                grpc_endpoint="127.0.0.1:3300",
                envelope_keys=[envelope_key.verification_key],
            ),
            now=anchor.clock.now(),
            authority_hints=[anchor.url],
        )

    configuration = RenewedDocument(build, anchor.clock)
    app = web.Application()
    add_entity_configuration(app, configuration)
    await anchor.serve(app, int(node.rpartition(":")[2]))
    anchor.enroll(node, "330000", key)
    directory = Directory(TrustSnapshot("https://node.sh.example", "310000"))
    sync = TrustSync(
        TrustSettings(
            own_entity="https://node.sh.example",
            own_province="310000",
            anchor=anchor.url,
            anchor_keys=keys_from_jwks(anchor_jwks(anchor.directory)),
            allow_http_on_loopback=True,
        ),
        store=MemoryTrustStore(),
        source=HttpStatementSource(anchor.http, allow_http_on_loopback=True),
        directory=directory,
        clock=anchor.clock,
    )
    assert (await sync.refresh_once()).problems == {}
    assert set(directory.current.peer_in("330000").envelope_keys) == {envelope_key.kid}
    assert (await sync.refresh_once()).problems == {}, "everything unchanged: 304 each"
    configuration.expire()
    assert (await sync.refresh_once()).problems == {}
    for runner in anchor.runners:
        await runner.cleanup()
    assert "cannot be fetched" in (await sync.refresh_once()).problems[node]
    assert set(directory.current.peers) == {node}


def test_an_own_configuration_is_signed_anew_each_hour_and_when_told() -> None:
    clock = FixedClock()
    count = iter(range(10))
    configuration = RenewedDocument(lambda _: str(next(count)), clock)
    seen = [configuration(), configuration()]
    clock.advance(hours=1)
    seen.append(configuration())
    configuration.expire()
    seen.append(configuration())
    clock.advance(hours=-3)
    seen.append(configuration())
    assert seen == ["0", "0", "1", "2", "3"]
