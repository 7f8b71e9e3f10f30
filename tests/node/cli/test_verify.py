"""`yrd verify` of files that were signed with SM2, on a machine that has it and on one that has not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.node.cli.conftest import Yrd
from tests.support.clock import NOON
from tests.support.evidence import ANSWERING, Exchange, World
from tests.support.sm2 import without_sm2
from trust.keys import SigningKey


async def exported(folder: Path, *, alg: str = "SM2") -> tuple[Path, Path]:
    """An evidence file whose answering node signs with `alg`, and the anchor's public keys."""
    world = World()
    world.envelope_keys[ANSWERING] = SigningKey.generate(alg)
    world.publish(NOON)
    file, anchor = folder / f"{alg}.zip", folder / f"{alg}.jwks.json"
    file.write_bytes(await world.export(Exchange(world)))
    anchor.write_text(json.dumps(world.anchor_jwks))
    return file, anchor


async def test_it_holds(tmp_path: Path, yrd: Yrd) -> None:
    file, anchor = await exported(tmp_path)
    said = yrd("verify", file, "--anchor", anchor)
    assert said.code == 0, said.err
    assert "The evidence holds" in said.out


async def test_without_sm2_it_is_not_called_broken(tmp_path: Path, yrd: Yrd) -> None:
    file, anchor = await exported(tmp_path)
    with without_sm2():
        said = yrd("verify", file, "--anchor", anchor)
    assert said.code == 1
    assert "cannot be checked on this machine: SM2 needs OpenSSL 3" in said.err
    assert "1 of 1 could not be checked" in said.err
    assert "hold" not in said.err


async def test_other_algorithms_do_not_need_it(tmp_path: Path, yrd: Yrd) -> None:
    file, anchor = await exported(tmp_path, alg="EdDSA")
    with without_sm2():
        assert yrd("verify", file, "--anchor", anchor).code == 0
