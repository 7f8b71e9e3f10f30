"""One resident or organisation: everything about them is a pure function of (seed, home province, index).

Nobody here exists. Numbers, names and addresses are made up; that a number passes its check says only that
the computation was right, and by chance it may be somebody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mapping.identifiers import parse_citizen_number
from simulators.divisions import PROVINCES, counties, division_name, townships
from simulators.names import name_of
from simulators.numbers import Numbers
from simulators.permutation import Draws

__all__ = ["AS_OF", "Organisation", "Resident", "address_in", "age_on", "meet_organisation", "meet_resident"]

AS_OF = date(2026, 11, 1)
"""The day the registries were last written: states and ages are as of this day, whenever the simulator runs.
"""

_STAYS, _MOVED, _SPREAD = "stays", "moved", "spread"
_EDUCATION = (("81", 10), ("71", 30), ("61", 20), ("41", 10), ("31", 15), ("21", 20), ("14", 4), ("11", 1))
_STREETS = (
    "人民路",
    "解放路",
    "中山路",
    "建设路",
    "和平路",
    "新华路",
    "文化路",
    "友谊路",
    "长江路",
    "延安路",
    "朝阳街",
    "幸福里",
)
_TRADES = ("贸易", "科技", "餐饮管理", "建材", "物流", "纺织", "食品", "机械制造", "环保工程", "信息咨询")
_BRANDS = "华兴瑞丰盛达恒信安泰永嘉宏远锦程同创"


@dataclass(frozen=True, slots=True)
class Resident:
    """A synthetic resident. `home` is the province of the citizen number; codes are the shared ones.

    `lives_in`, `works_in`, `drives_in` and `studied_in` are provinces: that is where the papers lie. `spouse`
    is the index, in the same home province, of who this resident is married to.
    """

    seed: int
    home: str
    index: int
    citizen_number: str
    name: str
    sex: str
    ethnic_group: str
    born_on: date
    birth_division: str
    education: str
    lives_in: str
    works_in: str
    drives_in: str
    studied_in: str
    spouse: int | None
    marital_status: str
    address: str
    synthetic: bool = True

    def draws(self, subject: str) -> Draws:
        """Further choices about this resident, by subject."""
        return Draws(self.seed, self.home, "resident", self.index, subject)


@dataclass(frozen=True, slots=True)
class Organisation:
    """A synthetic enterprise, registered in its home province."""

    seed: int
    home: str
    index: int
    credit_code: str
    name: str
    county: str
    representative: str
    founded_on: date
    address: str
    synthetic: bool = True

    def draws(self, subject: str) -> Draws:
        """Further choices about this organisation, by subject."""
        return Draws(self.seed, self.home, "organisation", self.index, subject)


def age_on(day: date, born_on: date) -> int:
    """Full years between birth and `day`."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def meet_resident(numbers: Numbers, index: int) -> Resident:
    """Resident `index` of the province."""
    draws = Draws(numbers.seed, numbers.province, "resident", index, "person")
    number = parse_citizen_number(numbers.citizen_number(index))
    ethnic_group = "01" if draws.happens("han", 930) else f"{2 + draws.below('ethnic', 55):02d}"
    lives_in, works_in, drives_in, studied_in = _provinces(draws, numbers.province)
    spouse = _spouse(numbers, index)
    return Resident(
        seed=numbers.seed,
        home=numbers.province,
        index=index,
        citizen_number=number.number,
        name=name_of(draws, number.sex, ethnic_group),
        sex=number.sex,
        ethnic_group=ethnic_group,
        born_on=number.born_on,
        birth_division=number.division,
        education=_education(draws, age_on(AS_OF, number.born_on)),
        lives_in=lives_in,
        works_in=works_in,
        drives_in=drives_in,
        studied_in=studied_in,
        spouse=spouse,
        marital_status=_marital_status(draws, spouse, age_on(AS_OF, number.born_on)),
        address=address_in(draws, draws.pick("county", counties(lives_in))),
    )


def meet_organisation(numbers: Numbers, index: int) -> Organisation:
    """Organisation `index` of the province."""
    draws = Draws(numbers.seed, numbers.province, "organisation", index, "enterprise")
    credit_code = numbers.credit_code(index)
    county = credit_code[2:8]
    place = division_name(county)
    brand = draws.pick("brand.first", _BRANDS) + draws.pick("brand.second", _BRANDS)
    return Organisation(
        seed=numbers.seed,
        home=numbers.province,
        index=index,
        credit_code=credit_code,
        name=f"{place}{brand}{draws.pick('trade', _TRADES)}有限公司",
        county=county,
        representative=name_of(draws, draws.pick("sex", "12"), "01"),
        founded_on=draws.day("founded", date(1995, 1, 1), date(2025, 12, 31)),
        address=address_in(draws, county),
    )


def address_in(draws: Draws, county: str) -> str:
    """An address in a county of today: division, township, street that may not exist, number."""
    return (
        f"{division_name(county)}{draws.pick('township', townships(county) or ('',))}"
        f"{draws.pick('street', _STREETS)}{draws.below('house', 900) + 1}号"
    )


def _provinces(draws: Draws, home: str) -> tuple[str, str, str, str]:
    """Where someone lives, works, drives and studied. About a third have papers in two or three provinces."""
    others = [province for province in PROVINCES if province != home]
    first = draws.pick("second_province", others)
    others.remove(first)
    third = draws.pick("third_province", others)
    mobility = draws.weigh("mobility", ((_STAYS, 640), (_MOVED, 230), (_SPREAD, 130)))
    if mobility == _STAYS:
        return home, home, home, home
    if mobility == _MOVED:
        return first, first, draws.pick("drives", (home, first)), draws.pick("studied", (home, first))
    return first, first, third, draws.pick("studied", (home, first, third))


def _education(draws: Draws, age: int) -> str:
    if age < 18:
        return "80" if age < 12 else "70"
    chosen = draws.weigh("education", _EDUCATION)
    return chosen if age >= 30 or chosen > "14" else "21"


def _spouse(numbers: Numbers, index: int) -> int | None:
    """Neighbours in the index marry when sex, age and a draw that both share allow it; so each finds the
    other.
    """
    other = index ^ 1
    mine, theirs = (parse_citizen_number(numbers.citizen_number(i)) for i in (index, other))
    younger = max(mine.born_on, theirs.born_on)
    draws = Draws(numbers.seed, numbers.province, "couple", min(index, other))
    fits = mine.sex != theirs.sex and abs(mine.born_on.year - theirs.born_on.year) <= 12
    return other if fits and age_on(AS_OF, younger) >= 23 and draws.happens("married", 900) else None


def _marital_status(draws: Draws, spouse: int | None, age: int) -> str:
    """GB/T 2261.2."""
    if spouse is not None:
        return draws.weigh("married", (("21", 85), ("22", 12), ("23", 3)))
    if age < 24:
        return "10"
    return draws.weigh(
        "alone", (("10", 60 if age < 40 else 10), ("40", 25), ("30", 5 if age < 60 else 60), ("20", 10))
    )
