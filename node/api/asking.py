"""The endpoints that ask another province: read the request, ask, give the answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from federation.ask import AskCommand
from federation.errors import OwnBadValue, OwnMalformedRequest
from federation.query import (
    Basis,
    BasisKind,
    CertificateTypes,
    RequestBody,
    ServiceGet,
)
from node.api.convert import NamesOfTypes, answer_of
from node.api.deps import PlatformSettings
from node.api.gate import Call, Gate, Repeats
from node.api.ports import Asker
from node.api.reading import decode_body, read_body

__all__ = ["SERVICE_GUIDE", "Asking", "Question", "json_response", "service_guide"]

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_PROVINCE = re.compile(r"[0-9]{6}")
_ITEM_CODE = re.compile(r"[0-9A-Za-z]{1,64}")

SERVICE_GUIDE = Basis(BasisKind.OFFICIAL_DUTY, purpose="办事指南 / service guide")
"""What is public needs no case: the basis of questions about service items and certificate types."""


def service_guide(_model: object) -> Basis:
    """The basis of a public question."""
    return SERVICE_GUIDE


def json_response(body: Any) -> web.Response:
    """A model as JSON; answers are personal data and stay out of caches."""
    return web.Response(body=_encode(body), headers=_HEADERS)


class Question(Generic[T]):
    """How one POST endpoint reads its request. Every model has `province` and `officer`."""

    def __init__(
        self, model: type[T], right: str, basis: Callable[[T], Basis], body: Callable[[T], RequestBody]
    ) -> None:
        self.model = model
        self.right = right
        self.basis = basis
        self.body = body
        self.decoder = msgspec.json.Decoder(model)


class Asking:
    """Handlers that ask."""

    def __init__(
        self,
        settings: PlatformSettings,
        gate: Gate,
        repeats: Repeats,
        asker: Asker,
        names_of_types: NamesOfTypes,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._repeats = repeats
        self._asker = asker
        self._names_of_types = names_of_types

    def post(self, question: Question[Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The handler of a POST endpoint."""

        async def handle(request: web.Request) -> web.Response:
            call = self._gate.admit(request, question.right)
            data = await read_body(request, limit_bytes=self._settings.request_body_bytes)
            model = decode_body(question.decoder, data)
            command = self._command(
                call, model.province, question.basis(model), question.body(model), model.officer
            )
            return await self._repeats.once(
                call, data, lambda: self._ask(command), lambda first: self._again(call, first)
            )

        return handle

    async def certificate_types(self, request: web.Request) -> web.Response:
        """GET /v1/certificates/types/{province}."""
        call = self._gate.admit(request, "certificates.types")
        officer, province = _officer(request), _province(request)
        return await self._ask(self._command(call, province, SERVICE_GUIDE, CertificateTypes(), officer))

    async def service_item(self, request: web.Request) -> web.Response:
        """GET /v1/services/{province}/{item_code}."""
        call = self._gate.admit(request, "services.get")
        officer, province = _officer(request), _province(request)
        item_code = request.match_info["item_code"]
        if not _ITEM_CODE.fullmatch(item_code):
            raise OwnBadValue("expected letters and digits, at most 64", field="item_code")
        return await self._ask(self._command(call, province, SERVICE_GUIDE, ServiceGet(item_code), officer))

    def _command(
        self, call: Call, province: str, basis: Basis, body: RequestBody, officer: str
    ) -> AskCommand:
        return AskCommand(
            client=call.client_id,
            officer=officer,
            province=province,
            basis=basis,
            body=body,
            timeout_s=self._settings.deadline_s,
            request_id=call.request_id,
            traceparent=call.traceparent,
        )

    async def _ask(self, command: AskCommand) -> web.Response:
        return json_response(answer_of(await self._asker.ask(command), self._names_of_types))

    async def _again(self, call: Call, request_id: str) -> web.Response:
        """The first answer, as the rules in force now let it be seen."""
        self._gate.draw(call.client_id)
        result = await self._asker.fetch(request_id, client=call.client_id)
        return json_response(answer_of(result, self._names_of_types))


def _province(request: web.Request) -> str:
    province = request.match_info["province"]
    if not _PROVINCE.fullmatch(province):
        raise OwnBadValue("expected six digits (GB/T 2260)", field="province")
    return province


def _officer(request: web.Request) -> str:
    """The one query parameter. Raises OwnMalformedRequest for any other, OwnBadValue for a wrong form."""
    if any(name != "officer" for name in request.query):
        raise OwnMalformedRequest("only the query parameter officer is known here", field="query")
    officer = request.query.get("officer", "")
    if len(request.query) > 1 or len(officer) > 128 or not (officer.isprintable()):
        raise OwnBadValue("expected one name of at most 128 printable characters", field="officer")
    return officer
