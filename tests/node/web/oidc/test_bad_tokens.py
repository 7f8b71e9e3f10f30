"""What comes to the endpoints of clients and is wrong: codes, verifiers, assertions, secrets, proofs, access tokens."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from node.store.replay import ReplayRows
from tests.support.clock import FixedClock
from tests.support.login_provider import (
    ASSERTION_TYPE,
    BACK,
    BANK,
    HALL,
    ISSUER,
    PATH,
    PEER,
    PORTAL,
    Key,
    Provider,
)
from trust.keys import SigningKey
from trust.tokens import read_token, sign_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def error_of(response: ClientResponse, status: int = 400) -> str:
    assert response.status == status, await response.text()
    assert response.headers["Cache-Control"] == "no-store"
    body = await response.json()
    assert body["error_description"].isascii()
    error: str = body["error"]
    return error


# --- codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [PORTAL, BANK, PEER])
async def test_a_code_that_comes_again_ends_the_tokens_of_its_first_use(
    provider: Provider, client: str
) -> None:
    code = await provider.code(client)
    tokens = await (await provider.redeem(client, code)).json()
    assert await error_of(await provider.redeem(client, code)) == "invalid_grant"
    told = await provider.post("introspect", client, {"token": tokens["access_token"]})
    assert await told.json() == {"active": False}


async def test_a_code_of_another_client_is_refused_and_dies(provider: Provider) -> None:
    code = await provider.code(PORTAL)
    stolen = await provider.redeem(HALL, code, redirect_uri=BACK[PORTAL])
    assert await error_of(stolen) == "invalid_grant"
    assert await error_of(await provider.redeem(PORTAL, code)) == "invalid_grant"


@pytest.mark.parametrize(
    ("client", "changes", "error"),
    [
        (PORTAL, {"code_verifier": "w" * 43}, "invalid_grant"),
        (PORTAL, {"code_verifier": None}, "invalid_grant"),
        (PORTAL, {"code_verifier": "short"}, "invalid_grant"),
        (PORTAL, {"code_verifier": "é" * 43}, "invalid_grant"),
        (PORTAL, {"redirect_uri": BACK[HALL]}, "invalid_grant"),
        (PORTAL, {"redirect_uri": None}, "invalid_grant"),
    ],
    ids=str,
)
async def test_a_code_that_meets_something_wrong_is_lost(
    provider: Provider, client: str, changes: dict[str, Any], error: str
) -> None:
    code = await provider.code(client)
    assert await error_of(await provider.redeem(client, code, **changes)) == error
    assert await error_of(await provider.redeem(client, code)) == "invalid_grant"


async def test_a_verifier_without_a_challenge_is_refused(provider: Provider) -> None:
    code = await provider.code(code_challenge=None, code_challenge_method=None)
    assert await error_of(await provider.redeem(PORTAL, code)) == "invalid_grant"


async def test_a_code_lives_a_minute(provider: Provider) -> None:
    code = await provider.code()
    provider.clock.advance(seconds=60)
    assert await error_of(await provider.redeem(PORTAL, code)) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": "x" * 300}, "invalid_request"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "guessed"}, "invalid_grant"),
        ({"client_id": HALL}, "invalid_client"),
    ],
    ids=str,
)
async def test_what_is_no_token_request(provider: Provider, changes: dict[str, Any], error: str) -> None:
    response = await provider.redeem(PORTAL, "unused", **changes)
    assert await error_of(response, 401 if error == "invalid_client" else 400) == error


async def test_more_than_was_granted_is_not_refreshed(provider: Provider) -> None:
    tokens = await provider.tokens(scope="openid offline_access")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "scope": "openid profile",
    }
    assert await error_of(await provider.post("token", PORTAL, form)) == "invalid_scope"
    foreign = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert await error_of(await provider.post("token", HALL, foreign)) == "invalid_grant"


# --- clients -------------------------------------------------------------------------------------------------


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(f"{PORTAL}:wrong"),
        basic("nobody:wrong"),
        basic(f"{HALL}:"),
        basic(PORTAL),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
    ],
    ids=str,
)
@pytest.mark.parametrize("endpoint", ["token", "par"])
async def test_a_wrong_secret(provider: Provider, headers: dict[str, str], endpoint: str) -> None:
    response = await provider.client.post(f"{PATH}/oidc/{endpoint}", data={"token": "x"}, headers=headers)
    assert await error_of(response, 401) == "invalid_client"
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


async def test_two_ways_at_once_are_refused(provider: Provider) -> None:
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": provider.assertion(HALL)}
    response = await provider.client.post(
        f"{PATH}/oidc/token", data=form, headers=basic(f"{PORTAL}:{provider.secret}")
    )
    assert await error_of(response) == "invalid_request"


TokenMaker = Callable[[Provider], str]


def _assertion(client: str = HALL, **changes: Any) -> TokenMaker:
    """Times are seconds from now."""

    def make(provider: Provider) -> str:
        now_s = int(provider.clock.now().timestamp())
        moved = {
            name: value + now_s if name in ("exp", "iat", "nbf") and type(value) is int else value
            for name, value in changes.items()
        }
        return provider.assertion(client, **moved)

    return make


ASSERTIONS: dict[str, TokenMaker] = {
    "for another audience": _assertion(aud="https://node.js.example"),
    "for no audience": _assertion(aud=None),
    "expired": _assertion(exp=-61),
    "without an end": _assertion(exp=None),
    "with an end far away": _assertion(exp=10_000),
    "from long ago": _assertion(iat=-10_000),
    "from the future": _assertion(iat=120),
    "not yet valid": _assertion(nbf=120),
    "without jti": _assertion(jti=None),
    "with a jti that is no text": _assertion(jti=7),
    "with a long jti": _assertion(jti="x" * 257),
    "about somebody else": _assertion(sub=PORTAL),
    "by somebody else": _assertion(iss=PORTAL),
    "by nobody": _assertion(iss="nobody", sub="nobody"),
    "of a client with a secret": lambda provider: provider.keys[HALL].sign(
        {"iss": PORTAL, "sub": PORTAL, "aud": ISSUER}
    ),
    "under another key": lambda provider: Key("hall-1").sign({"iss": HALL, "sub": HALL, "aud": ISSUER}),
    "of another type": lambda provider: provider.keys[HALL].sign(
        {"iss": HALL, "sub": HALL, "aud": ISSUER}, typ="at+jwt"
    ),
    "unsigned": lambda _provider: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJoYWxsIiwic3ViIjoiaGFsbCJ9.",
    "nonsense": lambda _provider: "nonsense",
    "too long": lambda _provider: "x" * 17_000,
    "of a peer for the endpoint": _assertion(PEER, aud=f"{ISSUER}/oidc/token"),
    "of a peer for several": _assertion(PEER, aud=[ISSUER, "https://node.js.example"]),
    "of fapi2 for the endpoint": _assertion(BANK, aud=f"{ISSUER}/oidc/token"),
}


@pytest.mark.parametrize("which", ASSERTIONS)
async def test_a_wrong_assertion(provider: Provider, which: str) -> None:
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": ASSERTIONS[which](provider)}
    response = await provider.client.post(f"{PATH}/oidc/token", data=form)
    assert await error_of(response, 401) == "invalid_client"


async def test_an_assertion_is_good_once(provider: Provider) -> None:
    form = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": provider.assertion(HALL),
        "token": "x",
    }
    first = await provider.client.post(f"{PATH}/oidc/introspect", data=form)
    assert first.status == 200
    again = await provider.client.post(f"{PATH}/oidc/token", data=form)
    assert await error_of(again, 401) == "invalid_client"
    wrong_type = await provider.client.post(
        f"{PATH}/oidc/token", data={**form, "client_assertion_type": "urn:x"}
    )
    assert await error_of(wrong_type) == "invalid_request"


async def test_an_assertion_is_good_once_however_a_replicas_clock_is_ahead(provider: Provider) -> None:
    form = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": provider.assertion(HALL),
        "token": "x",
    }
    assert (await provider.client.post(f"{PATH}/oidc/introspect", data=form)).status == 200
    provider.clock.advance(seconds=119)  # it ended 59 s ago, and a minute is allowed for
    try:
        ahead = FixedClock(provider.clock.at + timedelta(seconds=30))
        await ReplayRows(provider.database, ahead).forget_expired()
        again = await provider.client.post(f"{PATH}/oidc/introspect", data=form)
        assert await error_of(again, 401) == "invalid_client"
    finally:
        provider.clock.advance(seconds=-119)


async def test_an_old_client_may_name_the_endpoint_as_the_audience(provider: Provider) -> None:
    form = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": provider.assertion(HALL, aud=f"{ISSUER}/oidc/introspect"),
        "token": "x",
    }
    assert (await provider.client.post(f"{PATH}/oidc/introspect", data=form)).status == 200


async def test_a_form_that_is_none(provider: Provider) -> None:
    url = f"{PATH}/oidc/token"
    json_instead = await provider.client.post(url, json={"grant_type": "authorization_code"})
    assert await error_of(json_instead) == "invalid_request"
    twice = await provider.client.post(
        url, data="code=a&code=b", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert await error_of(twice) == "invalid_request"
    large = await provider.client.post(url, data={"code": "x" * 70_000})
    assert await error_of(large, 413) == "invalid_request"
    assert (await provider.client.get(url)).status == 405


# --- proofs --------------------------------------------------------------------------------------------------


def _proof(url: str = f"{ISSUER}/oidc/token", seconds: int = 0, **changes: Any) -> TokenMaker:
    def make(provider: Provider) -> str:
        at_s = provider.clock.now().timestamp() + seconds
        return provider.keys[BANK].proof(url, at_s, **changes)

    return make


def _headed(**header: Any) -> TokenMaker:
    def make(provider: Provider) -> str:
        key = provider.keys[BANK]
        public = {name: value for name, value in key.public.items() if name in ("kty", "crv", "x", "y")}
        now_s = int(provider.clock.now().timestamp())
        claims = {
            "htm": "POST",
            "htu": f"{ISSUER}/oidc/token",
            "iat": now_s,
            "jti": f"headed-{sorted(header)}",
        }
        return key.sign(claims, header={"kid": None, "jwk": public, "typ": "dpop+jwt", **header})

    return make


def _private(provider: Provider) -> dict[str, Any]:
    return dict(provider.keys[BANK].jwk.as_dict(private=True))


PROOFS: dict[str, TokenMaker] = {
    "for another URL": _proof(url=f"{ISSUER}/oidc/par"),
    "for another host": _proof(url="https://node.js.example/oidc/token"),
    "for no URL": _proof(url="http://[::1"),
    "for another method": _proof(method="GET"),
    "old": _proof(seconds=-61),
    "from the future": _proof(seconds=61),
    "without a time": _proof(iat=None),
    "without jti": _proof(jti=""),
    "with a long jti": _proof(jti="x" * 257),
    "of another type": _headed(typ="JWT"),
    "without a key": _headed(jwk=None),
    "with a symmetric key": _headed(jwk={"kty": "oct", "k": "AAAA"}),
    "with an RSA key": _headed(jwk={"kty": "RSA", "n": "AQ", "e": "AQAB"}),
    "with another key": lambda provider: _headed(
        jwk={name: value for name, value in Key().public.items() if name in ("kty", "crv", "x", "y")}
    )(provider),
    "with a private key": lambda provider: _headed(jwk=_private(provider))(provider),
    "unsigned": lambda _provider: "eyJhbGciOiJub25lIiwidHlwIjoiZHBvcCtqd3QifQ.e30.",
    "nonsense": lambda _provider: "nonsense",
}


@pytest.mark.parametrize("which", PROOFS)
async def test_a_wrong_proof(provider: Provider, which: str) -> None:
    code = await provider.code(BANK)
    response = await provider.redeem(BANK, code, headers={"DPoP": PROOFS[which](provider)})
    assert await error_of(response) == "invalid_dpop_proof"
    assert (await provider.redeem(BANK, code)).status == 200, "the code was not touched"


async def test_a_proof_is_good_once_and_a_key_for_good(provider: Provider) -> None:
    proof = provider.proof(BANK, "token")
    first = await provider.redeem(BANK, await provider.code(BANK), headers={"DPoP": proof})
    assert first.status == 200
    code = await provider.code(BANK)
    assert await error_of(await provider.redeem(BANK, code, headers={"DPoP": proof})) == "invalid_dpop_proof"
    assert await error_of(await provider.redeem(BANK, code, headers={"X": "y"})) == "invalid_dpop_proof"
    bound = await provider.code(BANK, dpop_jkt=provider.keys[BANK].thumbprint)
    other = Key().proof(f"{ISSUER}/oidc/token", provider.clock.now().timestamp())
    assert await error_of(await provider.redeem(BANK, bound, headers={"DPoP": other})) == "invalid_grant"
    assert await error_of(await provider.redeem(BANK, bound)) == "invalid_grant", "and the code is lost"


async def test_the_key_of_a_pushed_request_is_the_key_of_its_code(provider: Provider) -> None:
    proof = provider.proof(BANK, "par")
    wrong = await provider.push(BANK, provider.request(BANK, dpop_jkt="A" * 43), DPoP=proof)
    assert await error_of(wrong) == "invalid_dpop_proof"
    pushed = await provider.push(BANK, provider.request(BANK), DPoP=provider.proof(BANK, "par"))
    request_uri = (await pushed.json())["request_uri"]
    code = (await provider.answer({"client_id": BANK, "request_uri": request_uri}))["code"]
    other = Key().proof(f"{ISSUER}/oidc/token", provider.clock.now().timestamp())
    assert await error_of(await provider.redeem(BANK, code, headers={"DPoP": other})) == "invalid_grant"


# --- access tokens -------------------------------------------------------------------------------------------


async def test_a_bound_token_opens_nothing_without_its_key(provider: Provider) -> None:
    token = (await provider.tokens(BANK))["access_token"]
    url, now_s = f"{ISSUER}/oidc/userinfo", provider.clock.now().timestamp()
    key = provider.keys[BANK]
    good = key.proof(url, now_s, method="GET", token=token)
    bearer = await provider.userinfo(token)
    assert await error_of(bearer, 401) == "invalid_token"
    assert 'error="invalid_token"' in bearer.headers["WWW-Authenticate"]
    for proof in (
        None,
        Key().proof(url, now_s, method="GET", token=token),
        key.proof(url, now_s, method="GET"),
        key.proof(url, now_s, method="GET", token="another"),
        key.proof(url, now_s, method="POST", token=token),
    ):
        headers = {"Authorization": f"DPoP {token}", **({"DPoP": proof} if proof else {})}
        assert await error_of(await provider.userinfo(token, **headers), 401) == "invalid_dpop_proof"
    headers = {"Authorization": f"DPoP {token}", "DPoP": good}
    assert (await provider.userinfo(token, **headers)).status == 200
    assert await error_of(await provider.userinfo(token, **headers), 401) == "invalid_dpop_proof"


async def test_a_bearer_token_is_no_bound_one(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    assert (
        await error_of(await provider.userinfo(token, Authorization=f"DPoP {token}"), 401) == "invalid_token"
    )
    both = await provider.client.post(
        f"{PATH}/oidc/userinfo",
        data={"access_token": token},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert await error_of(both) == "invalid_request"


def resigned(provider: Provider, token: str, typ: str = "at+jwt", **claims: Any) -> str:
    """The token with other claims, signed by this node; None takes one away."""
    said = {**read_token(token).claims, **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    return sign_token(kept, provider.signing, typ=typ)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://node.ah.example:8443"},
        {"aud": "https://else.example"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"grant": None},
        {"grant": "another"},
        {"client_id": HALL},
        {"client_id": 7},
        {"cnf": "key"},
        {"typ": "JWT"},
    ],
    ids=str,
)
async def test_a_token_that_is_not_right(provider: Provider, claims: dict[str, Any]) -> None:
    token = (await provider.tokens())["access_token"]
    response = await provider.userinfo(resigned(provider, token, **claims))
    assert await error_of(response, 401) == "invalid_token"


async def test_a_token_of_another_key_an_old_one_and_none(provider: Provider) -> None:
    tokens = await provider.tokens()
    token = tokens["access_token"]
    forged = sign_token(read_token(token).claims, SigningKey.generate(), typ="at+jwt")
    for wrong in (forged, tokens["id_token"], "nonsense", "x" * 5000):
        assert await error_of(await provider.userinfo(wrong), 401) == "invalid_token"
    narrow = resigned(provider, token, scope="profile")
    assert await error_of(await provider.userinfo(narrow), 403) == "insufficient_scope"
    nothing = await provider.client.get(f"{PATH}/oidc/userinfo")
    assert await error_of(nothing, 401) == "invalid_token"
    provider.clock.advance(seconds=600)
    assert await error_of(await provider.userinfo(token), 401) == "invalid_token"


async def test_tokens_end_with_their_session(provider: Provider) -> None:
    plain = await provider.tokens()
    offline = await provider.tokens(scope="openid offline_access")
    await provider.parts.grants.revoke_session("session-1", keep_offline=True)
    assert (await provider.userinfo(plain["access_token"])).status == 401
    assert (await provider.userinfo(offline["access_token"])).status == 200
    await provider.parts.grants.revoke_session("session-1", keep_offline=False)
    assert (await provider.userinfo(offline["access_token"])).status == 401


async def test_about_no_token_nothing_is_told(provider: Provider) -> None:
    for endpoint in ("introspect", "revoke"):
        assert await error_of(await provider.post(endpoint, PORTAL, {})) == "invalid_request"
        unknown = await provider.client.post(f"{PATH}/oidc/{endpoint}", data={"token": "x"})
        assert await error_of(unknown, 401) == "invalid_client"
