"""The anchor over real sockets: fetch, list, status, and a trust list that is built from them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from node.anchor import AnchorFolder, revoke
from node.web.federation import RenewedDocument
from tests.node.anchor.scene import Looking, PortFactory, Served
from tests.support.clock import NOON, FixedClock
from trust.documents import ROLL_OVERS_PATH, statement_path
from trust.entity import WELL_KNOWN, read_statement, statement_digest
from trust.historical import verify_historical_keys
from trust.keys import SigningKey
from trust.resolution import verify_resolve_response
from trust.status import STATUS_TYPE, verify_status
from trust.tokens import read_token


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
    node = await anchor.node(unused_tcp_port_factory())
    looking = Looking(anchor)
    assert await looking.refresh() == {}
    found = looking.directory.current.peer_in("330000").envelope_keys
    assert [dict(key.jwk) for key in found.values()] == node.metadata["yrd_node"]["envelope_jwks"]["keys"]
    assert await looking.refresh() == {}, "everything unchanged: 304 each"
    anchor.clock.advance(seconds=1)
    assert await looking.refresh() == {}
    for runner in anchor.runners:
        await runner.cleanup()
    assert "cannot be fetched" in (await looking.refresh())[node.entity_id]
    assert looking.standings == {node.entity_id: "member"}


async def test_plain_files_are_served_beside_fetch(anchor: Served) -> None:
    node = "https://node.zj.example"
    statement = anchor.enroll(node, "330000", SigningKey.generate())
    assert await anchor.text(statement_path(node)) == statement
    assert await anchor.text(ROLL_OVERS_PATH) == "[]"
    revoke(anchor.directory, node, "gone", now=NOON)
    assert await anchor.error(statement_path(node)) == (404, "not_found")


async def test_head_is_a_get_without_its_body(anchor: Served) -> None:
    for path in (WELL_KNOWN, "/federation/status", "/federation/list", ROLL_OVERS_PATH):
        async with anchor.http.head(anchor.url + path) as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_what_is_not_a_get_is_refused_in_the_standards_form(anchor: Served) -> None:
    async with anchor.http.post(anchor.url + "/federation/fetch", data="sub=x") as response:
        assert (response.status, (await response.json())["error"]) == (405, "invalid_request")
        assert "GET" in response.headers["Allow"]


async def test_every_answer_may_be_kept_only_after_asking_again(anchor: Served) -> None:
    for path in (WELL_KNOWN, "/federation/status", "/federation/list", "/federation/nothing"):
        async with anchor.http.get(anchor.url + path) as response:
            assert response.headers["Cache-Control"] == "no-cache", path


async def test_lists_are_filtered_by_type_and_paged(anchor: Served) -> None:
    nodes = [f"https://node.{name}.example" for name in ("ah", "js", "zj")]
    for entity_id, province in zip(nodes, ("340000", "320000", "330000"), strict=True):
        anchor.enroll(entity_id, province, SigningKey.generate())
    for query, expected in (
        ("", nodes),
        ("?entity_type=yrd_node", nodes),
        ("?entity_type=oauth_client&entity_type=openid_provider", nodes),
        ("?entity_type=oauth_client", []),
        ("?intermediate=true", []),
        ("?intermediate=false", nodes),
    ):
        assert json.loads(await anchor.text("/federation/list" + query)) == expected, query
    seen, page = [], {"next": ""}
    while "next" in page:
        page = json.loads(await anchor.text(f"/federation/extended-list?limit=2&from={page['next']}"))
        seen += [entry["id"] for entry in page["immediate_subordinate_entities"]]
        assert len(page["immediate_subordinate_entities"]) <= 2
    assert seen == nodes


async def test_a_page_carries_what_was_asked_for(anchor: Served) -> None:
    node = "https://node.zj.example"
    statement = anchor.enroll(node, "330000", SigningKey.generate())
    noon = int(NOON.timestamp())
    path = "/federation/extended-list?"

    async def entry(query: str) -> object:
        return json.loads(await anchor.text(path + query))["immediate_subordinate_entities"]

    assert await entry("") == [{"id": node, "subordinate_statement": statement}]
    assert await entry("claims=sub,exp,colour") == [{"id": node, "sub": node, "exp": noon + 30 * 86400}]
    stamped = {"registered": noon, "updated": noon}
    whole = {"id": node, "subordinate_statement": statement}
    assert await entry("audit_timestamps=true") == [{**whole, **stamped}]
    assert await entry(f"updated_after={noon}") == [{**whole, **stamped}]
    assert await entry(f"updated_after={noon}&audit_timestamps=false") == [whole]
    assert await entry(f"updated_after={noon + 1}") == await entry(f"updated_before={noon - 1}") == []


async def test_resolve_answers_from_what_was_seen_of_members(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    path = f"/federation/resolve?sub={node.entity_id}&trust_anchor={anchor.url}"
    assert await anchor.error(path) == (404, "not_found"), "nobody is asked for a stranger"
    await anchor.watch().refresh_once()
    async with anchor.http.get(anchor.url + path) as response:
        assert response.content_type == "application/resolve-response+jwt"
        token = await response.text()
    root = anchor.folder.key("federation").verification_key
    options = {
        "issuer": anchor.url, "subject": node.entity_id, "keys": {root.kid: root}, "now": NOON,
    }  # fmt: skip
    answer = verify_resolve_response(token, **options)  # type: ignore[arg-type]
    assert answer.metadata["yrd_node"]["province"] == "330000"
    assert answer.trust_chain[1:] == (anchor.member(node.entity_id).statement, anchor.folder.configuration())
    assert answer.expires_at == NOON + timedelta(days=1), "with the first of its statements"
    assert await anchor.text(path) == token, "signed once"
    part = await anchor.text(path + "&entity_type=openid_provider&entity_type=nothing")
    assert set(verify_resolve_response(part, **options).metadata) == {"openid_provider"}  # type: ignore[arg-type]


async def test_what_a_stranger_makes_up_is_not_signed_for(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    await anchor.watch().refresh_once()
    path = f"/federation/resolve?sub={node.entity_id}&trust_anchor={anchor.url}"
    first = await anchor.text(path + "&entity_type=made_up")
    assert read_token(first).claims["metadata"] == {}
    anchor.clock.advance(seconds=30)
    assert await anchor.text(path + "&entity_type=another&entity_type=made_up") == first, "signed once"


async def test_resolve_refuses_what_it_cannot_prove(
    anchor: Served, unused_tcp_port_factory: PortFactory
) -> None:
    node = await anchor.node(unused_tcp_port_factory())
    await anchor.watch().refresh_once()
    path = f"/federation/resolve?sub={node.entity_id}&trust_anchor={anchor.url}"
    anchor.clock.advance(days=2)
    assert await anchor.error(path) == (400, "invalid_trust_chain"), "its configuration has expired"
    (anchor.directory / "keys" / "federation.pem").rename(anchor.directory / "away.pem")
    assert await anchor.error(path) == (503, "temporarily_unavailable"), "no other key may sign it"
    (anchor.directory / "away.pem").rename(anchor.directory / "keys" / "federation.pem")
    revoke(anchor.directory, node.entity_id, "gone", now=NOON)
    assert await anchor.error(path) == (404, "not_found")


async def test_historical_keys_are_there_before_there_are_any(anchor: Served) -> None:
    async with anchor.http.get(anchor.url + "/federation/historical-keys") as response:
        assert response.content_type == "application/jwk-set+jwt"
        token = await response.text()
    root = anchor.folder.key("federation").verification_key
    read = verify_historical_keys(token, entity_id=anchor.url, keys={root.kid: root}, now=NOON)
    assert read.keys == {}
    (anchor.directory / "historical.jwt").unlink()
    assert await anchor.error("/federation/historical-keys") == (404, "not_found")


async def test_the_configuration_names_every_endpoint_that_answers(anchor: Served) -> None:
    statement = read_statement(await anchor.text(WELL_KNOWN), allow_http_on_loopback=True)
    for name, url in statement.claims["metadata"]["federation_entity"].items():
        if name.endswith("_endpoint"):
            async with anchor.http.get(url) as response:
                assert response.status in (200, 400), name
    assert statement.claims["metadata"]["yrd_anchor"]["tls_ca_pem"] == [anchor.folder.ca_pem().decode()]


async def test_a_fault_is_told_without_details(anchor: Served) -> None:
    (anchor.directory / "members" / "x.json").write_text("{")
    async with anchor.http.get(anchor.url + "/federation/list") as response:
        assert (response.status, (await response.json())["error"]) == (500, "server_error")
        assert "json" not in (await response.text()).lower()


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
