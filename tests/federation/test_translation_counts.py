"""What two nodes count of what they translate for each other, and that no person is in it."""

from __future__ import annotations

from typing import Any

import pytest

from federation.errors import OwnUnknownCode
from federation.query import CertificateQuery
from federation.translation_counts import TranslationCounts
from federation.translator import CARRIED, Direction, Translator
from federation.unmapped_codes import NotShown
from mapping.element import Element, Relation
from mapping.identifiers import make_citizen_number
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import HOLDER, ID_CARD, Node, command, id_card_elements, make_country

TO_SHARED, TO_LOCAL = Direction.TO_SHARED, Direction.TO_LOCAL


def put(node: Node, shared_name: str, value: Any) -> None:
    """Have the registry's document say something else."""
    dialect = node.registry.dialect
    node.registry.documents[0][dialect.field_name(ID_CARD, shared_name)] = value


def codes_of(node: Node) -> list[tuple[str, str, str, int]]:
    """What its mapping people see."""
    counts = node.parts.translations
    return [
        (one.direction.value, one.list_name, one.code, one.times)
        for one in counts.codes(node.registry.dialect)
    ]


async def test_both_nodes_count_what_they_translated_by_direction_and_outcome() -> None:
    sh, zj = make_country()
    result = await sh.asker.ask(command(sh, zj))
    elements = result.body.certificates[0].elements  # type: ignore[union-attr]
    asked, answered = sh.parts.translations.outcomes, zj.parts.translations.outcomes
    assert asked == {(TO_SHARED, "exact"): 1, (TO_LOCAL, "exact"): len(elements) + 2}
    assert answered == {(TO_LOCAL, "exact"): 1, (TO_SHARED, "exact"): len(elements)}
    assert codes_of(sh) == codes_of(zj) == []


async def test_a_code_of_the_registry_without_a_row_is_told_where_it_was_read() -> None:
    sh, zj = make_country()
    put(zj, "性别", "7")
    for _ in range(3):
        await sh.asker.ask(command(sh, zj))
    assert codes_of(zj) == [("to_shared", "sex", "7", 3)]
    assert zj.parts.translations.outcomes[TO_SHARED, "unmapped"] == 3
    # To the other it is no code of its own: nothing that its people could add.
    assert codes_of(sh) == []
    assert sh.parts.translations.outcomes[TO_LOCAL, CARRIED] == 3
    assert zj.parts.translations.codes(zj.registry.dialect)[0].last_seen_at == NOON


@pytest.mark.parametrize("field", ["性别", "民族", "证照状态"])
async def test_a_citizen_number_a_name_or_an_address_in_a_code_field_appears_nowhere(field: str) -> None:
    sh, zj = make_country()
    for value in (HOLDER, "王芳", "浙江省杭州市西湖区文三路1号", "13812345678", "1990-11-02"):
        put(zj, field, value)
        await sh.asker.ask(command(sh, zj))
    counts = zj.parts.translations
    assert codes_of(zj) == []
    assert sum(counts.not_shown.values()) == 5
    assert all(name in ("sex", "ethnic", "certificate_state") for _, name, _ in counts.not_shown)


async def test_what_is_no_code_is_not_even_counted_by_list() -> None:
    sh, zj = make_country()
    zj.registry.documents[0]["somethingElse"] = "7"
    put(zj, "出生日期", "soon")
    put(zj, "公民身份号码", "3")
    await sh.asker.ask(command(sh, zj))
    outcomes = zj.parts.translations.outcomes
    assert outcomes[TO_SHARED, "unmapped"] == 1
    assert outcomes[TO_SHARED, "invalid"] == 2
    assert codes_of(zj) == []
    assert not zj.parts.translations.not_shown


async def test_a_certificate_type_that_the_dialect_does_not_know_is_told() -> None:
    sh, zj = make_country()
    put(zj, "证照类型代码", "11100000000013127D099")
    result = await sh.asker.ask(command(sh, zj))
    assert result.body.certificates[0].certificate_type == "unmapped"  # type: ignore[union-attr]
    assert codes_of(zj) == [("to_shared", "certificate_type", "11100000000013127D099", 1)]
    assert codes_of(sh) == []
    assert sh.parts.translations.outcomes[TO_LOCAL, CARRIED] == len(zj.registry.documents[0])


async def test_what_a_platform_sends_in_a_wrong_place_is_counted_and_not_shown() -> None:
    sh, zj = make_country()
    for wrong in (HOLDER, "王芳", "99"):
        with pytest.raises(OwnUnknownCode):
            await sh.asker.ask(command(sh, zj, CertificateQuery(wrong, HOLDER)))
    assert codes_of(sh) == [("to_shared", "holder_id_type", "99", 1)]
    shown_not = sh.parts.translations.not_shown
    assert shown_not == {
        (TO_SHARED, "holder_id_type", NotShown.NUMBER): 1,
        (TO_SHARED, "holder_id_type", NotShown.WORD): 1,
    }


def test_a_word_needs_the_documents_of_several_holders() -> None:
    sh, _ = make_country()
    counts, dialect = TranslationCounts(), sh.registry.dialect
    for number in range(5):
        assert counts.codes(dialect) == ()
        holder = make_citizen_number("330106", NOON.date().replace(year=1990), number)
        document = dialect.render_local(ID_CARD, id_card_elements(持证主体代码=holder))
        document[dialect.field_name(ID_CARD, "性别")] = "中性"
        words = Translator(dialect)
        words.to_shared(ID_CARD, document)
        counts.add(words, FixedClock())
    assert [one.code for one in counts.codes(dialect)] == ["中性"]


def test_a_shared_code_that_has_no_local_one_is_told_and_what_came_unmapped_is_carried() -> None:
    sh, _ = make_country()
    counts, dialect = TranslationCounts(), sh.registry.dialect
    words = Translator(dialect)
    words.to_local(ID_CARD, id_card_elements(性别="5"))
    words.to_local(ID_CARD, [Element("性别", "6", "6", Relation.UNMAPPED, f"sex@{dialect.rules.version}")])
    counts.add(words, FixedClock())
    assert [(one.direction, one.code) for one in counts.codes(dialect)] == [(TO_LOCAL, "5")]
    assert (counts.outcomes[TO_LOCAL, "unmapped"], counts.outcomes[TO_LOCAL, CARRIED]) == (1, 1)


def test_words_that_a_platform_presents_are_never_shown_whoever_they_are_of() -> None:
    sh, _ = make_country()
    counts, dialect = TranslationCounts(), sh.registry.dialect
    for number in range(9):
        words = Translator(dialect)
        table = f"sex@{dialect.rules.version}"
        presented = Element("性别", "中性", "中性", Relation.UNMAPPED, table)
        words.saw_read([Element("持证主体代码", str(number)), presented])
        counts.add(words, FixedClock())
    assert counts.codes(dialect) == ()
    assert counts.not_shown == {(TO_SHARED, "sex", NotShown.WORD): 9}


def test_rows_of_a_list_are_counted_too() -> None:
    sh, _ = make_country()
    dialect = sh.registry.dialect
    words = Translator(dialect)
    rows = tuple((Element("姓名", "王芳"), Element("性别", sex)) for sex in ("1", "5"))
    words.to_local("11100000000013127D901", [Element("家庭成员", "", groups=rows)])
    assert words.exact_written == 3
    assert [(one.table, one.code) for one in words.inexact] == [(f"sex@{dialect.rules.version}", "5")]
    read = Translator(dialect)
    read.saw_read([Element("家庭成员", "", groups=rows)])
    assert (read.exact_read, read.inexact) == (4, [])
