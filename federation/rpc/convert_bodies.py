"""The body of each operation between domain words and generated messages: one pair of functions a side.

`fill_*` writes a domain body into a fresh message, `read_*` makes the domain body from a parsed one and
raises PeerMalformed when something the domain needs is missing. The message's header is not their matter.
"""

from __future__ import annotations

from yrd.certificates.v1 import certificates_pb2 as certificates
from yrd.services.v1 import services_pb2 as services
from yrd.state.v1 import state_pb2 as state

from federation.errors import PeerMalformed
from federation.query import (
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateType,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    ServiceGet,
    ServiceItem,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    StateQuery,
    Verdict,
    VerifyAnswer,
)
from federation.rpc.convert_header import (
    fill_elements,
    read_digest,
    read_elements,
    read_time,
    require_text,
    to_micros,
)

_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def _read_count(value: int, name: str) -> int:
    if value < 1:
        raise PeerMalformed(f"{name} counts from 1")
    return value


# --- requests -------------------------------------------------------------------------------------


def fill_certificate_query(target: certificates.QueryRequest, body: CertificateQuery) -> None:
    """All certificates of a holder, or those of one type."""
    target.holder_id_type = body.holder_id_type
    target.holder_id = body.holder_id
    target.certificate_type = body.certificate_type


def read_certificate_query(source: certificates.QueryRequest) -> CertificateQuery:
    """Needs the holder's number and its type."""
    return CertificateQuery(
        require_text(source.holder_id_type, "holder_id_type"),
        require_text(source.holder_id, "holder_id"),
        source.certificate_type,
    )


def fill_certificate_get(target: certificates.GetRequest, body: CertificateGet) -> None:
    """One certificate by its id."""
    target.certificate_id = body.certificate_id


def read_certificate_get(source: certificates.GetRequest) -> CertificateGet:
    """Needs the certificate id."""
    return CertificateGet(require_text(source.certificate_id, "certificate_id"))


def fill_certificate_verify(target: certificates.VerifyRequest, body: CertificateVerify) -> None:
    """A certificate that someone presents."""
    target.certificate_id = body.certificate_id
    target.digest = body.digest
    fill_elements(target.face, body.face)


def read_certificate_verify(source: certificates.VerifyRequest) -> CertificateVerify:
    """Needs the certificate id, and the digest of the face or the face itself."""
    if not source.digest and not source.face:
        raise PeerMalformed("digest or face: one of the two is needed")
    return CertificateVerify(
        require_text(source.certificate_id, "certificate_id"),
        read_digest(source.digest, "digest") if source.digest else b"",
        read_elements(source.face),
    )


def fill_certificate_types(_target: certificates.TypesRequest, _body: CertificateTypes) -> None:
    """Nothing but the header."""


def read_certificate_types(_source: certificates.TypesRequest) -> CertificateTypes:
    """Nothing but the header."""
    return CertificateTypes()


def fill_service_search(target: services.SearchRequest, body: ServiceSearch) -> None:
    """Service items by words, code or division."""
    target.words = body.words
    target.item_code = body.item_code
    target.division = body.division
    target.page = body.page
    target.page_size = body.page_size


def read_service_search(source: services.SearchRequest) -> ServiceSearch:
    """Pages and their size count from 1."""
    return ServiceSearch(
        source.words,
        source.item_code,
        source.division,
        _read_count(source.page, "page"),
        _read_count(source.page_size, "page_size"),
    )


def fill_service_get(target: services.GetRequest, body: ServiceGet) -> None:
    """One service item."""
    target.item_code = body.item_code


def read_service_get(source: services.GetRequest) -> ServiceGet:
    """Needs the item code."""
    return ServiceGet(require_text(source.item_code, "item_code"))


def fill_state_query(_target: state.StateRequest, _body: StateQuery) -> None:
    """Nothing but the header."""


def read_state_query(_source: state.StateRequest) -> StateQuery:
    """Nothing but the header."""
    return StateQuery()


# --- answers --------------------------------------------------------------------------------------


def _fill_certificate(target: certificates.Certificate, certificate: Certificate) -> None:
    target.certificate_type = certificate.certificate_type
    target.certificate_id = certificate.certificate_id
    fill_elements(target.elements, certificate.elements)


def _read_certificate(source: certificates.Certificate) -> Certificate:
    return Certificate(
        require_text(source.certificate_type, "certificate_type"),
        source.certificate_id,
        read_elements(source.elements),
    )


def fill_certificates_answer(target: certificates.QueryAnswer, body: CertificatesAnswer) -> None:
    """The certificates of a holder, possibly none."""
    for certificate in body.certificates:
        _fill_certificate(target.certificates.add(), certificate)


def read_certificates_answer(source: certificates.QueryAnswer) -> CertificatesAnswer:
    """Each certificate has a type."""
    return CertificatesAnswer(tuple([_read_certificate(item) for item in source.certificates]))


def fill_certificate_answer(target: certificates.GetAnswer, body: CertificateAnswer) -> None:
    """One certificate or none."""
    if body.certificate is not None:
        _fill_certificate(target.certificate, body.certificate)


def read_certificate_answer(source: certificates.GetAnswer) -> CertificateAnswer:
    """No certificate on the wire is None."""
    return CertificateAnswer(
        _read_certificate(source.certificate) if source.HasField("certificate") else None
    )


def fill_verify_answer(target: certificates.VerifyAnswer, body: VerifyAnswer) -> None:
    """The verdict and what belongs to it."""
    target.verdict = body.verdict  # type: ignore[assignment]  # the domain's numbers are the wire's
    target.state = body.state
    target.state_on = body.state_on
    target.altered.extend(body.altered)


def read_verify_answer(source: certificates.VerifyAnswer) -> VerifyAnswer:
    """Needs a known verdict."""
    verdict = _VERDICTS.get(source.verdict)
    if verdict is None:
        raise PeerMalformed(f"verdict {source.verdict} is not known")
    return VerifyAnswer(verdict, source.state, source.state_on, tuple(source.altered))


def fill_types_answer(target: certificates.TypesAnswer, body: CertificateTypesAnswer) -> None:
    """The certificate types that a province offers."""
    for certificate_type in body.types:
        item = target.types.add()
        item.code = certificate_type.code
        item.name = certificate_type.name
        item.fields.extend(certificate_type.fields)


def read_types_answer(source: certificates.TypesAnswer) -> CertificateTypesAnswer:
    """Each type has a code."""
    return CertificateTypesAnswer(
        tuple([CertificateType(require_text(t.code, "code"), t.name, tuple(t.fields)) for t in source.types])
    )


def _fill_item(target: services.ServiceItem, item: ServiceItem) -> None:
    target.item_code = item.item_code
    target.name = item.name
    fill_elements(target.elements, item.elements)


def _read_item(source: services.ServiceItem) -> ServiceItem:
    return ServiceItem(
        require_text(source.item_code, "item_code"), source.name, read_elements(source.elements)
    )


def fill_services_answer(target: services.SearchAnswer, body: ServicesAnswer) -> None:
    """One page of service items."""
    for item in body.items:
        _fill_item(target.items.add(), item)
    target.total = body.total
    target.page = body.page


def read_services_answer(source: services.SearchAnswer) -> ServicesAnswer:
    """Pages count from 1."""
    items = tuple([_read_item(item) for item in source.items])
    return ServicesAnswer(items, source.total, _read_count(source.page, "page"))


def fill_service_item_answer(target: services.GetAnswer, body: ServiceItemAnswer) -> None:
    """One service item or none."""
    if body.item is not None:
        _fill_item(target.item, body.item)


def read_service_item_answer(source: services.GetAnswer) -> ServiceItemAnswer:
    """No item on the wire is None."""
    return ServiceItemAnswer(_read_item(source.item) if source.HasField("item") else None)


def fill_state_answer(target: state.StateAnswer, body: StateAnswer) -> None:
    """A node's software version, clock and operations."""
    target.version = body.version
    target.clock = to_micros(body.clock)
    target.operations.extend(body.operations)


def read_state_answer(source: state.StateAnswer) -> StateAnswer:
    """Needs the clock. Operations may be ones that this version does not know."""
    return StateAnswer(source.version, read_time(source.clock, "clock"), tuple(source.operations))
