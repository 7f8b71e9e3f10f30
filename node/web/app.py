"""The public listener: what this node says about itself to everyone, and a page for people.

Nothing here asks who is calling, so nothing here is anyone's secret; logging in is added where it is configured.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from federation.statements import StoredStatement
from node.config import NodeSection
from node.web.federation import add_entity_configuration
from node.web.mirror import add_mirror
from node.web.pages import FrontPage, Pages, with_headers

__all__ = ["make_public_app"]


def make_public_app(
    node: NodeSection,
    anchor: str,
    configuration: Callable[[], str],
    *,
    mirrored: Callable[[str], StoredStatement | None],
    has_login: bool = False,
) -> web.Application:
    """The application of the public listener.

    `configuration` gives the node's signed entity configuration of the moment, `mirrored` what it holds of the
    anchor's documents by path. With `has_login` the front page leads citizens to their own page.
    """
    pages = Pages(node, has_login=has_login)
    front = FrontPage(entity_id=node.entity_id, anchor=anchor, has_login=has_login)

    async def front_page(request: web.Request) -> web.Response:
        return pages.render(front, request)

    app = web.Application(middlewares=[with_headers(node.entity_id)], client_max_size=64 * 1024)
    path = urlsplit(node.entity_id).path
    app.router.add_get(f"{path}/", front_page)
    pages.add_to(app)
    add_entity_configuration(app, configuration, path=path)
    add_mirror(app, mirrored, path=path)
    return app
