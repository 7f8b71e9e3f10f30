"""What one step of a login writes, in one transaction: `federation.login.writes.Together` on the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from federation.login.model import (
    Agreement,
    Grant,
    Identity,
    Interaction,
    OnBehalf,
    RelyingParty,
    Session,
)
from federation.login.writes import Writes
from node.store.database import Database
from node.store.login_agreements import AgreementRows
from node.store.login_grants import GrantRows
from node.store.login_interactions import InteractionRows
from node.store.login_sessions import SessionRows
from node.store.login_subjects import SubjectRows
from node.store.short import Run

__all__ = ["LoginWrites"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginWrites:
    """Those of one database."""

    database: Database
    sessions: SessionRows
    agreements: AgreementRows
    subjects: SubjectRows
    grants: GrantRows
    interactions: InteractionRows

    async def write(self, steps: Callable[[Writes], T]) -> T:
        """See `Together.write`. Raises OwnKeyUnavailable too."""
        return await self.database.change(lambda run: steps(_Writes(run, self)))


@dataclass(frozen=True, slots=True)
class _Writes:
    run: Run
    rows: LoginWrites

    def begin_session(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        return self.rows.sessions.begin_in(self.run, identity, id_token=id_token, replaces=replaces)

    def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        return self.rows.agreements.remember_in(self.run, identity, recipient, platform, claims)

    def goes_on(self, session_id: str) -> bool:
        return self.rows.sessions.goes_on_in(self.run, session_id)

    def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        return self.rows.subjects.subject_in(self.run, issuer, subject, audience)

    def open_grant(self, grant: Grant, *, code_life_s: int) -> str:
        return self.rows.grants.open_in(self.run, grant, code_life_s=code_life_s)

    def take_part(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        return self.rows.sessions.add_party_in(self.run, session_id, party, sid)

    def replace(self, interaction: Interaction) -> bool:
        return self.rows.interactions.replace_in(self.run, interaction)
