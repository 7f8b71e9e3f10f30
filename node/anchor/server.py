"""The anchor as a server: its configuration, its statements, its list, its status. All of it is signed, so
any copy of it is as good; nothing a query waits for.

OpenID Federation 1.0: §9 entity configuration, §8.1 fetch, §8.2 subordinate listings, §8.9 errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from aiohttp import web

from federation.ports import Clock
from node.anchor.enrolment import AnchorRefused
from node.anchor.folder import AnchorFolder, Member
from node.anchor.office import FETCH_PATH, LIST_PATH, STATUS_PATH, current_status, publish
from node.web.federation import STATUS_MEDIA, add_entity_configuration, statement_response
from trust.entity import STATEMENT_LIFE_S

__all__ = ["anchor_app"]

_STATUS_EVERY_S = 60
_RENEW_EVERY_S = 3600


class _Desk:
    """What the handlers share: the folder, and the status as it was last signed."""

    def __init__(self, folder: AnchorFolder, clock: Clock) -> None:
        self.folder = folder
        self.facts = folder.facts()
        self._clock = clock
        self._status = ""
        self._status_at: datetime | None = None
        self._said: Mapping[str, Member] = {}
        self._renewed_at: datetime | None = None

    def configuration(self) -> str:
        """The anchor's configuration, with all statements renewed when the root key lies here."""
        now = self._clock.now()
        if self._renewed_at is None or (now - self._renewed_at).total_seconds() >= _RENEW_EVERY_S:
            self._renewed_at = now
            if self.folder.has_key("federation"):
                publish(self.folder.directory, now=now, renew_within_s=STATEMENT_LIFE_S // 2)
        return self.folder.configuration()

    def status(self) -> str:
        """The status, signed anew after a minute and whenever a member changed."""
        now, members = self._clock.now(), self.folder.members()
        age = None if self._status_at is None else abs((now - self._status_at).total_seconds())
        if age is None or age >= _STATUS_EVERY_S or members != self._said:
            self._status = current_status(self.folder, members.values(), now=now)
            self._status_at, self._said = now, members
        return self._status

    async def serve_fetch(self, request: web.Request) -> web.Response:
        subject = request.query.get("sub")
        if not subject:
            return _error(400, "invalid_request", "fetch needs the parameter sub")
        if subject == self.facts.entity_id:
            return _error(400, "invalid_request", "an entity makes no subordinate statement about itself")
        member = self.folder.members().get(subject)
        if member is None or member.is_revoked:
            return _error(404, "not_found", "there is no such subordinate")
        return statement_response(request, member.statement)

    async def serve_list(self, request: web.Request) -> web.Response:
        if request.query:
            return _error(400, "unsupported_parameter", "the list takes no parameters here")
        members = self.folder.members().values()
        return web.json_response(sorted(member.entity_id for member in members if not member.is_revoked))

    async def serve_status(self, request: web.Request) -> web.Response:
        try:
            return statement_response(request, self.status(), media=STATUS_MEDIA)
        except AnchorRefused:
            return _error(503, "temporarily_unavailable", "the anchor cannot sign its status now")


def anchor_app(directory: Path, clock: Clock) -> web.Application:
    """The anchor's web application. It reads the folder for each answer, so commands take effect at once.

    Raises AnchorRefused when there is no anchor in `directory`, or its status key cannot be used.
    """
    folder = AnchorFolder(directory)
    folder.key("status")
    desk = _Desk(folder, clock)
    path = "/" + desk.facts.entity_id.split("/", 3)[3] if desk.facts.entity_id.count("/") > 2 else ""
    app = web.Application()
    add_entity_configuration(app, desk.configuration, path=path)
    app.router.add_get(path + FETCH_PATH, desk.serve_fetch)
    app.router.add_get(path + LIST_PATH, desk.serve_list)
    app.router.add_get(path + STATUS_PATH, desk.serve_status)
    return app


def _error(status: int, code: str, description: str) -> web.Response:
    return web.json_response({"error": code, "error_description": description}, status=status)
