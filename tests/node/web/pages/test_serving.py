"""Pages over HTTP: headers, static files, the language and its switch."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from federation.login.model import AuthResponse, OnBehalf
from federation.login.steps import ChooserView, ConsentView, ProvinceView, Show
from node.config import NodeSection
from node.web.pages import Pages, with_headers
from node.web.pages.headers import content_policy
from node.web.pages.language import LONGEST_PATH, choose_language, is_own_path
from node.web.pages.phrases import Lang
from tests.support.page_samples import PAGES

NODE = NodeSection(province="320000", name="江苏省", entity_id="https://yrd.js.example.cn")
COOKIE = "__Host-yrd-320000-lang"
VIEW = ChooserView(
    interaction_id="4fzS",
    csrf="c5",
    number="ABCD2345",
    platform_name="平台",
    provinces=(ProvinceView(code="310000", name="上海市"),),
    ui_locales=("en",),
)
CONSENT = ConsentView(
    interaction_id="4fzS",
    csrf="c5",
    number="ABCD2345",
    recipient="https://yrd.ah.example.cn",
    recipient_name="安徽省",
    recipient_province="340000",
    platform=OnBehalf("portal", "平台"),
    account_name="王伟",
    claims={"name": "王伟"},
)


def app(node: NodeSection = NODE) -> web.Application:
    pages = Pages(node)

    async def page(request: web.Request) -> web.Response:
        return pages.render(PAGES[request.match_info["name"]], request)

    async def chooser(request: web.Request) -> web.Response:
        return pages.show(request, Show(view=VIEW))

    async def consent(request: web.Request) -> web.Response:
        return pages.show(request, Show(view=CONSENT))

    async def form_post(request: web.Request) -> web.Response:
        return pages.form_post(
            request, AuthResponse("https://p.example.cn/cb", (("code", "a&b"), ("state", "s")), "form_post")
        )

    made = web.Application(middlewares=[with_headers(node.entity_id)])
    pages.add_to(made)
    made.router.add_get("/page/{name}", page)
    made.router.add_get("/chooser", chooser)
    made.router.add_get("/consent", consent)
    made.router.add_get("/form-post", form_post)
    return made


async def test_a_page_may_not_be_stored_framed_or_told_to_others() -> None:
    async with TestClient(TestServer(app())) as client:
        response = await client.get("/page/consent")
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Language"] == "zh-CN"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Strict-Transport-Security"].startswith("max-age=63072000")
        assert (await client.get("/page/error-peer")).status == 400


async def test_only_the_form_that_sends_itself_may_run_a_script_and_none_may_be_inline() -> None:
    async with TestClient(TestServer(app())) as client:
        for name in PAGES:
            policy = (await client.get(f"/page/{name}")).headers["Content-Security-Policy"]
            assert ("script-src 'self'" in policy) == (name == "form-post")
            assert "unsafe" not in policy
            assert "default-src 'none'" in policy
            assert "base-uri 'none'" in policy
    assert "form-action 'self' https:" in content_policy()


async def test_a_node_on_plain_http_does_not_speak_of_https_only() -> None:
    node = NodeSection(
        province="320000", name="江苏省", entity_id="http://127.0.0.1:8320", allow_http_on_loopback=True
    )
    async with TestClient(TestServer(app(node))) as client:
        assert "Strict-Transport-Security" not in (await client.get("/page/me")).headers


async def test_static_files_have_their_digest_in_their_name_and_are_kept_for_ever() -> None:
    async with TestClient(TestServer(app())) as client:
        html = await (await client.get("/page/form-post")).text()
        names = set(re.findall(r"/login/static/[a-z.0-9]+", html))
        assert {name.rpartition(".")[2] for name in names} == {"css", "svg", "js"}
        for name in names:
            response = await client.get(name)
            body = await response.read()
            assert sha256(body).hexdigest()[:12] in name
            assert "immutable" in response.headers["Cache-Control"]
            assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert (await client.get("/login/static/yrd.css")).status == 404
        assert (await client.get("/login/static/..%2frender.py")).status == 404


async def test_the_switch_keeps_the_language_and_leads_back() -> None:
    async with TestClient(TestServer(app())) as client:
        html = await (await client.get("/page/me?done=x")).text()
        switch = html.partition('class="switch" href="')[2].partition('"')[0].replace("&amp;", "&")
        response = await client.get(switch, allow_redirects=False)
        assert response.status == 303
        assert response.headers["Location"] == "/page/me?done=x"
        cookie = response.cookies[COOKIE]
        assert cookie.value == "en"
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (
            True,
            True,
            "Lax",
            "/",
        )
        english = await (await client.get("/page/me", headers={"Cookie": f"{COOKIE}=en"})).text()
        assert '<html lang="en">' in english


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/%2e%2e//evil.example",
        "/a/../b",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=y",
        "/\tevil",
        "",
        "/" + "a" * LONGEST_PATH,
    ],
)
async def test_the_switch_leads_nowhere_else(target: str) -> None:
    assert not is_own_path(target, "")
    async with TestClient(TestServer(app())) as client:
        response = await client.get(
            "/login/language", params={"lang": "fr", "to": target}, allow_redirects=False
        )
        assert response.headers["Location"] == "/"
        assert not response.cookies


def test_a_path_of_another_application_on_the_host_is_not_own() -> None:
    assert is_own_path("/yrd/me", "/yrd")
    assert not is_own_path("/other/me", "/yrd")
    assert not is_own_path("/yrdx/me", "/yrd")


@pytest.mark.parametrize(
    ("cookie", "locales", "accept", "expected"),
    [
        ("", (), "", "zh"),
        ("en", ("zh",), "zh", "en"),
        ("xx", ("en-GB", "zh"), "zh", "en"),
        ("", ("fr", "zh-Hans-CN"), "en", "zh"),
        ("", (), "fr, en;q=0.8, zh;q=0.9", "zh"),
        ("", (), "en-US,en;q=0.9", "en"),
        ("", (), "fr", "zh"),
        ("", (), "en;q=0, *", "zh"),
        ("", (), "en;q=much,zh;q=", "zh"),
        ("", (), "english", "zh"),
    ],
)
def test_the_language_is_what_the_citizen_then_the_platform_then_the_browser_says(
    cookie: str, locales: tuple[str, ...], accept: str, expected: Lang
) -> None:
    assert choose_language(cookie, locales, accept) == expected


async def test_the_steps_of_a_login_are_shown_in_the_platforms_language() -> None:
    async with TestClient(TestServer(app())) as client:
        chooser = await (await client.get("/chooser")).text()
        assert '<html lang="en">' in chooser
        assert 'action="/login/i/4fzS"' in chooser
        consent = await (await client.get("/consent")).text()
        assert '<html lang="zh-CN">' in consent
        assert "王伟" in consent
        html = await (await client.get("/form-post")).text()
        assert 'action="https://p.example.cn/cb"' in html
        assert 'name="code" value="a&amp;b"' in html
