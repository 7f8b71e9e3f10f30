"""Who calls and may they: the token, the client, its right. Then one place for a request that is repeated."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from federation.errors import (
    FederationError,
    OwnBadValue,
    OwnForbidden,
    OwnIdempotencyConflict,
    OwnInProgress,
    OwnOverQuota,
    OwnUnauthenticated,
)
from federation.quota import TokenBuckets
from node.api.access_tokens import AccessTokens
from node.api.client_directory import ClientDirectory
from node.api.ports import IdempotencyKeys, KeyState, KeyVerdict
from node.api.rights import is_granted
from node.api.trace import traceparent_of

__all__ = ["REQUEST_ID", "Call", "Gate", "Repeats"]

REQUEST_ID = web.RequestKey("request_id", str)
"""The id that the border gave to this request."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller is known and has the right. Only `Gate.admit` makes one."""

    request: web.Request
    request_id: str
    client_id: str
    traceparent: str
    scope: frozenset[str]
    operations: frozenset[str]

    def require(self, right: str) -> None:
        """Return when both the token and its client have this right. Raises OwnForbidden."""
        if not (is_granted(right, self.scope) and is_granted(right, self.operations)):
            raise OwnForbidden(f"this client, or its token, has no right to {right}")


class Gate:
    """Admits requests. A request that only reads here draws on `reads`; asking has its quota in `ask`."""

    def __init__(self, tokens: AccessTokens, clients: ClientDirectory, reads: TokenBuckets) -> None:
        self._tokens = tokens
        self._clients = clients
        self._reads = reads

    def admit(self, request: web.Request, right: str) -> Call:
        """The call, when its token is good and its client still may. `right` empty: any client may.

        Raises OwnUnauthenticated, OwnTokenExpired, OwnForbidden, OwnOverQuota.
        """
        permit = self._tokens.verify(_bearer(request.headers.get("Authorization")))
        client = self._clients.find(permit.client_id)
        if client is None:
            raise OwnUnauthenticated("the client was removed or disabled", field="authorization")
        traceparent = traceparent_of(request.headers.get("traceparent"))
        call = Call(
            request, request[REQUEST_ID], client.client_id, traceparent, permit.scope, client.operations
        )
        if right:
            call.require(right)
        else:
            self.draw(client.client_id)
        return call

    def draw(self, client_id: str) -> None:
        """Count one request that only reads here. Raises OwnOverQuota."""
        wait_s = self._reads.take(client_id)
        if wait_s:
            raise OwnOverQuota(f"the quota of {client_id} is used up; try again in {wait_s:.3f} s")


def _bearer(header: str | None) -> str:
    if header is None:
        raise OwnUnauthenticated("send Authorization: Bearer with a token from /oauth/token")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise OwnUnauthenticated("the Authorization header is not Bearer with a token", field="authorization")
    return token.strip()


class Repeats:
    """Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same request gets the first answer.

    What is kept under a key is the request id of the first answer, not the answer: that lies in the log as evidence,
    is read from there under the rules in force now, and is nowhere else. A request that failed may be sent again under
    its key and is then done anew.
    """

    def __init__(self, keys: IdempotencyKeys) -> None:
        self._keys = keys

    async def once(
        self,
        call: Call,
        body: bytes,
        work: Callable[[], Awaitable[web.Response]],
        again: Callable[[str], Awaitable[web.Response]],
    ) -> web.Response:
        """The answer of `work`, or under a used key what `again` gives for the first one's request id.

        Raises OwnIdempotencyConflict, OwnInProgress, OwnBadValue for a key of a wrong form, and as `work` and `again`.
        """
        key = call.request.headers.get("Idempotency-Key")
        if key is None:
            return await work()
        if not (1 <= len(key) <= 128 and key.isascii() and key.isprintable()):
            raise OwnBadValue("expected 1 to 128 printable ASCII characters", field="Idempotency-Key")
        digest = hashlib.sha256(f"{call.request.method} {call.request.path}\0".encode() + body).digest()
        verdict = await self._keys.claim(call.client_id, key, digest)
        if verdict.state is KeyState.NEW:
            return await self._first(call, key, work)
        return await self._repeated(verdict, again)

    async def _first(self, call: Call, key: str, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        try:
            response = await work()
        except BaseException:
            with contextlib.suppress(FederationError):  # its lease runs out by itself
                await self._keys.release(call.client_id, key)
            raise
        try:
            await self._keys.finish(call.client_id, key, request_id=call.request_id)
        except FederationError as error:  # the answer itself is stored as evidence; only a repeat asks anew
            _log.warning("api.answer_not_kept", code=error.code)
        return response

    async def _repeated(
        self, verdict: KeyVerdict, again: Callable[[str], Awaitable[web.Response]]
    ) -> web.Response:
        if verdict.state is KeyState.CONFLICT:
            raise OwnIdempotencyConflict("this key came with another request before", field="Idempotency-Key")
        if verdict.state is KeyState.WORKING:
            raise OwnInProgress(
                "the first request under this key is not answered yet", field="Idempotency-Key"
            )
        response = await again(verdict.request_id)
        response.headers["Idempotent-Replayed"] = "true"
        response.headers["X-Request-Id"] = verdict.request_id
        return response
