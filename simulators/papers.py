"""A holder's certificates: which there are, in which province each lies, since when, in which state.

Each is made on demand from the holder; nothing is stored. Its id (GB/T 36904) carries the holder's home
province and index in the serial, so that a certificate is found by its id as well. Some ids have the faults
that occur in the wild: a wrong check character, or a six-digit division where the issuing authority's credit
code belongs (frequent in Anhui); `Paper.fault` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from mapping.codelists import code_lists
from mapping.element import Element
from mapping.identifiers import make_certificate_id, make_uscc
from simulators import faces
from simulators.divisions import counties, division_name
from simulators.numbers import Numbers, SubjectKind
from simulators.people import AS_OF, Organisation, Resident, age_on
from simulators.permutation import Draws

__all__ = ["DIVISION_ISSUER", "WRONG_CHECK", "Paper", "papers_of_organisation", "papers_of_resident"]

WRONG_CHECK = "wrong_check"
DIVISION_ISSUER = "division_issuer"

_LONG = "长期"
_VALID, _LAPSED = "01", "05"
_OTHER_STATES = ("02", "03", "04", "06", "07")
_AUTHORITIES = {
    "公安局": 1,
    "民政局": 2,
    "卫生健康委员会": 3,
    "人力资源和社会保障局": 4,
    "市场监督管理局": 5,
    "自然资源和规划局": 6,
    "公安局交通警察支队": 7,
    "教育局": 8,
    "住房和城乡建设局": 9,
}
_CHECKS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Paper:
    """One certificate in shared words. `province` is where it lies; `fault` is empty or the known fault of
    its id.
    """

    certificate_type: str
    certificate_id: str
    province: str
    state: str
    elements: tuple[Element, ...]
    fault: str = ""
    synthetic: bool = True


@dataclass(frozen=True, slots=True)
class _Issue:
    """How one certificate came about, before its numbers are made."""

    name: str
    authority: str
    province: str
    issued_on: date
    ends_on: date | None
    face: tuple[Element, ...]


def papers_of_resident(numbers: Numbers, who: Resident, spouse: Resident | None) -> Iterator[Paper]:
    """All certificates of a resident, wherever they lie."""
    serial = numbers.serial(SubjectKind.PERSON, who.index)
    for name, issue in _RESIDENT_ISSUES.items():
        draws = who.draws(name)
        made = issue(name, who, draws, spouse)
        if made is not None:
            yield _paper(made, draws, serial, ("111", who.name, who.citizen_number))


def papers_of_organisation(numbers: Numbers, who: Organisation) -> Iterator[Paper]:
    """All certificates of an organisation: its business licence."""
    name, draws = "营业执照", who.draws("营业执照")
    issued_on = draws.day("issued", who.founded_on, AS_OF)
    made = _Issue(
        name, "市场监督管理局", who.home, issued_on, None, faces.business_face(who, draws, issued_on)
    )
    serial = numbers.serial(SubjectKind.ORGANISATION, who.index)
    yield _paper(made, draws, serial, ("001", who.name, who.credit_code), county=who.county)


def _paper(issue: _Issue, draws: Draws, serial: str, holder: tuple[str, str, str], county: str = "") -> Paper:
    county = county or draws.pick("authority", counties(issue.province))
    authority = make_uscc("1", "1", county, f"{_AUTHORITIES[issue.authority]:02d}{county}")
    certificate_type = _type_codes()[issue.name]
    certificate_id, fault = _certificate_id(draws, certificate_type, authority, serial, issue.province)
    state = _state(draws, issue.ends_on)
    id_type, name, number = holder
    common = faces.elements(
        [
            ("证照名称", issue.name),
            ("证照类型代码", certificate_type),
            ("证照编号", _certificate_number(issue, draws, county, number)),
            ("证照标识", certificate_id),
            ("颁发机构", division_name(county) + issue.authority),
            ("颁发机构代码", authority),
            ("颁发日期", issue.issued_on.isoformat()),
            ("持证主体", name),
            ("持证主体代码", number),
            ("持证主体代码类型代码", id_type),
            ("有效期起始日期", issue.issued_on.isoformat()),
            ("有效期截止日期", issue.ends_on.isoformat() if issue.ends_on else _LONG),
            ("证照状态", state),
        ]
    )
    return Paper(certificate_type, certificate_id, issue.province, state, (*common, *issue.face), fault)


@cache
def _type_codes() -> dict[str, str]:
    return {kind.name: code for code, kind in code_lists().kinds.items()}


def _certificate_number(issue: _Issue, draws: Draws, county: str, holder_number: str) -> str:
    if issue.name in ("居民身份证", "机动车驾驶证", "营业执照"):
        return holder_number
    if issue.name == "不动产权证书":
        return (
            f"{division_name(county)[:1]}({issue.issued_on.year})模拟不动产权第{draws.digits('number', 7)}号"
        )
    return f"{county}-{issue.issued_on.year}-{draws.digits('number', 6)}"


def _certificate_id(draws: Draws, kind: str, authority: str, serial: str, province: str) -> tuple[str, str]:
    if draws.happens("division_issuer", 80 if province == "340000" else 5):
        return make_certificate_id(kind, authority[2:8], serial), DIVISION_ISSUER
    good = make_certificate_id(kind, authority, serial)
    if draws.happens("wrong_check", 10):
        return good[:-1] + _CHECKS[(_CHECKS.index(good[-1]) + 1 + draws.below("check", 35)) % 36], WRONG_CHECK
    return good, ""


def _state(draws: Draws, ends_on: date | None) -> str:
    """GB/T certificate state as of the day the registry was written."""
    if ends_on is not None and ends_on < AS_OF:
        return _LAPSED
    return draws.pick("state", _OTHER_STATES) if draws.happens("not_valid", 60) else _VALID


def _years_on(day: date, years: int) -> date:
    """The same day so many years later; 28 February for a 29th that is not there."""
    return day.replace(year=day.year + years, day=28 if (day.month, day.day) == (2, 29) else day.day)


# --- which certificates a resident has; None: none of that type ---------------------------------------------

_Maker = Callable[[str, Resident, Draws, Resident | None], _Issue | None]


def _age(who: Resident) -> int:
    return age_on(AS_OF, who.born_on)


def _since(draws: Draws, who: Resident, age: int, years: int) -> date:
    """A day of the last `years` years on which the resident was at least `age` years old."""
    return draws.day("issued", max(_years_on(who.born_on, age), AS_OF - timedelta(days=365 * years)), AS_OF)


def _citizen(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if _age(who) < 16:
        return None
    issued_on = _since(draws, who, 16, 19)
    age = age_on(issued_on, who.born_on)
    ends_on = None if age >= 46 else _years_on(issued_on, 20 if age >= 26 else 10)
    return _Issue(name, "公安局", who.home, issued_on, ends_on, faces.citizen_face(who, draws, issued_on))


def _household(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if _age(who) >= 18 and not draws.happens("has", 700):
        return None
    issued_on = _since(draws, who, 0, 25)
    return _Issue(
        name, "公安局", who.home, issued_on, None, faces.household_face(who, draws, issued_on, spouse)
    )


def _marriage(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if spouse is None:
        return None
    first, second = sorted((who, spouse), key=lambda one: one.index)
    both = first.draws(name)
    issued_on = _since(both, max(first, second, key=lambda one: one.born_on), 22, 40)
    return _Issue(
        name, "民政局", first.lives_in, issued_on, None, faces.marriage_face(who, both, issued_on, spouse)
    )


def _birth(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if who.born_on.year < 1996:  # the first year in which these were issued
        return None
    issued_on = who.born_on + timedelta(days=1 + draws.below("days", 30))
    return _Issue(name, "卫生健康委员会", who.home, issued_on, None, faces.birth_face(who, draws, issued_on))


def _social(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if _age(who) < 16 or not draws.happens("has", 850):
        return None
    issued_on = _since(draws, who, 16, 12)
    ends_on = _years_on(issued_on, 10)
    face = faces.social_face(who, draws, issued_on)
    return _Issue(name, "人力资源和社会保障局", who.works_in, issued_on, ends_on, face)


def _driver(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if not 18 <= _age(who) <= 75 or not draws.happens("has", 600):
        return None
    issued_on = _since(draws, who, 18, 30)
    years = (AS_OF.year - issued_on.year) // 6 * 6 + 6
    face = faces.driver_face(who, draws, issued_on)
    return _Issue(name, "公安局交通警察支队", who.drives_in, issued_on, _years_on(issued_on, years), face)


def _vehicle(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if _age(who) < 18 or not draws.happens("has", 300):
        return None
    issued_on = _since(draws, who, 18, 12)
    face = faces.vehicle_face(who, draws, issued_on)
    return _Issue(name, "公安局交通警察支队", who.drives_in, issued_on, None, face)


def _diploma(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if not faces.is_graduate(who):
        return None
    issued_on = date(who.born_on.year + 22 + draws.below("late", 4), 6, 30)
    if issued_on > AS_OF:
        return None
    return _Issue(name, "教育局", who.studied_in, issued_on, None, faces.diploma_face(who, draws, issued_on))


def _doctor(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if not 26 <= _age(who) <= 70 or not faces.is_graduate(who) or not draws.happens("has", 150):
        return None
    issued_on = _since(draws, who, 26, 30)
    return _Issue(
        name, "卫生健康委员会", who.works_in, issued_on, None, faces.doctor_face(who, draws, issued_on)
    )


def _builder(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if not 24 <= _age(who) <= 64 or not draws.happens("has", 80):
        return None
    issued_on = _since(draws, who, 24, 5)
    face = faces.builder_face(who, draws, issued_on)
    return _Issue(name, "住房和城乡建设局", who.works_in, issued_on, _years_on(issued_on, 3), face)


def _property(name: str, who: Resident, draws: Draws, spouse: Resident | None) -> _Issue | None:
    if _age(who) < 25 or not draws.happens("has", 350):
        return None
    issued_on = draws.day("issued", max(_years_on(who.born_on, 24), date(2015, 3, 1)), AS_OF)
    face = faces.property_face(who, draws, issued_on)
    return _Issue(name, "自然资源和规划局", who.lives_in, issued_on, None, face)


_RESIDENT_ISSUES: dict[str, _Maker] = {
    "居民身份证": _citizen,
    "居民户口簿": _household,
    "结婚证": _marriage,
    "出生医学证明": _birth,
    "社会保障卡": _social,
    "机动车驾驶证": _driver,
    "机动车行驶证": _vehicle,
    "普通高等学校毕业证书": _diploma,
    "医师执业证书": _doctor,
    "二级建造师注册证书": _builder,
    "不动产权证书": _property,
}
