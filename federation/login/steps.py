"""What a login does next, and what its pages show. The listener turns a step into an HTTP answer.

The texts of the pages are not here: a view has data, and names that are ready to be read where they are somebody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from federation.login.model import AuthRequest, AuthResponse, OnBehalf
from federation.login.ports import PaperView

__all__ = [
    "ChooserView",
    "ConsentView",
    "GoTo",
    "LoginFlow",
    "ProvinceView",
    "Respond",
    "Show",
    "Step",
    "Visitor",
]


class Visitor(Struct, frozen=True, kw_only=True):
    """The browser that asks, by its cookies: all of it is the browser's word. `browser` is never empty where a page
    is shown; `province` is the remembered one. `sender` is the network that it asks from.
    """

    browser: str = ""
    session: str = ""
    province: str = ""
    sender: str = ""


class ProvinceView(Struct, frozen=True, kw_only=True):
    """A home province to choose. `name` is that of its node; `is_away` when that cannot be used now."""

    code: str
    name: str
    is_away: bool = False


class ChooserView(Struct, frozen=True, kw_only=True):
    """The page that asks for the home province. Its form posts `csrf` and either `province`, with `remember` = 1 when
    ticked, or `decision` = cancel.
    """

    interaction_id: str
    csrf: str
    number: str
    platform_name: str
    provinces: tuple[ProvinceView, ...]
    is_remembered: bool = False
    ui_locales: tuple[str, ...] = ()
    """The languages that the platform asked for."""


class ConsentView(Struct, frozen=True, kw_only=True):
    """The page that asks the citizen to agree. Its form posts `csrf` and `decision` = agree or deny.

    `recipient` is the visited node's entity id, or this node's for an own platform. `claims` have the shared names and
    the very values that would be handed over. What was agreed is remembered until it is withdrawn, except for
    `papers`: they are asked for each time.
    """

    interaction_id: str
    csrf: str
    number: str
    recipient: str
    recipient_name: str
    recipient_province: str
    platform: OnBehalf
    account_name: str
    claims: dict[str, Any]
    papers: tuple[PaperView, ...] = ()
    ui_locales: tuple[str, ...] = ()
    """The languages that the platform asked for."""


class GoTo(Struct, frozen=True, kw_only=True):
    """Send the browser to a URL. `session` is the token of a new session for its cookie, `province` the home
    province to remember; empty: leave these cookies as they are.
    """

    url: str
    session: str = ""
    province: str = ""


class Respond(Struct, frozen=True, kw_only=True):
    """The login is over: answer the client through the browser. `session` as in `GoTo`."""

    response: AuthResponse
    session: str = ""


class Show(Struct, frozen=True, kw_only=True):
    """Show a page."""

    view: ChooserView | ConsentView


Step = GoTo | Respond | Show


class LoginFlow(Protocol):
    """From a checked authorization request to its answer. Each method raises PageRefusal (nobody but the citizen can
    do something about it), OwnStoreUnavailable and OwnBusy; what the client is to be told is a `Respond`.
    """

    async def begin(self, request: AuthRequest, visitor: Visitor) -> Step:
        """The first step. Without `visitor.browser` (a cross-site POST brings no cookies) it is always a GoTo."""
        ...

    async def show(self, interaction_id: str, visitor: Visitor) -> Step:
        """The step at which a login stands: after a redirect, a reload, or "back"."""
        ...

    async def act(self, interaction_id: str, form: Mapping[str, str], visitor: Visitor) -> Step:
        """Take a form of one of its pages. Raises PageRefusal for a wrong `csrf`."""
        ...

    async def callback(self, parameters: Mapping[str, str], visitor: Visitor) -> Step:
        """Take the answer of a home node or of the identity provider (RFC 6749 §4.1.2, RFC 9207)."""
        ...
