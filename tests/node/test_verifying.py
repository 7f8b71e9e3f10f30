"""Checking many files: whatever one is made of, the others are told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import node.verifying
from federation.evidence import EvidenceVerifier
from node.verifying import Verifying, evidence_files
from tests.support.evidence import Exchange, World


async def folder_of(tmp_path: Path, world: World, files: int) -> list[Path]:
    data = await world.export(Exchange(world))
    paths = [tmp_path / f"{number}.zip" for number in range(files)]
    for path in paths:
        path.write_bytes(data)
    return paths


@pytest.mark.parametrize("step", ["_contain", "_framed", "_settle"])
async def test_what_no_check_foresees_in_one_file_is_told_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world, seen = World(), []
    paths = await folder_of(tmp_path, world, 3)
    real = getattr(EvidenceVerifier, step)

    def second_fails(self: EvidenceVerifier, what: object) -> object:
        seen.append(what)
        if len(seen) == 2:
            raise OverflowError("date value out of range")
        return real(self, what)

    monkeypatch.setattr(EvidenceVerifier, step, second_fails)
    told = list(Verifying(world.anchor_jwks, b"[]").run(paths, jobs=1))
    assert [one.holds for one in told] == [True, False, True]
    assert told[1].is_broken
    assert told[1].detail == "container: it cannot be checked: OverflowError"


async def test_a_report_that_cannot_be_made_is_told_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    paths = await folder_of(tmp_path, world, 2)

    def fails(_report: object) -> None:
        raise RecursionError

    monkeypatch.setattr(node.verifying, "summarize", fails)
    told = list(Verifying(world.anchor_jwks, b"[]").run(paths, jobs=1))
    assert [one.detail for one in told] == ["container: it cannot be checked: RecursionError"] * 2


async def test_a_file_that_cannot_be_unsealed_for_whatever_reason_is_told(tmp_path: Path) -> None:
    world = World()
    (good,) = await folder_of(tmp_path, world, 1)
    sealed = tmp_path / "a.zip.sealed"
    sealed.write_bytes(b"sealed")

    def fails(_data: bytes) -> bytes:
        raise LookupError("no such key")

    told = list(Verifying(world.anchor_jwks, b"[]", unseal=fails).run([sealed, good], jobs=1))
    assert [one.holds for one in told] == [False, True]


async def test_a_folder_that_cannot_be_listed_is_told_and_the_others_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    shut, beside = tmp_path / "a", tmp_path / "b"
    shut.mkdir()
    beside.mkdir()
    await folder_of(beside, world, 2)
    list_folder = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    told = list(Verifying(world.anchor_jwks, b"[]").run(evidence_files([tmp_path]), jobs=1))
    assert [(one.path, one.holds) for one in told if not one.holds] == [(str(shut), False)]
    assert [one.is_broken for one in told].count(True) == 1
    assert len(told) == 3
    assert "it cannot be read" in told[0].detail
