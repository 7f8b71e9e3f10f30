"""The rules of the house that no tool checks: names, sizes, packaging. Each test lists what breaks one."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("node", "trust", "federation", "mapping", "simulators")
LINES_MAX = 500
TEST_LINES_MAX = 600
BANNED_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"})


def python_files(*folders: str) -> dict[str, str]:
    """Path and text of every module that people wrote."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


SOURCE = python_files(*ROOMS)
TESTS = python_files("tests")


@pytest.mark.parametrize("name", [*ROOMS, "yrd"])
def test_each_top_level_name_has_one_owner(name: str) -> None:
    """The names are generic; a dependency that brings one of them would shadow a room."""
    assert set(packages_distributions().get(name, [])) <= {"yrd-node"}


def test_proto_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "proto" / "__init__.py").exists()
    assert (ROOT / "proto" / "yrd" / "__init__.py").exists()


def test_no_file_is_called_by_what_it_is_not() -> None:
    assert [name for name in SOURCE | TESTS if BANNED_NAMES & set(name.removesuffix(".py").split("/"))] == []


def test_no_file_is_too_long_to_read() -> None:
    long = [name for name, text in SOURCE.items() if len(text.splitlines()) > LINES_MAX]
    long += [name for name, text in TESTS.items() if len(text.splitlines()) > TEST_LINES_MAX]
    assert long == []


def test_production_imports_no_tests() -> None:
    starts = ("import tests", "from tests")
    assert importing(SOURCE, starts) == []


def test_only_federation_rpc_imports_grpc_and_generated_code() -> None:
    outside = {name: text for name, text in SOURCE.items() if not name.startswith("federation/rpc/")}
    starts = ("import grpc", "from grpc", "from yrd", "import yrd", "from google.protobuf")
    assert importing(outside, starts) == []


def importing(files: dict[str, str], starts: tuple[str, ...]) -> list[str]:
    """The files with a line that begins so."""
    return [
        name
        for name, text in files.items()
        if any(line.lstrip().startswith(starts) for line in text.splitlines())
    ]


def test_every_module_says_what_lives_in_it() -> None:
    assert [name for name, text in SOURCE.items() if text and not text.lstrip().startswith('"""')] == []


def test_nothing_is_left_for_later() -> None:
    later = tuple(f"# {word}" for word in ("TO" + "DO", "FIX" + "ME", "X" * 3))
    assert [name for name, text in (SOURCE | TESTS).items() if any(word in text for word in later)] == []


def test_every_folder_of_tests_is_a_package() -> None:
    """Two test files of one name in two folders are two modules."""
    folders = {name.rpartition("/")[0] for name in TESTS if "/test_" in name}
    assert [folder for folder in folders if f"{folder}/__init__.py" not in TESTS] == []
