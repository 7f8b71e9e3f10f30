"""What this node says of itself as an OpenID provider and relying party: discovery, and the same in its chain.

OpenID Connect Discovery §3, RFC 8414, RFC 9126 §5, RFC 9207 §3, RFC 9449 §5.1, RFC 9396 §10, Back-Channel
Logout §2.1, OpenID Federation §5.1. One builder for both places, so that they never differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from federation.login.model import LEVELS
from trust.keys import VerificationKey, jwks_of

__all__ = [
    "ALGORITHMS",
    "CALLBACK",
    "CLAIMS",
    "DETAILS_TYPE",
    "SCOPES",
    "client_metadata",
    "discovery",
    "provider_metadata",
]

ALGORITHMS = ("ES256", "EdDSA")
"""What a client may sign with (design §2); what the node signs with itself is ES256."""

SCOPES = ("openid", "profile", "identity", "offline_access")
CLAIMS = (
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "sid",
    "origin",
    "name",
    "gender",
    "birthdate",
    "citizen_number",
    "holder_id_type",
    "face",
)
DETAILS_TYPE = "certificate_use"
CALLBACK = "/login/callback"
BACKCHANNEL_LOGOUT = "/login/backchannel-logout"
SIGNED_OUT = "/login/signed-out"
_METHODS = ["client_secret_basic", "private_key_jwt"]


def discovery(issuer: str) -> dict[str, Any]:
    """The document at ``/.well-known/openid-configuration``. Dynamic registration is not offered."""
    return {
        "issuer": issuer,
        **_endpoints(issuer),
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["pairwise"],
        "acr_values_supported": list(LEVELS),
        "claim_types_supported": ["normal"],
        "claims_supported": list(CLAIMS),
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "require_pushed_authorization_requests": False,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": ["zh-CN", "en"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [DETAILS_TYPE],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        **_authentication(),
        "id_token_signing_alg_values_supported": ["ES256"],
        "request_object_signing_alg_values_supported": list(ALGORITHMS),
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
    }


def provider_metadata(issuer: str, keys: Iterable[VerificationKey]) -> dict[str, Any]:
    """`openid_provider` of the entity configuration: discovery, the keys themselves, how clients get in (§5.1.3)."""
    return {
        **discovery(issuer),
        "jwks": jwks_of(keys),
        "client_registration_types_supported": ["automatic"],
        "request_authentication_methods_supported": {
            "pushed_authorization_request_endpoint": ["private_key_jwt"]
        },
        "request_authentication_signing_alg_values_supported": list(ALGORITHMS),
    }


def client_metadata(issuer: str, keys: Iterable[VerificationKey]) -> dict[str, Any]:
    """`openid_relying_party` of the entity configuration: as what this node comes to the home nodes of others."""
    return {
        "jwks": jwks_of(keys),
        "redirect_uris": [issuer + CALLBACK],
        "post_logout_redirect_uris": [issuer + SIGNED_OUT],
        "backchannel_logout_uri": issuer + BACKCHANNEL_LOGOUT,
        "backchannel_logout_session_required": True,
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "subject_type": "pairwise",
        "token_endpoint_auth_method": "private_key_jwt",
        "require_pushed_authorization_requests": True,
        "dpop_bound_access_tokens": True,
    }


def _endpoints(issuer: str) -> dict[str, str]:
    return {
        "authorization_endpoint": f"{issuer}/oidc/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/oidc/par",
        "token_endpoint": f"{issuer}/oidc/token",
        "userinfo_endpoint": f"{issuer}/oidc/userinfo",
        "jwks_uri": f"{issuer}/oidc/jwks",
        "revocation_endpoint": f"{issuer}/oidc/revoke",
        "introspection_endpoint": f"{issuer}/oidc/introspect",
        "end_session_endpoint": f"{issuer}/oidc/logout",
    }


def _authentication() -> dict[str, list[str]]:
    """How clients authenticate is the same wherever they do."""
    found: dict[str, list[str]] = {}
    for endpoint in ("token", "revocation", "introspection"):
        found[f"{endpoint}_endpoint_auth_methods_supported"] = list(_METHODS)
        found[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = list(ALGORITHMS)
    return found
