"""The anchor as a server: what it says, all of it signed, so that any copy is as good; nothing a query waits
for. Only renewing a TLS certificate asks it to do something.

OpenID Federation 1.1: §9 entity configuration, §8.1 fetch, §8.2 subordinate listings, §8.3 resolve, §8.7
historical keys, §8.9 errors. The plain files of `trust.documents` are served beside them, as a published
folder would. It reads its folder for each answer, so commands take effect at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from federation.ports import Clock
from federation.statements import StatementSource
from node.anchor.changing import active_key
from node.anchor.folder import ROOT, AnchorFolder, Member
from node.anchor.listing import QueryRefused, list_entities, list_page
from node.anchor.member import AnchorRefused
from node.anchor.publishing import current_status, publish
from node.anchor.resolving import Resolver
from node.anchor.signing import EXTENDED_LIST_PATH
from node.anchor.tls import RenewalRefused, renew
from node.anchor.watch import MemberWatch
from node.web.federation import STATUS_MEDIA, statement_response
from trust.documents import (
    FETCH_PATH,
    HISTORICAL_KEYS_PATH,
    LIST_PATH,
    RESOLVE_PATH,
    ROLL_OVERS_PATH,
    STATEMENTS_PATH,
    STATUS_PATH,
    TLS_PATH,
    statement_path,
)
from trust.entity import STATEMENT_LIFE_S, WELL_KNOWN
from trust.historical import HISTORICAL_KEYS_TYPE
from trust.renewal import RENEWAL_MAX_BYTES, RENEWAL_MEDIA
from trust.resolution import RESOLVE_RESPONSE_TYPE

__all__ = ["anchor_app"]

_log = structlog.get_logger("yrd.anchor")

_STATUS_EVERY_S = 60
_RENEW_EVERY_S = 3600
_WATCH_EVERY_S = 60
_REFUSALS_EVERY_S = 60
_MOST_REASON = 300

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refusals:
    """Refused requests in the log: one line a minute with how many there were, so that nobody fills it."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at: datetime | None = None

    def note(self, reason: str, now: datetime) -> None:
        """One more was refused. The line has the reason of the last."""
        self._count += 1
        age_s = None if self._told_at is None else abs((now - self._told_at).total_seconds())
        if age_s is None or age_s >= _REFUSALS_EVERY_S:
            _log.warning("anchor.tls_refused", reason=reason[:_MOST_REASON], count=self._count)
            self._count, self._told_at = 0, now


class _Desk:
    """What the handlers share: the folder, and the status as it was last signed."""

    def __init__(self, folder: AnchorFolder, clock: Clock) -> None:
        self.folder = folder
        self.facts = folder.facts()
        self._clock = clock
        self._resolver = Resolver(folder, clock)
        self._status = ""
        self._status_at: datetime | None = None
        self._said: Mapping[str, Member] = {}
        self._renewed_at: datetime | None = None
        self._refusals = _Refusals()

    def handlers(self) -> dict[str, _Handler]:
        """The handler of each path that is read, below the entity id."""
        handlers: dict[str, _Handler] = {
            WELL_KNOWN: self.serve_configuration,
            FETCH_PATH: self.serve_fetch,
            LIST_PATH: self.serve_list,
            EXTENDED_LIST_PATH: self.serve_extended_list,
            HISTORICAL_KEYS_PATH: self.serve_historical_keys,
            ROLL_OVERS_PATH: self.serve_roll_overs,
            STATEMENTS_PATH + "/{name}": self.serve_statement,
        }
        if not self.facts.is_authority:
            handlers |= {STATUS_PATH: self.serve_status, RESOLVE_PATH: self.serve_resolve}
        return handlers

    def renew(self) -> None:
        """Sign what has changed or is past half of its life, when the root key lies here."""
        if self.folder.has_key(ROOT):
            publish(self.folder.directory, now=self._clock.now(), renew_within_s=STATEMENT_LIFE_S // 2)

    async def _renew_hourly(self) -> None:
        now = self._clock.now()
        if self._renewed_at is None or (now - self._renewed_at).total_seconds() >= _RENEW_EVERY_S:
            self._renewed_at = now
            try:
                await asyncio.to_thread(self.renew)
            except AnchorRefused as error:
                _log.warning("anchor.not_renewed", reason=str(error))

    def status(self) -> str:
        """The status, signed anew after a minute and whenever a member changed."""
        now, members = self._clock.now(), self.folder.members()
        age = None if self._status_at is None else abs((now - self._status_at).total_seconds())
        if age is None or age >= _STATUS_EVERY_S or members != self._said:
            self._status = current_status(self.folder, members.values(), now=now)
            self._status_at, self._said = now, members
        return self._status

    async def serve_configuration(self, request: web.Request) -> web.Response:
        await self._renew_hourly()
        return statement_response(request, self.folder.configuration())

    async def serve_fetch(self, request: web.Request) -> web.Response:
        subjects = request.query.getall("sub", [])
        if len(subjects) != 1 or not subjects[0]:
            raise QueryRefused("invalid_request", "fetch needs one parameter sub")
        if request.query.get("iss", self.facts.entity_id) != self.facts.entity_id:
            raise QueryRefused("invalid_issuer", f"only {self.facts.entity_id} speaks here", status=404)
        if subjects[0] == self.facts.entity_id:
            raise QueryRefused("invalid_request", "an entity makes no subordinate statement about itself")
        return statement_response(request, self._statement(subjects[0]))

    async def serve_statement(self, request: web.Request) -> web.Response:
        wanted = f"{STATEMENTS_PATH}/{request.match_info['name']}"
        known = (who for who in self.folder.members() if statement_path(who) == wanted)
        return statement_response(request, self._statement(next(known, "")))

    def _statement(self, subject: str) -> str:
        member = self.folder.members().get(subject)
        if member is None or member.is_revoked:
            raise QueryRefused("not_found", "there is no such subordinate", status=404)
        return member.statement

    async def serve_list(self, request: web.Request) -> web.Response:
        return _json(list_entities(self.folder.members().values(), request.query))

    async def serve_extended_list(self, request: web.Request) -> web.Response:
        return _json(list_page(self.folder.members().values(), request.query))

    async def serve_resolve(self, request: web.Request) -> web.Response:
        token = self._resolver.resolve(request.query)
        return statement_response(request, token, media=f"application/{RESOLVE_RESPONSE_TYPE}")

    async def serve_historical_keys(self, request: web.Request) -> web.Response:
        token = self.folder.historical_keys()
        if not token:
            raise QueryRefused("not_found", "they have not been signed yet", status=404)
        return statement_response(request, token, media=f"application/{HISTORICAL_KEYS_TYPE}")

    async def serve_roll_overs(self, request: web.Request) -> web.Response:
        return statement_response(request, self.folder.roll_overs(), media="application/json")

    async def serve_status(self, request: web.Request) -> web.Response:
        return statement_response(request, self.status(), media=STATUS_MEDIA)

    async def serve_tls(self, request: web.Request) -> web.Response:
        """A node asks for its next TLS certificate (`trust.renewal`)."""
        if request.content_type != RENEWAL_MEDIA:
            return _error(415, "invalid_request", f"the request is of type {RENEWAL_MEDIA}")
        token = await request.read()
        try:
            bundle = await asyncio.to_thread(renew, self.folder.directory, token, now=self._clock.now())
        except RenewalRefused as error:
            self._refusals.note(str(error), self._clock.now())
            response = _error(error.status, error.code, str(error))
            if error.retry_after_s:
                response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        response = _json(bundle)
        response.headers["Cache-Control"] = "no-store"
        return response


def anchor_app(directory: Path, clock: Clock, *, source: StatementSource | None = None) -> web.Application:
    """The anchor's web application. With a `source`, members' configurations are looked at in the background
    while it runs.

    Raises AnchorRefused when there is no anchor in `directory`, or its status key cannot be used.
    """
    folder = AnchorFolder(directory)
    desk = _Desk(folder, clock)
    if not desk.facts.is_authority:
        active_key(folder, "status", clock.now())
    base = urlsplit(desk.facts.entity_id).path
    app = web.Application(middlewares=[_with_errors], client_max_size=RENEWAL_MAX_BYTES)
    for path, handler in desk.handlers().items():
        app.router.add_get(base + path, handler)
    if not desk.facts.is_authority:
        app.router.add_post(base + TLS_PATH, desk.serve_tls)
    if source is not None:
        app.cleanup_ctx.append(_watching(MemberWatch(folder, source, clock, after=desk.renew)))
    return app


def _watching(watch: MemberWatch) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(watch.run(_WATCH_EVERY_S))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return run


@web.middleware
async def _with_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Errors in the form of §8.9; an own fault is told without details."""
    try:
        return await handler(request)
    except QueryRefused as error:
        return _error(error.status, error.code, str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error(error.status, "invalid_request", error.reason, allow=error.headers.get("Allow", ""))
    except AnchorRefused as error:
        _log.error("anchor.cannot_sign", reason=str(error))
        return _error(503, "temporarily_unavailable", "the anchor cannot sign this now")
    except Exception as error:
        _log.error("anchor.fault", error=type(error).__name__, exc_info=True)
        return _error(500, "server_error", "the anchor met a fault")


def _json(value: object) -> web.Response:
    response = web.json_response(value)
    response.headers.update({"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})
    return response


def _error(status: int, code: str, description: str, *, allow: str = "") -> web.Response:
    response = _json({"error": code, "error_description": description})
    response.set_status(status)
    if allow:
        response.headers["Allow"] = allow
    return response
