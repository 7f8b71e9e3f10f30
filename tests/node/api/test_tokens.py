"""Who may call: token endpoint, access tokens, rights. Assertions are made with joserfc, as clients do."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from node.store import secret_checks
from node.store.client_secrets import is_secret
from tests.node.api.platform import ISSUER, Platform
from trust.keys import SigningKey
from trust.tokens import sign_token

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}


def basic(client: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def claims(platform: Platform, **changes: Any) -> dict[str, Any]:
    now_s = int(platform.clock.now().timestamp())
    whole = {"iss": "portal", "sub": "portal", "aud": ISSUER, "iat": now_s, "exp": now_s + 60, "jti": "1"}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(platform: Platform, key: SigningKey | None = None, **changes: Any) -> dict[str, str]:
    """The form of a client that authenticates with its key."""
    pem = (key or platform.key).to_pem()
    token = jwt.encode({"alg": "ES256"}, claims(platform, **changes), ECKey.import_key(pem))
    return GRANT | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


async def ask_token(platform: Platform, form: Any, **headers: str) -> tuple[int, Any]:
    status, found, body = await platform.send("POST", "/oauth/token", data=form, headers=headers)
    assert found["Cache-Control"] == "no-store"
    return status, body


async def test_a_secret_gets_a_token_that_is_good_for_its_rights(platform: Platform) -> None:
    secret = await platform.clients.add_with_secret("hall", "大厅", ["services.search"])
    status, body = await ask_token(platform, GRANT, **basic("hall", secret))
    assert status == 200
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 600, "services.search")
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    search = {"province": "330000"}
    assert (await platform.send("POST", "/v1/services/query", json=search, headers=headers))[0] == 200
    status, _, problem = await platform.send(
        "POST", "/v1/certificates/query", json=platform.query(), headers=headers
    )
    assert (status, problem["code"]) == (403, "own.forbidden")


async def test_the_token_is_an_rfc_9068_jwt_that_the_published_keys_verify(platform: Platform) -> None:
    _, body = await ask_token(platform, signed(platform))
    _, _, jwks = await platform.send("GET", "/oauth/jwks", headers={})
    token = jwt.decode(body["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    now_s = int(platform.clock.now().timestamp())
    found = token.claims
    assert (found["iss"], found["aud"], found["client_id"], found["sub"]) == (
        ISSUER,
        ISSUER,
        "portal",
        "portal",
    )
    assert (found["iat"], found["exp"]) == (now_s, now_s + 600)
    assert found["jti"]


async def test_a_wrong_secret_an_unknown_client_and_a_client_of_another_method_look_alike(
    platform: Platform,
) -> None:
    secret = await platform.clients.add_with_secret("hall", "大厅", ["*"])
    for client, sent in (("hall", secret + "x"), ("nobody", secret), ("portal", secret), ("portal", "")):
        status, headers, body = await platform.send(
            "POST", "/oauth/token", data=GRANT, headers=basic(client, sent)
        )
        assert (status, body["error"]) == (401, "invalid_client")
        assert body["error_description"] == "the client or its secret is not right"
        assert headers["WWW-Authenticate"].startswith("Basic")


async def test_made_up_names_do_not_keep_a_new_client_from_being_found(platform: Platform) -> None:
    for number in range(21):  # one more than there are looks for new ones at once
        assert (await ask_token(platform, GRANT, **basic(f"nobody-{number}", "x")))[0] == 401
    secret = await platform.clients.add_with_secret("hall", "大厅", ["*"])
    assert (await ask_token(platform, GRANT, **basic("hall", secret)))[0] == 200


async def test_a_platform_that_fetches_token_after_token_is_hashed_slowly_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def counted(secret: str, stored: str) -> bool:
        hashed.append(stored)
        return is_secret(secret, stored)

    monkeypatch.setattr(secret_checks, "is_secret", counted)
    secret = await platform.clients.add_with_secret("hall", "大厅", ["*"])
    for _ in range(5):
        assert (await ask_token(platform, GRANT, **basic("hall", secret)))[0] == 200
    assert len(hashed) == 1
    for wrong in (secret + "x", secret + "x", secret[:-1]):
        assert (await ask_token(platform, GRANT, **basic("hall", wrong)))[0] == 401
    assert (await ask_token(platform, GRANT, **basic("nobody", secret)))[0] == 401
    assert len(hashed) == 5


@pytest.mark.parametrize("how", ["disabled", "rotated", "removed"])
async def test_a_secret_that_was_good_a_moment_ago_is_refused_at_once(platform: Platform, how: str) -> None:
    """The clients are read every few seconds elsewhere (never, in here); a secret is checked against its row of now."""
    secret = await platform.clients.add_with_secret("hall", "大厅", ["*"])
    assert (await ask_token(platform, GRANT, **basic("hall", secret)))[0] == 200
    new = secret
    if how == "rotated":
        new = await platform.clients.rotate_secret("hall")
    else:
        assert await (platform.clients.disable if how == "disabled" else platform.clients.remove)("hall")
    status, body = await ask_token(platform, GRANT, **basic("hall", secret))
    assert (status, body["error"]) == (401, "invalid_client")
    assert (await ask_token(platform, GRANT, **basic("hall", new)))[0] == (200 if how == "rotated" else 401)


async def test_a_client_with_a_secret_cannot_use_a_key(platform: Platform) -> None:
    await platform.clients.add_with_secret("hall", "大厅", ["*"])
    status, body = await ask_token(platform, signed(platform, iss="hall", sub="hall"))
    assert (status, body["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "root"}, 400, "invalid_scope"),
        ({"client_assertion_type": "other"}, 400, "invalid_request"),
        ({"client_assertion": "a.b.c"}, 401, "invalid_client"),
        ({"client_assertion": "x" * 9000}, 401, "invalid_client"),
        ({"client_id": "narrow"}, 401, "invalid_client"),
    ],
)
async def test_a_token_request_that_is_wrong_gets_the_error_of_rfc_6749(
    platform: Platform, form: dict[str, str], status: int, error: str
) -> None:
    whole = (signed(platform) | form) if form else GRANT
    if "scope" in form:
        whole |= {"client_assertion": signed(platform, iss="narrow", sub="narrow")["client_assertion"]}
        jwks = {"keys": [dict(platform.key.verification_key.jwk)]}
        await platform.clients.remove("narrow")
        await platform.clients.add_with_keys("narrow", "", ["services.get"], jwks)
        await platform.directory.refresh_once()
    found, body = await ask_token(platform, whole)
    assert (found, body["error"]) == (status, error)


async def test_a_form_that_cannot_be_read(platform: Platform) -> None:
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    for data, headers in (
        ("grant_type=client_credentials&grant_type=x", typed),
        ("grant_type=%ff", typed),
        ("&".join(f"a{i}=1" for i in range(50)), typed),
        ('{"grant_type": "client_credentials"}', {"Content-Type": "application/json"}),
    ):
        status, body = await ask_token(platform, data, **headers)
        assert (status, body["error"]) == (400, "invalid_request")
    status, _, problem = await platform.send("POST", "/oauth/token", data="a" * 20_000, headers=typed)
    assert (status, problem["code"]) == (413, "own.too_large")


async def test_authenticating_twice_is_refused(platform: Platform) -> None:
    status, body = await ask_token(platform, signed(platform), **basic("portal", "x"))
    assert (status, body["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic YQ==", "Bearer x", "Basic /w=="])
async def test_an_authorization_header_that_cannot_be_read(platform: Platform, header: str) -> None:
    status, body = await ask_token(platform, GRANT, Authorization=header)
    assert (status, body["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": None},
        {"sub": "narrow"},
        {"exp": None},
        {"exp": 1},
        {"exp": 99_999_999_999},
        {"exp": "soon"},
        {"iat": None},
        {"iat": 1},
        {"iat": 99_999_999_999},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": ["a"]},
        {"jti": "a\0b"},
        {"jti": "a" * 257},
        {"nbf": 99_999_999_999},
    ],
)
async def test_an_assertion_that_is_not_right_proves_nothing(
    platform: Platform, changes: dict[str, Any]
) -> None:
    status, body = await ask_token(platform, signed(platform, **changes))
    assert (status, body["error"]) == (401, "invalid_client")


async def test_an_assertion_may_be_for_the_token_endpoint(platform: Platform) -> None:
    status, _ = await ask_token(platform, signed(platform, aud=[f"{ISSUER}/oauth/token"]))
    assert status == 200


async def test_an_assertion_is_good_once(platform: Platform) -> None:
    form = signed(platform)
    assert (await ask_token(platform, form))[0] == 200
    status, body = await ask_token(platform, form)
    assert (status, body["error"], body["error_description"]) == (
        401,
        "invalid_client",
        "jti must be new each time",
    )


async def test_an_assertion_signed_by_another_key_or_by_none(platform: Platform) -> None:
    status, body = await ask_token(platform, signed(platform, SigningKey.generate()))
    assert (status, body["error"]) == (401, "invalid_client")
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    unsigned = signed(platform)["client_assertion"].split(".")
    for token in (f"{head}.{unsigned[1]}.", f"{head}.{unsigned[1]}.{unsigned[2]}"):
        status, body = await ask_token(platform, signed(platform) | {"client_assertion": token})
        assert (status, body["error"]) == (401, "invalid_client")


async def test_a_request_without_a_token(platform: Platform) -> None:
    status, headers, problem = await platform.send("GET", "/v1/peers", headers={})
    assert (status, problem["code"]) == (401, "own.unauthenticated")
    assert headers["WWW-Authenticate"] == 'Bearer realm="platform"'


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer " + "x" * 8000]
)
async def test_what_is_no_token(platform: Platform, header: str) -> None:
    status, headers, problem = await platform.send("GET", "/v1/peers", headers={"Authorization": header})
    assert (status, problem["code"]) == (401, "own.unauthenticated")
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]


async def test_an_expired_token_is_said_to_be_expired(platform: Platform) -> None:
    token = platform.token()
    assert (await platform.send("GET", "/v1/peers", headers=token))[0] == 200
    platform.clock.advance(minutes=10)
    status, headers, problem = await platform.send("GET", "/v1/peers", headers=token)
    assert (status, problem["code"]) == (401, "own.token_expired")
    assert "expired" in headers["WWW-Authenticate"]


def foreign(platform: Platform, typ: str = "at+jwt", key: SigningKey | None = None, **changes: Any) -> str:
    now_s = int(platform.clock.now().timestamp())
    whole = {"iss": ISSUER, "aud": ISSUER, "client_id": "portal", "scope": "*", "exp": now_s + 60}
    return sign_token(whole | changes, key or platform.key, typ=typ)


@pytest.mark.parametrize(
    ("typ", "changes"),
    [
        ("JWT", {}),
        ("at+jwt", {"iss": "https://other.example"}),
        ("at+jwt", {"aud": "https://other.example"}),
        ("at+jwt", {"client_id": None}),
        ("at+jwt", {"exp": None}),
        ("at+jwt", {"exp": True}),
    ],
)
async def test_a_token_of_this_node_for_something_else(
    platform: Platform, typ: str, changes: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {foreign(platform, typ, **changes)}"}
    status, _, problem = await platform.send("GET", "/v1/peers", headers=headers)
    assert (status, problem["code"]) in ((401, "own.unauthenticated"), (401, "own.token_expired"))


@pytest.mark.parametrize("cnf", [{"jkt": "x" * 43}, {"x5t#S256": "x" * 43}, {}, None])
async def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(platform: Platform, cnf: object) -> None:
    good = {"Authorization": f"Bearer {foreign(platform)}"}
    assert (await platform.send("GET", "/v1/peers", headers=good))[0] == 200
    bound = {"Authorization": f"Bearer {foreign(platform, cnf=cnf)}"}
    status, headers, problem = await platform.send("GET", "/v1/peers", headers=bound)
    assert (status, problem["code"]) == (401, "own.unauthenticated")
    assert "bound to a key" in problem["detail"]
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]


async def test_a_token_signed_by_another(platform: Platform) -> None:
    headers = {"Authorization": f"Bearer {foreign(platform, key=SigningKey.generate())}"}
    status, _, problem = await platform.send("GET", "/v1/peers", headers=headers)
    assert (status, problem["code"]) == (401, "own.unauthenticated")


async def test_a_disabled_client_is_refused_though_its_token_is_good(platform: Platform) -> None:
    token = platform.token()
    assert (await platform.send("GET", "/v1/peers", headers=token))[0] == 200
    await platform.clients.disable("portal")
    await platform.directory.refresh_once()
    status, _, problem = await platform.send("GET", "/v1/peers", headers=token)
    assert (status, problem["code"]) == (401, "own.unauthenticated")
    assert (await ask_token(platform, signed(platform)))[0] == 401


async def test_a_right_is_needed_of_the_client_and_of_its_token(platform: Platform) -> None:
    for token in (platform.token("narrow"), platform.token("portal", "services.search")):
        status, _, problem = await platform.send(
            "POST", "/v1/certificates/query", json=platform.query(), headers=token
        )
        assert (status, problem["code"]) == (403, "own.forbidden")
    assert not platform.own.journal.records


async def test_the_metadata_says_what_there_is(platform: Platform) -> None:
    status, _, metadata = await platform.send("GET", "/.well-known/oauth-authorization-server", headers={})
    assert (status, metadata["issuer"]) == (200, ISSUER)
    assert metadata["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert set(metadata["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "private_key_jwt",
    }
