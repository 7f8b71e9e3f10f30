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
from node.api.examples import Examples
from node.api.problems import PROBLEM_TYPE, problem_type
from node.api.reads import EVIDENCE_TYPE
from node.api.rights import RIGHTS

__all__ = ["Document", "Endpoint", "openapi_document"]

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"

_ALWAYS = (405, 500, 503)
_GUARDED = (400, 401, 403, 429, *_ALWAYS)
_ASKING = (*_GUARDED, 501, 502, 504)
_POSTED = (*_ASKING, 409, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as the document tells it. `right` empty and `open` False: any client."""

    method: str
    path: str
    name: str
    zh: str
    en: str
    gives: Any
    refuses: tuple[int, ...]
    takes: Any = None
    carrier: str = _JSON
    example: Mapping[str, Any] | None = None
    right: str = ""
    open: bool = False
    parameters: tuple[Mapping[str, Any], ...] = ()
    also: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The document, its text as it is served, and the endpoints that it tells of."""

    data: Mapping[str, Any]
    text: bytes
    endpoints: tuple[Endpoint, ...]


def openapi_document(issuer: str, version: str, examples: Examples) -> Document:
    """The document of a node that platforms reach at `issuer`."""
    endpoints = _endpoints(examples)
    data = {
        "openapi": "3.1.0",
        "info": _info(version),
        "servers": [{"url": issuer}],
        "security": [{"oauth2": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(endpoints),
        "components": {
            "schemas": _schemas(endpoints),
            "responses": _problem_responses(),
            "headers": _HEADERS,
            "securitySchemes": _security(issuer),
        },
    }
    return Document(data, orjson.dumps(data), endpoints)


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


_PROVINCE = {
    "name": "province",
    "in": "path",
    "required": True,
    "description": "省级行政区划代码 / province asked",
    "schema": {"type": "string", "pattern": "^[0-9]{6}$"},
}
_ITEM_CODE = {
    "name": "item_code",
    "in": "path",
    "required": True,
    "description": "实施编码 / item code",
    "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{1,64}$"},
}
_OFFICER = {
    "name": "officer",
    "in": "query",
    "description": "经办人 / the officer, where there is one",
    "schema": {"type": "string", "maxLength": 128},
}
_REQUEST_ID = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "description": "请求编号 / request id",
    "schema": {"type": "string", "format": "uuid"},
}
_FORMAT = {
    "name": "format",
    "in": "query",
    "description": "file：存证文件 / the evidence file",
    "schema": {"type": "string", "enum": ["json", "file"], "default": "json"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "同一键的同一请求得同一答复 / the same request under the same key gets the same answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
_TRACEPARENT = {
    "name": "traceparent",
    "in": "header",
    "description": "W3C Trace Context",
    "schema": {"type": "string"},
}


def _endpoints(examples: Examples) -> tuple[Endpoint, ...]:
    posted = (_IDEMPOTENCY_KEY, _TRACEPARENT)
    province = {**_PROVINCE, "example": examples.province}
    return (
        Endpoint(
            "post",
            "/v1/certificates/query",
            "certificates.query",
            "查询持证主体的证照（全部或一类）",
            "Certificates of a holder: all, or those of one type.",
            models.CertificatesQueryResult,
            _POSTED,
            takes=models.CertificatesQuery,
            example=examples.query,
            right="certificates.query",
            parameters=posted,
        ),
        Endpoint(
            "post",
            "/v1/certificates/get",
            "certificates.get",
            "按电子证照标识取一件证照",
            "One certificate by its id.",
            models.CertificatesGetResult,
            _POSTED,
            takes=models.CertificatesGet,
            example=examples.get,
            right="certificates.get",
            parameters=posted,
        ),
        Endpoint(
            "post",
            "/v1/certificates/verify",
            "certificates.verify",
            "核验出示的证照：有效、失效、被改动、查无",
            "Verify a certificate that someone presents, by the digest of its face or by the face itself.",
            models.CertificatesVerifyResult,
            _POSTED,
            takes=models.CertificatesVerify,
            example=examples.verify,
            right="certificates.verify",
            parameters=posted,
        ),
        Endpoint(
            "get",
            "/v1/certificates/types/{province}",
            "certificates.types",
            "该省提供的证照类型",
            "The certificate types that a province offers.",
            models.CertificateTypesResult,
            (*_ASKING, 404),
            right="certificates.types",
            parameters=(province, _OFFICER, _TRACEPARENT),
        ),
        Endpoint(
            "post",
            "/v1/services/query",
            "services.search",
            "查询服务事项（词、代码、区划，分页）",
            "Service items by words, code or division, in pages.",
            models.ServicesQueryResult,
            _POSTED,
            takes=models.ServicesQuery,
            example=examples.search,
            right="services.search",
            parameters=posted,
        ),
        Endpoint(
            "get",
            "/v1/services/{province}/{item_code}",
            "services.get",
            "一个服务事项及其办事指南",
            "One service item with its guide.",
            models.ServicesGetResult,
            (*_ASKING, 404),
            right="services.get",
            parameters=(province, {**_ITEM_CODE, "example": examples.item_code}, _OFFICER, _TRACEPARENT),
        ),
        Endpoint(
            "get",
            "/v1/peers",
            "peers.list",
            "联邦中的节点",
            "This node and its peers.",
            models.PeersResult,
            _GUARDED,
        ),
        Endpoint(
            "get",
            "/v1/evidence/{request_id}",
            "evidence.get",
            "本客户端一次请求的存证；超时的请求在此取回答复",
            "Evidence of a request of this client. A request that timed out is fetched here.",
            models.EvidenceResult,
            (*_GUARDED, 404),
            parameters=(_REQUEST_ID, _FORMAT),
            also={EVIDENCE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        ),
        Endpoint(
            "post",
            "/oauth/token",
            "oauth.token",
            "取访问令牌",
            "An access token, by client credentials (RFC 6749 §4.4, RFC 7523).",
            models.Token,
            (413, 429, *_ALWAYS),
            takes=models.TokenRequest,
            carrier=_FORM,
            example={"grant_type": "client_credentials"},
            open=True,
        ),
    )


def _schemas(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    types = [one.gives for one in endpoints]
    types += [one.takes for one in endpoints if one.takes is not None]
    types += [models.Problem, models.OAuthError]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(components)


def _paths(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint)
    return paths


def _operation(endpoint: Endpoint) -> dict[str, Any]:
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
        operation["parameters"] = [dict(one) for one in endpoint.parameters]
    if endpoint.takes is not None:
        content: dict[str, Any] = {"schema": _ref(endpoint.takes)}
        if endpoint.example is not None:
            content["example"] = endpoint.example
        operation["requestBody"] = {"required": True, "content": {endpoint.carrier: content}}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
    if _IDEMPOTENCY_KEY in endpoint.parameters:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/IdempotentReplayed"}
    content = {_JSON: {"schema": _ref(endpoint.gives)}, **(endpoint.also or {})}
    responses: dict[str, Any] = {"200": {"description": endpoint.en, "headers": headers, "content": content}}
    if endpoint.carrier == _FORM:
        refusal = {_JSON: {"schema": _ref(models.OAuthError)}}
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
