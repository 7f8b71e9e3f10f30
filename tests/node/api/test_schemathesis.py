"""The API against its own OpenAPI document: generated requests, right and wrong, over a real socket.

No answer may be a server error, and each must be one that the document tells of. Every operation is also
reached with a 2xx, by the document's own examples.
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from federation.exchange import ExchangeLimits
from mapping.element import Element
from mapping.translate import load_dialect
from node.api.endpoints import FORM
from node.api.examples import Examples
from node.api.openapi import openapi_document
from tests.node.api.platform import ISSUER, Platform, open_platform

EXAMPLES = Examples.of("310000", load_dialect("310000"))
DOCUMENT = openapi_document(ISSUER, "0.1.0", EXAMPLES)
SCHEMA = schemathesis.openapi.from_dict(dict(DOCUMENT.data))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    negative_data_rejection,
]
MANY = ExchangeLimits(
    platform_quota_per_s=1e6, platform_quota_burst=1e6, peer_quota_per_s=1e6, peer_quota_burst=1e6
)


@dataclass
class Served:
    """A platform API in a thread of its own, for a client that is not asynchronous."""

    url: str
    token: str
    basic: str
    request_id: str

    def headers(self, path: str) -> dict[str, str]:
        return {"Authorization": self.basic if path == "/oauth/token" else self.token}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory, ready, loop = tmp_path_factory.mktemp("platform"), threading.Event(), asyncio.new_event_loop()
    found: list[Served] = []
    done = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(directory, found, ready, done),))
    thread.start()
    ready.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


async def _serve(directory: Path, found: list[Served], ready: threading.Event, done: asyncio.Event) -> None:
    try:
        async with open_platform(directory, limits=MANY, reads_per_s=1e6, reads_burst=1e6) as platform:
            found.append(await _describe(platform))
            ready.set()
            await done.wait()
    finally:
        ready.set()


async def _describe(platform: Platform) -> Served:
    """Put in what the examples ask for."""
    elements = (Element("事项名称", "户口迁移"), Element("实施编码", EXAMPLES.item_code))
    item = platform.peer.registry.dialect.render_local("service_item", elements)
    platform.peer.registry.items.append(item)
    secret = await platform.clients.add_with_secret("hall", "大厅", ["*"])
    basic = base64.b64encode(f"hall:{secret}".encode()).decode()
    _, headers, _ = await platform.send("POST", "/v1/certificates/query", json=platform.query())
    platform.clock.advance(seconds=1)
    token = platform.token()["Authorization"]
    return Served(platform.url, token, f"Basic {basic}", headers["X-Request-Id"])


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_server_error_and_no_undocumented_answer(case: Any, served: Served) -> None:
    if case.operation.path == "/v1/evidence/{request_id}" and len(str(case.path_parameters)) % 2:
        case.path_parameters["request_id"] = served.request_id
    case.call_and_validate(
        base_url=served.url, headers=served.headers(case.operation.path), checks=CHECKS, timeout=30
    )


@pytest.mark.parametrize("endpoint", DOCUMENT.endpoints, ids=lambda endpoint: endpoint.name)
def test_every_operation_is_reached_by_its_example(endpoint: Any, served: Served) -> None:
    path = endpoint.path.format(
        province=EXAMPLES.province, item_code=EXAMPLES.item_code, request_id=served.request_id
    )
    example = None if endpoint.example is None else endpoint.example(EXAMPLES)
    form = endpoint.carrier == FORM
    response = requests.request(
        endpoint.method,
        served.url + path,
        headers=served.headers(endpoint.path),
        data=example if form else None,
        json=None if form else example,
        timeout=30,
    )
    assert response.status_code == 200, response.text
    SCHEMA[endpoint.path][endpoint.method.upper()].validate_response(response)


def test_the_document_and_its_page_are_served(served: Served) -> None:
    assert requests.get(f"{served.url}/openapi.json", timeout=30).json() == DOCUMENT.data
    page = requests.get(f"{served.url}/docs", timeout=30)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for endpoint in DOCUMENT.endpoints:
        assert f"<code>{endpoint.path}</code>" in page.text
    assert "<script" not in page.text
    assert 'src="' not in page.text
