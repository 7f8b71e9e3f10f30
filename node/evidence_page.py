"""Evidence as a page for the operator, on the operations listener: the log, its witnesses, what contradicts, and what
comparing with each peer came to, with what to do.

Chinese first, no script, nothing from elsewhere. State is told in words, never by colour alone. Nothing of a person is
on it: an exchange is named by its request id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from federation.log_conflicts import Conflict
from federation.pair_log import HourState, Reconciled
from federation.plain_text import escape
from federation.ports import CheckpointRow
from federation.reconcile import ADVICE, Finding, FindingKind, Place, start_of_hour
from node.evidence_view import EvidenceView, PeerView
from node.log_watch import CONFLICT_WORDS
from node.trust_words import moment, span

__all__ = ["evidence_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #9a9a9a; --ok: #14692b; --bad: #a3161a; }
@media (prefers-color-scheme: dark) { :root { --ok: #7ddb94; --bad: #ff9a94; } }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { font-size: 1.15rem; margin: 0; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .85rem; overflow-wrap: anywhere; }
section { padding: 1rem 0; } .ok { color: var(--ok); font-weight: 700; } .bad { color: var(--bad); font-weight: 700; }
.problem { border-left: .25rem solid var(--bad); padding-left: .6rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
caption { text-align: left; font-weight: 600; padding-top: .5rem; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: .25rem 0; }
dt { font-weight: 600; } dd { margin: 0; } p { margin: .25rem 0; } ul { margin: .25rem 0; padding-left: 1.2rem; }
time { white-space: nowrap; } .skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid; }
@media (max-width: 40rem) { th, td { padding: .25rem; } thead { position: absolute; left: -99rem; }
  tr { display: block; border: 1px solid var(--line); margin-bottom: .5rem; } td { display: block; border: 0; }
  td::before { content: attr(data-head); display: block; font-size: .8rem; font-weight: 600; }
  dl { grid-template-columns: 1fr; } dd { padding-bottom: .4rem; } }
"""
_STATES: Final = {
    HourState.AGREE: ("ok", "一致", "both logs agree"),
    HourState.EXPLAINED: ("ok", "有差异，可解释", "differs, explained"),
    HourState.ALARM: ("bad", "须查", "look into it"),
    HourState.UNFINISHED: ("", "未比完", "not compared to its end"),
}
KINDS: Final = {
    FindingKind.MISSING_HERE: ("本节点缺失", "missing here"),
    FindingKind.MISSING_THERE: ("对端缺失", "missing there"),
    FindingKind.ALTERED: ("被改动", "altered"),
    FindingKind.ONE_SIDED: ("只有请求", "asked, never answered"),
    FindingKind.UNFETCHED: ("应答未送达", "answer not fetched"),
    FindingKind.LATE: ("时间不符", "recorded late"),
}
_PLACES: Final = {
    Place.HERE: ("本节点", "here"),
    Place.THERE: ("对端", "there"),
    Place.BETWEEN: ("两边不同", "the two differ"),
}
_FINDINGS_SHOWN: Final = 10


def evidence_page(view: EvidenceView) -> bytes:
    """The page, as UTF-8."""
    parts = [
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>存证 Evidence</title><style>{_STYLE}</style></head><body>",
        '<a class="skip" href="#main">跳到正文 / Skip to content</a>',
        '<header><h1>存证 <span lang="en">Evidence</span></h1>',
        f"<p><code>{escape(view.own_entity)}</code> · {_time(view.at)}</p></header>",
        '<main id="main">',
        _own_log(view),
        _conflicts(view.conflicts),
        _witnesses(view),
        *(_peer(one, view.at) for one in view.peers),
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _own_log(view: EvidenceView) -> str:
    closed = ""
    if view.closed:
        closed = (
            f'<p class="problem">{_both("日志已关闭，不放行任何数据", "the log is closed and nothing is released")}: '
            f"{escape(view.closed)} · <code>yrd log restart --reason …</code></p>"
        )
    rows = [
        (_both("代次", "generation"), str(view.signed.generation if view.signed else view.generations)),
        (_both("最新检查点", "last checkpoint"), _checkpoint(view.signed, view.at)),
        (_both("最新已见证", "last settled"), _settled(view)),
        (
            _both("法定数", "quorum"),
            str(view.quorum) if view.quorum else _both("锚未给出", "not named by the anchor"),
        ),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f"<section><h2>{_both('本节点的日志', 'This node’s log')}</h2>{closed}<dl>{listed}</dl></section>"


def _checkpoint(one: CheckpointRow | None, now: datetime) -> str:
    if one is None:
        return _both("尚无", "none yet")
    return (
        f"{_records(one.size)} · {_time(one.made_at)}（{escape(span(now - one.made_at))} "
        f"{_both('前', 'ago')}）<br><code>{one.root.hex()}</code>"
    )


def _settled(view: EvidenceView) -> str:
    if view.settled is None or view.settled.settled_at is None:
        return _both("尚无：记录的时间未得证明", "none yet: no record’s time is proven")
    at = _time(view.settled.settled_at)
    waiting = (view.signed.size if view.signed else 0) - view.settled.size
    rest = f"，{waiting} {_both('条待见证', 'not settled yet')}" if waiting > 0 else ""
    return f"{_records(view.settled.size)} · {_both('见证时间', 'evidence time')} {at}{rest}"


def _records(size: int) -> str:
    return f"{size} {_both('条记录', 'record' if size == 1 else 'records')}"


def _conflicts(conflicts: Sequence[Conflict]) -> str:
    if not conflicts:
        return f'<p><span class="ok">{_both("没有未处理的冲突", "no conflict waits for anyone")}</span></p>'
    rows = [
        (
            str(one.number),
            _time(one.at),
            f"<code>{escape(one.entity_id)}</code>",
            f'<span class="bad">{_both(*CONFLICT_WORDS[one.kind])}</span>',
            f"{escape(one.detail)}<br><code>yrd log conflicts --acknowledge {one.number}</code>",
        )
        for one in conflicts
    ]
    heads = (
        ("编号", "number"),
        ("时间", "at"),
        ("谁的日志", "whose log"),
        ("种类", "kind"),
        ("说明", "what to do"),
    )
    table = _table(("冲突", "Conflicts"), heads, rows, "conflicts")
    return (
        f'<section class="problem"><h2>{_both("须查的冲突", "Conflicts to look into")}</h2>{table}</section>'
    )


def _witnesses(view: EvidenceView) -> str:
    rows = [
        (
            escape(_who(one)),
            _both("尚无", "none yet") if one.cosigned is None else _ago(one.cosigned.cosigned_at, view.at),
        )
        for one in view.peers
    ]
    heads = (("见证人", "witness"), ("最近见证本节点", "last cosigned this log"))
    return f"<section>{_table(('见证', 'Witnesses'), heads, rows, 'witnesses')}</section>"


def _peer(one: PeerView, now: datetime) -> str:
    head = f"<h2>{_both('与', 'Compared with')} {escape(_who(one))}</h2>"
    rows = [(_hour(hour), str(hour.exchanges), _state(hour), _findings(hour)) for hour in one.hours]
    heads = (
        ("小时", "hour"),
        ("交换", "exchanges"),
        ("结果", "result"),
        ("发现与处理", "findings, what to do"),
    )
    table = _table(("按小时", "By hour"), heads, rows, one.peer.entity_id)
    nothing = f"<p>{_both('近一日没有交换', 'no exchange within a day')}</p>"
    return f'<section id="{escape(one.peer.entity_id)}">{head}{_look(one, now)}{table or nothing}</section>'


def _look(one: PeerView, now: datetime) -> str:
    look = one.look
    if look is None:
        return f"<p>{_both('本进程尚未比较', 'not compared yet by this process')}</p>"
    parts = []
    if look.done_at is not None:
        parts.append(f"<p>{_both('最近比较', 'last compared')} {_ago(look.done_at, now)}</p>")
    if look.problem:
        parts.append(
            f'<p class="problem">{_both("未能比较", "could not be compared")}: <code>{escape(look.problem)}</code> '
            f"{_ago(look.at, now)}</p>"
        )
    return "".join(parts)


def _state(hour: Reconciled) -> str:
    mood, zh, en = _STATES[hour.state]
    return f'<span class="{mood}">{_both(zh, en)}</span>'


def _findings(hour: Reconciled) -> str:
    shown = sorted(hour.findings, key=lambda one: not one.kind.is_alarming)[:_FINDINGS_SHOWN]
    items = "".join(f"<li>{_finding(one)}</li>" for one in shown)
    beyond = len(hour.findings) - len(shown) + hour.more
    rest = ""
    if beyond:
        rest = f"<p>{_both(f'另有 {beyond} 项', f'{beyond} more')}: <code>yrd evidence reconcile</code></p>"
    return (f"<ul>{items}</ul>" if items else "—") + rest


def _finding(one: Finding) -> str:
    mood = "bad" if one.kind.is_alarming else ""
    return (
        f'<span class="{mood}">{_both(*KINDS[one.kind])}</span> · {_both(*_PLACES[one.place])} · '
        f"<code>{escape(one.request_id)}</code><br>{_both(*ADVICE[one.kind, one.place])}"
    )


def _hour(hour: Reconciled) -> str:
    begins = start_of_hour(hour.hour)
    return f"<time>{begins:%Y-%m-%d}</time> <time>{begins:%H:%M}–{begins + timedelta(hours=1):%H:%M}Z</time>"


def _who(one: PeerView) -> str:
    return f"{one.peer.province} {one.peer.name}"


def _table(
    caption: tuple[str, str], heads: Iterable[tuple[str, str]], rows: Sequence[tuple[str, ...]], label: str
) -> str:
    if not rows:
        return ""
    named_heads = list(heads)
    head = "".join(f'<th scope="col">{_both(*one)}</th>' for one in named_heads)
    body = "".join(f"<tr>{_cells(named_heads, row)}</tr>" for row in rows)
    named = escape(f"{caption[0]} {caption[1]}: {label}")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{named}"><table>'
        f"<caption>{_both(*caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(heads: Sequence[tuple[str, str]], row: Sequence[str]) -> str:
    """The cells of a row; on a telephone each tells its head itself."""
    return "".join(
        f'<td data-head="{escape(f"{zh} {en}")}">{cell}</td>'
        for (zh, en), cell in zip(heads, row, strict=True)
    )


def _ago(at: datetime, now: datetime) -> str:
    return f"{_time(at)}（{escape(span(now - at))} {_both('前', 'ago')}）"


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{moment(at)}</time>'


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)} <span lang="en">{escape(en)}</span>'
