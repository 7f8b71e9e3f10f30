"""One line taken out of access.toml and `yrd reload access`: that pair is refused, and the refusal is evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.federation import command, edited
from tests.support.two_nodes import TwoNodes, found

pytestmark = pytest.mark.journey


def line_with(path: Path, words: str) -> str:
    """The one line of a file that has these words."""
    [line] = [line for line in path.read_text("utf-8").splitlines(keepends=True) if words in line]
    return line


async def exported(at: TwoNodes, request_id: str, folder: Path) -> list[Path]:
    """The evidence of both nodes, by the operators' command."""
    files = []
    for config in (at.country.asking, at.country.answering):
        files.append(folder / f"{config.parent.name}.zip")
        await command("evidence", "export", request_id, "--config", config, "--out", files[-1])
    return files


async def test_the_answering_node_refuses_the_pair_with_a_signed_answer(tmp_path: Path) -> None:
    country = await found(tmp_path)
    rules = country.answering.with_name("access.toml")
    async with country.running() as at:
        assert (await at.query())[0] == 200
        with edited(rules, line_with(rules, 'rule = "answer"'), ""):
            await command("reload", "access", "--config", country.answering)
            status, refusal = await at.query()
        assert (status, refusal["code"]) == (403, "access.denied")
        request_id = refusal["request_id"]
        assert at.asked()[-1] == (request_id, 2, "refused")
        assert at.answered()[-1] == (request_id, 4, "refused")
        status, evidence = await at.evidence(request_id)
        assert (status, evidence["state"]) == (200, "refused")

        await command("reload", "access", "--config", country.answering)
        status, answer = await at.query()
        assert (status, answer["outcome"]) == (200, "answered")
        files = await exported(at, request_id, tmp_path)
    # Nothing runs any more: what is left is the file and the anchor's public key.
    for file in files:
        told = await command("verify", file, "--anchor", country.anchor / "anchor.public.json")
        assert "存证成立" in told
        assert "access.denied" in told
        assert request_id in told


async def test_the_asking_node_refuses_its_own_platform_and_nothing_leaves(tmp_path: Path) -> None:
    country = await found(tmp_path)
    rules = country.asking.with_name("access.toml")
    async with country.running() as at:
        with edited(rules, line_with(rules, 'rule = "ask"'), ""):
            await command("reload", "access", "--config", country.asking)
            status, refusal = await at.query()
            assert (status, refusal["code"]) == (403, "access.denied")
            assert at.asked() == at.answered() == []
        await command("reload", "access", "--config", country.asking)
        assert (await at.query())[0] == 200
