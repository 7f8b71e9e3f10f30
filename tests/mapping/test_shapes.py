"""Several fields that are one value, parts of a field, arrays, JSON in a string, second places: there and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mapping
from mapping.element import Element, Relation
from mapping.shapes import decoded
from mapping.trace import explain_to_shared
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import days, texts
from tests.mapping.test_converters import hostile

SHIPPED = Path(mapping.__file__).parent / "dialects" / "330000"
CARD = "11100000000013127D001"
EXACT, RELATED, INVALID, UNMAPPED = (
    Relation.EXACT,
    Relation.RELATED,
    Relation.INVALID,
    Relation.UNMAPPED,
)
FACE = {"出生日期", "住址", "有效期起始日期", "有效期截止日期", "姓名", "公民身份号码"}
ROWS = (
    "居民身份证,,birth.y+m+d,出生日期,date,form=dash; join=-,,,",
    "居民身份证,,province+city+street,住址,text,join='',,,",
    "居民身份证,,period,有效期起始日期,date,form=dot; part=1/2; split=~,,,",
    "居民身份证,,period,有效期截止日期,date,form=dot; long=长期; part=2/2; split=~,,,",
    "居民身份证,,names,姓名,name,list=、,,,",
    "居民身份证,,idNo,公民身份号码,identifier,,,,",
    "居民身份证,,idNo,持证主体代码,text,way=mirror,,,",
    "居民身份证,,oldAddress,住址,text,way=to_shared,,,",
    "居民身份证,,birthTime,出生日期,date,way=to_shared,,,",
    "居民身份证,,note|json,档案编号,text,,,,",
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Dialect:
    """The dialect of 330000 with an identity card of every shape."""
    directory = Path(shutil.copytree(SHIPPED, tmp_path_factory.mktemp("dialect") / "330000"))
    fields = (directory / "fields.csv").read_text("utf-8").splitlines()
    kept = [line for line in fields if not (line.startswith("居民身份证,") and line.split(",")[3] in FACE)]
    (directory / "fields.csv").write_text("\n".join([*kept, *ROWS]) + "\n", "utf-8")
    return load_dialect("330000", directory)


def read(own: Dialect, document: Mapping[str, Any]) -> dict[str, tuple[str, Relation]]:
    return {e.name: (e.value, e.relation) for e in own.to_shared(CARD, document) if e.original}


def there_and_back(own: Dialect, document: Mapping[str, Any]) -> dict[str, Any]:
    shared = [element for element in own.to_shared(CARD, document) if element.original]
    return own.render_local(CARD, shared)


def test_year_month_and_day_are_one_date(own: Dialect) -> None:
    document = {"birth": {"y": 2020, "m": "1", "d": "2"}}
    assert read(own, document) == {"出生日期": ("2020-01-02", EXACT)}
    assert there_and_back(own, document) == {"birth": {"y": "2020", "m": "1", "d": "2"}}


def test_a_date_whose_day_is_missing_comes_back_as_it_was(own: Dialect) -> None:
    document = {"birth": {"y": "2020", "m": "1"}}
    assert read(own, document) == {"出生日期": ('{"y":"2020","m":"1"}', INVALID)}
    assert there_and_back(own, document) == document


def test_an_address_in_three_fields_is_one_and_comes_back_whole_and_related(own: Dialect) -> None:
    document = {"province": "浙江省", "city": "杭州市", "street": "延安路1号"}
    assert read(own, document) == {"住址": ("浙江省杭州市延安路1号", EXACT)}
    shared = [e for e in own.to_shared(CARD, document) if e.original]
    assert shared[0].original == '{"province":"浙江省","city":"杭州市","street":"延安路1号"}'
    (local,) = own.to_local(CARD, shared)
    assert (local.name, local.value, local.relation) == (
        "province+city+street",
        "浙江省杭州市延安路1号",
        RELATED,
    )
    assert own.render_local(CARD, shared) == {"street": "浙江省杭州市延安路1号"}
    assert read(own, own.render_local(CARD, shared)) == read(own, document)


def test_one_period_is_two_days(own: Dialect) -> None:
    document = {"period": "2020.01.02~长期"}
    assert read(own, document) == {
        "有效期起始日期": ("2020-01-02", EXACT),
        "有效期截止日期": ("长期", EXACT),
    }
    assert there_and_back(own, document) == document
    assert own.field_name(CARD, "有效期截止日期") == "period[2]"
    assert own.element_name(CARD, "period[1]") == "有效期起始日期"


def test_a_period_with_one_end_leaves_the_other_out(own: Dialect) -> None:
    document = {"period": "2020.01.02~"}
    assert read(own, document) == {"有效期起始日期": ("2020-01-02", EXACT)}
    assert there_and_back(own, document) == document


def test_a_period_of_three_parts_is_carried(own: Dialect) -> None:
    document = {"period": "1~2~3"}
    assert read(own, document) == {"有效期起始日期": ("1~2~3", INVALID), "有效期截止日期": ("1~2~3", INVALID)}
    assert there_and_back(own, document) == document


def test_one_wrong_day_of_a_period_leaves_the_other_right(own: Dialect) -> None:
    document = {"period": "2020.13.01~长期"}
    assert read(own, document) == {
        "有效期起始日期": ("2020.13.01", INVALID),
        "有效期截止日期": ("长期", EXACT),
    }
    assert there_and_back(own, document) == document


def test_an_array_is_one_value(own: Dialect) -> None:
    document = {"names": ["甲", "乙"]}
    assert read(own, document) == {"姓名": ("甲、乙", EXACT)}
    assert there_and_back(own, document) == document


@pytest.mark.parametrize("names", [["甲、乙"], [""], [["甲"]], {"甲": 1}, "甲"])
def test_what_is_no_array_of_texts_is_carried_and_comes_back(own: Dialect, names: Any) -> None:
    document = {"names": names}
    ((_, relation),) = read(own, document).values()
    assert relation is INVALID
    assert there_and_back(own, document) == document


def test_one_field_that_is_two_elements_is_written_once(own: Dialect) -> None:
    document = {"idNo": "11010519491231002X"}
    assert read(own, document) == {
        "公民身份号码": ("11010519491231002X", EXACT),
        "持证主体代码": ("11010519491231002X", EXACT),
    }
    assert there_and_back(own, document) == document


def test_two_elements_that_differ_are_both_kept_where_one_field_holds_them(own: Dialect) -> None:
    elements = [Element("持证主体代码", "E123"), Element("公民身份号码", "11010519491231002X")]
    assert own.render_local(CARD, elements) == {"idNo": "11010519491231002X", "持证主体代码": "E123"}


def test_a_second_place_is_used_when_the_first_is_empty(own: Dialect) -> None:
    assert read(own, {"oldAddress": "延安路"}) == {"住址": ("延安路", EXACT)}


def test_a_second_place_that_differs_is_told_and_one_that_agrees_is_not(own: Dialect) -> None:
    assert read(own, {"street": "甲", "oldAddress": "甲"}) == {"住址": ("甲", EXACT)}
    assert read(own, {"street": "甲", "oldAddress": "乙"}) == {
        "住址": ("甲", EXACT),
        "unmapped:oldAddress": ("乙", UNMAPPED),
    }


def test_a_second_place_that_says_less_is_told_as_well(own: Dialect) -> None:
    birth = {"y": "2020", "m": "1", "d": "2"}
    found = own.to_shared(CARD, {"birth": birth, "birthTime": "2020-01-02 13:45"})
    assert [(e.value, e.relation) for e in found if e.name == "出生日期"] == [("2020-01-02", EXACT)]
    assert [e.value for e in found if e.name == "unmapped:birthTime"] == ["2020-01-02 13:45"]
    assert read(own, {"birth": birth, "birthTime": "2020-01-02"}) == {"出生日期": ("2020-01-02", EXACT)}


def test_json_in_a_string_is_one_value_and_a_string_again(own: Dialect) -> None:
    document = {"note": '"A-7"'}
    assert read(own, document) == {"档案编号": ("A-7", EXACT)}
    assert there_and_back(own, document) == document


def test_the_shape_is_told_step_by_step(own: Dialect) -> None:
    told = {
        e.shared: [s.word for s in e.steps] for e in explain_to_shared(own, CARD, {"period": "2020.1.2~长期"})
    }
    assert told["有效期起始日期"] == ["rule", "part", "day"]
    assert told["有效期截止日期"] == ["rule", "part", "long_term"]


def test_a_second_place_that_differs_is_explained(own: Dialect) -> None:
    told = explain_to_shared(own, CARD, {"street": "甲", "oldAddress": "乙"})
    second = next(e for e in told if e.shared == "unmapped:oldAddress")
    assert [step.word for step in second.steps] == ["rule", "again"]
    assert second.local == "oldAddress"


@given(days, days, texts, texts)
def test_every_shape_comes_back(own: Dialect, first: str, last: str, address: str, name: str) -> None:
    elements = [
        Element("出生日期", first),
        Element("住址", address),
        Element("有效期起始日期", first),
        Element("有效期截止日期", last),
    ]
    found = read(own, own.render_local(CARD, elements))
    assert found == {e.name: (e.value, EXACT) for e in elements}
    (local,) = own.to_local(CARD, [Element("姓名", name)])
    if local.relation is EXACT:
        again = read(own, own.render_local(CARD, [Element("姓名", name)]))
        assert again["姓名"][1] is EXACT


@given(st.dictionaries(st.sampled_from(("birth", "province", "period", "names", "idNo", "note")), hostile))
def test_no_shape_raises(own: Dialect, document: dict[str, Any]) -> None:
    shared = own.to_shared(CARD, document)
    assert len(own.to_local(CARD, shared)) == len(shared)
    assert isinstance(own.render_local(CARD, shared), dict)


json_texts = st.recursive(
    st.one_of(
        st.text(st.sampled_from('":{}[],\\ \tab'), max_size=8).map(json.dumps),
        st.sampled_from(("0.10", "1E5", "-0", "12345678901234567890123", "NaN", "null", "true", '"\\ud800"')),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(
            st.tuples(st.sampled_from(('"a"', '"b"', '"\\\\"', '"a\\":"', '"a"  ')), inner), max_size=3
        ).map(lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"),
    ),
    max_leaves=8,
)


@given(st.one_of(json_texts, json_texts.map(json.dumps).map(lambda text: f'{{"a":{text},"b":1}}'), st.text()))
def test_json_in_a_string_is_read_as_the_strict_decoder_reads_it(text: str) -> None:
    """No name said twice is taken for one, no digit of a number changes, whichever decoder was quick enough."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError(text)
        return dict(pairs)

    try:
        expected = json.loads(text, parse_float=str, object_pairs_hook=once)
    except ValueError:
        expected = text
    assert repr(decoded(text)) == repr(expected)


def test_of_two_elements_for_one_field_none_is_lost() -> None:
    said = [
        Element("姓名", "甲"),
        Element("姓名", "乙"),
        Element("姓名", "乙"),
        Element("x", "1"),
        Element("x", "2"),
    ]
    made = load_dialect("320000").render_local(CARD, said)
    again = load_dialect("320000").to_shared(CARD, made)
    found = {element.value for element in again}
    assert {"甲", "乙", "1", "2"} <= found
