"""What a node's chain says of it as an OpenID provider and as a relying party (OpenID Federation §5.1.2, §5.1.3).

Where its logins go and which keys sign them is read from the same chain as its data endpoints: a login asks nobody for
either. A node that offers no login says nothing of all this. What a node says wrongly here takes the login from it,
not the exchange: it is told among the chain's problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trust.errors import AlgorithmUnknown, KeyRejected, StatementRejected
from trust.keys import VerificationKey, keys_from_jwks

__all__ = ["OpenIdProfile", "read_openid"]

_MOST_URIS = 16
_MOST_URI = 512


@dataclass(frozen=True, slots=True)
class OpenIdProfile:
    """A node as a partner of logins. All URLs lie under its entity id, which is its `issuer` and its client id too.

    By key id: `provider_keys` sign its ID tokens and logout tokens, `client_keys` what it sends as a relying party.
    """

    issuer: str
    authorization_endpoint: str
    pushed_authorization_request_endpoint: str
    token_endpoint: str
    end_session_endpoint: str
    provider_keys: Mapping[str, VerificationKey]
    client_keys: Mapping[str, VerificationKey]
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str


def read_openid(
    entity_id: str, metadata: Mapping[str, Mapping[str, Any]]
) -> tuple[OpenIdProfile | None, str]:
    """The profile of a node that offers logins, else None; and what is wrong with it, in words, else nothing.

    The metadata is that of a verified chain whose URLs were found to be the node's own (`trust.profile.read_node`).
    """
    provider = metadata.get("openid_provider", {})
    client = metadata.get("openid_relying_party", {})
    if "authorization_endpoint" not in provider:
        return None, ""
    try:
        return _profile(entity_id, provider, client), ""
    except (StatementRejected, KeyRejected, AlgorithmUnknown) as error:
        return None, f"no logins with it: {error.detail}"


def _profile(entity_id: str, provider: Mapping[str, Any], client: Mapping[str, Any]) -> OpenIdProfile:
    return OpenIdProfile(
        issuer=entity_id,
        authorization_endpoint=_url(provider, "authorization_endpoint"),
        pushed_authorization_request_endpoint=_url(provider, "pushed_authorization_request_endpoint"),
        token_endpoint=_url(provider, "token_endpoint"),
        end_session_endpoint=_url(provider, "end_session_endpoint"),
        provider_keys=keys_from_jwks(provider.get("jwks")),
        client_keys=keys_from_jwks(client.get("jwks")),
        redirect_uris=_urls(client, "redirect_uris"),
        post_logout_redirect_uris=_urls(client, "post_logout_redirect_uris"),
        backchannel_logout_uri=_url(client, "backchannel_logout_uri"),
    )


def _url(metadata: Mapping[str, Any], parameter: str) -> str:
    url = metadata.get(parameter)
    if not isinstance(url, str) or not _is_plain(url):
        raise StatementRejected(f"{parameter} is missing or not a URL without a fragment")
    return url


def _urls(metadata: Mapping[str, Any], parameter: str) -> tuple[str, ...]:
    urls = metadata.get(parameter)
    if not isinstance(urls, list) or not 0 < len(urls) <= _MOST_URIS:
        raise StatementRejected(f"{parameter} is not a list of 1 to {_MOST_URIS} URLs")
    if not all(isinstance(url, str) and _is_plain(url) for url in urls):
        raise StatementRejected(f"{parameter} has something else than URLs without fragments")
    return tuple(urls)


def _is_plain(url: str) -> bool:
    return len(url) <= _MOST_URI and url.isascii() and url.isprintable() and "#" not in url and " " not in url
