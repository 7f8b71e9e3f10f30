"""`yrd map reload` while 32 queries are in flight: each answer is of one version on each side, and none fails.

Both nodes change between two versions of their dialects again and again. In Zhejiang's second version 1 and 2 of
the sex are swapped; in Shanghai's the field of it has another name, and identity cards another code. So each answer
shows by its values which versions it went through, and must name these.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import mapping
from mapping.translate import load_dialect
from node.control import CommandRefused
from tests.bench.chains import ANSWERING, ASKING
from tests.support.federation import RunningNode, command
from tests.support.load import Load, Pair
from tests.support.two_nodes import TwoNodes, found

pytestmark = pytest.mark.journey

DIALECTS = Path(mapping.__file__).parent / "dialects"
SWAPPED = """\
source,source_label,relation,target,valid_from,valid_to,direction,preferred_reverse,note,source_of_claim,author,reviewer
1,女,exact,2,,,both,,,a test,yrd,yrd
2,男,exact,1,,,both,,,a test,yrd,yrd
0,未知的性别,exact,0,,,both,,,a test,yrd,yrd
9,未说明的性别,exact,9,,,both,,,a test,yrd,yrd
"""


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def of_shanghai(folder: Path) -> dict[str, Path]:
    """Both versions of Shanghai's dialect."""
    one, two = (Path(shutil.copytree(DIALECTS / ASKING, folder / f"{ASKING}-{number}")) for number in (1, 2))
    edit(two / "dialect.toml", 'version = "2026.2"\n', 'version = "2026.8"\n')
    edit(two / "fields.csv", "居民身份证,,sex,性别", "居民身份证,,xb,性别")
    card = load_dialect(ASKING).code_to_shared("certificate_type", "居民身份证").value
    with (two / "maps" / "certificate_type.csv").open("a", encoding="utf-8") as rows:
        rows.write(f"身份证,身份证,exact,{card},,,both,yes,,a test,yrd,yrd\n")
    return {"310000@2026.2": one, "310000@2026.8": two}


def of_zhejiang(folder: Path) -> dict[str, Path]:
    """Both versions of Zhejiang's dialect."""
    one, two = (
        Path(shutil.copytree(DIALECTS / ANSWERING, folder / f"{ANSWERING}-{number}")) for number in (1, 2)
    )
    edit(two / "dialect.toml", 'version = "2026.2"\n', 'version = "2026.9"\n')
    edit(two / "dialect.toml", '[maps.sex]\nlist = "sex"\ncolumn = "code"\n', '[maps.sex]\nlist = "sex"\n')
    (two / "maps" / "sex.csv").write_text(SWAPPED, "utf-8")
    return {"330000@2026.2": one, "330000@2026.9": two}


@dataclass
class Answers:
    """Looks into every answer, and keeps which pairs of versions there were."""

    digests: Mapping[str, str]
    seen: set[tuple[str, str]] = field(default_factory=set)

    def look(self, answer: dict[str, Any]) -> None:
        """Everything in the answer is of the versions that it names."""
        for side in answer["map_sets"].values():
            assert self.digests[side["version"]] == side["digest"]
        asking, answering = (answer["map_sets"][side]["version"] for side in ("asking", "answering"))
        [card] = answer["certificates"]
        is_new = asking.endswith(".8")
        assert card["certificate_type"] == ("身份证" if is_new else "居民身份证")
        assert card["certificate_type_name"] == "居民身份证"
        assert ("xb" in card["fields"]) is is_new
        assert ("sex" in card["fields"]) is not is_new
        [sex] = [one for one in card["translation"] if one["field"] in ("sex", "xb")]
        plain = {"1": "男", "2": "女"}
        swapped = {"1": "女", "2": "男"}
        assert sex["value"] == (swapped if answering.endswith(".9") else plain)[sex["original"]]
        for one in card["translation"]:
            tables = [table.rpartition("@")[2] for table in one["table"].split(" → ") if table]
            assert set(tables) <= {asking.rpartition("@")[2], answering.rpartition("@")[2]}
            if len(tables) == 2:
                assert tables == [answering.rpartition("@")[2], asking.rpartition("@")[2]]
        self.seen.add((asking, answering))


def put(directory: Path, version: Path) -> None:
    """Make this version the files of a node's dialect."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(version, directory)


def give(config: Path, version: Path) -> Path:
    """Have a node keep its dialect in a folder of its own."""
    directory = config.with_name("dialect")
    put(directory, version)
    edit(config, "[dialect]\n", '[dialect]\ndirectory = "dialect"\n')
    return directory


async def page_of(node: RunningNode) -> str:
    """What its operations listener shows of translations."""
    async with node.http.get(f"http://{node.at.operations}/translations") as answer:
        assert answer.status == 200
        return await answer.text()


async def reload_maps(config: Path) -> str:
    """`yrd map reload`."""
    return await command("map", "reload", "--config", config)


async def test_rule_sets_change_under_load_and_no_answer_mixes_two(tmp_path: Path) -> None:
    country = await found(tmp_path, limits="deadline_s = 60\nplatform_quota_per_s = 1000000\n")
    versions = of_shanghai(tmp_path), of_zhejiang(tmp_path)
    configs = country.asking, country.answering
    folders = [give(config, next(iter(of.values()))) for config, of in zip(configs, versions, strict=True)]
    digests = {
        name: load_dialect(name[:6], path).digest.hex() for of in versions for name, path in of.items()
    }
    answers = Answers(digests)
    async with country.running() as at:
        load = Load(asker(at, answers), [(ASKING, ANSWERING)], in_flight=32)
        async with load.running():
            for turn in range(1, 9):
                for config, folder, of in zip(configs, folders, versions, strict=True):
                    name, path = list(of.items())[turn % 2 if config == country.asking else (turn // 2) % 2]
                    put(folder, path)
                    assert name in await reload_maps(config)
                    await load.more(8)
            await refused_with_faults(at, folders[1], load)
            await load.more(32)
        assert not load.failures, load.failures[:3]
        assert answers.seen == {(asking, answering) for asking in versions[0] for answering in versions[1]}
        assert "330000@2026" in await page_of(at.answering)
        await fetched_later_is_of_the_version_that_it_names(at, answers, folders[0], versions[0])


def asker(at: TwoNodes, answers: Answers) -> Any:
    """One query of the load, looked into."""

    async def ask(_pair: Pair) -> tuple[int, dict[str, Any]]:
        status, answer = await at.query()
        if status == 200:
            answers.look(answer)
        return status, answer

    return ask


async def refused_with_faults(at: TwoNodes, folder: Path, load: Load) -> None:
    """A version that does not pass its check changes nothing; all its faults are told."""
    in_force = at.answering.node.handlers["status"]
    before = (await in_force({}))["dialect"]["digest"]
    (folder / "maps" / "sex.csv").write_text(
        SWAPPED.replace("exact,2", "exact,7").replace("0,未知", "2,未知"), "utf-8"
    )
    with pytest.raises(CommandRefused) as refused:
        await reload_maps(at.country.answering)
    told = "\n".join(refused.value.faults)
    assert "7 is not in the list sex" in told
    assert "2 already leads elsewhere" in told
    await load.more(8)
    assert (await in_force({}))["dialect"]["digest"] == before


async def fetched_later_is_of_the_version_that_it_names(
    at: TwoNodes, answers: Answers, folder: Path, versions: Mapping[str, Path]
) -> None:
    """An answer that is fetched after a reload is put into the words of now, and says so."""
    status, answer = await at.query()
    assert status == 200
    other = next(name for name in versions if name != answer["map_sets"]["asking"]["version"])
    put(folder, versions[other])
    await reload_maps(at.country.asking)
    status, evidence = await at.evidence(answer["request_id"])
    assert status == 200
    assert evidence["answer"]["map_sets"]["asking"]["version"] == other
    answers.look(evidence["answer"])
