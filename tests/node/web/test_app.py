from __future__ import annotations

from html.parser import HTMLParser

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from node.config import NodeSection
from node.web.app import make_public_app

NODE = NodeSection(province="330000", name="浙江省<b>节点", entity_id="https://yrd.zj.example.cn")


def app() -> web.Application:
    return make_public_app(NODE, "https://anchor.example.cn", lambda: "a.b.c", mirrored=lambda _rest: None)


async def test_the_front_page_says_which_node_this_is_in_chinese_first() -> None:
    async with TestClient(TestServer(app())) as client:
        response = await client.get("/")
        text = await response.text()
    assert response.content_type == "text/html"
    assert '<html lang="zh-CN">' in text
    assert "浙江省&lt;b&gt;节点" in text
    assert "<b>" not in text
    assert text.index("行政区划代码") < text.index("Province code")
    assert "https://yrd.zj.example.cn/.well-known/openid-federation" in text
    HTMLParser().feed(text)


async def test_every_answer_has_the_headers_also_a_missing_page() -> None:
    async with TestClient(TestServer(app())) as client:
        for path, status in (("/", 200), ("/.well-known/openid-federation", 200), ("/none", 404)):
            response = await client.get(path)
            assert response.status == status
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
