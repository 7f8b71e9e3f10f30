"""What passes between the parts of a login. All of it is data: frozen, and read from and written to JSON by msgspec.

Times are whole seconds since 1970 where a token says so (`auth_time`), else aware UTC.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

__all__ = [
    "LEVELS",
    "OFFLINE",
    "Agreed",
    "Agreement",
    "AuthRequest",
    "AuthResponse",
    "Grant",
    "Identity",
    "Interaction",
    "Level",
    "OnBehalf",
    "RelyingParty",
    "Session",
    "Upstream",
    "meets",
]

Level = str
LEVELS: tuple[Level, ...] = ("yrd.l1", "yrd.l2", "yrd.l3", "yrd.l4")
"""Assurance levels (`acr`) that pass between nodes, the lowest first: an account alone; name and number verified; the
person verified as well (face, or a second factor); in person, or by a qualified key. The four levels of real-name
authentication of the national government-services platform.
"""

OFFLINE = "offline_access"
"""The scope of a client that wants to go on after the session (OpenID Connect Core §11); agreed to like a claim."""


def meets(acr: Level, demanded: Level) -> bool:
    """Whether one level is at least the other. A level that is not known meets nothing and is met by nothing."""
    return acr in LEVELS and demanded in LEVELS and LEVELS.index(acr) >= LEVELS.index(demanded)


class RelyingParty(Struct, frozen=True, kw_only=True):
    """Who may ask this node to log somebody in: a platform of the own province, or another node.

    `client_id` is the platform's id or the node's entity id. `sector` is what a subject is bound to: platforms of one
    sector see the same subject; a node's is its entity id. `jwks` are its public keys, of a node those of its chain.
    `profile` ``fapi2`` demands PAR, PKCE, DPoP and private_key_jwt (FAPI 2.0 Security Profile), as between nodes.
    """

    client_id: str
    name: str
    is_peer: bool = False
    province: str = ""
    profile: Literal["basic", "fapi2"] = "basic"
    auth_method: Literal["client_secret_basic", "private_key_jwt"] = "client_secret_basic"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    scopes: frozenset[str] = frozenset({"openid"})
    claims: frozenset[str] = frozenset()
    sector: str = ""
    jwks: dict[str, Any] | None = None


class OnBehalf(Struct, frozen=True):
    """For which platform of its own a node asks: what the citizen is shown, and what consents are bound to.

    `offline_days` is how long the citizen stays logged in there without being asked (scope ``offline_access``), 0 when
    only as long as the session.
    """

    client_id: str
    name: str
    offline_days: int = 0


class AuthRequest(Struct, frozen=True, kw_only=True):
    """An authorization request that was read and checked: who asked is known, and where to answer.

    `claims` are the names of what is asked for beyond `sub`, from scopes and the claims parameter; `id_token_claims`
    those of them that go into the ID token. `acr_values` in the order of preference; `acr_essential` when nothing less
    will do for the client (here it never does). `authorization_details` is the JSON text that was checked by
    `certificate_use`, empty when there is none. `province` is the home province that the platform named, or empty.
    """

    client_id: str
    client_name: str
    is_peer: bool
    sector: str
    redirect_uri: str
    response_mode: Literal["query", "form_post"] = "query"
    scopes: frozenset[str] = frozenset({"openid"})
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    dpop_jkt: str = ""
    acr_values: tuple[Level, ...] = ()
    max_age_s: int | None = None
    prompt: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()
    id_token_claims: frozenset[str] = frozenset()
    authorization_details: str = ""
    login_hint: str = ""
    province: str = ""
    ui_locales: tuple[str, ...] = ()
    on_behalf: OnBehalf | None = None
    id_token_hint_sub: str = ""
    """The subject that the client expects (from a verified `id_token_hint` or the claims parameter), or empty."""
    own_page: str = ""
    """The URL of this node's own page that asks, at the home node. Then there is no client: nothing is handed over, so
    nothing is agreed to, and the login ends by going there with the session. No request from outside has it.
    """


class AuthResponse(Struct, frozen=True):
    """What goes back to the client through the browser: `parameters` to a redirect URI that was verified."""

    redirect_uri: str
    parameters: tuple[tuple[str, str], ...]
    mode: Literal["query", "form_post"] = "query"


class Identity(Struct, frozen=True, kw_only=True):
    """Who somebody is, as one issuer verified it: (issuer, subject) is the identity, nothing else is.

    At the home node the issuer is the province's identity provider; at the visited node it is the home node. `origin`
    is the identity provider that authenticated, wherever this is read. `claims` are in shared words at the home node,
    in the own dialect at the visited one. `upstream_sid` is the issuer's session, empty when it tells none.
    """

    issuer: str
    subject: str
    acr: Level
    amr: tuple[str, ...]
    auth_time: int
    origin: str
    claims: dict[str, Any] = {}
    upstream_sid: str = ""


class Session(Struct, frozen=True, kw_only=True):
    """A browser that somebody is logged in with at this node. `session_id` is internal: in no cookie and no token."""

    session_id: str
    identity: Identity
    created_at: int
    expires_at: int
    id_token: str = ""
    """The issuer's ID token, to end its session with (RP-Initiated Logout `id_token_hint`)."""


class Agreement(Struct, frozen=True, kw_only=True):
    """What a citizen agreed to give to somebody at each login, until it is withdrawn."""

    agreement_id: str
    recipient: str
    """Entity id of the visited node, or of this node for an own platform."""
    platform: str
    platform_name: str
    claims: frozenset[str]
    given_at: int
    withdrawn_at: int | None = None


class Upstream(Struct, frozen=True, kw_only=True):
    """A request that this node sent on, to the home node or the identity provider, and what the answer must match."""

    issuer: str
    state: str
    nonce: str
    code_verifier: str
    redirect_uri: str
    sent_at: int
    asked_acr: tuple[Level, ...] = ()


class Interaction(Struct, frozen=True, kw_only=True):
    """One login at work: the request, how far it has come, and what was found on the way.

    `csrf` is in every form of it. `version` counts the changes: a step that was taken meanwhile in another tab or by
    another replica is noticed by it.
    """

    interaction_id: str
    request: AuthRequest
    csrf: str
    step: Literal["start", "province", "upstream", "consent", "done"] = "start"
    version: int = 0
    created_at: int
    expires_at: int
    province: str = ""
    was_asked: bool = False
    """Whether the citizen was asked for the province, and may choose another one."""
    upstream: Upstream | None = None
    identity: Identity | None = None
    session_id: str = ""
    number: str = ""
    """What the citizen can quote: short, says nothing by itself, and is in the log."""


class Agreed(Struct, frozen=True, kw_only=True):
    """The end of a login: who it is, what of it goes to the client, and the consents that were given as papers.

    `claims` are minimised already, in the words of whom they go to. `authorization_details` are the granted ones with
    their tokens, as the token response carries them.
    """

    identity: Identity
    session_id: str
    claims: dict[str, Any]
    authorization_details: tuple[dict[str, Any], ...] = ()


class Grant(Struct, frozen=True, kw_only=True):
    """What a client was given at the end of a login; codes, access and refresh tokens belong to it and die with it."""

    grant_id: str
    client_id: str
    subject: str
    sid: str
    session_id: str
    request: AuthRequest
    agreed: Agreed
    created_at: int
    expires_at: int
    revoked_at: int | None = None
