"""The pages that citizens see, rendered on the server: Chinese first, English by a switch, no script needed.

Whoever answers a citizen fills one of the contexts and calls `Pages.render`. The same look for all provinces, each
with its own name; phone first. `phrases` has every sentence, `problems` what errors say, `headers` what browsers are
told, `templates/` the structure, `static/` the style sheet, the mark and the script that submits a form_post answer.
"""

from node.web.pages.contexts import (
    ChooserPage,
    ConsentPage,
    EndedAt,
    ErrorPage,
    Form,
    FormPostPage,
    FrontPage,
    LogoutConfirmPage,
    MyPage,
    NotAskedShown,
    Page,
    PartyShown,
    ProvinceChoice,
    SessionShown,
    SignedOutPage,
    UseShown,
)
from node.web.pages.headers import security_headers, with_headers
from node.web.pages.render import Pages

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
    "Pages",
    "PartyShown",
    "ProvinceChoice",
    "SessionShown",
    "SignedOutPage",
    "UseShown",
    "security_headers",
    "with_headers",
]
