from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.enrolled import EnrolmentUnusable, read_enrolled
from tests.node.config.samples import enrolment

OWN, ANCHOR = "http://127.0.0.1:8330", "http://127.0.0.1:8300"


def mirrors(folder: Path, **more: object) -> tuple[str, ...]:
    path = folder / "enrolled.json"
    path.write_text(json.dumps({**enrolment(), **more}), "utf-8")
    return read_enrolled(path, entity_id=OWN, anchor=ANCHOR).mirrors


def test_a_bundle_may_say_who_was_a_member(tmp_path: Path) -> None:
    assert mirrors(tmp_path, mirrors=["https://node.zj.example"]) == ("https://node.zj.example",)


def test_one_of_the_first_release_does_not(tmp_path: Path) -> None:
    assert mirrors(tmp_path) == ()


@pytest.mark.parametrize("wrong", ["https://node.zj.example", [1], {"a": "b"}, None, [None]])
def test_something_else_is_no_bundle(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(EnrolmentUnusable):
        mirrors(tmp_path, mirrors=wrong)
