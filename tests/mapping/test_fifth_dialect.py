"""A fifth dialect, Jiangxi's, with data files alone: the exercise of docs/new-dialect.md.

The data are made up. Expected values are written here, from what the files are meant to say.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import sys
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.coverage import coverage_faults, coverage_of
from mapping.element import Element, Relation
from mapping.errors import RuleSetFaults
from mapping.rule_files import digest_of
from mapping.translate import Dialect, load_dialect
from mapping.validate import load_rule_set
from tests.mapping.samples import CERTIFICATES, KINDS, PROVINCES, all_codes, document
from tests.support.federation import (
    allow_all,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
    yrd,
)

JIANGXI = "360000"
DIRECTORY = Path(__file__).parents[1] / "vectors" / "dialect_360000"
IDENTITY_CARD, HOUSEHOLD = "11100000000013127D001", "11100000000013127D901"
NUMBER = "360102199003074226"
EXACT, NARROWER, BROADER = Relation.EXACT, Relation.NARROWER, Relation.BROADER
UNMAPPED, INVALID = Relation.UNMAPPED, Relation.INVALID

CARD: dict[str, Any] = {
    "CertName": "居民身份证",
    "CertType": "JX01",
    "CertNo": NUMBER,
    "CertId": "1.2.156.3005.2.11100000000013127D001.11360100000000019T.20200102000001.001.J",
    "IssueOrgName": "南昌市公安局",
    "IssueOrgCode": "11360100000000019T",
    "IssueDate": "2020.01.02",
    "Holder": {"HolderName": "蓝模拟", "HolderCode": NUMBER, "HolderType": "111"},
    "ValidFrom": "2020.01.02",
    "ValidTo": "长期",
    "CertState": "Y",
    "Face": {
        "Name": "蓝模拟",
        "Sex": "女",
        "Nation": "畲族",
        "BirthDate": "1990.03.07",
        "Address": "江西省南昌市东湖区模拟路1号",
        "IdNo": NUMBER,
    },
}


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province, DIRECTORY if province == JIANGXI else None)


# --- the data ---------------------------------------------------------------------------------------


def test_the_dialect_is_data_and_nothing_else() -> None:
    files = {path.relative_to(DIRECTORY).as_posix() for path in DIRECTORY.rglob("*") if path.is_file()}
    assert files == {
        "dialect.toml",
        "fields.csv",
        "maps/certificate_state.csv",
        "maps/certificate_type.csv",
        "maps/marital.csv",
        "maps/sex.csv",
    }


def test_the_data_pass_every_check_and_cover_every_code_and_element() -> None:
    rules = load_rule_set(DIRECTORY, code_lists())
    found = coverage_of(rules, code_lists(), date(2026, 11, 1))
    assert (rules.province, rules.name) == (JIANGXI, "江西省")
    assert coverage_faults(found) == []
    assert found.whole
    assert {kind.kind for kind in found.kinds} == set(KINDS)


def test_the_command_finds_no_fault() -> None:
    result = yrd("map", "check", "--dir", DIRECTORY)
    assert result.exit_code == 0, result.output


def test_a_slip_is_told_with_file_and_line(tmp_path: Path) -> None:
    broken = Path(shutil.copytree(DIRECTORY, tmp_path / "dialect"))
    fields = broken / "fields.csv"
    fields.write_text(fields.read_text("utf-8").replace("Face.Sex,性别", "Face.Sex,性另", 1), "utf-8")
    with pytest.raises(RuleSetFaults) as refused:
        load_dialect(JIANGXI, broken)
    assert any(line.startswith("fields.csv line ") and "性另" in line for line in refused.value.faults)


# --- both ways with the four ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("province", "expected"),
    [
        (
            "310000",
            {"certType": "居民身份证", "sex": "女", "nation": "畲族", "birthDate": "19900307", "validTo": "长期",
             "certState": "01", "holderType": "公民身份号码"},
        ),
        (
            "320000",
            {"license_type": "JS-GA-001", "sex": "F", "nation": "22", "birth_date": "1990-03-07 00:00:00",
             "expire_date": "9999-12-31", "license_status": "ISSUED", "holder_identity_type": "10"},
        ),
        (
            "330000",
            {"ZZLXDM": IDENTITY_CARD, "XB": "2", "MZ": "22", "CSRQ": "1990-3-7", "ZZYXQJZRQ": "长期有效",
             "ZZZT": "有效", "CZZTDMLXDM": "111"},
        ),
        (
            "340000",
            {"licenseTypeCode": "100001", "xb": "女性", "mz": "SH", "csrq": "636739200000",
             "validEnd": "253402185600000", "handleStateCode": "1", "userPageType": "SFZ"},
        ),
    ],
)  # fmt: skip
def test_a_card_of_jiangxi_in_the_words_of_the_others(province: str, expected: dict[str, str]) -> None:
    shared = dialect(JIANGXI).to_shared(IDENTITY_CARD, CARD)
    assert {element.relation for element in shared} == {EXACT}
    local = dialect(province).to_local(IDENTITY_CARD, shared)
    assert expected.items() <= {element.name: element.value for element in local}.items()
    assert {element.relation for element in local} == {EXACT}


@pytest.mark.parametrize(
    ("province", "marital", "meaning", "relation"),
    [
        ("310000", "初婚", "2", BROADER),
        ("320000", "M", "2", EXACT),
        ("330000", "30", "3", EXACT),
        ("340000", "39", "4", EXACT),
    ],
)
def test_what_the_others_say_in_the_words_of_jiangxi(
    province: str, marital: str, meaning: str, relation: Relation
) -> None:
    members: dict[str, dict[str, Any]] = {
        "310000": {"memberList": [{"maritalStatus": marital}]},
        "320000": {"data_fields": json.dumps({"members": [{"marital_status": marital}]})},
        "330000": {"JTCY": [{"HYZK": marital}]},
        "340000": {"certInfo": {"memberList": [{"hyzk": marital}]}},
    }
    shared = dialect(province).to_shared(HOUSEHOLD, members[province])
    local = {element.name: element for element in dialect(JIANGXI).to_local(HOUSEHOLD, shared)}
    (row,) = local["MemberList"].groups
    assert [(e.name, e.value, e.relation) for e in row] == [("MaritalStatus", meaning, relation)]


@pytest.mark.parametrize(
    ("state", "local"), [("01", "Y"), ("03", "N"), ("04", "N"), ("05", "N"), ("07", "N")]
)
def test_a_state_that_jiangxi_does_not_tell_apart_is_marked(state: str, local: str) -> None:
    (told,) = dialect(JIANGXI).to_local(IDENTITY_CARD, [Element("证照状态", state)])
    assert (told.name, told.value) == ("CertState", local)
    assert told.relation is (EXACT if state in ("01", "05") else BROADER)


def test_a_word_of_jiangxi_without_a_shared_one_is_carried_everywhere() -> None:
    shared = dialect(JIANGXI).to_shared(HOUSEHOLD, {"Face": {"MemberList": [{"MaritalStatus": "5"}]}})
    rows = next(element for element in shared if element.name == "家庭成员").groups
    assert [(e.name, e.value, e.relation) for e in rows[0]] == [("婚姻状况", "5", UNMAPPED)]
    for province in PROVINCES:
        local = dialect(province).to_local(HOUSEHOLD, shared)
        (row,) = next(element for element in local if element.groups).groups
        assert [(e.value, e.relation) for e in row] == [("5", UNMAPPED)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("province", PROVINCES)
def test_every_kind_goes_there_and_back(province: str, kind: str) -> None:
    for seed in range(5):
        facts = document(kind, all_codes, seed)
        for source, target in ((JIANGXI, province), (province, JIANGXI)):
            here, there = dialect(source), dialect(target)
            local = here.render_local(kind, facts)
            shared = here.to_shared(kind, local)
            assert {e.name for e in shared} == {e.name for e in facts}
            assert [e.original for e in there.to_local(kind, shared)] == [e.value for e in shared]
            again = there.to_shared(kind, there.render_local(kind, shared))
            exact = {e.name: e.value for e in shared if e.relation is EXACT and not e.groups}
            sent = {
                before.name
                for before, after in zip(shared, there.to_local(kind, shared), strict=True)
                if after.relation is EXACT
            }
            assert {e.name: e.value for e in again if e.name in exact.keys() & sent} == {
                name: value for name, value in exact.items() if name in sent
            }
            if source == JIANGXI and kind in CERTIFICATES:
                assert here.document_kind(local) == kind
    assert SERVICE_ITEM in KINDS


# --- the page ---------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "new-dialect.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.journey
async def test_the_steps_of_the_page_make_the_data(tmp_path: Path) -> None:
    script = "\n".join(["set -euo pipefail", *BLOCK.findall(PAGE.read_text("utf-8"))])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SOURCE": str(PAGE.parents[1]),
        "BASE": str(free_ports(10)),
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=tmp_path,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode("utf-8", "replace")
    assert digest_of(tmp_path / "jiangxi") == digest_of(DIRECTORY)
    assert json.loads((tmp_path / "card.json").read_text("utf-8")) == CARD
    assert "every fault told" in said.decode()


# --- a node that speaks it --------------------------------------------------------------------------

REGISTRY = """[registry]
kind = "sql"
url = "sqlite:///{database}"

[registry.operations."certificates.query"]
sql = "SELECT document FROM certificates WHERE id_type = :holder_id_type AND number = :holder_id"
json_column = "document"
"""


@pytest.mark.journey
async def test_a_node_speaks_the_dialect_of_its_directory(tmp_path: Path) -> None:
    database = tmp_path / "registry.db"
    with sqlite3.connect(database) as registry:
        registry.execute("CREATE TABLE certificates (id_type TEXT, number TEXT, document TEXT)")
        registry.execute("INSERT INTO certificates VALUES ('111', ?, ?)", (NUMBER, json.dumps(CARD)))
    (tmp_path / "registry.toml").write_text(REGISTRY.format(database=database), "utf-8")
    anchor, _ = await make_anchor(tmp_path / "anchor")
    jiangxi = await make_node(
        anchor, tmp_path / JIANGXI, JIANGXI, "--registry", str(tmp_path / "registry.toml")
    )
    shutil.copytree(DIRECTORY, jiangxi.with_name("dialect"))
    text = jiangxi.read_text("utf-8")
    section = f'[dialect]\nprovince = "{JIANGXI}"\n'
    assert section in text
    jiangxi.write_text(text.replace(section, f'{section}directory = "dialect"\n'), "utf-8")
    shanghai = await make_node(anchor, tmp_path / "310000", "310000")
    for path in (jiangxi, shanghai):
        allow_all(path.with_name("access.toml"))
    question = {
        "province": JIANGXI,
        "holder": {"id_type": "身份证", "id": NUMBER},
        "basis": {
            "kind": "official_duty",
            "service_item_name": "居住证办理",
            "service_item_code": "1131000068735121X0231010032700001",
            "case_number": "SH20261101000001",
            "purpose": "核验身份",
        },
        "officer": "经办人",
    }
    async with serving_anchor(tmp_path / "anchor"), running(jiangxi, shanghai) as (_, asking):
        token = await asking.token("hall")
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{asking.platform}/v1/certificates/query"
        async with asking.http.post(url, json=question, headers=headers) as answer:
            body = await answer.json()
    assert answer.status == 200, body
    (card,) = body["certificates"]
    assert card["fields"]["sex"] == "女"
    assert card["fields"]["birthDate"] == "19900307"
    assert card["fields"]["certState"] == "01"
    assert {row["relation"] for row in card["translation"]} == {"exact"}
