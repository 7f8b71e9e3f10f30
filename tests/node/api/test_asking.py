"""Questions over a real socket, through the real asking and answering sides."""

from __future__ import annotations

from typing import Any

import pytest

from federation.errors import (
    FederationError,
    OwnStoreUnavailable,
    PeerTimeout,
    PeerUnreachable,
    RegistryTimeout,
)
from federation.rpc.convert import ProtobufCodec
from mapping.element import Element
from mapping.identifiers import make_certificate_id
from tests.node.api.platform import BASIS, ITEM_CODE, Platform
from tests.support.exchange import AUTHORITY, HOLDER, ID_CARD
from trust.envelope import parse

CERTIFICATE_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
ASKED = {"certificate_id": CERTIFICATE_ID, "province": "330000", "basis": BASIS, "officer": "o"}


async def test_a_question_is_answered_in_the_platforms_own_words(platform: Platform) -> None:
    status, headers, body = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert status == 200
    assert body["request_id"] == headers["X-Request-Id"]
    assert (body["outcome"], body["province"]) == ("answered", "330000")
    assert body["answering"] == platform.peer.entity_id
    assert body["decision"]["rule"] == "answer-all"
    assert body["map_sets"]["asking"]["version"].startswith("310000")
    assert body["map_sets"]["answering"]["version"].startswith("330000")
    [certificate] = body["certificates"]
    assert certificate["certificate_type_name"] == "居民身份证"
    assert certificate["certificate_id"] == CERTIFICATE_ID
    name = platform.own.registry.dialect.field_name(ID_CARD, "姓名")
    assert certificate["fields"][name] == "王芳"
    assert {row["field"] for row in certificate["translation"]} <= set(certificate["fields"])
    assert all(row["relation"] for row in certificate["translation"])


async def test_no_holder_stands_in_what_a_problem_or_a_url_says(platform: Platform) -> None:
    wrong = HOLDER[:-1] + ("1" if HOLDER[-1] != "1" else "2")
    query = platform.query()
    query["holder"]["id"] = wrong
    status, headers, body = await platform.send("POST", "/v1/certificates/query", json=query)
    assert (status, body["code"], body["field"]) == (400, "own.bad_value", "holder.id")
    assert headers["Content-Type"] == "application/problem+json"
    assert body["detail"]
    assert wrong not in str(body)
    assert not platform.own.journal.records


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"province": "990000"}, "own.unknown_province", "province"),
        ({"province": "310000"}, "own.own_province", "province"),
        ({"province": "33"}, "own.bad_value", "province"),
        ({"province": 330000}, "own.malformed_request", "province"),
        ({"certificate_type": "no such type"}, "own.unknown_code", "certificate_type"),
        ({"holder": {"id_type": "no such type", "id": HOLDER}}, "own.unknown_code", "holder.id_type"),
        ({"holder": {"id_type": "x"}}, "own.malformed_request", "holder.id"),
        ({"holder": {"id_type": "x", "id": ""}}, "own.bad_value", "holder.id"),
        ({"holder": None}, "own.malformed_request", "holder"),
        ({"extra": 1}, "own.malformed_request", "extra"),
        ({"330106199011020278": 1}, "own.malformed_request", "(another name)"),
        ({"officer": ""}, "own.bad_value", "officer"),
        ({"officer": "a\u0000b"}, "own.bad_value", "officer"),
        ({"basis": BASIS | {"kind": "because"}}, "own.bad_value", "basis.kind"),
        ({"basis": BASIS | {"service_item_code": "123"}}, "own.bad_value", "basis.service_item_code"),
        ({"basis": BASIS | {"purpose": ["x"]}}, "own.malformed_request", "basis.purpose"),
    ],
)
async def test_bad_input_names_the_field_and_nothing_leaves(
    platform: Platform, changes: dict[str, Any], code: str, field: str
) -> None:
    body = platform.query(**changes)
    status, _, problem = await platform.send("POST", "/v1/certificates/query", json=body)
    assert (status, problem["code"], problem["field"]) == (400, code, field)
    assert problem["detail"]
    assert not platform.own.transport.sent
    assert not platform.own.journal.records


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"nonsense", b'{"province": "330000"', b'"\xff"', b'"\\ud800"', b"[" * 60_000],
)
async def test_a_body_that_is_no_json_object_is_malformed(platform: Platform, body: bytes) -> None:
    headers = platform.token() | {"Content-Type": "application/json"}
    status, _, problem = await platform.send("POST", "/v1/certificates/query", data=body, headers=headers)
    assert (status, problem["code"]) == (400, "own.malformed_request")


async def test_a_missing_field_is_named(platform: Platform) -> None:
    for name in ("province", "holder", "basis", "officer"):
        body = platform.query()
        del body[name]
        status, _, problem = await platform.send("POST", "/v1/certificates/query", json=body)
        assert (status, problem["code"], problem["field"]) == (400, "own.malformed_request", name)


async def test_a_consent_as_basis_is_refused_where_none_are_taken(platform: Platform) -> None:
    body = platform.query(basis=BASIS | {"kind": "holders_consent"})
    status, _, problem = await platform.send("POST", "/v1/certificates/query", json=body)
    assert (status, problem["code"]) == (403, "access.consent_unsupported")


async def test_the_body_must_be_json_by_its_type(platform: Platform) -> None:
    status, _, problem = await platform.send("POST", "/v1/certificates/query", data=b"{}")
    assert (status, problem["code"]) == (415, "own.unsupported_media")


async def test_one_certificate_by_its_id_and_null_for_one_that_is_not_there(platform: Platform) -> None:
    status, _, body = await platform.send("POST", "/v1/certificates/get", json=ASKED)
    assert (status, body["certificate"]["certificate_id"]) == (200, CERTIFICATE_ID)
    other = ASKED | {"certificate_id": make_certificate_id(ID_CARD, AUTHORITY, "A2")}
    status, _, body = await platform.send("POST", "/v1/certificates/get", json=other)
    assert (status, body["certificate"]) == (200, None)


async def test_a_certificate_id_with_a_wrong_check_character(platform: Platform) -> None:
    wrong = CERTIFICATE_ID[:-1] + ("1" if CERTIFICATE_ID[-1] != "1" else "2")
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/get", json=ASKED | {"certificate_id": wrong}
    )
    assert (status, problem["code"], problem["field"]) == (400, "own.bad_value", "certificate_id")


async def test_verifies_what_someone_presents(platform: Platform) -> None:
    dialect = platform.own.registry.dialect
    name = dialect.field_name(ID_CARD, "姓名")
    for presented, verdict, altered in (("王芳", "valid", []), ("王方", "altered", [name])):
        body = ASKED | {"face": {name: presented}}
        status, _, answer = await platform.send("POST", "/v1/certificates/verify", json=body)
        assert (status, answer["verdict"], answer["altered"]) == (200, verdict, altered)
    status, _, answer = await platform.send(
        "POST", "/v1/certificates/verify", json=ASKED | {"digest": "0" * 64}
    )
    assert (status, answer["verdict"]) == (200, "altered")


async def test_a_verification_needs_a_digest_or_a_face(platform: Platform) -> None:
    status, _, problem = await platform.send("POST", "/v1/certificates/verify", json=ASKED)
    assert (status, problem["code"], problem["field"]) == (400, "own.bad_value", "face")
    status, _, problem = await platform.send("POST", "/v1/certificates/verify", json=ASKED | {"digest": "AB"})
    assert (status, problem["code"], problem["field"]) == (400, "own.bad_value", "digest")


async def test_the_certificate_types_of_a_province(platform: Platform) -> None:
    status, _, body = await platform.send("GET", "/v1/certificates/types/330000")
    assert status == 200
    assert [one["name"] for one in body["types"]] == ["居民身份证"]


async def test_service_items_are_found_and_one_is_read(platform: Platform) -> None:
    item = service_item(platform)
    platform.peer.registry.items.append(item)
    status, _, body = await platform.send("POST", "/v1/services/query", json={"province": "330000"})
    assert (status, body["total"], body["items"][0]["item_code"]) == (200, 1, ITEM_CODE)
    status, _, body = await platform.send("GET", f"/v1/services/330000/{ITEM_CODE}?officer=li")
    assert (status, body["item"]["name"]) == (200, "户口迁移")


async def test_a_service_item_that_is_not_there_is_404(platform: Platform) -> None:
    status, headers, problem = await platform.send("GET", f"/v1/services/330000/{ITEM_CODE}")
    assert (status, problem["code"]) == (404, "own.not_found")
    assert problem["request_id"] == headers["X-Request-Id"]


def service_item(platform: Platform) -> dict[str, Any]:
    elements = (Element("事项名称", "户口迁移"), Element("实施编码", ITEM_CODE))
    return platform.peer.registry.dialect.render_local("service_item", elements)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/services/33/x", "own.bad_value"),
        ("/v1/services/330000/a%20b", "own.bad_value"),
        (f"/v1/services/330000/{ITEM_CODE}?words=1", "own.malformed_request"),
        (f"/v1/services/330000/{ITEM_CODE}?officer=a&officer=b", "own.bad_value"),
        (f"/v1/services/990000/{ITEM_CODE}", "own.unknown_province"),
    ],
)
async def test_a_bad_path_or_query_is_refused(platform: Platform, path: str, code: str) -> None:
    status, _, problem = await platform.send("GET", path)
    assert (status, problem["code"]) == (400, code)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (PeerUnreachable("down"), 502, "peer.unreachable"),
        (PeerTimeout("slow"), 504, "peer.timeout"),
    ],
)
async def test_a_peer_that_fails_is_its_own_error(
    platform: Platform, fault: FederationError, status: int, code: str
) -> None:
    platform.own.transport.faults.append(fault)
    found, _, problem = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert (found, problem["code"]) == (status, code)


async def test_a_registry_that_fails_there_is_told_here(platform: Platform) -> None:
    platform.peer.registry.fault = RegistryTimeout("3.0 s")
    status, _, problem = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert (status, problem["code"]) == (504, "registry.timeout")


async def test_with_the_store_down_nothing_is_released_and_it_recovers(platform: Platform) -> None:
    platform.own.journal.is_down = True
    status, headers, problem = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert (status, problem["code"]) == (503, OwnStoreUnavailable.code)
    assert headers["Retry-After"]
    assert not platform.own.transport.sent
    platform.own.journal.is_down = False
    status, _, _ = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert status == 200


async def test_an_accident_tells_an_incident_id_and_no_more(platform: Platform) -> None:
    platform.own.transport.faults.append(ValueError(f"secret {HOLDER}"))  # type: ignore[arg-type]
    status, _, problem = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    assert (status, problem["code"], problem["detail"]) == (500, "internal", "")
    assert len(problem["incident"]) == 16
    assert HOLDER not in str(problem)


async def test_paths_and_methods_that_are_not_there_are_problems_too(platform: Platform) -> None:
    for path in ("/v2/nothing", "/", "//", "/v1/peers/%0Ax"):
        status, headers, problem = await platform.send("GET", path)
        assert (status, problem["code"]) == (404, "own.not_found")
        assert headers["X-Request-Id"] == problem["request_id"]
    status, headers, problem = await platform.send("GET", "/v1/certificates/query")
    assert (status, problem["code"], headers["Allow"]) == (405, "own.method_not_allowed", "POST")


async def test_the_callers_trace_goes_on_to_the_peer(platform: Platform) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = platform.token() | {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await platform.send("POST", "/v1/certificates/query", json=platform.query(), headers=headers)
    sealed = parse(platform.own.transport.sent[0], max_bytes=1 << 20)
    header = ProtobufCodec().decode_request(sealed.payload_type, sealed.payload).header
    assert header.traceparent.split("-")[1] == trace
    assert header.traceparent.split("-")[2] != "b7ad6b7169203331"
    assert (header.platform, header.officer) == ("portal", "officer-7")
