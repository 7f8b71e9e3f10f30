"""What logins need from the rest of the node, by role. All raise OwnStoreUnavailable where there is a store behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

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
from federation.login.uses import Replays, Use
from federation.login.writes import Writes

__all__ = [
    "Agreements",
    "Answers",
    "Grants",
    "Interactions",
    "Papers",
    "PushedRequests",
    "RelyingParties",
    "Replays",
    "Seal",
    "Sessions",
    "Subjects",
]


class Seal(Protocol):
    """Encrypts what a row says about a citizen. `context` binds it to its row (table and key)."""

    def seal(self, context: str, plain: bytes) -> bytes:
        """Ciphertext under the newest key."""
        ...

    def open(self, context: str, sealed: bytes) -> bytes:
        """The plain bytes. Raises OwnRecordDamaged."""
        ...


class RelyingParties(Protocol):
    """Who may ask: own platforms from the rows, peers from the trust chains in memory (no request leaves for it)."""

    async def find(self, client_id: str) -> RelyingParty | None:
        """The one with that id, or None: not registered, disabled, not a member in good standing."""
        ...


class Interactions(Protocol):
    """Logins at work. Ids are secrets of the browser's; rows hold their hashes."""

    async def create(self, interaction: Interaction, browser: str) -> None:
        """Keep a new one, bound to a browser; `browser` empty: the first that comes with its id is bound.

        Raises OwnBusy when too many are at work.
        """
        ...

    async def find(self, interaction_id: str, browser: str) -> Interaction | None:
        """The one with that id when it is this browser's and has not expired (finished ones are found)."""
        ...

    async def replace(self, interaction: Interaction) -> bool:
        """Keep the next state when the stored one is the one before (`version` - 1), else False: nothing changed."""
        ...

    async def forget_expired(self) -> int:
        """Delete what has expired; how many."""
        ...


class PushedRequests(Protocol):
    """Requests that were pushed (RFC 9126). What is kept was checked already."""

    async def keep(
        self, request: AuthRequest, *, life_s: int, uses: Callable[[], Sequence[Use]] = tuple
    ) -> str:
        """The request_uri. What `uses` returns is used up in the same transaction, before it: of the first that was
        used before its refusal is raised, and nothing is kept. Raises OwnBusy when too many wait: then `uses` was not
        called, as whenever no transaction is begun.
        """
        ...

    async def take(self, request_uri: str, client_id: str) -> AuthRequest | None:
        """The request, once and for its client only; None afterwards, when expired, or for another client."""
        ...


class Grants(Protocol):
    """Grants with their codes and refresh tokens. Codes and tokens are random; rows hold hashes."""

    async def open(self, grant: Grant, *, code_life_s: int) -> str:
        """Keep a grant and make its code."""
        ...

    async def redeem(self, code: str, client_id: str, uses: Sequence[Use] = ()) -> Grant | None:
        """The grant of a code, once and for its client, by one conditional update. A second use, or one by another
        client, revokes the grant. None when there is none, it was used, or it expired.

        `uses` are used up in the same transaction, before it, whatever comes of the code: of the first that was used
        before its refusal is raised, and the code is not touched.
        """
        ...

    async def find(self, grant_id: str) -> Grant | None:
        """A grant that holds."""
        ...

    async def issue_refresh(self, grant: Grant, *, life_s: int) -> str:
        """A refresh token of this grant."""
        ...

    async def redeem_refresh(self, token: str, client_id: str, *, rotates: bool) -> Grant | None:
        """The grant of a refresh token. One that `rotates` is good once, as a code in `redeem`."""
        ...

    async def find_refresh(self, token: str, client_id: str) -> Grant | None:
        """The grant of a refresh token that would be redeemed; nothing changes."""
        ...

    async def revoke(self, grant_id: str) -> bool:
        """End a grant with all that belongs to it."""
        ...

    async def revoke_session(self, session_id: str, *, keep_offline: bool) -> int:
        """End the grants of a session; those with offline_access stay when `keep_offline`. How many ended."""
        ...


class Subjects(Protocol):
    """Random subjects, one per (issuer, subject there, audience), for ever (design §8)."""

    async def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        """The subject; made when there is none. Replicas that ask at once get the same one."""
        ...

    async def person_of(self, subject: str, audience: str) -> tuple[str, str] | None:
        """The (issuer, subject) behind one."""
        ...


class Sessions(Protocol):
    """Who is logged in with which browser. A cookie holds a random token; rows hold its hash."""

    async def begin(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        """A session and its cookie's token, always a new one. The session of the cookie `replaces` goes on under it,
        with those who take part, when it is the same person's, and ends when it is somebody else's: they are told.
        """
        ...

    async def find(self, token: str) -> Session | None:
        """The session of a cookie, unless it ended or expired."""
        ...

    async def add_party(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        """Remember who has to be told when it ends. False when it has ended meanwhile: then nothing may be granted."""
        ...

    async def sid_for(self, session_id: str, client_id: str) -> str:
        """The session id that one relying party is told: random, stable for the two, unlinkable otherwise."""
        ...


class Agreements(Protocol):
    """What citizens agreed to and did not withdraw."""

    async def find(self, identity: Identity, recipient: str, platform: str) -> Agreement | None:
        """The one that holds."""
        ...

    async def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        """Keep it, together with what was agreed before."""
        ...

    async def of(self, identity: Identity) -> Sequence[Agreement]:
        """All of a citizen's, the newest first, withdrawn ones too."""
        ...

    async def withdraw(self, identity: Identity, agreement_id: str) -> bool:
        """From now on the citizen is asked again; grants of it end."""
        ...


class PaperView(Struct, frozen=True, kw_only=True):
    """A consent of the holder's, asked for or given, as pages show it. Names are ready to be read (Chinese)."""

    paper_id: str
    """The token's `jti`; empty while it is only asked for."""
    asking: str
    platform: str
    platform_name: str
    answering: tuple[str, ...]
    certificate_types: tuple[str, ...]
    fields: tuple[str, ...]
    service_item: str
    case_number: str
    purpose: str
    uses: int
    expires_at: int
    issued_at: int = 0
    withdrawn_at: int | None = None
    service_item_code: str = ""
    """Of the item that access rules go by; its name is the platform's text. Empty in what was kept before."""
    basis: str = ""
    """A code, as in `authorization_details`."""


class Papers(Protocol):
    """Consents as signed tokens: design §7. Made by the home node alone."""

    def read(self, text: str) -> str:
        """Check `authorization_details` (RFC 9396); the canonical text. Raises OAuthRefusal."""
        ...

    def describe(self, request: AuthRequest) -> Sequence[PaperView]:
        """What the citizen is asked to agree to."""
        ...

    async def issue(self, request: AuthRequest, identity: Identity) -> tuple[Mapping[str, Any], ...]:
        """The granted details with their tokens. Raises OAuthRefusal when the holder's number is not verified."""
        ...

    async def of(self, identity: Identity) -> Sequence[PaperView]:
        """All consents of a citizen's, the newest first."""
        ...

    async def withdraw(self, identity: Identity, paper_id: str) -> bool:
        """End one: the status list says so from now on."""
        ...


class Answers(Protocol):
    """How a login ends for the client that began it."""

    async def granting(self, request: AuthRequest) -> Callable[[Writes, Agreed], AuthResponse]:
        """What grants this request among other writes: it returns the code, with `state` and `iss`, and the session is
        told who takes part; or an error, when the client may not be granted it now.

        Raises PageRefusal where the redirect URI is the client's no more: nothing goes there then; OwnStoreUnavailable.
        """
        ...

    def refuse(self, request: AuthRequest, error: str, description: str) -> AuthResponse:
        """The error, with `state` and `iss`."""
        ...
