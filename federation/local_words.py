"""The asking side's translation: what a platform asks into shared words, what comes back into its dialect.

What a platform asks must be right: an unknown code or a wrong check character is refused here, named by
field, before anything leaves the node. What a peer answers is carried through whatever it is, each value with
how it was translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from federation.errors import OwnBadValue, OwnUnknownCode, OwnUnknownProvince
from federation.face import shows_face
from federation.query import (
    AnswerBody,
    Basis,
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateType,
    CertificateTypesAnswer,
    CertificateVerify,
    RequestBody,
    ServiceGet,
    ServiceItem,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    Verdict,
    VerifyAnswer,
)
from federation.translator import UNMAPPED_TYPE, Translator
from mapping.codelists import code_lists
from mapping.element import Element, Relation
from mapping.errors import InvalidIdentifier, MappingError
from mapping.identifiers import check_holder_id, check_service_item_code, parse_certificate_id

__all__ = ["check_basis", "shared_province", "to_local_body", "to_shared_body"]

_ITEM = "service_item"
_UNKNOWN = (Relation.UNMAPPED, Relation.INVALID)

# A platform asks for the same few service items all day, and the code of one is no person's data.
_check_item_code = lru_cache(maxsize=1024)(check_service_item_code)

# --- what is asked ----------------------------------------------------------------------------------


def check_basis(basis: Basis) -> None:
    """Return when the basis's item code, if there is one, is well formed. Raises OwnBadValue."""
    if basis.service_item_code:
        _require(_check_item_code, basis.service_item_code, "basis.service_item_code")


def shared_province(words: Translator, province: str) -> str:
    """The six digits of a province, from these or the dialect's own word. Raises OwnUnknownProvince."""
    if len(province) == 6 and province.isascii() and province.isdigit():
        return province
    try:
        return _shared_code(words, "province", province, "province")
    except OwnUnknownCode as error:
        raise OwnUnknownProvince(error.detail, field="province") from error


def to_shared_body(words: Translator, body: RequestBody, *, page_size_max: int) -> RequestBody:
    """The request in shared words.

    Raises OwnUnknownCode for a code that is not in the province's list, OwnBadValue for a value that breaks
    its standard; both name the field as the platform's JSON does.
    """
    if isinstance(body, CertificateQuery):
        return _shared_query(words, body)
    if isinstance(body, CertificateGet):
        return CertificateGet(_shared_certificate_id(words, body.certificate_id))
    if isinstance(body, CertificateVerify):
        return _shared_verify(words, body)
    if isinstance(body, ServiceSearch):
        return _shared_search(words, body, page_size_max)
    if isinstance(body, ServiceGet):
        return ServiceGet(_shared_item_code(words, body.item_code))
    return body


def _shared_query(words: Translator, body: CertificateQuery) -> CertificateQuery:
    id_type = _shared_code(words, "holder_id_type", body.holder_id_type, "holder.id_type")
    try:
        check_holder_id(id_type, body.holder_id)
    except InvalidIdentifier as error:
        raise OwnBadValue(error.detail, field="holder.id") from None  # the number stays out of the trace
    certificate_type = ""
    if body.certificate_type:
        certificate_type = _shared_code(words, "certificate_type", body.certificate_type, "certificate_type")
    return CertificateQuery(id_type, body.holder_id, certificate_type)


def _shared_verify(words: Translator, body: CertificateVerify) -> CertificateVerify:
    certificate_id = _shared_certificate_id(words, body.certificate_id)
    if not body.digest and not body.face:
        raise OwnBadValue("expected a digest of the face, or the face itself", field="face")
    if body.digest and len(body.digest) != 32:
        raise OwnBadValue("expected a SHA-256 of 32 bytes", field="digest")
    kind = parse_certificate_id(certificate_id).certificate_type
    face = _shared_face(words, kind, body.face) if body.face else ()
    if not body.digest and not shows_face(face):
        raise OwnBadValue("expected something of the face besides state and digest", field="face")
    return CertificateVerify(certificate_id, body.digest, face)


def _shared_face(words: Translator, kind: str, face: tuple[Element, ...]) -> tuple[Element, ...]:
    """The presented part of a certificate, read as the registry's document would be.

    The fields are put where that document has them by carrying each local value unmapped; what the dialect
    then adds by itself (defaults, fields that are missing) was not presented.
    """
    dialect = words.dialect
    try:
        names = {dialect.element_name(kind, element.name): element.name for element in face}
        carried = [
            Element(dialect.element_name(kind, element.name), element.value, relation=Relation.UNMAPPED)
            for element in face
        ]
        read = dialect.to_shared(kind, dialect.render_local(kind, carried))
    except MappingError as error:
        raise OwnUnknownCode(f"type {kind}: {error.detail}", field="certificate_id") from error
    shared = {element.name: element for element in read if element.relation is not Relation.DEFAULTED}
    words.saw_read([shared[name] for name in names if name in shared])
    for name, local in names.items():
        if name not in shared or shared[name].relation in _UNKNOWN:
            raise OwnUnknownCode("not a field or a value of this province", field=f"face.{local}")
    return tuple(shared[name] for name in names)


def _shared_search(words: Translator, body: ServiceSearch, page_size_max: int) -> ServiceSearch:
    item_code = _shared_item_code(words, body.item_code) if body.item_code else ""
    if body.page < 1:
        raise OwnBadValue("pages count from 1", field="page")
    if not 1 <= body.page_size <= page_size_max:
        raise OwnBadValue(f"expected 1 to {page_size_max}", field="page_size")
    if not body.division:
        return replace(body, item_code=item_code)
    division = _shared_code(words, "division", body.division, "division")
    if division not in code_lists().divisions:
        raise OwnUnknownCode(f"{division} is no division of the four provinces", field="division")
    return replace(body, item_code=item_code, division=division)


def _shared_certificate_id(words: Translator, value: str) -> str:
    """A certificate id in its own dialect's form or already in the standard's."""
    shared = _shared_id(words, "certificate_id", value)
    _require(parse_certificate_id, shared, "certificate_id")
    return shared


def _shared_item_code(words: Translator, value: str) -> str:
    shared = _shared_id(words, "item_code", value)
    _require(check_service_item_code, shared, "item_code")
    return shared


def _shared_id(words: Translator, name: str, value: str) -> str:
    """What is no identifier of the dialect comes back as it was; whoever calls checks the standard's form."""
    try:
        return words.code_to_shared(name, value).value
    except MappingError:
        return value


def _shared_code(words: Translator, list_name: str, value: str, field: str) -> str:
    try:
        element = words.code_to_shared(list_name, value)
    except MappingError as error:
        raise OwnUnknownCode(error.detail, field=field) from error
    if element.relation in _UNKNOWN:
        # What was sent stays out: a holder's number may stand there by mistake.
        raise OwnUnknownCode(f"the value is not in this province's list {list_name}", field=field)
    return element.value


def _require(check: Callable[[str], Any], value: str, field: str) -> Any:
    try:
        return check(value)
    except InvalidIdentifier as error:
        raise OwnBadValue(error.detail, field=field) from error


# --- what comes back --------------------------------------------------------------------------------


def to_local_body(words: Translator, body: AnswerBody, asked: RequestBody) -> AnswerBody:
    """The answer in the platform's dialect; `asked` is the request in shared words."""
    translate = _TO_LOCAL.get(type(body))
    return body if translate is None else translate(words, body, asked)


def _certificates(words: Translator, body: CertificatesAnswer, _asked: RequestBody) -> AnswerBody:
    return CertificatesAnswer(tuple([_certificate(words, one) for one in body.certificates]))


def _one_certificate(words: Translator, body: CertificateAnswer, _asked: RequestBody) -> AnswerBody:
    return CertificateAnswer(body.certificate and _certificate(words, body.certificate))


def _certificate(words: Translator, one: Certificate) -> Certificate:
    elements = _local_elements(words, one.certificate_type, one.elements)
    certificate_type = _local_code(words, "certificate_type", one.certificate_type)
    return Certificate(certificate_type, _local_code(words, "certificate_id", one.certificate_id), elements)


def _verdict(words: Translator, body: VerifyAnswer, asked: RequestBody) -> AnswerBody:
    if body.verdict is Verdict.NOT_VALID and body.state:
        return replace(body, state=_local_code(words, "certificate_state", body.state))
    if body.altered and isinstance(asked, CertificateVerify):
        kind = parse_certificate_id(asked.certificate_id).certificate_type
        return replace(body, altered=_local_names(words, kind, body.altered))
    return body


def _types(words: Translator, body: CertificateTypesAnswer, _asked: RequestBody) -> AnswerBody:
    return CertificateTypesAnswer(tuple([_type(words, one) for one in body.types]))


def _type(words: Translator, one: CertificateType) -> CertificateType:
    code = _local_code(words, "certificate_type", one.code)
    return CertificateType(code, one.name, _local_names(words, one.code, one.fields))


def _services(words: Translator, body: ServicesAnswer, _asked: RequestBody) -> AnswerBody:
    return replace(body, items=tuple([_item(words, item) for item in body.items]))


def _one_service(words: Translator, body: ServiceItemAnswer, _asked: RequestBody) -> AnswerBody:
    return ServiceItemAnswer(body.item and _item(words, body.item))


def _item(words: Translator, item: ServiceItem) -> ServiceItem:
    elements = _local_elements(words, _ITEM, item.elements)
    return ServiceItem(_local_code(words, "item_code", item.item_code), item.name, elements)


def _local_elements(words: Translator, kind: str, elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """Local names and values; a kind that this province does not know comes through unmapped."""
    try:
        local = words.to_local(kind, elements)
    except MappingError:
        return tuple([replace(element, relation=Relation.UNMAPPED) for element in elements])
    return tuple(map(_joined, elements, local))


def _joined(shared: Element, local: Element) -> Element:
    """Both steps as one: the other province's original, the worse of the two relations, both tables."""
    original = shared.original or shared.value
    table, relation, groups = local.table, local.relation, local.groups
    if shared.relation > relation:
        relation = shared.relation
    if shared.table and shared.table != table:
        table = f"{shared.table} → {table}" if table else shared.table
    if groups:
        groups = tuple([tuple(map(_joined, *rows)) for rows in zip(shared.groups, groups, strict=True)])
    elif original == local.original and relation is local.relation and table == local.table:
        return local  # what most elements come to; making one costs more than comparing
    return Element(local.name, local.value, original, relation, table, groups)


def _local_names(words: Translator, kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple([words.dialect.field_name(kind, name) for name in names])
    except MappingError:
        return names


def _local_code(words: Translator, list_name: str, shared: str) -> str:
    """The province's own code, or the shared one where it has none: what a peer says is carried through."""
    if not shared or shared == UNMAPPED_TYPE:
        return shared
    try:
        return words.code_to_local(list_name, shared).value
    except MappingError:
        return shared


_TO_LOCAL: Mapping[type[AnswerBody], Callable[[Translator, Any, RequestBody], AnswerBody]] = {
    CertificatesAnswer: _certificates,
    CertificateAnswer: _one_certificate,
    VerifyAnswer: _verdict,
    CertificateTypesAnswer: _types,
    ServicesAnswer: _services,
    ServiceItemAnswer: _one_service,
}
