"""`docs/conformance.md` says of each test case what the tests show, and of none what they do not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(oidcc-[a-z0-9-]+)` \| (yes|refused|not offered|\*\*no\*\*) \|", re.MULTILINE)
_CASE = re.compile(r'^@CASES\.add\("(oidcc-[a-z0-9-]+)"\)', re.MULTILINE)
_BY_OTHER_TESTS = {"oidcc-codereuse-30seconds"}


def test_each_case_that_holds_has_its_test() -> None:
    rows = _ROW.findall((ROOT / "docs/conformance.md").read_text("utf-8"))
    said = dict(rows)
    assert len(said) == len(rows), "a case stands in the table twice"
    shown = {
        name
        for file in ("test_login_conformance.py", "test_logout_conformance.py")
        for name in _CASE.findall((ROOT / "tests/journeys" / file).read_text("utf-8"))
    }
    assert shown | _BY_OTHER_TESTS == {name for name, holds in rows if holds in ("yes", "refused")}
    assert len(said) == 38 + 11 + 2, "the cases of the plans"
