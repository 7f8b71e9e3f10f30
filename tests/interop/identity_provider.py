"""Runs npm's oidc-provider (`provider.mjs`) as the identity provider of a province."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from joserfc.jwk import ECKey

from simulators.identity.accounts import citizen_fields, field_names
from simulators.identity.client import ProviderClient
from simulators.people import Resident
from tests.support.login_country import Province

__all__ = ["running_node_provider", "running_provider", "settings_for"]

_HERE = Path(__file__).parent
_READY_S = 20


def settings_for(
    issuer: str, clients: list[dict[str, Any]], who: Resident, features: Mapping[str, Any]
) -> dict[str, Any]:
    """The provider's settings: one signing key, and claims that are the province's fields of one resident."""
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "idp"})
    return {
        "port": int(issuer.rpartition(":")[2]),
        "clients": clients,
        "jwks": {"keys": [key.as_dict(private=True)]},
        "claims": {"profile": list(field_names(who.home))},
        "account": citizen_fields(who),
        "features": dict(features),
    }


def client_of_node(one: Province) -> dict[str, Any]:
    """A node's registration there."""
    node = ProviderClient.read(one.config.with_name("identity-client.json"))
    client: dict[str, Any] = {
        "client_id": node.client_id,
        "redirect_uris": node.redirect_uris,
        "post_logout_redirect_uris": node.post_logout_redirect_uris,
        "backchannel_logout_uri": node.backchannel_logout_uri,
        "backchannel_logout_session_required": True,
        "id_token_signed_response_alg": "ES256",
    }
    if node.client_secret:
        return {**client, "client_secret": node.client_secret}
    keys = {"jwks_uri": node.jwks_uri, "token_endpoint_auth_signing_alg": "ES256"}
    return {**client, **keys, "token_endpoint_auth_method": "private_key_jwt"}


@asynccontextmanager
async def running_provider(one: Province, issuer: str, index: int = 2) -> AsyncIterator[None]:
    """The provider at `issuer`, with the province's node as its client and one resident as its account."""
    who = one.accounts.account(index).resident
    async with running_node_provider(settings_for(issuer, [client_of_node(one)], who, {})):
        yield


@asynccontextmanager
async def running_node_provider(settings: Mapping[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, once it listens; it ends when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(_HERE / "provider.mjs")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(orjson.dumps(json.loads(json.dumps(settings))) + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(_READY_S):
            assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.stdin.close()
        await process.wait()
