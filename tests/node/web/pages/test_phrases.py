"""The texts and the code agree: every phrase is used, every one that is asked for is there, every refusal is known."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import node.web.pages.phrases as table
from federation.login.refusals import Turn
from node.web.pages.phrases import PHRASES
from node.web.pages.problems import BY_TURN, PROBLEMS

ROOT = Path(__file__).resolve().parents[4]
TEMPLATES = sorted((ROOT / "node" / "web" / "pages" / "templates").glob("*.html"))
COMPOSED = ("me.done.", "basis.", "outcome.")
"""Keys that a template puts together."""
TOLD_BY_TURN = frozenset({"login.bad_request", "login.internal"})
"""Refusals of which only whose turn it is helps the citizen."""


def asked_for() -> set[str]:
    """Every text in the templates and the code of the pages that is a key of the table."""
    sources = [*TEMPLATES, *(ROOT / "node" / "web" / "pages").glob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources if path.name != "phrases.py")
    return {one or other for one, other in re.findall(r"\"([a-z][a-z0-9_.]*)\"|'([a-z][a-z0-9_.]*)'", text)}


def test_every_phrase_is_used() -> None:
    sections = {f"me.{part}" for part in ("uses", "papers", "agreements", "sessions")}
    unused = set(PHRASES) - asked_for() - sections
    assert {key for key in unused if not key.startswith(COMPOSED)} == set()


def test_every_phrase_that_is_said_is_in_the_table() -> None:
    said = set()
    for path in TEMPLATES:
        said |= set(
            re.findall(r"say(?:_in)?\((?:which, )?[\"']([a-z0-9_.]+)[\"'](?! ~)", path.read_text("utf-8"))
        )
    assert said - set(PHRASES) - set(COMPOSED) - {"me."} == set()


@pytest.mark.parametrize("key", PHRASES)
def test_both_languages_have_the_same_blanks(key: str) -> None:
    chinese, english = (blanks(text) for text in PHRASES[key])
    assert chinese == english


def blanks(text: str) -> set[str | None]:
    return {name for _text, name, _spec, _conversion in Formatter().parse(text) if name is not None}


def test_every_turn_and_every_error_has_both_languages() -> None:
    assert set(BY_TURN) == set(Turn)
    for problem in [*BY_TURN.values(), *PROBLEMS.values()]:
        for text in (problem.zh, problem.en):
            assert text.title
            assert text.happened
            assert text.now
            assert blanks(text.title + text.happened + text.now) <= {"platform", "peer", "Platform", "Peer"}


def test_every_refusal_that_a_citizen_may_read_is_told() -> None:
    """Codes are written where a page is refused; one that is put together there is left out."""
    codes = set()
    for folder in ("federation/login", "node/web/login", "node/web/oidc"):
        for path in (ROOT / folder).glob("*.py"):
            codes |= refused_in(ast.parse(path.read_text("utf-8")))
    assert codes
    assert codes - set(PROBLEMS) == TOLD_BY_TURN & codes


def refused_in(tree: ast.AST) -> set[str]:
    """The first argument of each call that makes a refusal for the citizen."""
    found = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in ("PageRefusal", "page_refusal", "_on_page"):
                found.add(str(call.args[0].value))
    return found


def test_the_words_of_levels_are_those_of_the_model() -> None:
    from federation.login.model import LEVELS

    assert tuple(table.LEVEL_WORDS) == LEVELS
