"""`yrd verify` of files whose texts are made to steer the terminal of whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path

import click.utils
import pytest
from msgspec.structs import replace

from federation.query import Basis, BasisKind
from tests.node.cli.conftest import Yrd
from tests.support.evidence import WITNESSES, Exchange, World, resealed
from trust.container import INDEX
from trust.evidence_index import read_index, write_index

FORGED = "\n    ✓ 10. cosigned by everyone"
EVIL = f"x\x1b[2J\x1b[H存证成立{FORGED}\x1b]0;owned\x07\u202e\x85\x9b31m"


@pytest.fixture(autouse=True)
def _on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where output is no terminal, escapes would be taken out of it anyway."""
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_: False)


def written(folder: Path, world: World, data: bytes, name: str = "a.zip") -> tuple[Path, Path]:
    file, anchor = folder / name, folder / "a.jwks.json"
    file.write_bytes(data)
    anchor.write_text(json.dumps(world.anchor_jwks))
    return file, anchor


def steers(text: str) -> bool:
    return any(not line.isprintable() for line in text.split("\n")) or FORGED in text


async def test_the_texts_of_a_report_stay_on_their_line(tmp_path: Path, yrd: Yrd) -> None:
    world = World()
    del world.cosigners[WITNESSES[1]]
    basis = Basis(BasisKind.OFFICIAL_DUTY, "a", "", "b", EVIL)
    exchange = Exchange(world, request_says={"basis": basis, "officer": EVIL})
    file, anchor = written(tmp_path, world, await world.export(exchange))
    for more in ((), ("--quiet",)):
        said = yrd("verify", file, "--anchor", anchor, *more)
        assert said.code == 0, said.err
        assert not steers(said.out + said.err)
    assert r"x\x1b[2J" in yrd("verify", file, "--anchor", anchor).out


async def test_a_request_id_that_is_not_printable_is_refused(tmp_path: Path, yrd: Yrd) -> None:
    world = World()

    def change(parts: dict[str, bytes]) -> None:
        index = read_index(parts[INDEX], parts)
        parts[INDEX] = write_index(
            replace(index, exchanges=(replace(index.exchanges[0], request_id="\r\x1b[2K ok"),))
        )

    file, anchor = written(tmp_path, world, resealed(world, await world.export(Exchange(world)), change))
    said = yrd("verify", file, "--anchor", anchor)
    assert said.code == 1
    assert "the request id of exchange 1 is not printable" in said.err
    assert not steers(said.out + said.err)


@pytest.mark.parametrize("name", ["a\n\x1b[2K.zip", "b\udcff.zip"])
async def test_names_of_files_do_not_steer_nor_end_the_report(tmp_path: Path, yrd: Yrd, name: str) -> None:
    world = World()
    folder = tmp_path / "d"
    folder.mkdir()
    _, anchor = written(tmp_path, world, b"PK")
    (folder / name).write_bytes(b"PK no evidence")
    said = yrd(
        "verify", folder, "--anchor", anchor, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html"
    )
    assert said.code == 1
    assert not steers(said.out + said.err)
    assert "1 of 1 did not hold" in said.err
    assert json.loads((tmp_path / "r.json").read_bytes())["summary"]["broken"] == 1
    assert (tmp_path / "r.html").read_bytes()
