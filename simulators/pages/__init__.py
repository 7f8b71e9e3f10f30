"""Pages of the simulated identity providers and portals: Chinese first, English beside it, no script at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["page", "see_other", "style"]

_HERE = Path(__file__).parent
_HEADERS = {
    # No form-action: browsers hold it against the redirects that follow a form, too, and those lead to other hosts.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Synthetic": "true",
}


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(name: str, *, status: int = 200, **said: Any) -> web.Response:
    """A page of this folder, filled in. Raises jinja2.UndefinedError when something of it is not said."""
    text = _environment().get_template(f"{name}.html").render(said)
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def see_other(url: str) -> web.Response:
    """Go on to another address, by GET."""
    return web.Response(status=303, headers={**_HEADERS, "Location": url})


async def style(request: web.Request) -> web.StreamResponse:
    """The style sheet of all pages."""
    return web.FileResponse(_HERE / "style.css")
