"""What a flow of logins keeps, in memory: interactions, sessions, subjects, agreements, grants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from federation.login.model import (
    Agreed,
    Agreement,
    AuthRequest,
    AuthResponse,
    Grant,
    Identity,
    Interaction,
    OnBehalf,
    RelyingParty,
    Session,
)
from federation.login.writes import Writes
from tests.support.clock import FixedClock

__all__ = ["Agreements", "Answers", "Interactions", "Sessions", "Subjects", "Together", "read_interaction"]

T = TypeVar("T")
ISSUER = "https://node.ah.example"


@dataclass
class Interactions:
    clock: FixedClock
    kept: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    writes: int = 0

    async def create(self, interaction: Interaction, browser: str) -> None:
        self.kept[interaction.interaction_id] = (_dumped(interaction), browser)
        self.writes += 1

    async def find(self, interaction_id: str, browser: str) -> Interaction | None:
        raw, owner = self.kept.get(interaction_id, (b"", "nobody"))
        if not raw:
            return None
        found = read_interaction(raw)
        if owner == "":
            self.kept[interaction_id] = (raw, browser)
        elif owner != browser:
            return None
        return found if found.expires_at > self.clock.now().timestamp() else None

    async def replace(self, interaction: Interaction) -> bool:
        return self.replaced(interaction)

    def replaced(self, interaction: Interaction) -> bool:
        raw, owner = self.kept[interaction.interaction_id]
        if read_interaction(raw).version != interaction.version - 1:
            return False
        self.kept[interaction.interaction_id] = (_dumped(interaction), owner)
        self.writes += 1
        return True

    async def forget_expired(self) -> int:
        return 0


def _dumped(interaction: Interaction) -> bytes:
    return msgspec.json.encode(interaction)


def read_interaction(raw: bytes) -> Interaction:
    return msgspec.json.decode(raw, type=Interaction)


@dataclass
class Sessions:
    clock: FixedClock
    by_token: dict[str, Session] = field(default_factory=dict)
    began: int = 0

    async def begin(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        return self.begun(identity, id_token=id_token, replaces=replaces)

    def begun(self, identity: Identity, *, id_token: str, replaces: str) -> tuple[str, Session]:
        self.began += 1
        old = self.by_token.pop(replaces, None)
        same = old is not None and (old.identity.issuer, old.identity.subject) == (
            identity.issuer,
            identity.subject,
        )
        now = int(self.clock.now().timestamp())
        session = Session(
            session_id=old.session_id if old and same else f"session-{self.began}",
            identity=identity,
            created_at=now,
            expires_at=now + 28800,
            id_token=id_token,
        )
        token = f"token-{self.began}"
        self.by_token[token] = session
        return token, session

    async def find(self, token: str) -> Session | None:
        return self.by_token.get(token)

    async def add_party(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        return True

    async def sid_for(self, session_id: str, client_id: str) -> str:
        return f"{session_id}-{client_id}"


class Subjects:
    async def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        return f"{subject}@{issuer} for {audience}"

    async def person_of(self, subject: str, audience: str) -> tuple[str, str] | None:
        return None


@dataclass
class Agreements:
    held: dict[tuple[str, str, str], Agreement] = field(default_factory=dict)

    async def find(self, identity: Identity, recipient: str, platform: str) -> Agreement | None:
        return self.held.get((identity.subject, recipient, platform))

    async def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        return self.remembered(identity, recipient, platform, claims)

    def remembered(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        key = (identity.subject, recipient, platform.client_id)
        before = self.held[key].claims if key in self.held else frozenset()
        self.held[key] = Agreement(
            agreement_id="a-1",
            recipient=recipient,
            platform=platform.client_id,
            platform_name=platform.name,
            claims=claims | before,
            given_at=0,
        )
        return self.held[key]

    async def of(self, identity: Identity) -> list[Agreement]:
        return list(self.held.values())

    async def withdraw(self, identity: Identity, agreement_id: str) -> bool:
        self.held.clear()
        return True


@dataclass
class Answers:
    """`meanwhile` is the error of what came between, when the login ends."""

    granted: list[Agreed] = field(default_factory=list)
    meanwhile: str = ""

    async def granting(self, request: AuthRequest) -> Callable[[Writes, Agreed], AuthResponse]:
        def grant(writes: Writes, agreed: Agreed) -> AuthResponse:
            if self.meanwhile:
                return self.refuse(request, self.meanwhile, "meanwhile")
            assert writes.goes_on(agreed.session_id)
            self.granted.append(agreed)
            return AuthResponse(request.redirect_uri, (("code", "the-code"), ("state", request.state)))

        return grant

    def refuse(self, request: AuthRequest, error: str, description: str) -> AuthResponse:
        said = (
            ("error", error),
            ("error_description", description),
            ("state", request.state),
            ("iss", ISSUER),
        )
        return AuthResponse(request.redirect_uri, said)


@dataclass
class Together:
    """One transaction: what raises has written nothing."""

    rows: Interactions
    sessions: Sessions
    agreements: Agreements
    answers: Answers

    async def write(self, steps: Callable[[Writes], T]) -> T:
        before = self.rows.kept.copy(), self.sessions.by_token.copy(), self.agreements.held.copy()
        granted = self.answers.granted.copy()
        try:
            return steps(self)
        except BaseException:
            self.rows.kept, self.sessions.by_token, self.agreements.held = before
            self.answers.granted = granted
            raise

    def begin_session(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        return self.sessions.begun(identity, id_token=id_token, replaces=replaces)

    def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        return self.agreements.remembered(identity, recipient, platform, claims)

    def goes_on(self, session_id: str) -> bool:
        return session_id in {one.session_id for one in self.sessions.by_token.values()}

    def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        raise AssertionError("these answers need none")

    def open_grant(self, grant: Grant, *, code_life_s: int) -> str:
        raise AssertionError("these answers need none")

    def take_part(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        raise AssertionError("these answers need none")

    def replace(self, interaction: Interaction) -> bool:
        return self.rows.replaced(interaction)
