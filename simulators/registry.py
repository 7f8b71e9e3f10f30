"""A province's registry over HTTP: its own paths, its own words, its own JSON, and faults on demand.

The shape (`simulators.shapes`) says how it is called, the records what it holds. Three paths are ours, for
people who test: ``/_about`` (what this is), ``/_people?index=0`` (whom one may ask about) and ``/_faults``
(GET shows, POST sets). Every answer carries the header ``X-Synthetic: true``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from federation.query import Operation
from simulators.divisions import province_name
from simulators.faults import Fault, FaultMode, Faults
from simulators.population import Population
from simulators.records import Found, Records, open_records
from simulators.shapes.anhui import ANHUI
from simulators.shapes.jiangsu import JIANGSU
from simulators.shapes.shanghai import SHANGHAI
from simulators.shapes.shape import Call, RefusedError, Route, Shape
from simulators.shapes.zhejiang import ZHEJIANG

__all__ = ["SHAPES", "make_registry"]

SHAPES: Mapping[str, Shape] = {shape.province: shape for shape in (SHANGHAI, JIANGSU, ZHEJIANG, ANHUI)}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_registry(province: str, population: Population) -> web.Application:
    """The registry of a province (6 digits) as an application. Raises KeyError for another province."""
    shape, records, faults = SHAPES[province], open_records(province, population), Faults()
    app = web.Application(client_max_size=64 * 1024)
    for route in shape.routes:
        app.router.add_route(route.method, route.path, _answering(shape, route, records, faults))
    app.router.add_get("/_about", _about(province, population))
    app.router.add_get("/_people", _people(province, population))
    app.router.add_get("/_faults", _show_fault(faults))
    app.router.add_post("/_faults", _set_fault(faults))
    return app


def _answering(shape: Shape, route: Route, records: Records, faults: Faults) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = await _read_call(request)
        fault = faults.next()
        if fault.mode is FaultMode.DOWN:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPServiceUnavailable
        if fault.mode is FaultMode.SLOW:
            await asyncio.sleep(fault.delay_s)
        try:
            asked = route.read(call)
        except RefusedError as refused:
            return _json(shape.refuse(refused))
        said = route.wrap(_look_up(records, route.operation, asked, fault))
        if said is None:
            return _json({"errmsg": "not found"}, status=404)
        return _json(said, broken=fault.mode is FaultMode.WRONG_JSON)

    return handle


def _look_up(records: Records, operation: Operation, asked: Mapping[str, str], fault: Fault) -> Found:
    look_up = {
        Operation.CERTIFICATES_QUERY: records.certificates,
        Operation.CERTIFICATES_GET: records.certificate,
        Operation.SERVICES_SEARCH: records.service_items,
        Operation.SERVICES_GET: records.service_item,
    }[operation]
    return look_up(asked, unknown_code=fault.mode is FaultMode.UNKNOWN_CODE)


async def _read_call(request: web.Request) -> Call:
    body: Mapping[str, Any] = {}
    if request.content_type == "application/json" and request.can_read_body:
        try:
            said = await request.json()
        except ValueError:
            raise web.HTTPBadRequest(text="the body is not JSON") from None
        body = said if isinstance(said, dict) else {}
    elif request.can_read_body:
        body = {name: str(value) for name, value in (await request.post()).items()}
    return Call(request.query, body, request.headers, request.match_info)


def _json(said: Any, *, status: int = 200, broken: bool = False) -> web.Response:
    text = json.dumps(said, ensure_ascii=False)
    return web.Response(
        text=text[: len(text) // 2] if broken else text,
        status=status,
        content_type="application/json",
        headers={"X-Synthetic": "true"},
    )


def _about(province: str, population: Population) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _json(
            {
                "province": province,
                "name": province_name(province),
                "synthetic": True,
                "seed": population.seed,
                "residents": population.residents,
                "organisations": population.organisations,
            }
        )

    return handle


def _people(province: str, population: Population) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            who = population.resident(province, int(request.query.get("index", "0")))
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        papers = [
            {
                "certificate_type": p.certificate_type,
                "certificate_id": p.certificate_id,
                "province": p.province,
            }
            for p in population.papers_of(who)
        ]
        return _json(
            {
                "synthetic": True,
                "name": who.name,
                "citizen_number": who.citizen_number,
                "certificates": papers,
            }
        )

    return handle


def _show_fault(faults: Faults) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _json(faults.current.as_json())

    return handle


def _set_fault(faults: Faults) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            faults.current = Fault.read(await request.json())
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        return _json(faults.current.as_json())

    return handle
