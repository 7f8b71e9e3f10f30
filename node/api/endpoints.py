"""The operations of the platform API, each a row: what it takes and gives, how it may be refused, who may call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.api import models
from node.api.examples import Examples
from node.api.reads import EVIDENCE_TYPE

__all__ = ["ENDPOINTS", "FORM", "IDEMPOTENCY_KEY", "JSON", "Endpoint"]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_ALWAYS = (405, 500, 503)
_GUARDED = (400, 401, 403, 429, *_ALWAYS)
_ASKING = (*_GUARDED, 501, 502, 504)
_POSTED = (*_ASKING, 409, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as the document tells it. `right` empty and `open` False: any client.

    `example` picks the request that a reader can send as it is.
    """

    method: str
    path: str
    name: str
    zh: str
    en: str
    gives: Any
    refuses: tuple[int, ...]
    takes: Any = None
    carrier: str = JSON
    example: Callable[[Examples], Mapping[str, Any]] | None = None
    right: str = ""
    open: bool = False
    parameters: tuple[Mapping[str, Any], ...] = ()
    also: Mapping[str, Any] | None = None


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
IDEMPOTENCY_KEY = {
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
_KEYED = (IDEMPOTENCY_KEY, _TRACEPARENT)

ENDPOINTS: Final = (
    Endpoint(
        "post",
        "/v1/certificates/query",
        "certificates.query",
        "查询持证主体的证照（全部或一类）",
        "Certificates of a holder: all, or those of one type.",
        models.CertificatesQueryResult,
        _POSTED,
        takes=models.CertificatesQuery,
        example=lambda examples: examples.query,
        right="certificates.query",
        parameters=_KEYED,
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
        example=lambda examples: examples.get,
        right="certificates.get",
        parameters=_KEYED,
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
        example=lambda examples: examples.verify,
        right="certificates.verify",
        parameters=_KEYED,
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
        parameters=(_PROVINCE, _OFFICER, _TRACEPARENT),
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
        example=lambda examples: examples.search,
        right="services.search",
        parameters=_KEYED,
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
        parameters=(_PROVINCE, _ITEM_CODE, _OFFICER, _TRACEPARENT),
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
        carrier=FORM,
        example=lambda _: {"grant_type": "client_credentials"},
        open=True,
    ),
)
