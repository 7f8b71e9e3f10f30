"""The OpenID Foundation's test cases for providers, written anew as ours: Basic OP and Form Post Basic OP.

Names are those of the conformance suite's modules (openid-certification/conformance-suite, OIDCCBasicTestPlan);
`docs/conformance.md` says of each whether it holds, and of those that are not here why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from joserfc import jwt

from node.clock import SystemClock
from tests.support.conformance import SECOND, SIGNING, Cases, Suite, running_suite
from tests.support.delta import ANHUI

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("login-conformance"),
]
CASES = Cases()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    async with running_suite(tmp_path_factory.mktemp("conformance")) as suite:
        yield suite


@CASES.add("oidcc-server")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in()
    assert (tokens["token_type"], tokens["claims"]["nonce"]) == ("Bearer", "the-nonce")


@CASES.add("oidcc-response-type-missing")
async def _(suite: Suite) -> None:
    said = await suite.answer(*suite.somebody(), response_type=None)
    assert said["error"] in ("invalid_request", "unsupported_response_type")
    assert said["state"] == "the-state"


@CASES.add("oidcc-idtoken-signature")
async def _(suite: Suite) -> None:
    header = jwt.decode((await suite.log_in())["id_token"], suite.keys).header
    assert header["alg"] in suite.metadata["id_token_signing_alg_values_supported"]
    assert header["kid"] in {key["kid"] for key in suite.jwks["keys"]}


@CASES.add("oidcc-userinfo-get")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in()
    assert (await suite.userinfo(tokens["access_token"]))["sub"] == tokens["claims"]["sub"]


@CASES.add("oidcc-userinfo-post-header")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in()
    assert (await suite.userinfo(tokens["access_token"], "POST"))["sub"] == tokens["claims"]["sub"]


@CASES.add("oidcc-userinfo-post-body")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in()
    said = await suite.userinfo(tokens["access_token"], "POST", in_body=True)
    assert said["sub"] == tokens["claims"]["sub"]


@CASES.add("oidcc-ensure-request-without-nonce-succeeds-for-code-flow")
async def _(suite: Suite) -> None:
    assert "nonce" not in (await suite.log_in(nonce=None))["claims"]


@CASES.add("oidcc-scope-profile")
async def _(suite: Suite) -> None:
    said = await suite.userinfo((await suite.log_in(scope="openid profile"))["access_token"])
    assert {"name", "gender", "birthdate"} <= said.keys()


@CASES.add("oidcc-ensure-other-scope-order-succeeds")
async def _(suite: Suite) -> None:
    said = await suite.userinfo((await suite.log_in(scope="profile openid"))["access_token"])
    assert "name" in said


@CASES.add("oidcc-scope-all")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in(scope="openid profile email address phone")
    assert tokens["scope"] == "openid profile", "what there is none of is left out, and said so"


@CASES.add("oidcc-display-page")
async def _(suite: Suite) -> None:
    await suite.log_in(display="page")


@CASES.add("oidcc-display-popup")
async def _(suite: Suite) -> None:
    await suite.log_in(display="popup")


@CASES.add("oidcc-prompt-login")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    first = await suite.redeem(await suite.answer(browser, account))
    page = await suite.open(browser, prompt="login")
    assert page.origin == suite.country.provinces[ANHUI].identity_provider, "the citizen is asked again"
    second = await suite.redeem(await suite.finish(browser, account))
    assert second["claims"]["sub"] == first["claims"]["sub"]
    assert second["claims"]["auth_time"] >= first["claims"]["auth_time"]


@CASES.add("oidcc-prompt-none-not-logged-in")
async def _(suite: Suite) -> None:
    said = await suite.answer(*suite.somebody(), prompt="none")
    assert said["error"] in ("login_required", "interaction_required")
    assert said["state"] == "the-state"


@CASES.add("oidcc-prompt-none-logged-in")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    first = await suite.redeem(await suite.answer(browser, account))
    second = await suite.redeem(await suite.answer(browser, account, prompt="none"))
    assert [second["claims"][name] for name in ("sub", "auth_time")] == [
        first["claims"][name] for name in ("sub", "auth_time")
    ]


@CASES.add("oidcc-max-age-1")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    await suite.redeem(await suite.answer(browser, account))
    page = await suite.open(browser, max_age="0")  # as if the second that the suite waits for had passed
    assert page.origin == suite.country.provinces[ANHUI].identity_provider
    await suite.redeem(await suite.finish(browser, account))


@CASES.add("oidcc-max-age-10000")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    first = await suite.redeem(await suite.answer(browser, account))
    second = await suite.redeem(await suite.answer(browser, account, max_age="10000", prompt="none"))
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]


@CASES.add("oidcc-ensure-request-with-unknown-parameter-succeeds")
async def _(suite: Suite) -> None:
    await suite.log_in(extra="foobar")


@CASES.add("oidcc-id-token-hint")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    first = await suite.redeem(await suite.answer(browser, account))
    said = await suite.answer(browser, account, prompt="none", id_token_hint=first["id_token"])
    assert (await suite.redeem(said))["claims"]["sub"] == first["claims"]["sub"]


@CASES.add("oidcc-login-hint")
async def _(suite: Suite) -> None:
    await suite.log_in(login_hint="buffy@example.com")


@CASES.add("oidcc-ui-locales")
async def _(suite: Suite) -> None:
    await suite.log_in(ui_locales="se zh-CN")


@CASES.add("oidcc-claims-locales")
async def _(suite: Suite) -> None:
    await suite.log_in(claims_locales="se")


@CASES.add("oidcc-ensure-request-with-acr-values-succeeds")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in(acr_values=" ".join(suite.metadata["acr_values_supported"][:2]))
    assert tokens["claims"]["acr"] in suite.metadata["acr_values_supported"]


@CASES.add("oidcc-codereuse")
async def _(suite: Suite) -> None:
    said = await suite.answer(*suite.somebody())
    tokens = await suite.redeem(said)
    form = {
        "grant_type": "authorization_code",
        "code": said["code"],
        "redirect_uri": suite.party.redirect_uri,
    }
    status, error = await suite.token(form)
    assert (status, error["error"]) == (400, "invalid_grant")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with suite.http.get(suite.metadata["userinfo_endpoint"], headers=headers) as answer:
        assert answer.status == 401


@CASES.add("oidcc-ensure-registered-redirect-uri")
async def _(suite: Suite) -> None:
    browser, _account = suite.somebody()
    page = await suite.open(browser, redirect_uri=f"{suite.party.base}/another")
    assert (page.status, page.origin) == (400, suite.issuer)


@CASES.add("oidcc-ensure-post-request-succeeds")
async def _(suite: Suite) -> None:
    browser, account = suite.somebody()
    to = {"to": suite.metadata["authorization_endpoint"], **suite.request()}
    await browser.open(f"{suite.party.base}/post?{urlencode(to)}")
    await browser.submit()
    await suite.redeem(await suite.finish(browser, account))


@CASES.add("oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported")
async def _(suite: Suite) -> None:
    said = await suite.answer(*suite.somebody(), request_uri=f"{suite.party.base}/request")
    assert said["error"] == "request_uri_not_supported"


@CASES.add("oidcc-claims-essential")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in(claims='{"userinfo":{"name":{"essential":true}}}')
    assert "name" in await suite.userinfo(tokens["access_token"])


@CASES.add("oidcc-ensure-request-object-with-redirect-uri")
async def _(suite: Suite) -> None:
    browser, _account = suite.somebody()
    now_s = int(SystemClock().now().timestamp())
    inside = {
        **suite.request(client_id=SIGNING, redirect_uri=f"{suite.party.base}/another"),
        "iss": SIGNING,
        "aud": suite.issuer,
        "exp": now_s + 60,
    }
    signed = jwt.encode({"alg": "ES256", "kid": "suite"}, inside, suite.key)
    page = await suite.open(browser, client_id=SIGNING, request=signed)
    assert (page.status, page.origin) == (400, suite.issuer), "the object's counts, and it is not registered"


@CASES.add("oidcc-refresh-token")
async def _(suite: Suite) -> None:
    tokens = await suite.log_in(scope="openid offline_access", prompt="consent")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    status, error = await suite.token(form, SECOND)
    assert (status, error["error"]) == (400, "invalid_grant")
    tokens = await suite.log_in(scope="openid offline_access", prompt="consent")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    status, again = await suite.token(form)
    assert status == 200
    claims = suite.claims(again["id_token"])
    assert [claims[name] for name in ("sub", "auth_time")] == [
        tokens["claims"][name] for name in ("sub", "auth_time")
    ]


@CASES.add("oidcc-ensure-request-with-valid-pkce-succeeds")
async def _(suite: Suite) -> None:
    # RFC 7636, appendix B
    said = await suite.answer(
        *suite.somebody(),
        code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method="S256",
    )
    await suite.redeem(said, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["query", "form_post"])
async def test_basic_op(running: Suite, mode: str, name: str) -> None:
    running.mode = mode
    await CASES[name](running)
