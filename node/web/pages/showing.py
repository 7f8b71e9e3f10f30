"""How single values are shown: times, numbers, names of provinces and levels. Templates escape it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, lru_cache
from typing import Any, Final

from markupsafe import Markup

from federation.plain_text import escape
from mapping.codelists import code_lists
from node.web.pages.phrases import CLAIMS, LEVEL_WORDS, OPERATIONS, PHRASES, PROVINCES, Lang

__all__ = ["filters", "mask", "moment", "place", "province", "say", "shown", "visible"]

_BEIJING: Final = timezone(timedelta(hours=8))
_CODES: Final = {names[0]: code for code, names in PROVINCES.items()}
_NUMBERS: Final = frozenset({"citizen_number", "公民身份号码"})
_SEXES: Final = {
    **dict.fromkeys(("1", "male"), ("男", "male")),
    **dict.fromkeys(("2", "female"), ("女", "female")),
}
_LONGEST: Final = 200
"""Characters of a value that came from elsewhere."""


def say(lang: Lang, key: str, **values: object) -> Markup:
    """A phrase with its values, escaped. Raises KeyError for one that is not in the table."""
    return _filled(PHRASES[key][_place(lang)], values)


def visible(value: object) -> object:
    """What a template shows of a value: text is escaped, and what in it is unseen, hiding a part or turning the order
    round, is shown by its number.
    """
    if isinstance(value, str) and not isinstance(value, Markup):
        return Markup(escape(value))  # noqa: S704 escaped in the same breath
    return value


@lru_cache(maxsize=1024)
def _escaped(text: str) -> Markup:
    """A phrase of the tables, escaped; remembered, since they are few and each page has dozens."""
    return Markup("{}").format(visible(text))


@lru_cache(maxsize=1024)
def _whole(text: str) -> Markup:
    """One that takes no values. Raises KeyError when it does."""
    return _escaped(text).format()


def _filled(text: str, values: Mapping[str, object]) -> Markup:
    if not values:
        return _whole(text)
    shown = {
        name: _Count(value) if isinstance(value, int) else visible(value) for name, value in values.items()
    }
    return _escaped(text).format(**shown)


class _Count(int):
    """A number in a phrase: ``{days}`` is the number alone, ``{days:day|days}`` the number with its noun.

    One is the only number with a form of its own in English (CLDR's plural rules); Chinese has none.
    """

    def __format__(self, nouns: str) -> str:
        one, _, many = nouns.partition("|")
        return f"{int(self)} {one if self == 1 else many}" if nouns else str(int(self))


@cache
def filters(lang: Lang) -> Mapping[str, Callable[..., object]]:
    """What templates call to show a value in a language."""
    return {
        "moment": lambda at: moment(at, lang),
        "machine_time": lambda at: _aware(at).isoformat(),
        "province": lambda code, name="": province(code, name, lang),
        "place": lambda name: place(name, lang),
        "strong": lambda text: Markup("<strong>{}</strong>").format(visible(text)),
        "exactly": lambda text: Markup("{}").format(text),
        "claim": lambda name: _word(CLAIMS, name, lang),
        "in_order": lambda claims: [(name, claims[name]) for name in _in_order(claims)],
        "claims_listed": lambda names: [_word(CLAIMS, name, lang) for name in _in_order(names)],
        "provinces_listed": lambda missing: [province(one.province, one.name, lang) for one in missing],
        "fill": _filled,
        "level": lambda acr: _word(LEVEL_WORDS, acr, lang),
        "operation": lambda code: _word(OPERATIONS, code, lang),
        "listed": lambda names: PHRASES["and"][_place(lang)].join(names),
        "dotted": lambda types, *rest: " · ".join(
            filter(None, [PHRASES["and"][_place(lang)].join(types), *rest])
        ),
        "places": lambda names: PHRASES["and"][_place(lang)].join(place(name, lang) for name in names),
        "shown": lambda value, name="": shown(name, value, lang),
    }


def _place(lang: Lang) -> int:
    return 0 if lang == "zh" else 1


def _word(words: Mapping[str, tuple[str, str]], key: str, lang: Lang) -> str:
    """What is not in the table is shown as it is."""
    return words[key][_place(lang)] if key in words else key


def _in_order(names: Iterable[str]) -> list[str]:
    """Claims in the order of the table, what it does not know behind."""
    known = list(CLAIMS)
    return sorted(names, key=lambda name: (known.index(name) if name in CLAIMS else len(known), name))


def province(code: str, name: str, lang: Lang) -> str:
    """The name of a province: the one that the pages know, else the one that was given, else the code."""
    return PROVINCES[code][_place(lang)] if code in PROVINCES else name or code


def place(name: str, lang: Lang) -> str:
    """A province that is told by its code, its Chinese name, or as its node; any other name as it is."""
    return province(_CODES.get(name.removesuffix("节点"), name), name, lang)


def _aware(at: datetime | int) -> datetime:
    return datetime.fromtimestamp(at, UTC) if isinstance(at, int) else at


def moment(at: datetime | int, lang: Lang) -> str:
    """A time in Beijing, to the minute."""
    local = _aware(at).astimezone(_BEIJING)
    if lang == "zh":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local.day}\xa0{_MONTHS[local.month - 1]}\xa0{local.year}, {local:%H:%M}"


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def mask(number: str) -> str:
    """A number of which the middle is hidden: enough to know it by, not enough to use over somebody's shoulder."""
    return number if len(number) < 9 else f"{number[:3]}********{number[-4:]}"


def _label(name: str, code: str, lang: Lang) -> str:
    """What a code of the shared lists means, by the field that it stands in; empty where it is none."""
    lists = code_lists()
    rule = lists.elements.get(name)
    list_name = rule.code_list if rule else name
    if list_name not in ("ethnic", "holder_id_type") or code not in lists.get(list_name):
        return ""
    if list_name == "ethnic" and lang == "en":
        return lists.get(list_name).rows[code]["roman"]
    return lists.get(list_name).label(code)


def shown(name: str, value: Any, lang: Lang) -> str:
    """A claim's value as people read it."""
    if name in _NUMBERS:
        return mask(str(value))
    if name in ("gender", "性别"):
        return _word(_SEXES, str(value), lang)
    if label := _label(name, str(value), lang):
        return label
    if isinstance(value, Sequence) and not isinstance(value, str):
        return PHRASES["and"][_place(lang)].join(shown("", one, lang) for one in value)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
