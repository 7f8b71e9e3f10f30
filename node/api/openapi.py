"""The OpenAPI 3.1 document, made from the models that validate: neither can say more than the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import orjson

from federation.errors import TABLE
from node.api import models
from node.api.endpoints import ENDPOINTS, FORM, IDEMPOTENCY_KEY, JSON, Endpoint
from node.api.examples import Examples
from node.api.problems import PROBLEM_TYPE, problem_type
from node.api.rights import RIGHTS

__all__ = ["Document", "openapi_document"]

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Document:
    """The document, its text as it is served, and the endpoints that it tells of."""

    data: Mapping[str, Any]
    text: bytes
    endpoints: tuple[Endpoint, ...]


def openapi_document(issuer: str, version: str, examples: Examples) -> Document:
    """The document of a node that platforms reach at `issuer`."""
    data = {
        "openapi": "3.1.0",
        "info": _info(version),
        "servers": [{"url": issuer}],
        "security": [{"oauth2": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(ENDPOINTS, examples),
        "components": {
            "schemas": _schemas(ENDPOINTS),
            "responses": _problem_responses(),
            "headers": _HEADERS,
            "securitySchemes": _security(issuer),
        },
    }
    return Document(data, orjson.dumps(data), ENDPOINTS)


_TAGS = {
    "certificates": "电子证照 / certificates of the other provinces",
    "services": "政务服务事项 / service items of the other provinces",
    "node": "节点与存证 / peers and evidence",
    "oauth": "访问令牌 / access tokens",
}

_HEADERS: Mapping[str, Any] = {
    "XRequestId": {
        "description": "请求编号（UUIDv7），也是存证编号 / request id; evidence is found by it",
        "schema": {"type": "string", "format": "uuid"},
        "required": True,
    },
    "IdempotentReplayed": {
        "description": "true：这是首次请求的答复 / this is the answer to the first request under the key",
        "schema": {"type": "string", "const": "true"},
    },
    "WWWAuthenticate": {"schema": {"type": "string"}, "required": True},
    "RetryAfter": {"description": "秒 / seconds", "schema": {"type": "string"}, "required": True},
    "Allow": {"schema": {"type": "string"}, "required": True},
}


def _info(version: str) -> dict[str, Any]:
    return {
        "title": "长三角政务互通节点 · 平台接口 / Yangtze Delta node, platform API",
        "version": version,
        "description": (
            "省平台经本省节点向另外三省查询证照与事项，请求与答复均用本省代码。"
            "每次查询均签名存证，可凭请求编号取回。\n\n"
            "A province's platform asks the other three through its own node, in its own codes. Every query "
            "is signed and kept as evidence, and can be fetched by its request id."
        ),
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _security(issuer: str) -> dict[str, Any]:
    scopes = {right: "全部 / everything" if right == "*" else right for right in sorted(RIGHTS)}
    flow = {"tokenUrl": f"{issuer}/oauth/token", "scopes": scopes}
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "客户端凭据 / client credentials: client_secret_basic or private_key_jwt",
            "flows": {"clientCredentials": flow},
        },
        "client": {"type": "http", "scheme": "basic", "description": "client_secret_basic"},
    }


def _with_examples(parameters: tuple[Mapping[str, Any], ...], examples: Examples) -> list[dict[str, Any]]:
    """The parameters, those in the path with a value that a reader can try."""
    values = {"province": examples.province, "item_code": examples.item_code}
    return [
        {**one, "example": values[one["name"]]} if one["name"] in values else dict(one) for one in parameters
    ]


def _schemas(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    types = [one.gives for one in endpoints]
    types += [one.takes for one in endpoints if one.takes is not None]
    types += [models.Problem, models.OAuthError]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(components)


def _paths(endpoints: tuple[Endpoint, ...], examples: Examples) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint, examples)
    return paths


def _operation(endpoint: Endpoint, examples: Examples) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.path.split("/")[2] if endpoint.path.startswith("/v1/") else "oauth"],
        "summary": endpoint.zh,
        "description": endpoint.en,
        "responses": _responses(endpoint),
    }
    if operation["tags"][0] in ("peers", "evidence"):
        operation["tags"] = ["node"]
    if endpoint.right:
        operation["security"] = [{"oauth2": [endpoint.right]}]
    if endpoint.open:
        operation["security"] = [{"client": []}]
    if endpoint.parameters:
        operation["parameters"] = _with_examples(endpoint.parameters, examples)
    if endpoint.takes is not None:
        content: dict[str, Any] = {"schema": _ref(endpoint.takes)}
        if endpoint.example is not None:
            content["example"] = endpoint.example(examples)
        operation["requestBody"] = {"required": True, "content": {endpoint.carrier: content}}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
    if IDEMPOTENCY_KEY in endpoint.parameters:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/IdempotentReplayed"}
    content = {JSON: {"schema": _ref(endpoint.gives)}, **(endpoint.also or {})}
    responses: dict[str, Any] = {"200": {"description": endpoint.en, "headers": headers, "content": content}}
    if endpoint.carrier == FORM:
        refusal = {JSON: {"schema": _ref(models.OAuthError)}}
        for status in (400, 401):
            responses[str(status)] = {"description": "RFC 6749 §5.2", "content": refusal}
    for status in sorted(endpoint.refuses):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return responses


def _ref(model: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=model.__name__)}


_STATUS_HEADERS = {401: "WWWAuthenticate", 405: "Allow", 429: "RetryAfter", 503: "RetryAfter"}
_HEADER_NAMES = {"WWWAuthenticate": "WWW-Authenticate", "RetryAfter": "Retry-After", "Allow": "Allow"}


def _problem_responses() -> dict[str, Any]:
    """One response per status of the error table, with the codes that it can have."""
    responses = {}
    for status in sorted({row.http for row in TABLE.values()}):
        rows = [row for row in TABLE.values() if row.http == status]
        headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
        if status in _STATUS_HEADERS:
            name = _STATUS_HEADERS[status]
            headers[_HEADER_NAMES[name]] = {"$ref": f"#/components/headers/{name}"}
        responses[f"Problem{status}"] = {
            "description": f"{HTTPStatus(status).phrase}: " + "; ".join(f"{r.code} {r.zh}" for r in rows),
            "headers": headers,
            "content": {
                PROBLEM_TYPE: {"schema": _ref(models.Problem), "example": _problem_example(rows[0].code)}
            },
        }
    return responses


def _problem_example(code: str) -> dict[str, Any]:
    row = TABLE[code]
    return {
        "type": problem_type(code),
        "title": row.zh,
        "title_en": row.en,
        "status": row.http,
        "code": code,
        "detail": "",
    }
