"""What a body is about, and what of an answer's body is granted. All in shared words."""

from __future__ import annotations

from msgspec.structs import replace

from federation.access import Grant, cut
from federation.errors import AccessDenied
from federation.query import (
    AnswerBody,
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    EvidenceRecords,
    EvidenceRoots,
    HolderRecord,
    Operation,
    RequestBody,
    ServiceGet,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateQuery,
)
from mapping.errors import InvalidIdentifier
from mapping.identifiers import parse_certificate_id

__all__ = ["OPERATIONS", "certificate_type_of", "cut_body", "operation_of"]

_OPERATION_OF: dict[type[RequestBody], Operation] = {
    CertificateQuery: Operation.CERTIFICATES_QUERY,
    CertificateGet: Operation.CERTIFICATES_GET,
    CertificateVerify: Operation.CERTIFICATES_VERIFY,
    CertificateTypes: Operation.CERTIFICATES_TYPES,
    ServiceSearch: Operation.SERVICES_SEARCH,
    ServiceGet: Operation.SERVICES_GET,
    StateQuery: Operation.NODE_STATE,
    EvidenceRoots: Operation.EVIDENCE_ROOTS,
    EvidenceRecords: Operation.EVIDENCE_RECORDS,
    HolderRecord: Operation.HOLDER_RECORD,
}

OPERATIONS = {operation.request_type: operation for operation in Operation}
"""Which operation a request's payload type names."""


def operation_of(body: RequestBody) -> Operation:
    """The operation that this body belongs to."""
    return _OPERATION_OF[type(body)]


def certificate_type_of(body: RequestBody) -> str:
    """The shared certificate type asked about; empty for all types, for none, or when the id is no id."""
    if isinstance(body, CertificateQuery):
        return body.certificate_type
    if isinstance(body, CertificateGet | CertificateVerify):
        try:
            return parse_certificate_id(body.certificate_id).certificate_type
        except InvalidIdentifier:
            return ""
    return ""


def cut_body(body: AnswerBody, grant: Grant) -> AnswerBody:
    """The granted part of an answer. Raises AccessDenied when the one certificate is of no granted type."""
    if isinstance(body, CertificatesAnswer):
        return CertificatesAnswer(
            tuple([_cut(one, grant) for one in body.certificates if grant.covers_type(one.certificate_type)])
        )
    if isinstance(body, CertificateAnswer):
        return _cut_one(body, grant)
    if isinstance(body, CertificateTypesAnswer):
        return _cut_types(body, grant)
    if isinstance(body, ServicesAnswer):
        items = [replace(item, elements=cut(item.elements, grant.fields)) for item in body.items]
        return ServicesAnswer(tuple(items), body.total, body.page)
    if isinstance(body, ServiceItemAnswer) and body.item is not None:
        return ServiceItemAnswer(replace(body.item, elements=cut(body.item.elements, grant.fields)))
    return body


def _cut(certificate: Certificate, grant: Grant) -> Certificate:
    if grant.fields is None:
        return certificate
    return replace(certificate, elements=cut(certificate.elements, grant.fields))


def _cut_one(body: CertificateAnswer, grant: Grant) -> CertificateAnswer:
    if body.certificate is None:
        return body
    if not grant.covers_type(body.certificate.certificate_type):
        raise AccessDenied(f"rule {grant.rule} does not grant type {body.certificate.certificate_type}")
    return CertificateAnswer(_cut(body.certificate, grant))


def _cut_types(body: CertificateTypesAnswer, grant: Grant) -> CertificateTypesAnswer:
    granted = [one for one in body.types if grant.covers_type(one.code)]
    if grant.fields is not None:
        fields = grant.fields
        granted = [replace(one, fields=tuple(f for f in one.fields if f in fields)) for one in granted]
    return CertificateTypesAnswer(tuple(granted))
