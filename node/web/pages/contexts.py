"""What each page shows. A page is one of these; whoever answers a citizen fills one and has it rendered.

Text that came from elsewhere (names of platforms, claims) stands here as it is: the templates escape everything. Times
are aware, or whole seconds since 1970 where a token says so; pages show them in Beijing time. A `Form` is where a page
posts to: each names its fields and the values that its buttons send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from federation.login.model import Agreement, OnBehalf
from federation.login.ports import PaperView
from federation.login.refusals import PageRefusal, Turn

__all__ = [
    "ChooserPage",
    "ConsentPage",
    "EndedAt",
    "ErrorPage",
    "Form",
    "FormPostPage",
    "FrontPage",
    "LogoutConfirmPage",
    "MyPage",
    "NotAskedShown",
    "Page",
    "PartyShown",
    "ProvinceChoice",
    "SessionShown",
    "SignedOutPage",
    "UseShown",
]


@dataclass(frozen=True, slots=True)
class Form:
    """Where a form posts to (a path of this node's), and the token that shows that this node made it.

    The token is sent as the field ``csrf``.
    """

    action: str
    csrf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvinceChoice:
    """A province in the chooser: its code, the name to show where the pages know none of their own."""

    code: str
    name: str
    is_away: bool = False
    """Whether it cannot be reached, or is no member just now: it is shown, but cannot be chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooserPage:
    """Which province holds the citizen's account.

    Posts ``province`` (a code), ``remember`` (``1`` when ticked), or ``decision`` = ``cancel``.
    """

    template: ClassVar[str] = "chooser.html"
    form: Form
    platform_name: str
    provinces: Sequence[ProvinceChoice]
    is_remembered: bool = False
    """Whether the box is ticked to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentPage:
    """What is handed over, to whom, for what: before it leaves the home node.

    Posts ``decision`` = ``agree`` or ``deny``. `recipient_province` is the code of the province that receives, the own
    one for an own platform. `claims` have the shared names, with the very values that would be handed over. `papers`
    are the consents that are asked for as papers.
    """

    template: ClassVar[str] = "consent.html"
    form: Form
    platform: OnBehalf
    recipient_province: str
    recipient_name: str
    claims: Mapping[str, Any]
    papers: Sequence[PaperView] = ()
    account_name: str = ""
    """The name of who is logged in, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """What happened, whose turn it is, and a number to quote, in both languages: nothing can be switched here.

    `code` chooses the texts (`problems`); one that they do not know gets those of its `turn`. `peer_name` is the home
    province, by name or code, where it is that one's turn.
    """

    template: ClassVar[str] = "error.html"
    code: str
    turn: Turn
    number: str
    detail: str = ""
    retry: str = ""
    platform_name: str = ""
    peer_name: str = ""
    status: int = 400

    @classmethod
    def of(cls, refusal: PageRefusal, *, number: str = "") -> ErrorPage:
        """The page of a refusal. `number` is in the log line too; a refusal of a login at work has that one's own."""
        return cls(
            code=refusal.code,
            turn=refusal.turn,
            number=refusal.number or number,
            detail=refusal.detail,
            retry=refusal.retry,
            platform_name=refusal.platform_name,
            peer_name=refusal.peer_name,
            status=refusal.status,
        )


@dataclass(frozen=True, slots=True)
class PartyShown:
    """A platform or a node by name; `client_id`, a platform's, stands small beneath, or alone without a name."""

    name: str
    client_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionShown:
    """A session on my page. `session` is what its button sends; `parties` are those who take part."""

    session: str
    began_at: int
    expires_at: int
    acr: str
    origin: str
    parties: Sequence[PartyShown] = ()
    is_this: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UseShown:
    """Somebody looked: a line of the record. Names are ready to be read; `operation` and `basis` are codes."""

    request_id: str
    asked_at: datetime
    asking: str
    answering: str
    operation: str
    platform: PartyShown | None = None
    certificate_types: Sequence[str] = ()
    basis: str = ""
    """``holders_consent``, ``delegated`` or ``official_duty``, as `BasisKind.word`; empty when it is not known."""
    service_item: str = ""
    case_number: str = ""
    purpose: str = ""
    outcome: Literal["answered", "refused", ""] = ""
    is_forgotten: bool = False
    """Whether the content was deleted after its time; only that it happened is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAskedShown:
    """A province whose part of the record is missing now."""

    province: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MyPage:
    """What a citizen sees of the own logins, consents, and who looked.

    Posts to `end_session` (``session``), `withdraw_agreement` (``agreement``), `withdraw_paper` (``paper``) and
    `logout`. `uses` is None where the record cannot be shown, because no citizen number is verified; `more` leads to
    older ones, empty when there are none. `done` says what was just done: ``session_ended``, ``agreement_withdrawn``,
    ``paper_withdrawn``.
    """

    template: ClassVar[str] = "me.html"
    account_name: str
    sessions: Sequence[SessionShown]
    agreements: Sequence[Agreement]
    papers: Sequence[PaperView]
    uses: Sequence[UseShown] | None
    missing: Sequence[NotAskedShown] = ()
    more: str = ""
    end_session: Form
    withdraw_agreement: Form
    withdraw_paper: Form
    logout: Form
    recipients: Mapping[str, str]
    """Names of the nodes that agreements were given to, by entity id."""
    now: datetime
    done: Literal["session_ended", "agreement_withdrawn", "paper_withdrawn", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutConfirmPage:
    """Whether to log out, where the request for it did not prove who asks. Posts ``decision`` = ``logout`` or
    ``stay``. `parties` are those who are told.
    """

    template: ClassVar[str] = "logout.html"
    form: Form
    platform_name: str = ""
    parties: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EndedAt:
    """Somebody who took part in a login, and whether its end has arrived there; `is_untold` when it never will."""

    name: str
    is_told: bool
    is_untold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOutPage:
    """What was ended. `onward` leads back to where the citizen came from: verified, or empty."""

    template: ClassVar[str] = "signed_out.html"
    ended: Sequence[EndedAt] = ()
    onward: str = ""
    platform_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPostPage:
    """An authorization response as a form (OAuth 2.0 Form Post Response Mode): to a redirect URI that was verified."""

    template: ClassVar[str] = "form_post.html"
    redirect_uri: str
    parameters: Sequence[tuple[str, str]]
    platform_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPage:
    """Which node this is, for engineers."""

    template: ClassVar[str] = "front.html"
    entity_id: str
    anchor: str
    has_login: bool = False


Page = (
    ChooserPage
    | ConsentPage
    | ErrorPage
    | MyPage
    | LogoutConfirmPage
    | SignedOutPage
    | FormPostPage
    | FrontPage
)
