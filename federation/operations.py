"""Checks 9 to 11 for each operation: shared words → own dialect → registry → shared words, cut to the grant.

What the registry holds and the dialect does not know is never dropped: a code comes through marked
`unmapped`, a document of an unknown type under the type `unmapped` with each value as it was, for who may
see all types.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.access import Grant
from federation.bodies import cut_body
from federation.errors import (
    AccessConsentMismatch,
    AccessDenied,
    PeerMalformed,
    RegistryBadAnswer,
    RegistryNotOffered,
)
from federation.face import shows_face
from federation.holders import holders_named_in
from federation.ports import Clock, LocalDocument, LocalRegistry, RegistryAnswer
from federation.query import (
    AnswerBody,
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateType,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    Operation,
    Request,
    RequestBody,
    ServiceGet,
    ServiceItem,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    StateQuery,
)
from federation.translator import UNMAPPED_TYPE, Translator
from federation.verdict import verdict_on
from mapping.converters import text_of
from mapping.element import Element, Relation
from mapping.errors import MappingError

__all__ = ["Operations"]

_ITEM = "service_item"
_CERTIFICATE_ID = "证照标识"


@dataclass(frozen=True, slots=True)
class _Look:
    """One look-up: with which words, for whom, and how long it may take."""

    words: Translator
    grant: Grant
    timeout_s: float


class Operations:
    """Performs what was asked, at the registry or from what the node knows itself."""

    def __init__(self, registry: LocalRegistry, clock: Clock, *, version: str, page_size: int) -> None:
        self._registry = registry
        self._clock = clock
        self._version = version
        self._page_size = page_size
        self._perform: Mapping[type[RequestBody], Callable[[Any, _Look], Awaitable[AnswerBody]]] = {
            CertificateQuery: self._query,
            CertificateGet: self._get,
            CertificateVerify: self._verify,
            CertificateTypes: self._types,
            ServiceSearch: self._search,
            ServiceGet: self._item,
            StateQuery: self._state,
        }

    async def perform(
        self, request: Request, grant: Grant, words: Translator, *, timeout_s: float
    ) -> AnswerBody:
        """The answer's body in shared words, cut to what was granted.

        Raises the registry's errors, RegistryNotOffered for a code that this province does not have,
        AccessDenied when what was found is not granted.
        """
        body = await self._perform[type(request.body)](request.body, _Look(words, grant, timeout_s))
        return cut_body(body, grant)

    async def _query(self, body: CertificateQuery, look: _Look) -> AnswerBody:
        parameters = {
            "holder_id_type": _local(look.words, "holder_id_type", body.holder_id_type),
            "holder_id": body.holder_id,
        }
        if body.certificate_type:
            parameters["certificate_type"] = _local(look.words, "certificate_type", body.certificate_type)
        said = await self._look_up(Operation.CERTIFICATES_QUERY, parameters, look)
        found = [_certificate(look, document) for document in said.documents]
        if body.certificate_type:  # a registry may ignore the type; the answer does not
            found = [one for one in found if one.certificate_type == body.certificate_type]
        return CertificatesAnswer(tuple(found))

    async def _get(self, body: CertificateGet, look: _Look) -> AnswerBody:
        return CertificateAnswer(await self._one(body.certificate_id, look))

    async def _verify(self, body: CertificateVerify, look: _Look) -> AnswerBody:
        if not body.digest and not shows_face(body.face):
            raise PeerMalformed(
                "digest or face: one of the two is needed; state and digest are not of the face"
            )
        _require_fields(body, look.grant)
        held = await self._one(body.certificate_id, look)
        if held is not None and not look.grant.covers_type(held.certificate_type):
            raise AccessDenied(f"rule {look.grant.rule} does not grant type {held.certificate_type}")
        return verdict_on(body, held, self._clock.now())

    async def _types(self, _body: CertificateTypes, look: _Look) -> AnswerBody:
        offered = await self._offered(look)
        types = [
            CertificateType(code, name, tuple(fields))
            for code, name, fields in look.words.dialect.certificate_types
            if offered is None or code in offered
        ]
        return CertificateTypesAnswer(tuple(types))

    async def _search(self, body: ServiceSearch, look: _Look) -> AnswerBody:
        parameters = {
            "page": str(body.page),
            "page_size": str(min(body.page_size, self._page_size)),
        }
        if body.words:
            parameters["words"] = body.words
        if body.item_code:
            parameters["item_code"] = _local_id(look.words, "item_code", body.item_code)
        if body.division:
            parameters["division"] = _local(look.words, "division", body.division)
        said = await self._look_up(Operation.SERVICES_SEARCH, parameters, look)
        items = tuple([_service_item(look.words, document) for document in said.documents])
        return ServicesAnswer(items, max(said.total, len(items)), body.page)

    async def _item(self, body: ServiceGet, look: _Look) -> AnswerBody:
        parameters = {"item_code": _local_id(look.words, "item_code", body.item_code)}
        said = await self._look_up(Operation.SERVICES_GET, parameters, look)
        items = [_service_item(look.words, document) for document in said.documents]
        return ServiceItemAnswer(next((item for item in items if item.item_code == body.item_code), None))

    async def _state(self, _body: StateQuery, _look: _Look) -> AnswerBody:
        operations = tuple([operation.value for operation in Operation])
        return StateAnswer(self._version, self._clock.now(), operations)

    async def _one(self, certificate_id: str, look: _Look) -> Certificate | None:
        parameters = {"certificate_id": _local_id(look.words, "certificate_id", certificate_id)}
        said = await self._look_up(Operation.CERTIFICATES_GET, parameters, look)
        if not said.documents:
            return None
        for document in said.documents:
            found = _certificate(look, document)
            if found.certificate_id == certificate_id:
                _require_holder(found, look.grant)
                return found
        raise RegistryBadAnswer("the registry answered with other certificates than the one asked for")

    async def _offered(self, look: _Look) -> frozenset[str] | None:
        """The shared types that the registry says it has; None when it keeps no such list."""
        try:
            said = await self._look_up(Operation.CERTIFICATES_TYPES, {}, look)
        except RegistryNotOffered:
            return None
        return frozenset(_kind(look.words, document) for document in said.documents)

    async def _look_up(
        self, operation: Operation, parameters: Mapping[str, str], look: _Look
    ) -> RegistryAnswer:
        return await self._registry.look_up(operation, parameters, timeout_s=look.timeout_s)


def _local(words: Translator, list_name: str, shared: str) -> str:
    """Check 9: a shared code in the province's own. Raises RegistryNotOffered when it has none."""
    try:
        element = words.code_to_local(list_name, shared)
    except MappingError as error:
        raise RegistryNotOffered(f"this province takes no {list_name}: {error.detail}") from error
    if element.relation in (Relation.UNMAPPED, Relation.INVALID):
        raise RegistryNotOffered(f"this province has no {list_name} for {shared[:60]}")
    return element.value


def _local_id(words: Translator, name: str, shared: str) -> str:
    """Check 9 for an identifier. One that breaks its standard may still be what the registry has."""
    try:
        return words.code_to_local(name, shared).value
    except MappingError:
        return shared


def _kind(words: Translator, document: LocalDocument) -> str:
    try:
        return words.document_kind(document)
    except MappingError:
        return UNMAPPED_TYPE


def _certificate(look: _Look, document: LocalDocument) -> Certificate:
    """Check 11 for one document."""
    kind = _kind(look.words, document)
    if kind == UNMAPPED_TYPE:
        as_it_is = _as_it_is(document)
        look.words.saw_read(as_it_is)
        return Certificate(kind, "", as_it_is)
    try:
        elements = look.words.to_shared(kind, document)
    except MappingError as error:
        raise RegistryBadAnswer(error.detail) from error
    for element in elements:
        if element.name == _CERTIFICATE_ID and element.value:
            return Certificate(kind, element.value, elements)
    raise RegistryBadAnswer(f"a certificate without its id ({_CERTIFICATE_ID})")


def _as_it_is(document: Mapping[str, Any], path: str = "") -> tuple[Element, ...]:
    """Every value of a document that cannot be read, under its dotted path."""
    elements: list[Element] = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            elements += _as_it_is(value, f"{path}{name}.")
        else:
            text = text_of(value)
            elements.append(Element(f"{path}{name}", text, text, Relation.UNMAPPED))
    return tuple(elements)


def _service_item(words: Translator, document: LocalDocument) -> ServiceItem:
    elements = words.to_shared(_ITEM, document)
    values = {element.name: element.value for element in elements}
    code = values.get("实施编码", "")
    if not code:
        raise RegistryBadAnswer("a service item without its code (实施编码)")
    return ServiceItem(code, values.get("事项名称", ""), elements)


def _require_holder(found: Certificate, grant: Grant) -> None:
    """A consent is for the certificates of one holder; nothing that another's says is told."""
    if grant.holder is not None and grant.holder not in holders_named_in(found.elements):
        raise AccessConsentMismatch("the consent is for the certificates of another holder")


def _require_fields(body: CertificateVerify, grant: Grant) -> None:
    """A face is compared field by field, so that asking tells; only granted fields can be asked about."""
    if grant.fields is None:
        return
    refused = [element.name for element in body.face if element.name not in grant.fields]
    if refused:
        raise AccessDenied(f"rule {grant.rule} does not grant {', '.join(refused)[:200]}")
