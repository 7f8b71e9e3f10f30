"""Between the API's models and the words of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from federation.ask import AskResult
from federation.errors import OwnNotFound
from federation.query import (
    Basis,
    BasisKind,
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateTypesAnswer,
    CertificateVerify,
    ServiceItem,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    VerifyAnswer,
)
from mapping.element import Element, Relation
from mapping.translate import Dialect
from node.api import models

__all__ = [
    "NamesOfTypes",
    "answer_of",
    "basis_of",
    "body_of_get",
    "body_of_query",
    "body_of_search",
    "body_of_verify",
]

_EXACT = Relation.EXACT
_WORDS: list[Any] = ["", *(relation.word for relation in sorted(Relation))]
"""By number: this runs for every value of every answer, where a property costs."""

NamesOfTypes = Callable[[Dialect], Mapping[str, str]]
"""The names of a dialect's certificate types, by local code."""


def basis_of(model: models.BasisModel) -> Basis:
    """The basis that a request carries."""
    return Basis(
        BasisKind[model.kind.upper()],
        model.service_item_name,
        model.service_item_code,
        model.case_number,
        model.purpose,
        model.consent,
    )


def body_of_query(model: models.CertificatesQuery) -> CertificateQuery:
    """What certificates/query asks, in local words."""
    return CertificateQuery(model.holder.id_type, model.holder.id, model.certificate_type)


def body_of_get(model: models.CertificatesGet) -> CertificateGet:
    """What certificates/get asks."""
    return CertificateGet(model.certificate_id)


def body_of_verify(model: models.CertificatesVerify) -> CertificateVerify:
    """What certificates/verify asks, in local words."""
    face = tuple(Element(name, value) for name, value in model.face.items())
    return CertificateVerify(model.certificate_id, bytes.fromhex(model.digest), face)


def body_of_search(model: models.ServicesQuery) -> ServiceSearch:
    """What services/query asks, in local words."""
    return ServiceSearch(model.words, model.item_code, model.division, model.page, model.page_size)


def answer_of(result: AskResult, names_of_types: NamesOfTypes) -> models.AnswerEnvelope:
    """An answer as the API gives it. The body decides which model it is."""
    return _ANSWERS[type(result.body)](_envelope(result), result.body, names_of_types(result.dialect))


def _envelope(result: AskResult) -> dict[str, Any]:
    header = result.answer_header
    return {
        "request_id": result.request_id,
        "outcome": "answered",
        "province": result.peer.province,
        "answering": header.answering,
        "asked_at": result.request_header.asked_at,
        "answered_at": header.answered_at,
        "decision": models.DecisionModel(
            header.decision.rule, header.decision.policy_version, header.decision.consent_status
        ),
        "map_sets": models.MapSetsModel(
            models.MapSetModel(result.dialect.version, result.dialect.digest.hex()),
            models.MapSetModel(header.map_set.version, header.map_set.digest.hex()),
        ),
    }


def _certificates(
    envelope: dict[str, Any], body: CertificatesAnswer, names: Mapping[str, str]
) -> models.AnswerEnvelope:
    found = [_certificate(one, names) for one in body.certificates]
    return models.CertificatesQueryResult(**envelope, certificates=found)


def _one_certificate(
    envelope: dict[str, Any], body: CertificateAnswer, names: Mapping[str, str]
) -> models.AnswerEnvelope:
    found = None if body.certificate is None else _certificate(body.certificate, names)
    return models.CertificatesGetResult(**envelope, certificate=found)


def _verdict(
    envelope: dict[str, Any], body: VerifyAnswer, _names: Mapping[str, str]
) -> models.AnswerEnvelope:
    word: Any = body.verdict.word
    return models.CertificatesVerifyResult(
        **envelope, verdict=word, state=body.state, state_on=body.state_on, altered=list(body.altered)
    )


def _types(
    envelope: dict[str, Any], body: CertificateTypesAnswer, _names: Mapping[str, str]
) -> models.AnswerEnvelope:
    types = [models.CertificateTypeModel(one.code, one.name, list(one.fields)) for one in body.types]
    return models.CertificateTypesResult(**envelope, types=types)


def _items(
    envelope: dict[str, Any], body: ServicesAnswer, _names: Mapping[str, str]
) -> models.AnswerEnvelope:
    items = [_item(one) for one in body.items]
    return models.ServicesQueryResult(**envelope, items=items, total=body.total, page=body.page)


def _one_item(
    envelope: dict[str, Any], body: ServiceItemAnswer, _names: Mapping[str, str]
) -> models.AnswerEnvelope:
    if body.item is None:
        raise OwnNotFound("the province has no such service item", field="item_code")
    return models.ServicesGetResult(**envelope, item=_item(body.item))


_ANSWERS: dict[type, Callable[[dict[str, Any], Any, Mapping[str, str]], models.AnswerEnvelope]] = {
    CertificatesAnswer: _certificates,
    CertificateAnswer: _one_certificate,
    VerifyAnswer: _verdict,
    CertificateTypesAnswer: _types,
    ServicesAnswer: _items,
    ServiceItemAnswer: _one_item,
}


def _certificate(one: Certificate, names: Mapping[str, str]) -> models.CertificateModel:
    fields, translations = _told(one.elements)
    return models.CertificateModel(
        one.certificate_type, names.get(one.certificate_type, ""), one.certificate_id, fields, translations
    )


def _item(one: ServiceItem) -> models.ServiceItemModel:
    return models.ServiceItemModel(one.item_code, one.name, *_told(one.elements))


def _told(elements: Iterable[Element]) -> tuple[dict[str, models.FieldValue], list[models.Translation]]:
    translations: list[models.Translation] = []
    return _tell(elements, "", translations), translations


def _tell(
    elements: Iterable[Element], prefix: str, translations: list[models.Translation]
) -> dict[str, models.FieldValue]:
    """Values by local name, and how each came about that any table or rule had a part in.

    What comes several times under one name becomes a list, so nothing is lost.
    """
    fields: dict[str, models.FieldValue] = {}
    for element in elements:
        name, value = element.name, element.value
        told: models.FieldValue = value
        if element.table or element.relation is not _EXACT or value != element.original:
            word = _WORDS[element.relation]
            translations.append(
                models.Translation(prefix + name, value, element.original, word, element.table)
            )
        if element.groups:
            told = [
                _tell(row, f"{prefix}{name}[{number}].", translations)
                for number, row in enumerate(element.groups)
            ]
        held = fields.get(name)
        fields[name] = told if held is None else [*_as_list(held), *_as_list(told)]
    return fields


def _as_list(value: models.FieldValue) -> list[Any]:
    return value if isinstance(value, list) else [value]
