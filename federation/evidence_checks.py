"""What the steps of the verification say when they held, and what is said of what they could not show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from federation.evidence_report import Check, EvidenceReport, RecordReport, Sentence, latest

__all__ = ["Doubt", "checks_of", "key_unproven", "membership_unproven", "time_unproven"]

Doubt = tuple[int, Sentence]
"""The number of a step, and what it could not show."""


def checks_of(report: EvidenceReport) -> tuple[Check, ...]:
    """All steps: those that held, and what others could not show."""
    answered = None if report.request is None else report.answer is not None
    return (*_file_checks(report.checkpoints), *_exchange_checks(answered, report.records, report.doubts))


def _file_checks(checkpoints: int) -> tuple[Check, ...]:
    """Steps 1 to 5."""
    said = [
        Sentence("文件格式唯一，逐字节一致", "the container is spelled as only this format spells it"),
        Sentence(
            "清单与各部分的长度和摘要一致，索引不多不少",
            "the manifest fits every part, by size and SHA-256; the index refers to just these",
        ),
        Sentence(
            "导出节点的信任链成立，清单签名有效", "the exporting node's chain holds; it signed the manifest"
        ),
        Sentence(
            "状态声明与旧密钥清单的签名有效", "the trust status and the lists of former keys are signed"
        ),
        Sentence(
            f"{checkpoints} 个检查点由导出节点的日志签名",
            f"{checkpoints} checkpoint(s), each signed by the exporting node's log",
        ),
    ]
    return tuple(Check(number, sentence) for number, sentence in enumerate(said, start=1))


def _exchange_checks(
    answered: bool | None, records: Sequence[RecordReport], doubts: Sequence[Doubt]
) -> tuple[Check, ...]:
    """Steps 6 to 11; `answered` is None when the exchange was forgotten, and then 6 to 8 and 11 have nothing to say."""
    said: list[tuple[int, Sentence]] = []
    if answered is not None:
        said += _of_signatures(answered=answered)
    said.append((9, _of_leaves(records)))
    doubtful = {number for number, _ in doubts}
    if 10 not in doubtful:
        said.append((10, _settled(records)))
    if 11 not in doubtful and answered is not None:
        said.append(
            (
                11,
                _signers(settled=10 not in doubtful),
            )
        )
    held = [Check(number, sentence) for number, sentence in said]
    return tuple(sorted([*held, *(Check(*doubt, False) for doubt in doubts)], key=lambda check: check.number))


def _signers(*, settled: bool) -> Sentence:
    zh, en = (
        ("在证明时间", "at the evidence time") if settled else ("在所签时间", "at the times that they signed")
    )
    return Sentence(
        f"{zh}，签名密钥未停用，双方均未被撤销",
        f"{en} the signers' keys were theirs, and neither had been revoked",
    )


def _of_signatures(*, answered: bool) -> list[tuple[int, Sentence]]:
    return [
        (
            6,
            Sentence(
                "请求方的信任链当时成立，请求签名有效", "the asking node's chain held; it signed the request"
            ),
        ),
        (
            7,
            Sentence(
                "应答方的信任链当时成立，答复签名有效",
                "the answering node's chain held; it signed the answer",
            )
            if answered
            else Sentence(
                "应答方的信任链当时成立；没有答复", "the answering node's chain held; there is no answer"
            ),
        ),
        (
            8,
            Sentence("请求与答复的各项一致", "the headers agree with each other and with the signers"),
        ),
    ]


def _of_leaves(records: Sequence[RecordReport]) -> Sentence:
    if any(record.is_forgotten for record in records):
        if all(record.settlement is not None for record in records):
            return Sentence(
                "内容已依规删除；日志叶子仍在检查点的树中",
                "what was forgotten is gone; its log leaf is still in the tree of its checkpoint",
            )
        return Sentence("内容已依规删除，只剩日志叶子", "what was forgotten is gone; its log leaf is left")
    if all(record.settlement is not None for record in records):
        return Sentence(
            "日志叶子与原始字节一致，并在检查点的树中",
            "the log leaves are those of these bytes, and in the trees of their checkpoints",
        )
    return Sentence("日志叶子与原始字节一致", "the log leaves are those of these bytes")


def _settled(records: Sequence[RecordReport]) -> Sentence:
    at = latest(records)
    last = max(records, key=lambda record: record.evidence_at or record.recorded_at).settlement
    names = ", ".join(last.witnesses) if last is not None else ""
    quorum = last.quorum if last is not None else 0
    moment = at.isoformat() if at is not None else ""
    return Sentence(
        f"见证方 {names} 在 {moment} 之前共同签署（至少 {quorum} 方）",
        f"cosigned by {names}, {quorum} of them by {moment}",
    )


def time_unproven(record: RecordReport) -> Sentence:
    """Why a record has no evidence time."""
    settlement = record.settlement
    if settlement is None:
        return Sentence(
            "没有检查点：签名成立，时间未经证明",
            "no checkpoint holds it in this file: signed, time unproven",
        )
    if not settlement.quorum:
        return Sentence(
            "锚未设定见证方数目：签名成立，时间未经证明",
            "the anchor sets no quorum of witnesses: signed, time unproven",
        )
    have, need = len(settlement.witnesses), settlement.quorum
    said = "; ".join(settlement.rejected)
    return Sentence(
        f"见证方 {have} 个，须 {need} 个：签名成立，时间未经证明" + (f"（{said}）" if said else ""),
        f"{have} of {need} witnesses: signed, time unproven" + (f" (not counted: {said})" if said else ""),
    )


def key_unproven(entity_id: str, listed_at: datetime | None) -> Sentence:
    """Why it is not known that a signer's key was not retired."""
    if listed_at is None:
        return Sentence(
            f"文件中没有 {entity_id} 的旧密钥清单：密钥当时是否停用未经证明",
            f"no list of the former keys of {entity_id} in the file: not proven that its key was not retired",
        )
    at = listed_at.isoformat()
    return Sentence(
        f"{entity_id} 的旧密钥清单签于 {at}，早于证明时间：其后是否停用未经证明",
        f"the list of the former keys of {entity_id} is of {at}, before the evidence time: not proven that its key "
        "was not retired later",
    )


def membership_unproven(entity_id: str, issued_at: datetime | None) -> Sentence:
    """Why it is not known that a signer was not revoked."""
    if issued_at is None:
        return Sentence(
            f"文件中没有状态声明：{entity_id} 是否被撤销未核",
            f"no trust status in the file: revocation not checked of {entity_id}",
        )
    at = issued_at.isoformat()
    return Sentence(
        f"状态声明签于 {at}，早于本次交换：{entity_id} 其后是否撤销未核",
        f"the trust status is of {at}, before the exchange: later revocation not checked of {entity_id}",
    )
