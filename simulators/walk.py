"""One resident's papers through a cross-province query, told so that a stranger sees what happened at each step."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width

from federation.query import CertificateQuery, CertificatesAnswer, Operation
from federation.rpc.convert import ProtobufCodec
from mapping.translate import load_dialect
from node.connectors.http_registry import HttpRegistry
from node.connectors.settings import HttpRegistrySettings
from node.connectors.settings_reader import read_registry
from simulators.divisions import PROVINCES, province_name
from simulators.layout import Seat
from simulators.people import Resident
from simulators.platform_client import PlatformClient
from simulators.population import Population
from simulators.registry import SHAPES
from trust.container import answer_part, read_container, request_part
from trust.envelope import Sealed, parse

__all__ = ["BASIS", "WalkedQuery", "certificate_question", "choose_traveller", "walk"]

Tell = Callable[[str], None]

_CITIZEN, _CITIZEN_TYPE = "111", "11100000000013127D001"
_MOST_BYTES = 4 * 1024 * 1024
BASIS = {
    "kind": "official_duty",
    "service_item_name": "户口迁移",
    "service_item_code": "1131000068735121X0231010032700001",
    "case_number": "SIM-2026-0001",
    "purpose": "跨省通办演示",
}


@dataclass(frozen=True, slots=True)
class WalkedQuery:
    """What the walk leaves behind."""

    request_id: str
    evidence: bytes


def certificate_question(asking: Seat, answering: str, citizen_number: str) -> dict[str, Any]:
    """The body of POST /v1/certificates/query for all papers of a citizen, in the asking province's words."""
    id_type = load_dialect(asking.province).code_to_local("holder_id_type", _CITIZEN).value
    return {
        "province": answering,
        "holder": {"id_type": id_type, "id": citizen_number},
        "basis": BASIS,
        "officer": "演示经办人",
    }


def choose_traveller(population: Population, home: str) -> Resident:
    """The first grown-up of a province whose papers lie in three provinces, one of them home."""
    for index in range(population.residents):
        who = population.resident(home, index)
        papers = tuple(population.papers_of(who))
        at_home = {paper.certificate_type for paper in papers if paper.province == home and not paper.fault}
        if len({paper.province for paper in papers}) >= 3 and _CITIZEN_TYPE in at_home:
            return who
    return population.resident(home, 0)


async def walk(
    tell: Tell, platform: PlatformClient, asking: Seat, answering: Seat, population: Population
) -> WalkedQuery:
    """Tell one query from the question to its proof. Raises PlatformRefusedError and FederationError."""
    who = choose_traveller(population, answering.province)
    _tell_person(tell, who, population)
    question = certificate_question(asking, answering.province, who.citizen_number)
    _tell_question(tell, asking, answering, question)
    answer = await platform.post("/v1/certificates/query", question)
    evidence = await platform.evidence_file(answer["request_id"])
    _tell_wire(tell, evidence)
    documents = await _registry_documents(answering, who.citizen_number)
    _tell_registry(tell, answering, documents)
    _tell_answer(tell, asking, answering, answer)
    return WalkedQuery(answer["request_id"], evidence)


def _tell_person(tell: Tell, who: Resident, population: Population) -> None:
    tell("")
    tell(f"【一】 {who.name}（模拟人物），{_masked(who.citizen_number)}")
    tell(f"  [1] {who.name}, a person who does not exist; the papers lie where life went:")
    for province in PROVINCES:
        names = [
            element.value
            for paper in population.papers_of(who)
            if paper.province == province
            for element in paper.elements
            if element.name == "证照名称"
        ]
        if names:
            tell(f"      {province_name(province)}: {'、'.join(names)}")


def _tell_question(tell: Tell, asking: Seat, answering: Seat, question: Mapping[str, Any]) -> None:
    tell("")
    tell(f"【二】 {asking.name}的平台用本省的话问自己的节点：{answering.name}有此人哪些证照？")
    tell(
        f"  [2] {asking.province}'s platform asks its own node, in its own words, what {answering.province} has:"
    )
    tell(f"      POST {asking.platform_url}/v1/certificates/query")
    holder = question["holder"]
    tell(f"      持证主体 holder     {holder['id_type']} {_masked(holder['id'])}")
    tell(
        f"      用证依据 basis      依职能 official_duty · {BASIS['service_item_name']} · {BASIS['case_number']}"
    )
    tell(f"      用途 purpose        {BASIS['purpose']}")


def _tell_wire(tell: Tell, evidence: bytes) -> None:
    parts, codec = read_container(evidence), ProtobufCodec()
    request, answer = (
        parse(parts[name], max_bytes=_MOST_BYTES) for name in (request_part(1), answer_part(1))
    )
    asked = codec.decode_request(request.payload_type, request.payload)
    said = codec.decode_answer(answer.payload_type, answer.payload)
    tell("")
    tell("【三】 节点把它译成共同标准，签名，先落盘，再经双向 TLS 1.3 发出；对端核验、查询、签名、落盘、答复")
    tell(
        "  [3] The node translates it into the shared words, signs it, stores it, and only then sends it (mutual"
    )
    tell(
        "      TLS 1.3); the peer checks it, looks it up, signs and stores its answer, and only then answers:"
    )
    tell(f"      请求 request   {_envelope(request)}")
    tell(f"        编号 id          {asked.header.request_id}")
    tell(f"        谁问谁 who whom  {asked.header.asking} → {asked.header.answering}")
    tell(f"        操作 operation   {asked.header.operation.value}")
    if isinstance(asked.body, CertificateQuery):
        tell(f"        共同标准 shared  holder_id_type {asked.body.holder_id_type}（公民身份号码）")
    tell(
        f"        有效 valid       {asked.header.asked_at:%H:%M:%S} – {asked.header.expires_at:%H:%M:%S} UTC"
    )
    tell(f"      答复 answer    {_envelope(answer)}")
    tell(f"        所答 answers     请求摘要 request identity {said.header.request_identity.hex()[:16]}…")
    decision = said.header.decision
    tell(f"        规则 rule        {decision.rule} @ {decision.policy_version}")
    if isinstance(said.body, CertificatesAnswer):
        tell(f"        内容 content     {len(said.body.certificates)} 份证照 certificates")


def _envelope(sealed: Sealed) -> str:
    how = "批签名 batch signature" if sealed.batch else "签名 signature"
    return (
        f"{len(sealed.envelope)} 字节 bytes, 载荷 payload {len(sealed.payload)}, "
        f"{how} {len(sealed.signature)}, 密钥 key {sealed.kid[:12]}…"
    )


async def _registry_documents(seat: Seat, citizen_number: str) -> Sequence[Mapping[str, Any]]:
    """What the registry says to the same question, asked as the node asks it."""
    settings = read_registry(
        tomllib.loads(SHAPES[seat.province].registry_toml(seat.registry_url))["registry"]
    )
    assert isinstance(settings, HttpRegistrySettings)
    id_type = load_dialect(seat.province).code_to_local("holder_id_type", _CITIZEN).value
    async with HttpRegistry(settings) as registry:
        asked = {"holder_id_type": id_type, "holder_id": citizen_number}
        said = await registry.look_up(Operation.CERTIFICATES_QUERY, asked, timeout_s=5)
    return said.documents


def _tell_registry(tell: Tell, answering: Seat, documents: Sequence[Mapping[str, Any]]) -> None:
    tell("")
    tell(f"【四】 {answering.name}的证照库用的是它自己的话")
    tell(
        f"  [4] What {answering.province}'s registry told its node, in its own words (1 of {len(documents)}):"
    )
    for name, value in documents[0].items():
        tell(f"      {_column(name, 18)}{_masked(str(value))}")


def _tell_answer(tell: Tell, asking: Seat, answering: Seat, answer: Mapping[str, Any]) -> None:
    tell("")
    tell(f"【五】 {asking.name}的平台得到的，是自己的话；每个译过的值都说明怎么译的")
    tell(f"  [5] What {asking.province}'s platform got, in its own words; each translated value says how:")
    certificate = answer["certificates"][0]
    tell(f"      {certificate['certificate_type_name']}（{certificate['certificate_type']}）")
    how = {entry["field"]: entry for entry in certificate["translation"]}
    for field, value in certificate["fields"].items():
        text = _masked(value) if isinstance(value, str) else f"{len(value)} 项 rows"
        entry = how.get(field)
        origin = f"← {_masked(entry['original'])}  {entry['relation']} {entry['table']}" if entry else ""
        tell(f"      {_column(field, 18)}{_column(text, 44)}{origin}".rstrip())


def _column(text: str, width: int) -> str:
    """Pad to so many columns of a terminal, in which a Chinese character takes two."""
    used = sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
    return text + " " * max(1, width - used)


def _masked(text: str) -> str:
    """The middle of a citizen number is not shown, though nobody has it."""
    is_number = len(text) == 18 and text[:17].isdigit() and text[6:8] in ("19", "20")
    return f"{text[:6]}********{text[14:]}" if is_number else text
