"""A dialect's data is refused with everything that is wrong with it; what is shipped is good."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

import mapping
from mapping.codelists import code_lists
from mapping.codes import build_code_converter
from mapping.element import Relation
from mapping.errors import RuleSetFaults
from mapping.rule_files import digest_of
from mapping.ruleset import CodeMap, MapRow
from mapping.translate import load_dialect
from mapping.validate import load_rule_set, rule_set_faults

SHIPPED = Path(mapping.__file__).parent / "dialects"
Change = Callable[[Path], object]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "320000", tmp_path / "dialect"))


def replaced(name: str, old: str, new: str) -> Change:
    def change(directory: Path) -> None:
        text = (directory / name).read_text("utf-8")
        assert old in text
        (directory / name).write_text(text.replace(old, new, 1), "utf-8")

    return change


def added(name: str, line: str) -> Change:
    def change(directory: Path) -> None:
        with (directory / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return change


@pytest.mark.parametrize("province", ["310000", "320000", "330000", "340000"])
def test_what_is_shipped_is_good(province: str) -> None:
    assert load_rule_set(SHIPPED / province, code_lists()).province == province


def test_a_dialect_is_loaded_from_any_directory(directory: Path) -> None:
    assert load_dialect("320000", directory).digest == load_dialect("320000").digest


def test_the_digest_covers_every_byte_and_every_name(directory: Path) -> None:
    before = digest_of(directory)
    (directory / "maps" / "sex.csv").rename(directory / "maps" / "sexes.csv")
    renamed = digest_of(directory)
    added("maps/sexes.csv", "")(directory)
    assert len({before, renamed, digest_of(directory)}) == 3


SEX = "maps/sex.csv"
FIELDS = "fields.csv"
REFUSED: list[tuple[Change, str]] = [
    (replaced("dialect.toml", 'codelists = "2026.2"', 'codelists = "2025.1"'), "written against code lists"),
    (replaced("dialect.toml", 'province = "320000"', ""), "province must be a text"),
    (replaced("dialect.toml", 'name = "', 'nmae = "'), "unknown key nmae"),
    (replaced("dialect.toml", 'list = "sex"', 'list = "sexes"'), "'sexes' does not exist"),
    (replaced("dialect.toml", 'column = "num"', 'column = "nr"'), "has no column 'nr'"),
    (replaced("dialect.toml", "[maps.sex]", "[maps.sex"), "dialect.toml"),
    (replaced("dialect.toml", 'converter = "token"', 'converter = "magic"'), "no converter 'magic'"),
    (lambda d: (d / "dialect.toml").unlink(), "dialect.toml"),
    (lambda d: (d / FIELDS).unlink(), FIELDS),
    (lambda d: (d / SEX).unlink(), "sex.csv"),
    (added("maps/shoes.csv", "a"), "not named in [maps]"),
    (replaced(SEX, "source_of_claim", "claimed_by"), "the columns must be"),
    (added(SEX, "X,,exact,7,,,both,,,me,yrd,yrd"), "7 is not in the list sex"),
    (added(SEX, "X,,similar,1,,,both,,,me,yrd,yrd"), "relation 'similar'"),
    (added(SEX, "X,,none,1,,,both,,,me,yrd,yrd"), "a row has a target, or the relation none"),
    (added(SEX, "X,,exact,,,,both,,,me,yrd,yrd"), "a row has a target, or the relation none"),
    (added(SEX, "X,,exact,1,,,sideways,,,me,yrd,yrd"), "direction 'sideways'"),
    (added(SEX, "X,,exact,1,2020-13-01,,to_shared,,,me,yrd,yrd"), "is not a day"),
    (added(SEX, "X,,exact,1,2021-01-01,2020-01-01,to_shared,,,me,yrd,yrd"), "valid_from is after valid_to"),
    (added(SEX, "X,,exact,1,,,to_shared,,,,yrd,yrd"), "source_of_claim is empty"),
    (added(SEX, "X,,exact,1,,,to_shared,,,me,,yrd"), "author is empty"),
    (added(SEX, "X,,exact,1,,,to_shared,,,me,yrd,"), "reviewer is empty"),
    (added(SEX, ",,exact,1,,,to_shared,,,me,yrd,yrd"), "source is empty"),
    (added(SEX, "M,,exact,2,,,to_shared,,,me,yrd,yrd"), "M already leads elsewhere"),
    (added(SEX, "X,,exact,1,,,both,,,me,yrd,yrd"), "two ways back and none is preferred"),
    (added(SEX, "X,,exact,1,,,to_shared,yes,,me,yrd,yrd"), "preferred_reverse on a row"),
    (added(SEX, "X,,exact,1,,,both,maybe,,me,yrd,yrd"), "preferred_reverse is yes or empty"),
    (added("maps/ethnic.csv", "59,,exact,97,,,both,yes,,me,yrd,yrd"), "two preferred ways back"),
    (added(FIELDS, "员工证,,a,姓名,text,,,,"), "is no certificate type"),
    (added(FIELDS, "居民身份证,,a,血型,text,,,,"), "no shared element '血型'"),
    (added(FIELDS, "居民身份证,,a,学历,code,map=shoes,,,"), "a map of dialect.toml"),
    (added(FIELDS, "居民身份证,,a,学历,code,map=sex,,,"), "leads to sex"),
    (added(FIELDS, "居民身份证,,a,学历,code,map=education; on=姓名,,,"), "is no date field"),
    (added(FIELDS, "居民身份证,,a,学历,code,map=education,77,,"), "the default 77"),
    (added(FIELDS, "居民身份证,,a,登记日期,date,form=julian,,,"), "parameter form"),
    (added(FIELDS, "居民身份证,,a,登记日期,date,form,,,"), "is not name=value"),
    (added(FIELDS, "居民身份证,,a,登记日期,text,,,,"), "not for an element of type date"),
    (added(FIELDS, "居民身份证,,a..b,名称,text,,,,"), "empty segment"),
    (added(FIELDS, "居民身份证,,a,名称,text,,,perhaps,"), "required is yes or empty"),
    (added(FIELDS, "居民身份证,,data_fields|json.sex,名称,text,,,,"), "occurs twice"),
    (added(FIELDS, "居民身份证,,license_name.zh,名称,text,,,,"), "under a path that is a value"),
    (added(FIELDS, "居民身份证,,oid,证照标识,identifier,,,,"), "证照标识 must be told in one way"),
    (added(FIELDS, "居民身份证,家庭成员,a,姓名,text,,,,"), "no list field for the group"),
    (
        replaced(
            FIELDS, "居民身份证,,data_fields|json.nation,民族", "居民户口簿,,data_fields|json.nation,民族"
        ),
        "居民身份证 does not cover 民族",
    ),
    # several fields, parts of a field, arrays, second places
    (added(FIELDS, "居民身份证,,a+b,名称,text,,,,"), "join is for several fields"),
    (added(FIELDS, "居民身份证,,a,名称,text,join=-,,,"), "join is for several fields"),
    (added(FIELDS, "居民身份证,,a++b,名称,text,join=-,,,"), "empty segment"),
    (added(FIELDS, "居民身份证,,a+b,登记日期,date,join='',,,"), "need something between them"),
    (added(FIELDS, "居民身份证,,a+b,名称,text,join=-; list=、,,,"), "do not go together"),
    (added(FIELDS, "居民身份证,,a|json,名称,text,list=、,,,"), "do not go together"),
    (added(FIELDS, "居民身份证,,a,名称,text,list='',,,"), "list is for texts"),
    (added(FIELDS, "居民身份证,,a,登记日期,date,list=、,,,"), "list is for texts"),
    (added(FIELDS, "居民身份证,,a,名称,text,part=1/2,,,"), "part and split go together"),
    (added(FIELDS, "居民身份证,,a,名称,text,part=3/2; split=-,,,"), "part '3/2' is not n/m"),
    (added(FIELDS, "居民身份证,,a,名称,text,part=1/2; split=-,,,"), "the parts of a are 1/2"),
    (added(FIELDS, "居民身份证,,a,名称,text,way=back,,,"), "way is 'back'"),
    (added(FIELDS, "居民身份证,,a,姓名,text,,,,"), "element 姓名 occurs twice"),
    (added(FIELDS, "居民身份证,,a,姓名,text,way=to_shared,甲,,"), "a second place has no default"),
    (added(FIELDS, "居民身份证,,other.sex,名称,text,,,,"), "leaf sex occurs twice"),
    (added(FIELDS, "居民身份证,,a,名称,text,on=颁发日期,,,"), "on is for code and division"),
    (added(FIELDS, "居民户口簿,家庭成员,a,家庭成员,group,,,,"), "holds itself (a cycle)"),
    (added(FIELDS, "居民身份证,,a,名称,group,,,,"), "converter group is for group elements"),
    (added(FIELDS, "社会保障卡,,a,出生地,division,forward=today,,,"), "forward needs the day"),
    (added(FIELDS, "社会保障卡,,a,出生地,division,forward=tomorrow,,,"), "parameter forward is 'tomorrow'"),
    # drift, validity, the way back
    (replaced("dialect.toml", 'list = "sex"', 'list = "sex"\nversion = "2020"'), "written against sex 2020"),
    (replaced("dialect.toml", 'list = "sex"', 'list = "sex"\nversoin = "2020"'), "unknown key versoin"),
    (replaced(SEX, "M,Male,exact,1,,,both", "M,Male,exact,1,,,to_shared"), "reverse does not exist"),
    (
        lambda d: (
            replaced(SEX, "M,Male,exact,1,,,both,,", "M,Male,related,1,,,to_local,,")(d),
            replaced(SEX, "F,Female,exact,2,,,both,,", "F,Female,related,2,,,to_local,,")(d),
            added(SEX, "M,,related,2,,,to_shared,,,me,yrd,yrd")(d),
            added(SEX, "F,,related,1,,,to_shared,,,me,yrd,yrd")(d),
        ),
        "never comes to rest (a cycle)",
    ),
]


@pytest.mark.parametrize(("change", "fault"), REFUSED, ids=[fault for _, fault in REFUSED])
def test_bad_data_is_refused(directory: Path, change: Change, fault: str) -> None:
    change(directory)
    with pytest.raises(RuleSetFaults) as refused:
        load_dialect("320000", directory)
    assert any(fault in line for line in refused.value.faults), refused.value.faults


def test_all_faults_are_told_at_once_with_their_lines(directory: Path) -> None:
    added(SEX, "X,,exact,7,,,both,,,me,yrd,yrd")(directory)
    added(FIELDS, "居民身份证,,a,血型,text,,,,")(directory)
    with pytest.raises(RuleSetFaults) as refused:
        load_dialect("320000", directory)
    assert any(line.startswith("maps/sex.csv line 6, target: ") for line in refused.value.faults)
    assert any(line.startswith("fields.csv line ") for line in refused.value.faults)


# --- code maps by day -------------------------------------------------------------------------------


def row(source: str, relation: Relation | None, target: str, since: str = "", until: str = "") -> MapRow:
    return MapRow(source, relation, target, since, until, "both", preferred=False, where="here")


def test_a_code_means_what_it_meant_on_the_day() -> None:
    rows = (
        row("21", Relation.BROADER, "20", until="2003-11-30"),
        row("21", Relation.EXACT, "21", since="2003-12-01"),
    )
    converter = build_code_converter(CodeMap("marital", "marital", rows), "1")
    assert converter.read("21", "1999-01-01") == ("20", Relation.BROADER)
    assert converter.read("21", "2003-11-30") == ("20", Relation.BROADER)
    assert converter.read("21", "2003-12-01") == ("21", Relation.EXACT)
    assert converter.read("21", "") == ("21", Relation.UNMAPPED)
    assert converter.write("21", "1999-01-01") == ("21", Relation.UNMAPPED)
    assert converter.write("20", "1999-01-01") == ("21", Relation.NARROWER)
    assert "21" not in converter.known


def test_a_row_leads_to_a_code_that_is_valid_while_the_row_is() -> None:
    lists = code_lists()
    ended = lists.get("sex").with_validity({"1": (None, date(2003, 11, 30))})
    rules = load_rule_set(SHIPPED / "320000", lists)
    late = replace(rules.maps["sex"].rows[0], valid_from="2010-01-01")
    changed = replace(rules, maps={**rules.maps, "sex": CodeMap("sex", "sex", (late,))})
    older = replace(lists, lists={**lists.lists, "sex": ended})
    faults = rule_set_faults(changed, lists.version, older)
    assert any("1 is not valid in sex while the row is" in fault for fault in faults)


def test_every_fault_names_its_place_and_what_to_do(directory: Path) -> None:
    for change, _ in REFUSED[15:]:
        shutil.rmtree(directory)
        shutil.copytree(SHIPPED / "320000", directory)
        change(directory)
        with pytest.raises(RuleSetFaults) as refused:
            load_dialect("320000", directory)
        for fault in refused.value.faults:
            assert re.match(r"(maps/\w+\.csv|fields\.csv|dialect\.toml)( line \d+)?, [^:]+: .+", fault), fault


def test_a_code_with_no_target_is_carried() -> None:
    converter = build_code_converter(CodeMap("education", "education", (row("90", None, ""),)), "1")
    assert converter.read("90", "") == ("90", Relation.UNMAPPED)
    assert converter.write("90", "") == ("90", Relation.UNMAPPED)
