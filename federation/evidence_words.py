"""What is said of an exchange in plain words: Chinese first, then English. The holder's number is masked."""

from __future__ import annotations

from federation.errors import TABLE
from federation.evidence_report import Sentence
from federation.query import (
    Answer,
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

__all__ = ["basis_of", "mask", "operation_of", "subject_of", "what_came_back"]


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


def operation_of(request: Request) -> Sentence:
    """What was asked for."""
    operation = request.header.operation
    return _OPERATIONS.get(operation, Sentence(operation.value, operation.value))


def basis_of(request: Request) -> Sentence:
    """On which basis."""
    return _BASES[request.header.basis.kind]


def subject_of(request: Request) -> Sentence:
    """Whom or what the question was about; a holder's number is masked."""
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


def what_came_back(answer: Answer | None, *, forgotten: bool = False) -> Sentence:
    """The outcome in one sentence, without what the certificates say."""
    if answer is None and forgotten:
        return Sentence("答复已依规删除，只剩日志叶子", "the answer was forgotten; its log leaf is left")
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
