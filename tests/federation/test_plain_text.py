"""What others wrote, shown: it steers no terminal, and on a page it neither hides nor turns round."""

from __future__ import annotations

import pytest

from federation.evidence_page import render_exchange
from federation.evidence_summary import FileSummary, summarize
from federation.plain_text import escape, plain
from federation.query import Basis, BasisKind
from tests.support.evidence import Exchange, World, only


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("核验婚姻状况", "核验婚姻状况"),
        ("a\u3000b c", "a\u3000b c"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("x\u202ey", "x\\x202ey"),
        ("x\u2066y\u2069z\u200f", "x\\x2066y\\x2069z\\x200f"),
        ("\u200b\ufeff\u00ad", "\\x200b\\xfeff\\xad"),
        ("a\nb\x1b[2J\x00", "a\\x0ab\\x1b[2J\\x00"),
        ("\udc80", "\\xdc80"),
        ("\u2028<", "\\x2028&lt;"),
    ],
    ids=["words", "spaces", "markup", "turned", "isolated", "nothing", "controls", "half", "line"],
)
def test_on_a_page_everything_is_seen_in_its_order(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_on_a_terminal_spaces_of_other_widths_are_told_too() -> None:
    assert plain("a\u3000b\u202e") == "a\\x3000b\\x202e"


async def test_a_page_of_evidence_shows_what_a_platform_hid_in_its_purpose(world: World) -> None:
    basis = Basis(BasisKind.OFFICIAL_DUTY, "出生\u2067一件事", "", "沪\u202e-1", "\u202e核验")
    report = only(await world.export(Exchange(world, request_says={"basis": basis})), world.anchor_jwks)
    file = FileSummary(report.exported_by, report.exported_at, "exchange", report.anchor)
    page = render_exchange("a\u202efile.zip", file, summarize(report))
    assert page.isprintable()
    for told in ("出生\\x2067一件事", "沪\\x202e-1", "\\x202e核验", "a\\x202efile.zip"):
        assert told in page
