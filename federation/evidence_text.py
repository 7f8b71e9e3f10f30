"""A report as text for a terminal: Chinese first, then English."""

from __future__ import annotations

from datetime import datetime

from federation.evidence_report import EvidenceReport
from federation.evidence_summary import ExchangeSummary, FileSummary, QuestionSummary, summarize
from federation.plain_text import plain

__all__ = ["moment", "render_report", "render_summary", "verdict_en", "verdict_zh"]

_ZH = {
    "proven": "存证成立，时间已经证明",
    "signed": "存证成立，但有未经证明之处",
    "forgotten": "内容已依规删除，日志中的位置成立",
}
_EN = {
    "proven": "The evidence holds, and its time is proven",
    "signed": "The evidence holds, with something not proven",
    "forgotten": "Its content was forgotten; its place in the log holds",
}


def verdict_zh(summary: ExchangeSummary) -> str:
    """The verdict in a few Chinese words."""
    return _ZH[summary.verdict]


def verdict_en(summary: ExchangeSummary) -> str:
    """The verdict in a few English words."""
    return _EN[summary.verdict]


def moment(at: datetime | None) -> str:
    """A time in UTC to the microsecond, or a dash."""
    return "—" if at is None else at.strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def render_report(report: EvidenceReport) -> str:
    """Who asked whom, for what, on which basis, when, and what came back; then what was checked."""
    file = FileSummary(report.exported_by, report.exported_at, "exchange", report.anchor)
    return render_summary(file, summarize(report))


def render_summary(file: FileSummary, summary: ExchangeSummary) -> str:
    """As `render_report`."""
    lines = [*_chinese(file, summary), "", *_english(file, summary)]
    return "".join(f"{plain(line)}\n" for line in lines)


def _chinese(file: FileSummary, summary: ExchangeSummary) -> list[str]:
    question = summary.question
    return [
        verdict_zh(summary),
        f"  请求编号    {summary.request_id}",
        *(
            _chinese_question(question)
            if question is not None
            else ["  内容        已依规删除，只剩日志叶子"]
        ),
        f"  证明时间    {moment(summary.evidence_at)}" + ("" if summary.evidence_at else "  时间未经证明"),
        f"  导出        {file.exported_by}，{moment(file.exported_at)}，日志 {_numbers(summary)}",
        f"  信任锚      {file.anchor}",
        "  核验步骤",
        *(f"    {_mark(check.proven)} {check.number}. {check.what.zh}" for check in summary.checks),
    ]


def _chinese_question(question: QuestionSummary) -> list[str]:
    return [
        f"  请求方节点  {question.asking}",
        f"  应答方节点  {question.answering}",
        f"  事由        {question.asked_for.zh}；{question.subject.zh}",
        f"  用证依据    {question.basis.zh}；事项 {question.service_item or '—'}",
        f"              办件 {question.case_number or '—'}；用途 {question.purpose or '—'}",
        f"  业务系统    {question.platform or '—'}；经办人 {question.officer or '—'}",
        f"  请求时间    {moment(question.asked_at)}（请求方所签）",
        f"  答复时间    {moment(question.answered_at)}" + ("（应答方所签）" if question.answered_at else ""),
        f"  结果        {question.came_back.zh}",
        f"  访问规则    {question.access_rule or '—'}（版本 {question.policy_version or '—'}）",
    ]


def _english(file: FileSummary, summary: ExchangeSummary) -> list[str]:
    question = summary.question
    return [
        verdict_en(summary),
        f"  request id      {summary.request_id}",
        *(
            _english_question(question)
            if question is not None
            else ["  content         forgotten; leaf and proof are left"]
        ),
        f"  evidence time   {moment(summary.evidence_at)}"
        + ("" if summary.evidence_at else "  time unproven"),
        f"  exported by     {file.exported_by}, {moment(file.exported_at)}, log {_numbers(summary)}",
        f"  anchor          {file.anchor}",
        "  checked",
        *(f"    {_mark(check.proven)} {check.number}. {check.what.en}" for check in summary.checks),
    ]


def _english_question(question: QuestionSummary) -> list[str]:
    return [
        f"  asking node     {question.asking}",
        f"  answering node  {question.answering}",
        f"  asked for       {question.asked_for.en}; {question.subject.en}",
        f"  basis           {question.basis.en}; service item {question.service_item or '—'}",
        f"                  case {question.case_number or '—'}; purpose {question.purpose or '—'}",
        f"  platform        {question.platform or '—'}; officer {question.officer or '—'}",
        f"  asked at        {moment(question.asked_at)} (as the asking node signed it)",
        f"  answered at     {moment(question.answered_at)}"
        + (" (as the answering node signed it)" if question.answered_at else ""),
        f"  came back       {question.came_back.en}",
        f"  access rule     {question.access_rule or '—'} (policy {question.policy_version or '—'})",
    ]


def _mark(proven: bool) -> str:
    return "✓" if proven else "?"


def _numbers(summary: ExchangeSummary) -> str:
    return ", ".join(f"{record.generation}/{record.log_index}" for record in summary.records)
