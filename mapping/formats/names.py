"""How a local or shared code is named outside: a URI for each list, and the code behind it.

`base` is the namespace of whoever publishes the rule set. The default is an unregistered URN: it names, and
leads nowhere.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["DEFAULT_BASE", "escaped", "local_system", "map_set_id", "shared_system", "unescaped"]

DEFAULT_BASE = "urn:x-yrd:"
_UNSAFE = re.compile(r"[^\w.~-]", re.ASCII)


def map_set_id(base: str, province: str, version: str) -> str:
    """The name of one version of a province's rule set."""
    return f"{base}map{_separator(base)}{province}{_separator(base)}{escaped(version)}"


def local_system(base: str, province: str, map_name: str) -> str:
    """The name of a province's own list, as one of its code maps has it."""
    return f"{base}{province}{_separator(base)}{map_name}"


def shared_system(base: str, list_name: str) -> str:
    """The name of a shared list."""
    return f"{base}shared{_separator(base)}{list_name}"


def _separator(base: str) -> str:
    return ":" if base.startswith("urn:") else "/"


def escaped(code: str) -> str:
    """A code as the last part of a URI: what is not ASCII goes as UTF-8 in percents, since not all read IRIs."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), code)


def unescaped(text: str) -> str:
    """The opposite of `escaped`."""
    return unquote(text, errors="strict")
