"""How a login is refused: by an OAuth error, to whoever asked, or by a page, to the citizen.

An `OAuthRefusal` reaches the client: as an answer of an endpoint, or through the citizen's browser at a redirect URI
that was verified. A `PageRefusal` reaches the citizen alone, where there is no such URI, or where the client could do
nothing about it.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["OAuthRefusal", "PageRefusal", "Turn"]


class OAuthRefusal(Exception):
    """A refusal with a registered error code (RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 9396 §5,
    RFC 9449 §5). `description` names what was wrong and what to do, in printable ASCII without quotes or backslashes
    (RFC 6749 §5.2); never a token, a code or anything about the citizen. `status` is that of a direct answer.
    """

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class Turn(StrEnum):
    """Whose turn it is after a refusal."""

    CITIZEN = "citizen"
    PLATFORM = "platform"
    OWN_NODE = "own_node"
    PEER_NODE = "peer_node"
    IDENTITY_PROVIDER = "identity_provider"


class PageRefusal(Exception):
    """A refusal that the citizen reads. `code` chooses the texts (`login.…` in snake_case); `detail` is for the log
    and, where it helps the platform's people, shown small; `retry` is where "try again" leads, empty where
    it cannot help. `number` is the login's own, to be quoted; `platform_name` and `peer_name` are who it is about.
    `browser` is what the login is bound to by now: the browser is told, so that "try again" finds it.
    """

    number = ""
    browser = ""
    platform_name = ""
    peer_name = ""

    def __init__(
        self, code: str, *, turn: Turn, detail: str = "", status: int = 400, retry: str = ""
    ) -> None:
        super().__init__(detail or code)
        self.code = code
        self.turn = turn
        self.detail = detail
        self.status = status
        self.retry = retry
