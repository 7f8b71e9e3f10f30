"""Consents in the store: those that this node signed, how often it answered by others', and the peers' status lists.

Implements `federation.login.papers.PaperStore`, `federation.consents.Uses` and
`federation.status_lists.StatusListStore`. A consent has a random place in the status list while it can be shown, so
that places tell nothing; a day after its end the place is free again. What the consent says is sealed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import delete, select, update

from federation.errors import OwnBusy
from federation.login.ports import PaperView, Seal
from federation.ports import Clock
from federation.status_lists import StoredList
from node.store.database import Database
from node.store.login_tables import PAPER_USES, PAPERS, STATUS_LISTS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into
from trust.consent import MOST_LIFE_S, Consent

__all__ = ["STATUS_LIST_SIZE", "PaperRows", "PaperUseRows", "StatusListRows"]

STATUS_LIST_SIZE: Final = 2**20
"""Places in this node's list: so many consents can be shown at one time."""
_KEPT: Final = timedelta(days=180)
"""How long the holder still sees a consent that has ended."""
_FREE_AFTER: Final = timedelta(days=1)
"""Beyond any difference between clocks."""
_LONGEST: Final = timedelta(seconds=MOST_LIFE_S) + 2 * _FREE_AFTER
"""What was withdrawn before that has ended, and its place is free or about to be."""
_SWEPT: Final = timedelta(days=7)
"""How far back places are looked for that are free, after the first time."""
_TRIES: Final = 40
_MOST_SHOWN: Final = 200
_EPOCH: Final = from_micros(0)
_P = PAPERS.c
_U = PAPER_USES.c
_S = STATUS_LISTS.c


class PaperRows:
    """Every method raises OwnStoreUnavailable. `place` gives a random place in a list of that size."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        clock: Clock,
        *,
        size: int = STATUS_LIST_SIZE,
        place: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock
        self._place = place
        self._swept_at: datetime | None = None
        self.size = size

    async def keep(self, issuer: str, subject: str, paper: PaperView) -> int:
        """Keep a consent of a citizen's; its place in the list. Raises OwnBusy when no place was found free."""
        row = {
            "jti": paper.paper_id,
            "issuer": issuer,
            "subject": subject,
            "sealed": self._seal.seal(_context(paper.paper_id), msgspec.json.encode(paper)),
            "issued_at": paper.issued_at * 1_000_000,
            "expires_at": paper.expires_at * 1_000_000,
        }
        insert = insert_into(self._database, PAPERS)
        async with self._database.writing() as connection:
            for _ in range(_TRIES):
                place = self._place(self.size)
                one = insert.values(**row, status_index=place).on_conflict_do_nothing()
                if (await connection.execute(one)).rowcount == 1:
                    return place
        raise OwnBusy("no place is free in the status list of consents; try again later")

    async def of(self, issuer: str, subject: str) -> Sequence[PaperView]:
        """A citizen's consents, the newest first, at most 200."""
        query = select(PAPERS).where(_P.issuer == issuer, _P.subject == subject)
        query = query.order_by(_P.issued_at.desc(), _P.jti).limit(_MOST_SHOWN)
        async with self._database.reading() as connection:
            return [self._view(row) for row in (await connection.execute(query)).mappings()]

    async def withdraw(self, issuer: str, subject: str, jti: str) -> bool:
        """End a consent of a citizen's now; False when there is none, or it was withdrawn before."""
        mine = (_P.jti == jti, _P.issuer == issuer, _P.subject == subject, _P.withdrawn_at.is_(None))
        noted = update(PAPERS).where(*mine).values(withdrawn_at=to_micros(self._clock.now()))
        async with self._database.writing() as connection:
            return (await connection.execute(noted)).rowcount == 1

    async def withdrawn(self) -> Sequence[int]:
        """The places of those that were withdrawn and could still be shown."""
        since = to_micros(self._clock.now() - _LONGEST)
        query = select(_P.status_index).where(_P.withdrawn_at > since, _P.status_index.is_not(None))
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def is_valid(self, place: int) -> bool:
        """Whether a consent has that place and was not withdrawn."""
        query = select(_P.withdrawn_at).where(_P.status_index == place)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return row is not None and row.withdrawn_at is None

    async def forget_expired(self) -> int:
        """Free the places of consents that have ended, and delete those that ended long ago; how many of these."""
        now = self._clock.now()
        ended = now - _FREE_AFTER
        since = self._swept_at - _SWEPT if self._swept_at else _EPOCH
        free = update(PAPERS).where(
            _P.expires_at.between(to_micros(since), to_micros(ended)), _P.status_index.is_not(None)
        )
        old = delete(PAPERS).where(_P.expires_at <= to_micros(now - _KEPT))
        async with self._database.writing() as connection:
            await connection.execute(free.values(status_index=None))
            deleted = (await connection.execute(old)).rowcount
        self._swept_at = ended
        return deleted

    def _view(self, row: Mapping[Any, Any]) -> PaperView:
        view = msgspec.json.decode(self._seal.open(_context(row["jti"]), row["sealed"]), type=PaperView)
        withdrawn = row["withdrawn_at"]
        return view if withdrawn is None else replace(view, withdrawn_at=withdrawn // 1_000_000)


class PaperUseRows:
    """How often this node answered by a consent. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def use(self, consent: Consent, request: bytes) -> bool:
        """As `Uses.use`. Replicas that count at once never count beyond what the consent allows."""
        whole = {"issuer": consent.iss, "jti": consent.jti, "request": request}
        insert = insert_into(self._database, PAPER_USES)
        used = select(_U.number, _U.request).where(_U.issuer == consent.iss, _U.jti == consent.jti)
        for _ in range(consent.uses + 1):  # whoever comes too late found that another use was counted
            async with self._database.writing() as connection:
                counted = {row.number: bytes(row.request) for row in await connection.execute(used)}
                if request in counted.values():
                    return True
                free = next((n for n in range(1, consent.uses + 1) if n not in counted), None)
                if free is None:
                    return False
                row = insert.values(**whole, number=free, expires_at=to_micros(consent.expires_at))
                if (await connection.execute(row.on_conflict_do_nothing())).rowcount == 1:
                    return True
        return False

    async def give_back(self, issuer: str, jti: str, request: bytes) -> None:
        """As `Uses.give_back`."""
        mine = delete(PAPER_USES).where(_U.issuer == issuer, _U.jti == jti, _U.request == request)
        async with self._database.writing() as connection:
            await connection.execute(mine)

    async def forget_expired(self) -> int:
        """Delete the uses of consents that have ended; how many."""
        ended = to_micros(self._clock.now() - _FREE_AFTER)
        async with self._database.writing() as connection:
            return (await connection.execute(delete(PAPER_USES).where(_U.expires_at <= ended))).rowcount


class StatusListRows:
    """The newest status list of each peer. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[StoredList]:
        """As `StatusListStore.load`."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(STATUS_LISTS))
            return [
                StoredList(row.issuer, row.token, row.etag, _at(row.issued_at), _at(row.fetched_at))
                for row in rows
            ]

    async def save(self, fetched: StoredList) -> bool:
        """As `StatusListStore.save`."""
        values = {
            "token": fetched.token,
            "etag": fetched.etag,
            "issued_at": to_micros(fetched.issued_at),
            "fetched_at": to_micros(fetched.fetched_at),
        }
        row = insert_into(self._database, STATUS_LISTS).values(issuer=fetched.issuer, **values)
        newer = row.on_conflict_do_update(
            index_elements=[_S.issuer], set_=values, where=_S.issued_at <= values["issued_at"]
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(newer)).rowcount == 1)


def _context(jti: str) -> str:
    return f"papers/{jti}"


def _at(micros: int) -> datetime:
    return from_micros(micros)
