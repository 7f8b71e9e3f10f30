from __future__ import annotations

from html.parser import HTMLParser

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from node.config import NodeSection
from node.web.app import make_public_app

NODE = NodeSection(province="330000", name="浙江省<b>节点", entity_id="https://yrd.zj.example.cn")
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
ENGLISH = {"Accept-Language": "en-GB"}


def app(*, has_login: bool = False) -> web.Application:
    return make_public_app(
        NODE, "https://anchor.example.cn", lambda: "a.b.c", mirrored=lambda _rest: None, has_login=has_login
    )


async def test_the_front_page_says_which_node_this_is_in_chinese_first_and_in_english_when_wanted() -> None:
    async with TestClient(TestServer(app())) as client:
        response = await client.get("/")
        text = await response.text()
        english = await (await client.get("/", headers=ENGLISH)).text()
    assert response.content_type == "text/html"
    assert '<html lang="zh-CN">' in text
    assert "浙江省&lt;b&gt;节点" in text
    assert "<b>" not in text
    assert "行政区划代码" in text
    assert '<html lang="en">' in english
    assert "Province code" in english
    assert "https://yrd.zj.example.cn/.well-known/openid-federation" in text
    HTMLParser().feed(text)


async def test_the_front_page_leads_citizens_to_their_page_where_there_is_login() -> None:
    async with TestClient(TestServer(app(has_login=True))) as client:
        assert 'href="/me"' in await (await client.get("/", headers=CHINESE)).text()
    async with TestClient(TestServer(app())) as client:
        assert 'href="/me"' not in await (await client.get("/", headers=CHINESE)).text()


async def test_every_answer_has_the_headers_also_a_missing_page() -> None:
    async with TestClient(TestServer(app())) as client:
        for path, status in (("/", 200), ("/.well-known/openid-federation", 200), ("/none", 404)):
            response = await client.get(path)
            assert response.status == status
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["Strict-Transport-Security"].startswith("max-age=")
