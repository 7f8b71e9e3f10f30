"""In which language a page is: as the citizen switched to, else as the platform asked for, else as the browser says,
else Chinese.

The switch is a link to ``/login/language``, which keeps the choice in a cookie and leads back to a page of this node:
to a path that begins with the node's own and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.web.pages.phrases import LANGUAGES, Lang

__all__ = ["LONGEST_PATH", "choose_language", "is_own_path"]

LONGEST_PATH: Final = 2048
"""Characters of a path that the switch leads back to."""
_MOST_RANGES: Final = 20


def choose_language(cookie: str, ui_locales: Sequence[str], accept_language: str) -> Lang:
    """The language of a page."""
    for lang in LANGUAGES:
        if cookie == lang:
            return lang
    return _first(ui_locales) or _first(_ranges(accept_language)) or "zh"


def _first(tags: Iterable[str]) -> Lang | None:
    """The first tag that is of a language that the pages have (RFC 4647 §3.4: by its first part)."""
    for tag in tags:
        primary = tag.strip().lower().partition("-")[0]
        for lang in LANGUAGES:
            if primary == lang:
                return lang
    return None


def _ranges(accept_language: str) -> list[str]:
    """The ranges of an Accept-Language header, the most wanted first (RFC 9110 §12.5.4)."""
    weighed: list[tuple[float, str]] = []
    for part in accept_language.split(",")[:_MOST_RANGES]:
        tag, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            weight = float(value) if name.strip().lower() == "q" else 1.0
        except ValueError:
            weight = 0.0
        if 0 < weight <= 1:
            weighed.append((weight, tag))
    return [tag for _weight, tag in sorted(weighed, key=lambda one: -one[0])]


def is_own_path(target: str, base: str) -> bool:
    """Whether a target is a path of this node's, whatever a browser makes of it: no other host, no control character,
    no backslash (which browsers read as a slash), no way up.
    """
    if len(target) > LONGEST_PATH or not target.startswith(f"{base}/") or target.startswith("//"):
        return False
    path = target.partition("?")[0].partition("#")[0].lower().replace("%2e", ".")
    return (
        all("!" <= char <= "~" and char != "\\" for char in target) and ".." not in path and "//" not in path
    )
