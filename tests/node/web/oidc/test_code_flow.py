"""A whole login at the provider: request, code, tokens, userinfo, what is told about tokens, and their end."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from federation.login.discovery import discovery
from federation.login.model import Agreed, OnBehalf
from federation.login.sessions import sid_of
from tests.support.login_provider import (
    BACK,
    BANK,
    CLAIMS,
    HALL,
    IDENTITY,
    ISSUER,
    PATH,
    PEER,
    PORTAL,
    Provider,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def read_id_token(provider: Provider, token: str) -> dict[str, Any]:
    """As other software reads it: keys from the jwks_uri, an algorithm that discovery names."""
    jwks = await (await provider.client.get(f"{PATH}/oidc/jwks")).json()
    return jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["ES256"]).claims


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str | None, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            self.action = said.get("action") or ""
        elif tag == "input":
            self.fields[said.get("name")] = said.get("value")


def form_in(html: str) -> tuple[str, dict[str, str]]:
    """Where the page's form leads, and what it sends."""
    parser = _Form()
    parser.feed(html)
    return parser.action, {name: value or "" for name, value in parser.fields.items() if name}


async def test_discovery_names_what_is_served(provider: Provider) -> None:
    response = await provider.client.get(f"{PATH}/.well-known/openid-configuration")
    metadata = await response.json()
    assert metadata == discovery(ISSUER)
    assert metadata["issuer"] == ISSUER
    same = await provider.client.get(f"/.well-known/oauth-authorization-server{PATH}")
    assert await same.json() == metadata
    served = {route.resource.canonical for route in provider.client.app.router.routes() if route.resource}
    for name, url in metadata.items():
        if name.endswith("_endpoint") and name != "end_session_endpoint":
            assert url.removeprefix("https://node.ah.example") in served, name
    assert "registration_endpoint" not in metadata


async def test_a_login_of_a_platform_with_a_secret(provider: Provider) -> None:
    answered = await provider.answer(provider.request())
    assert (answered["state"], answered["iss"]) == ("state-1", ISSUER)
    response = await provider.redeem(PORTAL, answered["code"])
    tokens = await response.json()
    assert response.headers["Cache-Control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 600, "openid profile")
    assert "refresh_token" not in tokens
    claims = await read_id_token(provider, tokens["id_token"])
    now_s = int(provider.clock.now().timestamp())
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    subject = claims.pop("sub")
    assert claims == {
        "iss": ISSUER,
        "aud": PORTAL,
        "iat": now_s,
        "exp": now_s + 600,
        "auth_time": IDENTITY.auth_time,
        "acr": "yrd.l2",
        "amr": ["pwd", "otp"],
        "origin": IDENTITY.origin,
        "sid": sid_of("session-1", PORTAL),
        "nonce": "nonce-1",
        "at_hash": urlsafe_b64encode(half).rstrip(b"=").decode(),
    }, "claims of a scope are for userinfo"
    for method in ("GET", "POST"):
        said = await provider.userinfo(tokens["access_token"], method=method)
        assert await said.json() == {**CLAIMS, "sub": subject}
    assert provider.sessions.parties == [("session-1", PORTAL, sid_of("session-1", PORTAL))]


async def test_a_request_may_come_as_a_form_and_its_answer_as_one(provider: Provider) -> None:
    begun = await provider.authorize(provider.request(), method="POST")
    assert (begun.status, begun.headers["Location"]) == (303, f"{ISSUER}/login/i/next")
    posted = await provider.authorize(provider.request(response_mode="form_post"))
    assert posted.status == 200
    action, fields = form_in(await posted.text())
    assert action == BACK[PORTAL]
    assert set(fields) == {"code", "state", "iss"}
    assert (await provider.redeem(PORTAL, fields["code"])).status == 200


async def test_a_redirect_uri_keeps_its_own_query(provider: Provider) -> None:
    response = await provider.authorize(provider.request(HALL))
    url = urlsplit(response.headers["Location"])
    assert dict(parse_qsl(url.query))["from"] == "yrd"
    assert (await provider.redeem(HALL, dict(parse_qsl(url.query))["code"])).status == 200


@pytest.mark.parametrize("client", [BANK, PEER])
async def test_a_pushed_request_with_keys_and_proofs(provider: Provider, client: str) -> None:
    proof = provider.proof(client, "par")
    pushed = await provider.push(client, provider.request(client), DPoP=proof)
    answer = await pushed.json()
    assert (pushed.status, answer["expires_in"]) == (201, 60)
    answered = await provider.answer({"client_id": client, "request_uri": answer["request_uri"]})
    response = await provider.redeem(client, answered["code"])
    tokens = await response.json()
    assert tokens["token_type"] == "DPoP"
    claims = await read_id_token(provider, tokens["id_token"])
    assert claims["aud"] == client
    token = tokens["access_token"]
    proof = provider.keys[client].proof(
        f"{ISSUER}/oidc/userinfo", provider.clock.now().timestamp(), method="GET", token=token
    )
    said = await provider.userinfo(token, Authorization=f"DPoP {token}", DPoP=proof)
    assert (await said.json())["sub"] == claims["sub"]


async def test_a_peer_gets_what_was_agreed_in_the_id_token(provider: Provider) -> None:
    await provider.code(PEER, yrd_platform="portal-js", yrd_platform_name="江苏门户", yrd_offline_days="30")
    request, _visitor = provider.asked[-1]
    assert request.on_behalf is not None
    assert request.on_behalf == OnBehalf("portal-js", "江苏门户", 30)
    assert (request.is_peer, request.sector) == (True, PEER)
    tokens = await provider.tokens(PEER)
    claims = await read_id_token(provider, tokens["id_token"])
    assert {name: claims[name] for name in CLAIMS} == CLAIMS


async def test_a_platform_speaks_for_itself_only(provider: Provider) -> None:
    await provider.code(PORTAL, yrd_platform="bank", yrd_platform_name="银行")
    assert provider.asked[-1][0].on_behalf is None


async def test_claims_that_are_asked_for_in_the_id_token_are_in_it(provider: Provider) -> None:
    tokens = await provider.tokens(claims='{"id_token":{"name":{"essential":true},"unknown":null}}')
    claims = await read_id_token(provider, tokens["id_token"])
    assert claims["name"] == "王芳"
    assert "gender" not in claims


async def test_subjects_are_pairwise(provider: Provider) -> None:
    found = set()
    for client in (PORTAL, HALL, BANK, PEER):
        tokens = await provider.tokens(client)
        found.add((await read_id_token(provider, tokens["id_token"]))["sub"])
    assert len(found) == 4


async def test_a_request_object_stands_for_the_request(provider: Provider) -> None:
    now_s = int(provider.clock.now().timestamp())
    inside = {
        **provider.request(HALL, state="signed", max_age="100"),
        "iss": HALL,
        "aud": ISSUER,
        "exp": now_s + 60,
    }
    signed = provider.keys[HALL].sign(inside, typ="oauth-authz-req+jwt")
    answered = await provider.answer(
        {"client_id": HALL, "request": signed, "state": "beside", "prompt": "login"}
    )
    request = provider.asked[-1][0]
    assert answered["state"] == "signed"
    assert (request.max_age_s, request.prompt) == (100, frozenset())
    assert (await provider.redeem(HALL, answered["code"])).status == 200


async def test_what_is_wished_reaches_the_flow(provider: Provider) -> None:
    await provider.answer(
        provider.request(
            prompt="login consent",
            max_age="0",
            acr_values="yrd.l3 other yrd.l2",
            claims='{"id_token":{"acr":{"essential":true,"value":"yrd.l4"},"sub":{"value":"somebody"}}}',
            login_hint="320000",
            ui_locales="en zh-CN",
            resource="https://else.example",
        )
        | {"id_token_hint": ""}
    )
    request = provider.asked[-1][0]
    assert request.prompt == {"login", "consent"}
    assert request.max_age_s == 0
    assert request.acr_values == ("yrd.l4",), "what claims demands, no other wish lowers"
    assert (request.province, request.login_hint) == ("320000", "320000")
    assert request.ui_locales == ("en", "zh-CN")
    assert request.id_token_hint_sub == "somebody"


async def test_the_flow_is_told_where_a_login_comes_from(provider: Provider) -> None:
    for method in ("GET", "POST"):
        await provider.authorize(provider.request(), method=method)
        visitor = provider.asked[-1][1]
        assert (visitor.sender, bool(visitor.browser)) == ("127.0.0.1", method == "GET")


async def test_another_citizen_than_the_hint_says_is_refused(provider: Provider) -> None:
    tokens = await provider.tokens()
    hint = tokens["id_token"]
    provider.clock.advance(hours=1)
    assert "code" in await provider.answer(provider.request(id_token_hint=hint)), "an old one is a hint, too"
    provider.person = Agreed(
        identity=msgspec.structs.replace(IDENTITY, subject="account-8"), session_id="s", claims={}
    )
    answered = await provider.answer(provider.request(id_token_hint=hint))
    assert (answered["error"], answered["iss"]) == ("login_required", ISSUER)
    other = await provider.answer(provider.request(HALL, id_token_hint=hint))
    assert other["error"] == "invalid_request", "issued to somebody else"


async def test_refresh_tokens_for_those_who_ask(provider: Provider) -> None:
    tokens = await provider.tokens(scope="openid profile offline_access")
    first = tokens["refresh_token"]
    response = await provider.post("token", PORTAL, {"grant_type": "refresh_token", "refresh_token": first})
    again = await response.json()
    assert response.status == 200
    assert again["refresh_token"] != first
    claims = await read_id_token(provider, again["id_token"])
    before = await read_id_token(provider, tokens["id_token"])
    assert "nonce" not in claims
    assert {name: claims[name] for name in ("iss", "sub", "aud", "auth_time")} == {
        name: before[name] for name in ("iss", "sub", "aud", "auth_time")
    }
    narrow = await provider.post(
        "token",
        PORTAL,
        {"grant_type": "refresh_token", "refresh_token": again["refresh_token"], "scope": "openid"},
    )
    assert (await narrow.json())["scope"] == "openid"
    stolen = await provider.post("token", PORTAL, {"grant_type": "refresh_token", "refresh_token": first})
    assert (await stolen.json())["error"] == "invalid_grant"
    newest = (await narrow.json())["refresh_token"]
    gone = await provider.post("token", PORTAL, {"grant_type": "refresh_token", "refresh_token": newest})
    assert (await gone.json())["error"] == "invalid_grant", "whoever stole it has nothing any more"
    assert (await provider.userinfo(again["access_token"])).status == 401


async def test_a_refresh_token_of_fapi2_is_kept(provider: Provider) -> None:
    tokens = await provider.tokens(BANK, scope="openid offline_access")
    for _ in range(2):
        response = await provider.post(
            "token",
            BANK,
            {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
            DPoP=provider.proof(BANK, "token"),
        )
        assert response.status == 200
        assert "refresh_token" not in await response.json()
    provider.clock.advance(days=31)
    late = await provider.post(
        "token",
        BANK,
        {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        DPoP=provider.proof(BANK, "token"),
    )
    assert (await late.json())["error"] == "invalid_grant"


async def test_a_client_asks_about_its_own_tokens_only(provider: Provider) -> None:
    tokens = await provider.tokens(scope="openid offline_access")
    for name in ("access_token", "refresh_token"):
        told = await (await provider.post("introspect", PORTAL, {"token": tokens[name]})).json()
        assert (told["active"], told["client_id"], told["iss"]) == (True, PORTAL, ISSUER)
        assert told["scope"] == "offline_access openid"
        other = await (await provider.post("introspect", HALL, {"token": tokens[name]})).json()
        assert other == {"active": False}
    nothing = await (await provider.post("introspect", PORTAL, {"token": "nonsense"})).json()
    assert nothing == {"active": False}
    bound = await provider.tokens(BANK)
    told = await (await provider.post("introspect", BANK, {"token": bound["access_token"]})).json()
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": provider.keys[BANK].thumbprint})


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
async def test_revoked_tokens_end_with_all_of_their_grant(provider: Provider, name: str) -> None:
    tokens = await provider.tokens(scope="openid offline_access")
    await provider.post("revoke", HALL, {"token": tokens[name]})
    assert (await provider.userinfo(tokens["access_token"])).status == 200, "it was not that client's"
    for _ in range(2):
        response = await provider.post("revoke", PORTAL, {"token": tokens[name], "token_type_hint": "x"})
        assert (response.status, await response.text()) == (200, "")
    assert (await provider.userinfo(tokens["access_token"])).status == 401
    for one in ("access_token", "refresh_token"):
        told = await (await provider.post("introspect", PORTAL, {"token": tokens[one]})).json()
        assert told == {"active": False}


async def test_a_session_that_ended_meanwhile_gives_nothing(provider: Provider) -> None:
    provider.sessions.has_ended = True
    answered = await provider.answer(provider.request())
    assert (answered["error"], answered["iss"]) == ("login_required", ISSUER)


async def test_consents_come_with_the_first_tokens(provider: Provider) -> None:
    provider.person = replace_agreed(provider.person, ({"type": "certificate_use", "consent": "a.b.c"},))
    tokens = await provider.tokens(scope="openid offline_access")
    assert tokens["authorization_details"] == [{"type": "certificate_use", "consent": "a.b.c"}]
    response = await provider.post(
        "token", PORTAL, {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    )
    assert "authorization_details" not in await response.json()


def replace_agreed(agreed: Agreed, details: tuple[dict[str, Any], ...]) -> Agreed:
    return msgspec.structs.replace(agreed, authorization_details=details)


async def test_parameters_in_the_form_of_userinfo(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    said = await provider.client.post(f"{PATH}/oidc/userinfo", data={"access_token": token})
    assert said.status == 200
