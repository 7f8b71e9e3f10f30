"""What a client sees of its own requests, and of nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from federation.errors import PeerNoAnswer, PeerTimeout
from tests.node.api.platform import Platform
from tests.support.exchange import HOLDER


async def ask(platform: Platform) -> tuple[str, Any]:
    _, headers, body = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    return headers["X-Request-Id"], body


async def test_both_records_and_the_answer_again(platform: Platform) -> None:
    request_id, first = await ask(platform)
    status, _, body = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert status == 200
    assert (body["state"], body["outcome"], body["operation"]) == (
        "answered",
        "answered",
        "certificates.query",
    )
    assert [record["kind"] for record in body["records"]] == ["asked_request", "asked_answer"]
    stored = await platform.own.journal.find_records(request_id)
    assert [record["identity"] for record in body["records"]] == [one.identity.hex() for one in stored]
    assert body["answer"] == first


async def test_the_file(platform: Platform) -> None:
    request_id, _ = await ask(platform)
    status, headers, body = await platform.send("GET", f"/v1/evidence/{request_id}?format=file")
    assert (status, body[:2]) == (200, b"PK")
    assert headers["Content-Type"] == "application/vnd.yrd.evidence+zip"
    assert request_id in headers["Content-Disposition"]


async def test_another_clients_request_is_not_there(platform: Platform) -> None:
    request_id, _ = await ask(platform)
    for suffix in ("", "?format=file"):
        status, _, problem = await platform.send(
            "GET", f"/v1/evidence/{request_id}{suffix}", headers=platform.token("narrow")
        )
        assert (status, problem["code"]) == (404, "own.not_found")
        assert HOLDER not in str(problem)


async def test_a_token_without_the_right_to_ask_does_not_read_what_was_answered(platform: Platform) -> None:
    request_id, _ = await ask(platform)
    for suffix in ("", "?format=file"):
        status, _, problem = await platform.send(
            "GET",
            f"/v1/evidence/{request_id}{suffix}",
            headers=platform.token("portal", "services.search"),
        )
        assert (status, problem["code"]) == (403, "own.forbidden")
        assert HOLDER not in str(problem)


@pytest.mark.parametrize("request_id", ["x", "0192d6a0-0000-7000-8000-000000000000", "%00", "a" * 300])
async def test_what_was_never_asked_is_not_there(platform: Platform, request_id: str) -> None:
    status, _, problem = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert (status, problem["code"]) == (404, "own.not_found")


async def test_a_request_that_peers_asked_this_node_is_not_the_clients(platform: Platform) -> None:
    await platform.send("POST", "/v1/certificates/query", json=platform.query())
    [request_id] = {record.meta.request_id for record in platform.peer.journal.records}
    platform.own.journal.records[:] = platform.peer.journal.records
    status, _, _ = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert status == 404


async def test_a_request_that_timed_out_is_fetched(platform: Platform) -> None:
    platform.own.transport.faults.append(PeerTimeout("slow"))
    request_id, problem = await ask(platform)
    assert problem["code"] == "peer.timeout"
    platform.own.transport.faults.append(PeerNoAnswer("not yet"))
    status, _, body = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert (status, body["state"], body["answer"]) == (200, "waiting", None)
    assert [record["kind"] for record in body["records"]] == ["asked_request"]
    envelope = platform.own.transport.sent[0]
    await platform.peer.answerer.answer(
        envelope, tls_peer=platform.own.entity_id, method_operation=None, timeout_s=5.0
    )
    status, _, body = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert (status, body["state"]) == (200, "answered")
    assert len(body["answer"]["certificates"]) == 1
    assert [record["kind"] for record in body["records"]] == ["asked_request", "asked_answer"]


async def test_a_refusal_is_evidence_too(platform: Platform) -> None:
    platform.peer.govern('version = "2"\nanswering = []\n')
    request_id, problem = await ask(platform)
    assert problem["code"] == "access.denied"
    assert problem["request_id"] == request_id
    status, _, body = await platform.send("GET", f"/v1/evidence/{request_id}")
    assert (status, body["state"], body["outcome"], body["answer"]) == (200, "refused", "refused", None)


async def test_a_query_parameter_that_is_not_known(platform: Platform) -> None:
    request_id, _ = await ask(platform)
    for query in ("format=pdf", "format=file&format=json", "all=1"):
        status, _, problem = await platform.send("GET", f"/v1/evidence/{request_id}?{query}")
        assert (status, problem["code"]) == (400, "own.bad_value")


async def test_the_peers_by_province(platform: Platform) -> None:
    status, _, body = await platform.send("GET", "/v1/peers")
    assert (status, body["own_province"]) == (200, "310000")
    assert [(peer["province"], peer["standing"]) for peer in body["peers"]] == [("330000", "member")]
    status, _, problem = await platform.send("GET", "/v1/peers?x=1")
    assert (status, problem["code"]) == (400, "own.malformed_request")
