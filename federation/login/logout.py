"""The end of a login: sessions end here, and all who took part are told.

1. A session ends in one transaction with its grants and with the rows of who is to be told: from then on nothing is
   lost, whoever dies.
2. Who waits for it in a browser has them told at once, for as long as a citizen waits; what was not taken by then is
   told again, ever more slowly, by any replica, until it is taken or `LIFE_S` have passed. Each time with a new token,
   since the last one may have expired, or been lost after it was used.
3. A log-out that arrives from a peer or the identity provider ends what hangs on it, and goes on from here likewise:
   from the home node down to the platforms of all visited nodes, from a visited node up to the home node. Whoever told
   is not told, so it ends where it began; what has ended before ends no second time.
4. One that is away holds up nobody else: for a moment after it did not answer, its others wait untried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from msgspec import Struct

from federation.errors import FederationError, code_of
from federation.login.logout_tokens import LOGOUT_TYP, LogoutSaid, LogoutTokenRejected, logout_claims
from federation.login.ports import RelyingParties, Replays
from federation.login.sessions import EndedSession, Party, SessionEndings
from federation.ports import Clock
from trust.keys import Signer
from trust.tokens import sign_token

__all__ = [
    "AT_ONCE_S",
    "GIVEN_UP",
    "LIFE_S",
    "NO_ENDPOINT",
    "REFUSED",
    "TOLD",
    "TOLD_US",
    "DueLogout",
    "EndedWith",
    "Logout",
    "LogoutPoster",
    "LogoutQueue",
    "LogoutShown",
    "PartyAway",
]

_log = structlog.get_logger("yrd.login")

TOLD: Final = "told"
TOLD_US: Final = "told_us"
NO_ENDPOINT: Final = "no_endpoint"
"""It registered no address for it: its own session is its own matter."""
REFUSED: Final = "refused"
GIVEN_UP: Final = "given_up"

LIFE_S: Final = 24 * 3600
"""How long a party that is away is told again: no session lives longer."""
AT_ONCE_S: Final = 2.0
"""How long a citizen waits for those who are told at once."""
LATER_S: Final = 5.0
"""How long a party may take that is told again."""
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
MOST_REFUSALS: Final = 5
"""Answers of 400 and the like before a party counts as one that will not take it: its node may just not know a new key
yet.
"""
LEASE_S: Final = 30.0
"""How long whoever took a row up has, before another replica may."""
MOST_AT_ONCE: Final = 32
"""Parties that are told at the same time by one replica."""
MOST_AWAY: Final = 1000
"""Parties that are remembered as away; beyond that all are tried again."""
LOOK_EVERY_S: Final = 2.0
"""How often a replica looks for what others left."""
_LATER: Final = frozenset({408, 425, 429})


class PartyAway(Exception):
    """A party does not answer. The text is for the log."""


class DueLogout(Struct, frozen=True, kw_only=True):
    """Somebody who is to be told, taken up by this replica: the `attempts`-th time. `expires_at` in seconds."""

    logout_id: str
    party: Party
    attempts: int
    expires_at: int


class LogoutShown(Struct, frozen=True, kw_only=True):
    """How far telling one party has come."""

    client_id: str
    is_done: bool
    outcome: str


class EndedWith(Struct, frozen=True, kw_only=True):
    """Somebody who took part in a login, as its citizen is told: whether the end of it has arrived there.

    `is_told` is false while it is being told, and for good when `is_given_up`: then it ends there by its own time.
    """

    client_id: str
    name: str
    is_told: bool
    is_given_up: bool = False


class LogoutQueue(Protocol):
    """Who is still to be told. Every method raises OwnStoreUnavailable."""

    async def take_due(self, *, lease_s: float, limit: int) -> Sequence[DueLogout]:
        """Take up what is due, the longest waiting first: nobody else does for `lease_s`."""
        ...

    async def take_of(self, session_id: str, *, lease_s: float) -> Sequence[DueLogout]:
        """Take up what is due of one session."""
        ...

    async def settle(self, logout_id: str, outcome: str) -> None:
        """It is done."""
        ...

    async def postpone(self, logout_id: str, *, until: datetime, outcome: str) -> None:
        """It is due again then."""
        ...

    async def of_session(self, session_id: str) -> Sequence[LogoutShown]:
        """All of a session."""
        ...


class LogoutPoster(Protocol):
    """Brings a logout token to a party (§2.5)."""

    async def post(self, uri: str, logout_token: str, *, timeout_s: float) -> int:
        """The status of the answer; redirects are not followed. Raises PartyAway."""
        ...


class Logout:
    """Ends sessions and tells who took part. `signer` gives the node's OpenID key of the moment."""

    def __init__(
        self,
        entity_id: str,
        sessions: SessionEndings,
        queue: LogoutQueue,
        parties: RelyingParties,
        poster: LogoutPoster,
        replays: Replays,
        signer: Callable[[], Signer],
        clock: Clock,
    ) -> None:
        self._entity_id = entity_id
        self._sessions = sessions
        self._queue = queue
        self._parties = parties
        self._poster = poster
        self._replays = replays
        self._signer = signer
        self._clock = clock
        self._work = asyncio.Event()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._away: dict[str, float] = {}

    # --- ending ---

    async def end(self, session_id: str) -> bool:
        """End a session, and tell who took part, for `AT_ONCE_S` at most. False when it had ended before.

        Raises OwnStoreUnavailable when it did not end. Whatever fails or is cancelled after that is told later.
        """
        if not await self._sessions.end(session_id):
            return False
        _log.info("login.session_ended", by="citizen")
        try:
            due = await self._queue.take_of(session_id, lease_s=LEASE_S)
            await self._tell_all(due, timeout_s=AT_ONCE_S)
        except FederationError as error:
            _log.warning("login.logout_not_told", code=code_of(error))
        finally:
            self._work.set()
        return True

    async def end_by(self, said: LogoutSaid) -> int:
        """End what a checked logout token is about: sessions that hang on its issuer's, and the session that its issuer
        takes part in; grants that outlive sessions too when it is about what a citizen withdrew there. How many
        sessions ended; none is no error (§2.8). Who took part is told in the background.

        Raises LogoutTokenRejected for an id that was used before, OwnStoreUnavailable.
        """
        if not await self._replays.use_once(f"logout:{said.issuer}", said.jti, said.expires_at):
            raise LogoutTokenRejected("its jti was used before")
        ended = 0
        for session_id in await self._meant(said):
            ended += await self._sessions.end(session_id, told_by=said.issuer)
        if said.is_withdrawn:  # after the sessions: from then on nothing is granted on them
            revoked = await self._sessions.revoke_all(said.issuer, said.subject)
            _log.info("login.agreement_withdrawn", by=said.issuer, grants=revoked)
        if ended:
            _log.info("login.session_ended", by=said.issuer, sessions=ended)
            self._work.set()
        return ended

    async def _meant(self, said: LogoutSaid) -> Sequence[str]:
        """Without `sid` it is about all of a person's sessions there; one that takes part here always names one."""
        below = await self._sessions.by_issuer(said.issuer, sid=said.sid, subject=said.subject)
        above = await self._sessions.by_party(said.issuer, said.sid) if said.sid else None
        if above is None or above.has_ended:
            return below
        return [*below, above.session.session_id]

    # --- what it came to ---

    async def ended_with(self, session_id: str) -> Sequence[EndedWith]:
        """Who took part in a session that ended, and how far telling them has come. Raises OwnStoreUnavailable."""
        shown = await self._queue.of_session(session_id)
        return [
            EndedWith(
                client_id=one.client_id,
                name=await self.name_of(one.client_id),
                is_told=one.is_done and one.outcome in (TOLD, TOLD_US),
                is_given_up=one.is_done and one.outcome not in (TOLD, TOLD_US),
            )
            for one in shown
        ]

    async def name_of(self, client_id: str) -> str:
        """What a party is called on pages: its id where it is not registered any more."""
        party = await self._parties.find(client_id)
        return client_id if party is None else party.name

    async def taking_part(self, session: EndedSession) -> Sequence[str]:
        """The names of those who take part in a session. Raises OwnStoreUnavailable."""
        parties = await self._sessions.parties(session.session.session_id)
        return [await self.name_of(party.client_id) for party in parties]

    # --- telling ---

    async def tell_due(self) -> int:
        """Tell all who are due; how many there were. Raises OwnStoreUnavailable."""
        count = 0
        while due := await self._queue.take_due(lease_s=LEASE_S, limit=MOST_AT_ONCE):
            await self._tell_all(due, timeout_s=LATER_S)
            count += len(due)
        return count

    async def run(self) -> None:
        """Tell for ever: at once when something has ended here, and what other replicas left every `LOOK_EVERY_S`."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), LOOK_EVERY_S)
            self._work.clear()
            try:
                await self.tell_due()
            except FederationError as error:
                _log.warning("background.failed", work="logouts", code=code_of(error))
            except Exception:
                _log.exception("background.failed", work="logouts")

    async def _tell_all(self, due: Sequence[DueLogout], *, timeout_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for one in due:
                group.create_task(self._tell(one, timeout_s))

    async def _tell(self, due: DueLogout, timeout_s: float) -> None:
        """Tell one party and keep what came of it; what fails here is due again when its lease is over."""
        async with self._room:
            try:
                party = await self._parties.find(due.party.client_id)
                if party is not None and not party.backchannel_logout_uri:
                    await self._queue.settle(due.logout_id, NO_ENDPOINT)
                    return
                uri = "" if party is None else party.backchannel_logout_uri
                now_s = self._clock.now().timestamp()
                if self._away.get(due.party.client_id, 0.0) > now_s:
                    await self._keep(due, "it did not answer a moment ago")
                else:
                    await self._keep(due, await self._post(uri, due.party, timeout_s))
            except FederationError as error:
                _log.warning("login.logout_not_told", client=due.party.client_id, code=code_of(error))

    async def _post(self, uri: str, party: Party, timeout_s: float) -> int | str:
        """The status that was answered, or why there was none."""
        if not uri:
            return "it is not registered, or no member in good standing now"
        token = sign_token(
            logout_claims(self._entity_id, party, self._clock.now()), self._signer(), typ=LOGOUT_TYP
        )
        try:
            return await self._poster.post(uri, token, timeout_s=timeout_s)
        except PartyAway as error:
            if len(self._away) >= MOST_AWAY:
                self._away.clear()
            self._away[party.client_id] = self._clock.now().timestamp() + FIRST_PAUSE_S
            return str(error)

    async def _keep(self, due: DueLogout, answer: int | str) -> None:
        client = due.party.client_id
        if isinstance(answer, int) and 200 <= answer < 300:
            _log.info("login.logout_told", client=client, attempts=due.attempts)
            await self._queue.settle(due.logout_id, TOLD)
            return
        if _is_refusal(answer) and due.attempts >= MOST_REFUSALS:
            _log.warning("login.logout_refused", client=client, answer=answer, attempts=due.attempts)
            await self._queue.settle(due.logout_id, f"{REFUSED}:{answer}")
            return
        again_at = self._clock.now() + timedelta(seconds=_pause_s(due.attempts))
        if again_at.timestamp() >= due.expires_at:
            _log.warning("login.logout_given_up", client=client, answer=answer, attempts=due.attempts)
            await self._queue.settle(due.logout_id, GIVEN_UP)
            return
        _log.info("login.logout_not_told", client=client, answer=answer, attempts=due.attempts)
        await self._queue.postpone(due.logout_id, until=again_at, outcome=str(answer)[:_MOST_OUTCOME])


_MOST_OUTCOME: Final = 200


def _is_refusal(answer: int | str) -> bool:
    """Whether it was told and says no: another try will hardly change that. 501 is §2.8's for a log-out that failed."""
    return isinstance(answer, int) and (answer == 501 or (400 <= answer < 500 and answer not in _LATER))


def _pause_s(attempts: int) -> float:
    return float(min(FIRST_PAUSE_S * 2 ** min(attempts - 1, 10), LONGEST_PAUSE_S))
