from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from node.cli import cli
from node.config import Config

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")
OWN_FILE = re.compile(r"`((?:node|trust|federation|mapping|simulators|tests)/[\w/.-]+\.py)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in LINK.findall(text) if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in OWN_FILE.findall(text) if not (ROOT / name).exists()] == []


def test_every_setting_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "operating.md").read_text("utf-8")
    for name, field in Config.model_fields.items():
        if name in ("path", "registry"):
            continue
        assert f"`[{name}]`" in manual
        kinds = get_args(field.annotation) or (field.annotation,)
        (section,) = [kind for kind in kinds if hasattr(kind, "model_fields")]
        for setting in section.model_fields:
            assert f"`{setting}`" in manual, f"{name}.{setting}"


def test_every_command_that_is_shown_exists() -> None:
    import click

    shown = set()
    for page in PAGES:
        shown |= set(re.findall(r"\byrd ([a-z][a-z-]+)", page.read_text("utf-8")))
    context = click.Context(cli)
    known = set(cli.list_commands(context))
    assert shown - known == set()


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where it is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_heading_that_is_linked_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text("utf-8"))
    assert [
        f"{name}#{slug}" for name, slug in links if slug not in slugs(page.parent / name if name else page)
    ] == []
