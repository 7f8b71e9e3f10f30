"""Bad requests: nowhere is anybody redirected who should not be, and what is refused leaves nothing behind.

Whatever can be told to the client comes with the right error, with `state` and with `iss`; the rest is a page.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from federation.errors import OwnStoreUnavailable
from federation.login.refusals import PageRefusal, Turn
from node.store.login_tables import GRANTS, PUSHED_REQUESTS
from tests.support.login_provider import BACK, BANK, HALL, ISSUER, PATH, PEER, PORTAL, Key, Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def rows(provider: Provider) -> tuple[int, ...]:
    """How much is stored of requests and grants."""
    async with provider.database.reading() as connection:
        counts = [
            await connection.execute(select(func.count()).select_from(t)) for t in (GRANTS, PUSHED_REQUESTS)
        ]
        return tuple(count.scalar_one() for count in counts)


EVIL = "https://evil.example/back"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"redirect_uri": EVIL}, "login.redirect_uri"),
        ({"redirect_uri": None}, "login.redirect_uri"),
        ({"redirect_uri": BACK[PORTAL] + "/"}, "login.redirect_uri"),
        ({"redirect_uri": BACK[PORTAL] + "?to=" + EVIL}, "login.redirect_uri"),
        ({"redirect_uri": BACK[PORTAL].replace("https", "http")}, "login.redirect_uri"),
        ({"redirect_uri": BACK[PORTAL].upper()}, "login.redirect_uri"),
        ({"redirect_uri": "https://portal.ah.example@evil.example/back"}, "login.redirect_uri"),
        ({"redirect_uri": BACK[HALL]}, "login.redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "login.redirect_uri"),
        ({"client_id": "nobody"}, "login.unknown_client"),
        ({"client_id": None}, "login.unknown_client"),
        ({"client_id": "https://evil.example"}, "login.unknown_client"),
        ({"state": "x" * 2049}, "login.bad_request"),
        ({"nonce": "x" * 513}, "login.bad_request"),
        ({"claims": "x" * 4097}, "login.bad_request"),
        ({"unknown": "x" * 2049}, "login.bad_request"),
        ({"n" * 129: "x"}, "login.bad_request"),
        ({f"n{number}": "x" for number in range(40)}, "login.bad_request"),
        ({f"n{number}": "x" for number in range(90)}, "login.bad_request"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:guessed"}, "login.request_expired"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:50],
)
async def test_a_page_and_no_redirect(provider: Provider, changes: dict[str, Any], code: str) -> None:
    before = await rows(provider)
    for method in ("GET", "POST"):
        response = await provider.authorize(provider.request(**changes), method=method)
        assert (response.status, await response.text()) == (400, code)
        assert "Location" not in response.headers
    assert provider.asked == []
    assert await rows(provider) == before


async def test_a_parameter_that_comes_twice_is_a_page(provider: Provider) -> None:
    twice = urlencode([*provider.request().items(), ("redirect_uri", EVIL)])
    assert (await provider.authorize(twice)).status == 400
    assert (await provider.authorize(twice, method="POST")).status == 400
    assert {refusal.code for refusal in provider.refused} == {"login.bad_request"}


async def test_a_parameter_that_no_store_takes_is_a_page(provider: Provider) -> None:
    for name in ("client_id", "state", "request_uri"):
        for method in ("GET", "POST"):
            response = await provider.authorize(urlencode(provider.request() | {name: "\0"}), method=method)
            assert response.status == 400
            assert "Location" not in response.headers
    assert {refusal.code for refusal in provider.refused} == {"login.bad_request"}


async def test_a_form_that_cannot_be_read_is_a_page(provider: Provider) -> None:
    url = f"{PATH}/oidc/authorize"
    for data, content_type in (
        (b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"client_id=%ff%fe", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ):
        response = await provider.client.post(url, data=data, headers={"Content-Type": content_type})
        assert response.status in (400, 413)
        assert await response.text() == "login.bad_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "é" * 43}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"max_age": "٣"}, "invalid_request"),
        ({"acr_values": "gold"}, "unmet_authentication_requirements"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"claims": '{"id_token":[]}'}, "invalid_request"),
        ({"claims": '{"id_token":{"name":1}}'}, "invalid_request"),
        ({"claims": '{"id_token":{"sub":{"values":["a","b"]}}}'}, "invalid_request"),
        ({"claims": '{"id_token":{"acr":{"values":"yrd.l2"}}}'}, "invalid_request"),
        ({"claims": '{"id_token":{"acr":{"value":"gold"}}}'}, "unmet_authentication_requirements"),
        ({"province": "Anhui"}, "invalid_request"),
        ({"id_token_hint": "nonsense"}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"request_uri": "https://portal.ah.example/request"}, "request_uri_not_supported"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"request": "nonsense"}, "invalid_request_object"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:60],
)
async def test_the_client_is_told(provider: Provider, changes: dict[str, Any], error: str) -> None:
    before = await rows(provider)
    answered = await provider.answer(provider.request(**changes))
    assert (answered["error"], answered["state"], answered["iss"]) == (error, "state-1", ISSUER)
    assert answered["error_description"].isascii()
    assert provider.asked == []
    assert await rows(provider) == before


async def test_an_error_comes_the_way_that_was_asked_for(provider: Provider) -> None:
    response = await provider.authorize(provider.request(response_mode="form_post", prompt="no"))
    text = await response.text()
    assert response.status == 200
    assert BACK[PORTAL] in text
    assert "invalid_request" in text
    assert ISSUER in text


async def test_what_the_flow_refuses_reaches_the_client(provider: Provider) -> None:
    provider.refusal = "access_denied"
    answered = await provider.answer(provider.request())
    assert (answered["error"], answered["iss"]) == ("access_denied", ISSUER)
    provider.away = PageRefusal("login.peer_node_away", turn=Turn.PEER_NODE, status=503)
    response = await provider.authorize(provider.request())
    assert (response.status, await response.text()) == (503, "login.peer_node_away")


async def test_what_breaks_here_is_a_page_without_its_cause(provider: Provider) -> None:
    for error, status, code in (
        (OwnStoreUnavailable("disk full at /var/lib"), 503, "login.unavailable"),
        (RuntimeError("secret detail"), 500, "login.internal"),
    ):
        provider.away = error
        response = await provider.authorize(provider.request())
        assert (response.status, await response.text()) == (status, code)
        assert "secret" not in provider.refused[-1].detail


async def test_a_peer_cannot_ask_for_days_that_are_none(provider: Provider) -> None:
    named = {"yrd_platform": "portal-js", "yrd_platform_name": "江苏门户"}
    for wrong in ("-1", "many", "99999"):
        pushed = await provider.push(PEER, provider.request(PEER, **named, yrd_offline_days=wrong))
        assert (pushed.status, (await pushed.json())["error"]) == (400, "invalid_request"), wrong


@pytest.mark.parametrize("client", [BANK, PEER])
async def test_fapi2_takes_only_what_was_pushed(provider: Provider, client: str) -> None:
    response = await provider.authorize(provider.request(client))
    assert "error=invalid_request" in response.headers["Location"]
    assert provider.asked == []
    for changes in (
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"redirect_uri": EVIL},
        {"response_type": "token"},
        {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
    ):
        pushed = await provider.push(client, provider.request(client, **changes))
        assert pushed.status == 400
        assert "request_uri" not in await pushed.json()


@pytest.mark.parametrize("missing", ["state", "nonce"])
async def test_a_peer_without_state_or_nonce_is_refused(provider: Provider, missing: str) -> None:
    before = await rows(provider)
    pushed = await provider.push(PEER, provider.request(PEER, **{missing: None}))
    assert (pushed.status, (await pushed.json())["error"]) == (400, "invalid_request")
    assert await rows(provider) == before


async def test_a_platform_may_leave_out_what_the_standard_does_not_demand(provider: Provider) -> None:
    without = provider.request(state=None, nonce=None, code_challenge=None, code_challenge_method=None)
    answered = await provider.answer(without)
    assert set(answered) == {"code", "iss"}
    response = await provider.redeem(PORTAL, answered["code"], code_verifier=None)
    assert response.status == 200


async def test_a_pushed_request_is_used_once_and_by_its_client(provider: Provider) -> None:
    pushed = await provider.push(BANK, provider.request(BANK))
    request_uri = (await pushed.json())["request_uri"]
    foreign = await provider.authorize({"client_id": HALL, "request_uri": request_uri})
    assert foreign.status == 400
    assert "code" in await provider.answer({"client_id": BANK, "request_uri": request_uri})
    again = await provider.authorize({"client_id": BANK, "request_uri": request_uri})
    assert (again.status, await again.text()) == (400, "login.request_expired")
    late = (await (await provider.push(BANK, provider.request(BANK))).json())["request_uri"]
    provider.clock.advance(seconds=61)
    expired = await provider.authorize({"client_id": BANK, "request_uri": late})
    assert (expired.status, await expired.text()) == (400, "login.request_expired")
    assert "invalid_request_uri" in provider.refused[-1].detail


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"iss": PORTAL}, {}),
        ({"iss": None}, {}),
        ({"client_id": PORTAL}, {}),
        ({"aud": "https://node.js.example"}, {}),
        ({"aud": None}, {}),
        ({"exp": None}, {}),
        ({"exp": -61}, {}),
        ({"exp": 10_000}, {}),
        ({"exp": True}, {}),
        ({"iat": 120}, {}),
        ({"nbf": 120}, {}),
        ({"iat": -10_000}, {}),
        ({"jti": 7}, {}),
        ({"request_uri": "urn:x"}, {}),
        ({"request": "a.b.c"}, {}),
        ({"prompt": True}, {}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"kid": "another"}),
        ({}, {"alg": "none"}),
    ],
    ids=str,
)
async def test_a_wrong_request_object_is_refused(
    provider: Provider, claims: dict[str, Any], header: dict[str, str]
) -> None:
    signed = request_object(provider, claims, header)
    answered = await provider.answer({**provider.request(HALL), "request": signed})
    assert answered["error"] == "invalid_request_object"
    assert (answered["state"], answered["iss"]) == ("state-1", ISSUER)


def request_object(
    provider: Provider, claims: dict[str, Any], header: dict[str, str], key: Key | None = None
) -> str:
    """Times are seconds from now."""
    now_s = int(provider.clock.now().timestamp())
    moved = {
        name: value + now_s if name in ("exp", "iat", "nbf") and type(value) is int else value
        for name, value in claims.items()
    }
    inside = {**provider.request(HALL), "iss": HALL, "aud": ISSUER, "exp": now_s + 60, **moved}
    good = {name: value for name, value in inside.items() if value is not None}
    if header.get("alg") == "none":
        return unsigned(good)
    return (key or provider.keys[HALL]).sign(
        good, header=header, typ=header.get("typ", "oauth-authz-req+jwt")
    )


def unsigned(claims: dict[str, Any]) -> str:
    """A token with alg none."""
    parts = [json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims)]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."


async def test_a_request_object_is_good_once_and_under_a_known_key(provider: Provider) -> None:
    for claims in ({}, {"jti": "once"}):
        signed = request_object(provider, claims, {})
        asked = {"client_id": HALL, "request": signed}
        assert "code" in await provider.answer(asked)
        again = await provider.answer({**provider.request(HALL), **asked})
        assert again["error"] == "invalid_request_object"
        assert "before" in again["error_description"]
        provider.clock.advance(seconds=1)
    forged = request_object(provider, {}, {}, Key("hall-1"))
    answered = await provider.answer({**provider.request(HALL), "request": forged})
    assert answered["error"] == "invalid_request_object"
    portal = await provider.answer({**provider.request(), "request": forged})
    assert portal["error"] == "invalid_request_object", "it has no keys"


ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""FIPS 186-4, D.1.2.3."""


def respelt(signed: str) -> str:
    """The same token with the other signature that ECDSA takes for it: (r, n - s)."""
    inside, _, signature = signed.rpartition(".")
    raw = base64.urlsafe_b64decode(f"{signature}==")
    other = raw[:32] + (ORDER_OF_P256 - int.from_bytes(raw[32:])).to_bytes(32)
    return f"{inside}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"


async def test_a_request_object_with_its_signature_respelt_is_the_same(provider: Provider) -> None:
    first, second = (request_object(provider, {"nonce": nonce}, {}) for nonce in ("first", "second"))
    respelt_first = {"client_id": HALL, "request": respelt(first)}
    assert "code" in await provider.answer(respelt_first), "it is as good as the other"
    again = await provider.answer({**provider.request(HALL), "request": first})
    assert again["error"] == "invalid_request_object"
    assert "before" in again["error_description"]
    assert "code" in await provider.answer({"client_id": HALL, "request": second})


async def test_nothing_beside_a_request_object_counts(provider: Provider) -> None:
    inside = request_object(provider, {"redirect_uri": EVIL, "jti": "evil"}, {})
    response = await provider.authorize({**provider.request(HALL), "request": inside})
    assert (response.status, await response.text()) == (400, "login.redirect_uri")
    bare = request_object(provider, {"scope": None, "jti": "bare"}, {})
    answered = await provider.answer({**provider.request(HALL), "request": bare})
    assert answered["error"] == "invalid_scope"


@pytest.mark.parametrize("standing", ["revoked", "denied"])
async def test_a_peer_that_was_revoked_in_the_middle_of_a_login_gets_nothing(
    provider: Provider, standing: str
) -> None:
    pushed = await provider.push(PEER, provider.request(PEER))
    request_uri = (await pushed.json())["request_uri"]
    code = await provider.code(PEER)
    provider.revoke_peer(standing)
    asked = await provider.authorize({"client_id": PEER, "request_uri": request_uri})
    assert (asked.status, await asked.text()) == (400, "login.unknown_client")
    redeemed = await provider.redeem(PEER, code)
    assert (redeemed.status, (await redeemed.json())["error"]) == (401, "invalid_client")
    again = await provider.push(PEER, provider.request(PEER))
    assert again.status == 401


async def test_a_redirect_uri_that_was_taken_off_the_register_in_the_middle_of_a_login_gets_nothing(
    provider: Provider,
) -> None:
    assert "code" in await provider.answer(provider.request())
    begun = replace(provider.asked[-1][0], redirect_uri="https://portal.ah.example/before")
    with pytest.raises(PageRefusal) as caught:
        await provider.parts.granting.granting(begun)
    assert (caught.value.code, caught.value.turn) == ("login.redirect_uri", Turn.PLATFORM)


async def test_a_peer_whose_chain_expired_gets_nothing(provider: Provider) -> None:
    provider.clock.advance(days=366)
    try:
        pushed = await provider.push(PEER, provider.request(PEER))
        assert (pushed.status, (await pushed.json())["error"]) == (401, "invalid_client")
    finally:
        provider.clock.advance(days=-366)
