"""My page, at the home node: what a citizen sees of the own logins, consents, and who looked; and takes back.

It is for who is logged in here by the province's own identity provider. Whoever is logged in from another province is
sent to the page of that one, since sessions, consents and records are kept at home. Everything that is changed here is
found by who is logged in: an id of somebody else's does nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from federation.holder_record import CitizenRecord, Login
from federation.login.claims import VERIFIED_LEVEL
from federation.login.logout import Logout
from federation.login.model import Agreement, AuthRequest, Identity, RelyingParty, Session, meets
from federation.login.ports import Agreements, Papers, PaperView, Sessions
from federation.login.refusals import PageRefusal, Turn
from federation.login.sessions import SessionEndings, form_token, sid_of
from federation.peers import Directory
from federation.quota import TokenBuckets

__all__ = ["MOST_USES_SHOWN", "MY_PAGE", "Gather", "MyPage", "MySession", "MyView", "Named", "Registered"]

MY_PAGE: Final = "/me"
MOST_USES_SHOWN: Final = 20
"""Looks at the citizen's papers on one page."""
FORM_USE: Final = "me"
_HANDLE: Final = "my-page"


class Gather(Protocol):
    """The record of all provinces (`federation.holder_record.HolderRecords`)."""

    async def gather(self, login: Login, *, before: str = "", limit: int = ...) -> CitizenRecord:
        """One page of it. Raises OwnStoreUnavailable."""
        ...


class Registered(Protocol):
    """Who is registered at this node."""

    async def find(self, client_id: str) -> RelyingParty | None:
        """As `federation.login.ports.RelyingParties.find`."""
        ...

    async def name_of(self, client_id: str) -> str:
        """What a platform of this node is called, whether it logs people in or not; empty when it is none, or no more.

        Raises OwnStoreUnavailable.
        """
        ...


class Named(Struct, frozen=True):
    """Somebody by name; `client_id` is what a platform is known by, empty for a node."""

    name: str
    client_id: str = ""


class MySession(Struct, frozen=True, kw_only=True):
    """One of the citizen's sessions. `handle` names it in a form; `parties` are those who take part."""

    handle: str
    session: Session
    parties: tuple[Named, ...]
    is_this: bool


class MyView(Struct, frozen=True, kw_only=True):
    """What is shown. `record` is None where no number is verified to search for; `names` are those of nodes, by entity
    id; `platforms` those of the platforms in the record that are known, by node and id; `csrf` goes with each form.
    """

    session: Session
    csrf: str
    sessions: tuple[MySession, ...]
    agreements: Sequence[Agreement]
    papers: Sequence[PaperView]
    record: CitizenRecord | None
    names: Mapping[str, str]
    platforms: Mapping[tuple[str, str], str]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MyPage:
    """The rules of the page. `looks` bounds how often one citizen has all provinces asked; `papers` is None where no
    consents are issued.
    """

    entity_id: str
    name: str
    identity_provider: str
    sessions: Sessions
    endings: SessionEndings
    agreements: Agreements
    papers: Papers | None
    parties: Registered
    logout: Logout
    record: Gather
    directory: Directory
    looks: TokenBuckets
    now: Callable[[], datetime]

    @property
    def own_path(self) -> str:
        """Where the page is on this node."""
        return urlsplit(self.entity_id).path + MY_PAGE

    # --- who ----------------------------------------------------------------------------------------------------------

    async def whose(self, session_token: str) -> Session | None:
        """Who is logged in here at home; None: nobody, who has to log in. Raises OwnStoreUnavailable."""
        session = await self.sessions.find(session_token) if session_token else None
        return session if session is not None and self._is_at_home(session) else None

    async def elsewhere(self, session_token: str) -> str:
        """The page of the home node of who is logged in from there; empty for everybody else."""
        session = await self.sessions.find(session_token) if session_token else None
        if session is None or self._is_at_home(session):
            return ""
        issuer = session.identity.issuer
        return issuer + MY_PAGE if issuer in self.directory.current.peers else ""

    def login(self) -> AuthRequest:
        """The login that the page asks for."""
        return AuthRequest(
            client_id=self.entity_id,
            client_name=self.name,
            is_peer=False,
            sector=self.entity_id,
            redirect_uri=self.entity_id + MY_PAGE,
            own_page=self.entity_id + MY_PAGE,
        )

    def _is_at_home(self, session: Session) -> bool:
        return session.identity.issuer == self.identity_provider

    # --- what is shown ------------------------------------------------------------------------------------------------

    async def view(self, session: Session, session_token: str, *, before: str = "") -> MyView:
        """All of it; `before` pages back in the record. Raises PageRefusal when it is asked for too often,
        OwnStoreUnavailable.
        """
        identity = session.identity
        record = await self._record(identity, before)
        agreements = await self.agreements.of(identity)
        papers = () if self.papers is None else await self.papers.of(identity)
        return MyView(
            session=session,
            csrf=form_token(session_token, FORM_USE),
            record=record,
            sessions=await self.my_sessions(session),
            agreements=agreements,
            papers=papers,
            names=self._names(),
            platforms={**self._told(agreements, papers), **await self._registered(record)},
            now=self.now(),
        )

    def _told(
        self, agreements: Sequence[Agreement], papers: Sequence[PaperView]
    ) -> Mapping[tuple[str, str], str]:
        """What platforms of other provinces are called, as the citizen was told when agreeing, the last time."""
        entities = {name: entity for entity, name in self._names().items()}
        told = {(one.recipient, one.platform): one.platform_name for one in reversed(agreements)}
        told |= {(entities.get(one.asking, ""), one.platform): one.platform_name for one in reversed(papers)}
        return {key: name for key, name in told.items() if key[0] != self.entity_id}

    async def _registered(self, record: CitizenRecord | None) -> Mapping[tuple[str, str], str]:
        """What this node's own platforms in the record are called; not those that were removed."""
        own = {use.platform for use in (record.uses if record else ()) if use.asking == self.entity_id}
        return {(self.entity_id, one): name for one in own if (name := await self.parties.name_of(one))}

    async def _record(self, identity: Identity, before: str) -> CitizenRecord | None:
        id_type, number = (identity.claims.get(name) for name in ("holder_id_type", "citizen_number"))
        if not (isinstance(id_type, str) and isinstance(number, str) and id_type and number):
            return None
        if not meets(identity.acr, VERIFIED_LEVEL):
            return None
        if self.looks.take(f"{identity.issuer} {identity.subject}") > 0:
            raise PageRefusal("login.too_often", turn=Turn.CITIZEN, status=429, retry=self.own_path)
        login = Login(id_type, number, identity.acr, datetime.fromtimestamp(identity.auth_time, UTC))
        return await self.record.gather(login, before=before, limit=MOST_USES_SHOWN)

    async def my_sessions(self, current: Session) -> tuple[MySession, ...]:
        """The citizen's sessions, the newest first. Raises OwnStoreUnavailable."""
        identity = current.identity
        shown = await self.endings.of_person(identity.issuer, identity.subject)
        return tuple(
            [
                MySession(
                    handle=sid_of(one.session.session_id, _HANDLE),
                    session=one.session,
                    parties=tuple([await self._named(client_id) for client_id in one.parties]),
                    is_this=one.session.session_id == current.session_id,
                )
                for one in shown
            ]
        )

    async def _named(self, client_id: str) -> Named:
        party = await self.parties.find(client_id)
        if party is None:  # removed: there is no name any more
            return Named("", client_id)
        return Named(party.name, "" if party.is_peer else client_id)

    def _names(self) -> Mapping[str, str]:
        peers = self.directory.current.peers.values()
        return {**{peer.entity_id: peer.name for peer in peers}, self.entity_id: self.name}

    # --- what is taken back -------------------------------------------------------------------------------------------

    def check_form(self, session_token: str, csrf: str) -> None:
        """Raises PageRefusal for a form that this page did not make for this browser: another site's has no cookie."""
        if not session_token or not hmac.compare_digest(
            csrf.encode(), form_token(session_token, FORM_USE).encode()
        ):
            raise PageRefusal("login.csrf", turn=Turn.CITIZEN, status=403, retry=self.own_path)

    async def end_session(self, session: Session, handle: str) -> bool:
        """End one of the citizen's sessions. False when it is none, or no more. Raises OwnStoreUnavailable."""
        for one in await self.endings.of_person(session.identity.issuer, session.identity.subject):
            session_id = one.session.session_id
            if hmac.compare_digest(sid_of(session_id, _HANDLE).encode(), handle.encode()):
                return await self.logout.end(session_id)
        return False

    async def withdraw_agreement(self, session: Session, agreement_id: str) -> bool:
        """Take back what was agreed to for logins. Raises OwnStoreUnavailable."""
        return await self.agreements.withdraw(session.identity, agreement_id)

    async def withdraw_paper(self, session: Session, paper_id: str) -> bool:
        """Take back a consent to fetch certificates. Raises OwnStoreUnavailable."""
        return self.papers is not None and await self.papers.withdraw(session.identity, paper_id)
