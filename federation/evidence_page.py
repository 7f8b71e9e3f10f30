"""What evidence proves, as a page for people: Chinese first, then English, to be read on a phone or printed.

No script, nothing from elsewhere, no number of a holder in clear. What holds is told in words, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from federation.evidence_report import NamedNode, Sentence
from federation.evidence_summary import ExchangeSummary, FileSummary, QuestionSummary
from federation.evidence_text import moment, verdict_en, verdict_zh
from federation.plain_text import escape

__all__ = ["page_begin", "page_end", "render_broken", "render_exchange"]

_STYLE = """
:root { color-scheme: light dark; --line: #8a8a8a; --ok: #14692b; --warn: #7a4b00; --bad: #a3161a; --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #7ddb94; --warn: #f2c46d; --bad: #ff9a94; --ground: #121212; } }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 56rem; margin: 0 auto; padding: 1rem; background: var(--ground); }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; line-height: 1.4; margin: 0; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
[lang=en] { font-weight: 400; } h1 [lang=en], h2 [lang=en] { display: block; font-size: .9em; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .85rem; overflow-wrap: anywhere; }
article { border: 1px solid var(--line); border-left-width: .4rem; border-radius: .25rem; padding: .75rem 1rem;
  margin: 1rem 0; }
article.ok { border-left-color: var(--ok); } article.warn { border-left-color: var(--warn); }
article.bad { border-left-color: var(--bad); }
.ok h2 { color: var(--ok); } .warn h2 { color: var(--warn); } .bad h2 { color: var(--bad); }
dl { display: grid; grid-template-columns: 12rem 1fr; gap: .15rem .75rem; margin: .75rem 0; }
dt { font-weight: 600; } dt [lang=en] { font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
dd span[lang=en] { display: block; font-size: .9rem; }
ol { margin: .25rem 0; padding: 0; list-style: none; }
li { display: grid; grid-template-columns: 8.5rem 1fr; gap: 0 .75rem; padding: .2rem 0; }
li [lang=en], header p [lang=en], footer [lang=en] { display: block; font-size: .9rem; }
.state { font-weight: 700; } li .state [lang=en] { display: inline; }
.held { color: var(--ok); } .open { color: var(--warn); }
.sum { border-bottom: 1px solid var(--line); padding-bottom: .5rem; }
footer { font-size: .9rem; border-top: 1px solid var(--line); padding-top: .5rem; }
@media (max-width: 34rem) { li { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { padding-bottom: .5rem; }
  body { padding: .5rem; } article { padding: .5rem .6rem; } }
@media print { :root { color-scheme: light; --ok: #000; --warn: #000; --bad: #000; --ground: #fff; }
  body { max-width: none; font-size: 10pt; padding: 0; } article { break-inside: auto; border-color: #000; }
  h2, h3, dt { break-after: avoid; } li, dd { break-inside: avoid; } }
"""
_CLASS = {"proven": "ok", "signed": "warn", "forgotten": "warn"}


_HELD = '成立 <span lang="en">held</span>'
_OPEN = '未证明 <span lang="en">not proven</span>'
_ZH = "{exchanges} 次交换：时间已证明 {proven}，有未证明之处 {signed}，内容已删除 {forgotten}"
_EN = "{exchanges} exchange(s): {proven} proven, {signed} with something not proven, {forgotten} forgotten"


def _of_exchanges(said: str, tally: Mapping[str, int]) -> str:
    return said.format_map(tally)


def page_begin(tally: Mapping[str, int], *, left_out: int = 0) -> str:
    """The page's beginning: how many held."""
    broken, unknown = tally["broken"], tally["unknown"]
    lines = [
        (
            f"{tally['files']} 份文件，{tally['holding']} 份成立",
            f"{tally['files']} file(s), {tally['holding']} hold",
        ),
        (_of_exchanges(_ZH, tally), _of_exchanges(_EN, tally)),
    ]
    if broken or unknown:
        lines.append(
            (
                f"不成立 {broken}，本机无法核验 {unknown}",
                f"{broken} do not hold, {unknown} cannot be checked here",
            )
        )
    if left_out:
        lines.append((f"本页未列 {left_out} 次", f"{left_out} more are not on this page"))
    return "".join(
        [
            '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="robots" content="noindex">',
            f"<title>存证核验报告 Evidence report</title><style>{_STYLE}</style></head><body>",
            '<header class="sum"><h1>存证核验报告 <span lang="en">Evidence report</span></h1>',
            *(f"<p>{_said(zh, en)}</p>" for zh, en in lines),
            "</header><main>",
        ]
    )


def page_end() -> str:
    """The page's end: what the words mean."""
    return "".join(
        [
            "</main><footer><p>",
            _said(
                "“证明时间”是若干其他节点共同签署的时间：在此之前，记录已在日志中。请求与答复时间由双方节点自己签署。",
                "The evidence time is when enough other nodes had cosigned: the record was in the log by then. The "
                "times of request and answer are as the two nodes signed them.",
            ),
            "</p><p>",
            _said(
                "核验只凭锚的公钥，不经网络。步骤见 docs/evidence-format.md。",
                "Checked with nothing but the anchor's public key, offline; the steps are those of "
                "docs/evidence-format.md.",
            ),
            "</p></footer></body></html>\n",
        ]
    )


def render_broken(path: str, request_id: str, detail: str, *, unknown: bool) -> str:
    """What does not hold, or cannot be checked on this machine, and why."""
    heading = (
        ("本机无法核验", "It cannot be checked on this machine")
        if unknown
        else ("不成立", "It does not hold")
    )
    rows = [("文件", "file", _code(path))]
    if request_id:
        rows.append(("请求编号", "request id", _code(request_id)))
    rows.append(("原因", "why", f'<span lang="en">{escape(detail)}</span>'))
    return _article("warn" if unknown else "bad", heading, _list(rows))


def render_exchange(path: str, file: FileSummary, summary: ExchangeSummary) -> str:
    """Who asked whom, when, why, with which result, by when that is proven, and which checks held."""
    rows = [("文件", "file", _code(path)), ("请求编号", "request id", _code(summary.request_id))]
    if summary.question is not None:
        rows += _of_question(summary.question)
    rows += [
        ("证明时间", "evidence time", _evidence_time(summary)),
        (
            "导出",
            "exported by",
            f"{_node(file.exported_by)}<br>{_time(file.exported_at)}<br>"
            + _said(f"日志 {_places(summary)}", f"log {_places(summary)}"),
        ),
        ("信任锚", "anchor", _code(file.anchor)),
    ]
    checks = "".join(
        f'<li><span class="state {"held" if check.proven else "open"}">{check.number}. '
        f"{_HELD if check.proven else _OPEN}</span> <span>{_sentence(check.what)}</span></li>"
        for check in summary.checks
    )
    heading = (verdict_zh(summary), verdict_en(summary))
    steps = f'<h3>核验步骤 <span lang="en">What was checked</span></h3><ol>{checks}</ol>'
    return _article(_CLASS[summary.verdict], heading, _list(rows) + steps)


def _of_question(question: QuestionSummary) -> list[tuple[str, str, str]]:
    return [
        ("请求方", "asked by", _node(question.asking)),
        (
            "业务系统、经办人",
            "platform, officer",
            escape(f"{question.platform or '—'}，{question.officer or '—'}"),
        ),
        ("应答方", "asked of", _node(question.answering)),
        ("所问", "what", _sentence(question.asked_for) + _sentence(question.subject)),
        ("用证依据", "basis", _sentence(question.basis)),
        ("事项", "service item", escape(question.service_item or "—")),
        ("办件", "case", escape(question.case_number or "—")),
        ("用途", "purpose", escape(question.purpose or "—")),
        ("请求时间", "asked at", _time(question.asked_at)),
        ("答复时间", "answered at", _time(question.answered_at) if question.answered_at else "—"),
        ("结果", "result", _sentence(question.came_back)),
        (
            "访问规则",
            "access rule",
            escape(f"{question.access_rule or '—'}（{question.policy_version or '—'}）"),
        ),
    ]


def _evidence_time(summary: ExchangeSummary) -> str:
    if summary.evidence_at is None:
        return _said("时间未经证明", "time unproven")
    witnesses = dict.fromkeys(name for record in summary.records for name in record.witnesses)
    names = "、".join(map(escape, witnesses))
    return f'{_time(summary.evidence_at)}<br>见证方 <i lang="en">witnesses</i> <code>{names}</code>'


def _places(summary: ExchangeSummary) -> str:
    return ", ".join(f"{record.generation}/{record.log_index}" for record in summary.records)


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{moment(at)}</time>'


def _node(node: NamedNode) -> str:
    return f"{escape(node.name)}（{escape(node.province)}）<br>{_code(node.entity_id)}"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _sentence(sentence: Sentence) -> str:
    return _said(sentence.zh, sentence.en)


def _said(zh: str, en: str) -> str:
    return f'{escape(zh)} <span lang="en">{escape(en)}</span>'


def _list(rows: Iterable[tuple[str, str, str]]) -> str:
    inside = "".join(f"<dt>{_said(zh, en)}</dt><dd>{content}</dd>" for zh, en, content in rows)
    return f"<dl>{inside}</dl>"


def _article(kind: str, heading: tuple[str, str], content: str) -> str:
    return f'<article class="{kind}"><h2>{_said(*heading)}</h2>{content}</article>'
