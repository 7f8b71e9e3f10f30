"""Style sheet, pictures and the one script, each with a digest of itself in its name: so a browser may keep them for
ever, and gets the new one with the first page that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import web

__all__ = ["STATIC_PATH", "add_static_files", "static_name"]

STATIC_PATH: Final = "/login/static"
_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA: Final = {".css": "text/css", ".svg": "image/svg+xml", ".js": "text/javascript"}
_DIGEST_CHARACTERS: Final = 12


@cache
def _files() -> Mapping[str, tuple[str, bytes]]:
    """Served name and content by file name."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        content = path.read_bytes()
        digest = sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
        found[path.name] = (f"{path.stem}.{digest}{path.suffix}", content)
    return found


def static_name(name: str) -> str:
    """The name that a file is served under. Raises KeyError when there is none."""
    return _files()[name][0]


def add_static_files(app: web.Application, *, path: str = "") -> None:
    """Serve the files below `path`."""
    contents = {served: (content, _MEDIA[Path(served).suffix]) for served, content in _files().values()}

    async def serve(request: web.Request) -> web.Response:
        if (found := contents.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        content, media = found
        return web.Response(
            body=content,
            content_type=media,
            charset="utf-8",
            headers={
                "Cache-Control": "public, max-age=31536000, immutable",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )

    app.router.add_get(f"{path}{STATIC_PATH}/{{name}}", serve)
