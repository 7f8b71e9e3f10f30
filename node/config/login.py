"""[login]: citizens log in here. Without the section the node has no login, and everything else is as before.

`[login.identity_provider]` is the province's own: any OpenID provider, found by discovery. Its words become this
federation's by two tables: `acr` (its levels to ours) and `claims` (the fields of the province's dialect, each with
the claim that holds it). Lives end in `_s` (seconds).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from federation.login.model import LEVELS
from node.config.section import FilePath, Section, to_tuple

__all__ = ["IdentityProviderSection", "LoginSection", "login_findings"]

_Word = Annotated[str, Field(min_length=1, max_length=255)]
_Level = Annotated[str, Field(pattern=f"^({'|'.join(LEVELS)})$")]
_DAY_S = 86400


class IdentityProviderSection(Section):
    """[login.identity_provider]: who authenticates this province's residents.

    The node is its client `client_id`, with the secret in `client_secret_file` (mode 0600) or, without one, by
    private_key_jwt with the keys at ``/oidc/jwks``. `acr` says what each of its `acr` values is worth, from the weakest
    to the strongest; one that is not in it is refused, and `acr_when_absent` is what a login without any is worth
    (refused without). `claims` maps fields of an identity card in the own dialect to claims of its ID token or
    userinfo. `other_audiences` may stand in its ID tokens beside this client. `id_token_alg` is what it signs with.
    """

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$", max_length=255)]
    client_id: _Word
    client_secret_file: FilePath | None = None
    scopes: Annotated[tuple[_Word, ...], BeforeValidator(to_tuple), Field(max_length=32)] = (
        "openid",
        "profile",
    )
    acr: dict[_Word, _Level] = Field(default_factory=dict, max_length=32)
    acr_when_absent: _Level | None = None
    claims: dict[_Word, _Word] = Field(default_factory=dict, max_length=64)
    other_audiences: Annotated[tuple[_Word, ...], BeforeValidator(to_tuple), Field(max_length=16)] = ()
    id_token_alg: Literal["ES256", "RS256", "PS256"] = "ES256"  # noqa: S105  no password
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    allow_http_on_loopback: bool = False


class LoginSection(Section):
    """[login]: how long what belongs to a login lives, and how much may be asked at once.

    `interaction_s` from the platform's request to its code; `code_s` from there to the tokens. `session_s` is the life
    of a login in a browser, whatever happens in it. `refresh_s` is the life of a refresh token, for clients with
    `offline_access`. `begin_per_minute` bounds how many logins one client may begin, `begin_per_sender` how many a
    minute may begin from one address (an IPv6 network of 64 bits); `paper_*` what one consent to fetch certificates may
    cover.
    """

    identity_provider: IdentityProviderSection
    interaction_s: Annotated[int, Field(ge=60, le=3600)] = 900
    pushed_request_s: Annotated[int, Field(ge=10, le=600)] = 60
    code_s: Annotated[int, Field(ge=5, le=60)] = 60
    access_token_s: Annotated[int, Field(ge=30, le=3600)] = 600
    id_token_s: Annotated[int, Field(ge=30, le=3600)] = 600
    session_s: Annotated[int, Field(ge=300, le=_DAY_S)] = 28800
    refresh_s: Annotated[int, Field(ge=3600, le=90 * _DAY_S)] = 30 * _DAY_S
    remember_province_s: Annotated[int, Field(ge=0, le=400 * _DAY_S)] = 180 * _DAY_S
    begin_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 6000
    begin_per_sender: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    paper_life_s: Annotated[int, Field(ge=60, le=30 * _DAY_S)] = 30 * _DAY_S
    paper_uses: Annotated[int, Field(ge=1, le=100)] = 20
    papers_per_login: Annotated[int, Field(ge=1, le=20)] = 5


def login_findings(login: LoginSection) -> Iterator[tuple[str, str, str]]:
    """What does not fit together: the dotted key, and why in Chinese and English."""
    provider = login.identity_provider
    where = "login.identity_provider"
    url = urlsplit(provider.issuer)
    if url.scheme == "http" and not (
        provider.allow_http_on_loopback and url.hostname in ("localhost", "127.0.0.1", "::1")
    ):
        yield (
            f"{where}.issuer",
            "须为 https URL；回环地址须设 allow_http_on_loopback = true 方可用 http",
            "must be an https URL; plain http only on loopback and with allow_http_on_loopback = true",
        )
    if "openid" not in provider.scopes:
        yield f"{where}.scopes", "须含 openid", "must have openid in it"
    if not provider.acr and provider.acr_when_absent is None:
        yield (
            f"{where}.acr",
            "须说明身份提供方各 acr 值对应的等级，或 acr_when_absent",
            "must say what the identity provider's acr values are worth, or acr_when_absent",
        )
