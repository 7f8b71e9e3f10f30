"""What an evidence file proves, in plain words: Chinese first, then English. The holder's number is
masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from federation.errors import TABLE
from federation.query import (
    Answer,
    Basis,
    BasisKind,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateTypesAnswer,
    CertificateVerify,
    Operation,
    Outcome,
    Request,
    ServiceGet,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    Verdict,
    VerifyAnswer,
)

__all__ = ["Check", "EvidenceReport", "NamedNode", "Sentence", "mask", "render_report", "what_came_back"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing said twice."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class NamedNode:
    """A node as its trust chain of that day proves it."""

    entity_id: str
    province: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.province}, {self.entity_id})"


@dataclass(frozen=True, slots=True)
class Check:
    """One step of the verification that held; numbers as in `federation.evidence`."""

    number: int
    what: Sentence


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """Everything that was verified. `answer` is None when the file holds none: that is no proof there was
    none.
    """

    request: Request
    answer: Answer | None
    asking: NamedNode
    answering: NamedNode
    exported_by: NamedNode
    exported_at: datetime
    anchor: str
    log_indices: tuple[int, ...]
    status_sequence: int | None
    checks: tuple[Check, ...]

    @property
    def request_id(self) -> str:
        """The exchange's id."""
        return self.request.header.request_id

    @property
    def outcome(self) -> str:
        """``answered``, ``refused`` or ``no_answer``."""
        return "no_answer" if self.answer is None else self.answer.header.outcome.word

    @property
    def subject(self) -> Sentence:
        """Whom or what the question was about; a holder's number is masked."""
        return _subject(self.request)


def mask(value: str) -> str:
    """Enough of a number to recognise one's own, too little to learn it: first three and last two
    characters.
    """
    if len(value) < 8:
        return "*" * len(value)
    return f"{value[:3]}{'*' * (len(value) - 5)}{value[-2:]}"


_OPERATIONS = {
    Operation.CERTIFICATES_QUERY: Sentence("查询持证主体的电子证照", "the certificates of a holder"),
    Operation.CERTIFICATES_GET: Sentence("按证照标识获取电子证照", "one certificate by its id"),
    Operation.CERTIFICATES_VERIFY: Sentence("核验电子证照", "verification of a certificate"),
    Operation.CERTIFICATES_TYPES: Sentence("查询可提供的证照类型", "the certificate types on offer"),
    Operation.SERVICES_SEARCH: Sentence("检索政务服务事项", "a search for service items"),
    Operation.SERVICES_GET: Sentence("获取办事指南", "one service item and its guide"),
    Operation.NODE_STATE: Sentence("查询节点状态", "the node's state"),
}
_BASES = {
    BasisKind.HOLDERS_CONSENT: Sentence("持证人用证", "the holder's consent"),
    BasisKind.DELEGATED_CONSENT: Sentence("委托授权", "delegated consent"),
    BasisKind.OFFICIAL_DUTY: Sentence("依职能", "official duty"),
}
_VERDICTS = {
    Verdict.VALID: Sentence("有效", "valid"),
    Verdict.NOT_VALID: Sentence("无效", "not valid"),
    Verdict.ALTERED: Sentence("已被改动", "altered"),
    Verdict.UNKNOWN: Sentence("查无此证", "unknown"),
}


def _subject(request: Request) -> Sentence:
    body = request.body
    if isinstance(body, CertificateQuery):
        kind = body.certificate_type
        return Sentence(
            f"证件号码 {mask(body.holder_id)}，证照类型 {kind or '全部'}",
            f"holder {mask(body.holder_id)}, certificate type {kind or 'all'}",
        )
    if isinstance(body, CertificateGet | CertificateVerify):
        return Sentence(
            f"证照标识 {mask(body.certificate_id)}", f"certificate id {mask(body.certificate_id)}"
        )
    if isinstance(body, ServiceGet):
        return Sentence(f"实施编码 {body.item_code}", f"item code {body.item_code}")
    if isinstance(body, ServiceSearch):
        words = body.words or body.item_code or body.division
        return Sentence(f"检索“{words}”", f"search for “{words}”")
    return Sentence("无", "nobody in particular")


def what_came_back(answer: Answer | None) -> Sentence:
    """The outcome in one sentence, without what the certificates say."""
    if answer is None:
        return Sentence(
            "本文件中没有答复：请求方已签名发出请求，未证明对方是否答复",
            "no answer in this file: the request was signed; whether it was answered is not proven",
        )
    header = answer.header
    if header.outcome is Outcome.REFUSED:
        row = TABLE.get(header.refusal_code)
        zh, en = (row.zh, row.en) if row else ("拒绝", "refused")
        return Sentence(
            f"已签名拒绝：{zh}（{header.refusal_code}）",
            f"a signed refusal: {en} ({header.refusal_code}) {header.refusal_detail}".rstrip(),
        )
    return _content(answer)


def _content(answer: Answer) -> Sentence:
    body = answer.body
    if isinstance(body, CertificatesAnswer):
        names = "、".join(_name_of(one.elements, one.certificate_type) for one in body.certificates)
        count = len(body.certificates)
        return Sentence(
            f"{count} 份电子证照" + (f"：{names}" if names else ""),
            f"{count} certificate(s)" + (f": {names}" if names else ""),
        )
    if isinstance(body, CertificateAnswer):
        if body.certificate is None:
            return Sentence("没有这份证照", "no such certificate")
        name = _name_of(body.certificate.elements, body.certificate.certificate_type)
        return Sentence(f"一份电子证照：{name}", f"one certificate: {name}")
    if isinstance(body, VerifyAnswer):
        return _VERDICTS[body.verdict]
    if isinstance(body, CertificateTypesAnswer):
        return Sentence(f"{len(body.types)} 种证照类型", f"{len(body.types)} certificate type(s)")
    if isinstance(body, ServicesAnswer):
        return Sentence(f"共 {body.total} 个事项", f"{body.total} service item(s) in all")
    if isinstance(body, ServiceItemAnswer):
        found = body.item.name if body.item else ""
        return Sentence(found or "没有这个事项", found or "no such service item")
    if isinstance(body, StateAnswer):
        return Sentence(f"节点版本 {body.version}", f"node version {body.version}")
    return Sentence("空答复", "an empty answer")


def _name_of(elements: object, fallback: str) -> str:
    for element in elements if isinstance(elements, tuple) else ():
        if element.name == "证照名称" and element.value:
            return str(element.value)
    return fallback


def render_report(report: EvidenceReport) -> str:
    """Who asked whom, for what, on which basis, when, and what came back; then what was checked."""
    return "\n".join([*_chinese(report), "", *_english(report)]) + "\n"


def _moment(at: datetime | None) -> str:
    return "—" if at is None else at.strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _item(basis: Basis) -> str:
    return f"{basis.service_item_name} {basis.service_item_code}".strip() or "—"


def _chinese(report: EvidenceReport) -> list[str]:
    header, answer = report.request.header, report.answer
    basis = header.basis
    operation = _OPERATIONS[header.operation]
    lines = [
        "存证成立",
        f"  请求编号    {header.request_id}",
        f"  请求方节点  {report.asking}",
        f"  应答方节点  {report.answering}",
        f"  事由        {operation.zh}；{report.subject.zh}",
        f"  用证依据    {_BASES[basis.kind].zh}；事项 {_item(basis)}",
        f"              办件 {basis.case_number or '—'}；用途 {basis.purpose or '—'}",
        f"  业务系统    {header.platform or '—'}；经办人 {header.officer or '—'}",
        f"  请求时间    {_moment(header.asked_at)}",
        f"  答复时间    {_moment(None if answer is None else answer.header.answered_at)}",
        f"  结果        {what_came_back(answer).zh}",
    ]
    if answer is not None:
        decision = answer.header.decision
        lines.append(f"  访问规则    {decision.rule or '—'}（版本 {decision.policy_version or '—'}）")
    lines += [
        f"  导出        {report.exported_by}，{_moment(report.exported_at)}，日志序号 {_numbers(report)}",
        f"  信任锚      {report.anchor}",
        "  证明时间    双方签名所载时间；尚未经其他节点见证，签名成立、时间未经证明",
        "  核验步骤",
        *(f"    {check.number}. {check.what.zh}" for check in report.checks),
    ]
    return lines


def _english(report: EvidenceReport) -> list[str]:
    header, answer = report.request.header, report.answer
    basis = header.basis
    operation = _OPERATIONS[header.operation]
    lines = [
        "The evidence holds",
        f"  request id      {header.request_id}",
        f"  asking node     {report.asking}",
        f"  answering node  {report.answering}",
        f"  asked for       {operation.en}; {report.subject.en}",
        f"  basis           {_BASES[basis.kind].en}; service item {_item(basis)}",
        f"                  case {basis.case_number or '—'}; purpose {basis.purpose or '—'}",
        f"  platform        {header.platform or '—'}; officer {header.officer or '—'}",
        f"  asked at        {_moment(header.asked_at)}",
        f"  answered at     {_moment(None if answer is None else answer.header.answered_at)}",
        f"  came back       {what_came_back(answer).en}",
    ]
    if answer is not None:
        decision = answer.header.decision
        lines.append(f"  access rule     {decision.rule or '—'} (policy {decision.policy_version or '—'})")
    lines += [
        f"  exported by     {report.exported_by}, {_moment(report.exported_at)}, log {_numbers(report)}",
        f"  anchor          {report.anchor}",
        "  time            as both signed it; not yet witnessed by other nodes: signed, time unproven",
        "  checked",
        *(f"    {check.number}. {check.what.en}" for check in report.checks),
    ]
    return lines


def _numbers(report: EvidenceReport) -> str:
    return ", ".join(map(str, report.log_indices))
