"""What the platform API takes and gives, as types: they validate, and the OpenAPI document is made from them.

Values are in the platform's own dialect. Names of fields are English and fixed; what a certificate or a
service item holds stands under its local field names in `fields`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

__all__ = [
    "AnswerEnvelope",
    "BasisModel",
    "CertificateModel",
    "CertificateTypeModel",
    "CertificateTypesResult",
    "CertificatesGet",
    "CertificatesGetResult",
    "CertificatesQuery",
    "CertificatesQueryResult",
    "CertificatesVerify",
    "CertificatesVerifyResult",
    "DecisionModel",
    "EvidenceResult",
    "FieldValue",
    "HolderModel",
    "MapSetModel",
    "MapSetsModel",
    "OAuthError",
    "PeerModel",
    "PeersResult",
    "Problem",
    "RecordModel",
    "ServiceItemModel",
    "ServicesGetResult",
    "ServicesQuery",
    "ServicesQueryResult",
    "Token",
    "TokenRequest",
    "Translation",
]

_PRINTABLE = r"^[^\u0000-\u001F\u007F]*$"


def _text(least: int, most: int, description: str) -> Any:
    return Meta(min_length=least, max_length=most, pattern=_PRINTABLE, description=description)


Province = Annotated[
    str,
    Meta(
        pattern="^[0-9]{6}$",
        description="省级行政区划代码（GB/T 2260），如 330000 / province asked, six digits",
    ),
]
Officer = Annotated[str, _text(1, 128, "发起查询的经办人 / the officer on whose behalf it is asked")]
Code = Annotated[str, _text(1, 64, "本省代码 / a code of the platform's own dialect")]
CertificateId = Annotated[str, _text(1, 200, "电子证照标识（GB/T 36904）/ certificate id")]


class HolderModel(Struct, frozen=True, forbid_unknown_fields=True):
    """持证主体 / whose certificates."""

    id_type: Annotated[str, _text(1, 64, "本省持证主体代码类型 / the dialect's holder id type")]
    id: Annotated[str, _text(1, 64, "持证主体代码，校验位须正确 / the holder's number with its check digit")]


class BasisModel(Struct, frozen=True, forbid_unknown_fields=True):
    """用证依据 / why the certificate is used. Only official_duty is offered so far."""

    kind: Literal["holders_consent", "delegated_consent", "official_duty"]
    service_item_name: Annotated[str, _text(1, 200, "事项名称 / name of the service item")]
    service_item_code: Annotated[str, _text(1, 64, "实施编码 / code of the service item")]
    case_number: Annotated[str, _text(1, 64, "办件编号 / case number")]
    purpose: Annotated[str, _text(1, 200, "用途 / what it is used for")]
    consent: Annotated[str, _text(0, 16384, "授权令牌 / the consent, where there is one")] = ""


class CertificatesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """All certificates of a holder, or those of one type."""

    province: Province
    holder: HolderModel
    basis: BasisModel
    officer: Officer
    certificate_type: Annotated[str, _text(0, 64, "本省证照类型代码，空为全部 / empty: all types")] = ""


class CertificatesGet(Struct, frozen=True, forbid_unknown_fields=True):
    """One certificate by its id."""

    province: Province
    certificate_id: CertificateId
    basis: BasisModel
    officer: Officer


class CertificatesVerify(Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate that someone presents: its id, and either the digest of its face or the face itself."""

    province: Province
    certificate_id: CertificateId
    basis: BasisModel
    officer: Officer
    digest: Annotated[
        str, Meta(pattern="^([0-9a-f]{64})?$", description="照面摘要 / SHA-256 of the face, 64 hex digits")
    ] = ""
    face: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=64)],
            Annotated[str, Meta(max_length=1000, pattern=_PRINTABLE)],
        ],
        Meta(max_length=100, description="本省字段名与值 / local field names and values"),
    ] = {}


class ServicesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Service items by words, code or division; pages count from 1."""

    province: Province
    words: Annotated[str, _text(0, 100, "名称中的词 / words of the name")] = ""
    item_code: Annotated[str, _text(0, 64, "实施编码 / item code")] = ""
    division: Annotated[str, _text(0, 12, "行政区划代码 / division code")] = ""
    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=100)] = 20
    officer: Annotated[str, _text(0, 128, "经办人 / the officer, where there is one")] = ""


# --- answers ------------------------------------------------------------------------------------------


class DecisionModel(Struct, frozen=True):
    """The answering node's decision: which rule let the request through."""

    rule: str
    policy_version: str
    consent_status: str = ""


class MapSetModel(Struct, frozen=True):
    """The rule set that a node translated with; `digest` is SHA-256 in hex."""

    version: str
    digest: str


class MapSetsModel(Struct, frozen=True):
    """Both rule sets that an answer went through."""

    asking: MapSetModel
    answering: MapSetModel


class Translation(Struct, frozen=True):
    """How one value became what it is. `original` is what the answering province wrote."""

    field: str
    value: str
    original: str
    relation: Literal["exact", "narrower", "broader", "related", "defaulted", "unmapped", "invalid"]
    table: str


FieldValue = str | list[Any]
"""Text; for a list of things (materials, places) a list of objects; a list of texts for a repeated name."""


class AnswerEnvelope(Struct, frozen=True):
    """What every answer says about itself."""

    request_id: str
    outcome: Literal["answered"]
    province: str
    answering: str
    asked_at: datetime
    answered_at: datetime
    decision: DecisionModel
    map_sets: MapSetsModel


class CertificateModel(Struct, frozen=True):
    """One certificate: type and id, its face under local names, and how each translated value came about."""

    certificate_type: str
    certificate_type_name: str
    certificate_id: str
    fields: dict[str, FieldValue]
    translation: list[Translation]


class CertificatesQueryResult(AnswerEnvelope, frozen=True):
    """The certificates of the holder, possibly none."""

    certificates: list[CertificateModel]


class CertificatesGetResult(AnswerEnvelope, frozen=True):
    """The certificate, or null when the province has none with that id."""

    certificate: CertificateModel | None


class CertificatesVerifyResult(AnswerEnvelope, frozen=True):
    """The verdict; with state and its date when not valid, with the differing fields when altered."""

    verdict: Literal["valid", "not_valid", "altered", "unknown"]
    state: str
    state_on: str
    altered: list[str]


class CertificateTypeModel(Struct, frozen=True):
    """A certificate type that the province offers."""

    code: str
    name: str
    fields: list[str]


class CertificateTypesResult(AnswerEnvelope, frozen=True):
    """The certificate types that the province offers."""

    types: list[CertificateTypeModel]


class ServiceItemModel(Struct, frozen=True):
    """One service item with its guide."""

    item_code: str
    name: str
    fields: dict[str, FieldValue]
    translation: list[Translation]


class ServicesQueryResult(AnswerEnvelope, frozen=True):
    """One page of service items, and how many there are in all."""

    items: list[ServiceItemModel]
    total: int
    page: int


class ServicesGetResult(AnswerEnvelope, frozen=True):
    """One service item with its guide."""

    item: ServiceItemModel


class PeerModel(Struct, frozen=True):
    """One node of the federation. `standing` is member, revoked or denied."""

    province: str
    name: str
    entity_id: str
    standing: Literal["member", "revoked", "denied"]
    reason: str
    expires_at: datetime


class PeersResult(Struct, frozen=True):
    """This node and its peers, as its trust list has them now."""

    own_province: str
    own_entity: str
    refreshed_at: datetime | None
    sequence: int
    peers: list[PeerModel]


class RecordModel(Struct, frozen=True):
    """One record in this node's log. `identity` and `leaf` are hex."""

    kind: Literal["asked_request", "asked_answer", "answered_request", "answered_answer"]
    log_index: int
    recorded_at: datetime
    identity: str
    leaf: str
    envelope_bytes: int


class EvidenceResult(Struct, frozen=True):
    """What this node has stored of one request. `state` is waiting until there is an answer.

    When there was none yet, asking for the evidence fetches it from the peer.
    """

    request_id: str
    operation: str
    asking: str
    answering: str
    state: Literal["answered", "refused", "waiting"]
    outcome: str
    records: list[RecordModel]
    answer: Annotated[
        Any, Meta(description="答复，同原请求所得；尚无答复时为 null / the answer, or null")
    ] = None


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `code` is the error vocabulary's; `field` names the input it is about."""

    type: str
    title: str
    title_en: str
    status: int
    code: str
    detail: str
    field: str = ""
    request_id: str = ""
    incident: str = ""


class Token(Struct, frozen=True):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class OAuthError(Struct, frozen=True):
    """RFC 6749 §5.2."""

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]
    error_description: str


class TokenRequest(Struct, frozen=True):
    """RFC 6749 §4.4.2, with RFC 7523 §2.2 for a client that authenticates with its key."""

    grant_type: Literal["client_credentials"]
    scope: str = ""
    client_id: str = ""
    client_assertion_type: str = ""
    client_assertion: str = ""
