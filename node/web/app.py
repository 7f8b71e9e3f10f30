"""The public listener: what this node says about itself to everyone, and a page for people.

Nothing here asks who is calling, so nothing here is anyone's secret.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from federation.statements import StoredStatement
from node.config import NodeSection
from node.web.federation import add_entity_configuration
from node.web.mirror import add_mirror

__all__ = ["make_public_app"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
body {{ font: 1.0625rem/1.7 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 42rem; margin: 0 auto; padding: 2rem 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.3; }}
dt {{ font-weight: 600; margin-top: .8rem; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
a {{ color: #0b4f9e; }}
a:focus-visible {{ outline: 3px solid #0b4f9e; outline-offset: 2px; }}
section + section {{ border-top: 1px solid #c8c8c8; margin-top: 2rem; padding-top: 1rem; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #eee; background: #161616; }}
  a, a:focus-visible {{ color: #8fc0ff; outline-color: #8fc0ff; }}
}}
</style>
</head>
<body>
<main>
<h1>{name}</h1>
<section>
<p>这是长三角“一网通办”联邦的省级节点。办事请前往本省政务服务网；本页面向技术人员。</p>
<dl>
<dt>行政区划代码</dt><dd>{province}</dd>
<dt>实体标识</dt><dd>{entity_id}</dd>
<dt>锚</dt><dd>{anchor}</dd>
<dt>实体声明</dt><dd><a href="{statement}">{statement}</a></dd>
</dl>
</section>
<section lang="en">
<p>This is a province's node in the federation of the Yangtze Delta. For public services, please go to the
province's own portal; this page is for engineers.</p>
<dl>
<dt>Province code</dt><dd>{province}</dd>
<dt>Entity id</dt><dd>{entity_id}</dd>
<dt>Anchor</dt><dd>{anchor}</dd>
<dt>Entity configuration</dt><dd><a href="{statement}">{statement}</a></dd>
</dl>
</section>
</main>
</body>
</html>
"""


def make_public_app(
    node: NodeSection,
    anchor: str,
    configuration: Callable[[], str],
    *,
    mirrored: Callable[[str], StoredStatement | None],
) -> web.Application:
    """The application of the public listener.

    `configuration` gives the node's signed entity configuration of the moment, `mirrored` what it holds of the
    anchor's documents by path.
    """
    page = _PAGE.format(
        name=escape(node.name),
        province=escape(node.province),
        entity_id=escape(node.entity_id),
        anchor=escape(anchor),
        statement=escape(f"{node.entity_id}/.well-known/openid-federation"),
    ).encode()

    async def front_page(_request: web.Request) -> web.Response:
        return web.Response(body=page, content_type="text/html", charset="utf-8")

    app = web.Application(middlewares=[_with_headers], client_max_size=64 * 1024)
    path = urlsplit(node.entity_id).path
    app.router.add_get(f"{path}/", front_page)
    add_entity_configuration(app, configuration, path=path)
    add_mirror(app, mirrored, path=path)
    return app


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response
