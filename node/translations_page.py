"""Translations as a page for the people who keep the dialect, on the operations listener: which rule set is in
force, what came of the values, and which codes it has no row for.

Chinese first, no script, nothing from elsewhere. Nothing of a person is on it: `federation.unmapped_codes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from federation.plain_text import escape
from federation.translator import CARRIED, Direction
from federation.unmapped_codes import CODES_MAX, CODES_PER_LIST_MAX, HOLDERS_MIN, WORDS_MAX, NotShown
from node.translation_view import OUTCOMES, TranslationView
from node.trust_words import moment, span

__all__ = ["translations_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #9a9a9a; --bad: #a3161a; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff9a94; } }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { font-size: 1.15rem; margin: 0; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .9rem; overflow-wrap: anywhere; }
section { padding: 1rem 0; } .bad { color: var(--bad); font-weight: 700; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
caption { text-align: left; font-weight: 600; padding-top: .5rem; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
.number { display: block; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td code { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: .25rem 0; }
dt { font-weight: 600; } dd { margin: 0; } p { margin: .25rem 0; } ol { margin: .25rem 0; }
time { white-space: nowrap; } .skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid; }
@media (max-width: 30rem) { td code { white-space: normal; display: inline-block; min-width: 5rem; }
  td time { white-space: normal; } th, td { padding: .25rem; font-size: .85rem; }
  dl { grid-template-columns: 1fr; } dd { padding-bottom: .4rem; } }
"""
_SHORT = {Direction.TO_SHARED: ("读入", "to shared"), Direction.TO_LOCAL: ("写出", "to local")}
DIRECTIONS = {
    Direction.TO_SHARED: ("读入：本省 → 共同标准", "local to shared"),
    Direction.TO_LOCAL: ("写出：共同标准 → 本省", "shared to local"),
}
WORDS = {
    "exact": ("等同", "exact"),
    "narrower": ("更窄", "narrower"),
    "broader": ("更宽", "broader"),
    "related": ("相关", "related"),
    "defaulted": ("缺省", "defaulted"),
    "unmapped": ("未能对应", "unmapped"),
    "invalid": ("不合规", "invalid"),
    CARRIED: ("对方未能对应，原样转交", "carried: the other side could not read it"),
}
_HIDDEN = {
    NotShown.NUMBER: ("数字太多，可能是证件号码", "as many digits as a person's number"),
    NotShown.LONG: ("太长，不是代码", "longer than any code"),
    NotShown.WORD: (
        f"词语，不足 {HOLDERS_MIN} 位持证主体用过，或来自平台、对端",
        f"a word that fewer than {HOLDERS_MIN} holders' documents had, or from a platform or peer",
    ),
    NotShown.FREE_TEXT: (
        f"不同词语超过 {WORDS_MAX} 个：该字段装的不是代码，或代码表缺得太多",
        f"more than {WORDS_MAX} different words: no codes, or a map that lacks most",
    ),
    NotShown.FORM: ("不像代码", "does not look like a code"),
    NotShown.FULL: (
        f"代码已记满（每表 {CODES_PER_LIST_MAX}，共 {CODES_MAX}）",
        f"no more codes are kept ({CODES_PER_LIST_MAX} a list, {CODES_MAX} in all)",
    ),
}
_STEPS = (
    (
        "查明代码的含义，在方言目录的 <code>maps/代码表.csv</code> 中加一行；没有对应的写 <code>none</code> 和原因。",
        "Find out what it means and add a row to <code>maps/LIST.csv</code>; <code>none</code> where nothing fits.",
    ),
    (
        "<code>yrd map check</code>、<code>yrd map diff</code>：确认无误，改动正是所要的。",
        "See that there is no fault, and that what changes is what was meant.",
    ),
    (
        "<code>yrd map reload</code>：每个进程各自重新读取；已有行的代码即从本表消失。",
        "For each process; what has a row then leaves this list.",
    ),
)
_WHY_HIDDEN = (
    "代码字段里也可能是姓名或证件号码，故只显示像代码的值。请到本地库查看该字段。",
    "A code field can hold a person's name or number: only what looks like a code is shown. The registry has it.",
)
_WHY_PARTED = (
    "只有字母、用连字符或点等分开的值（如 Li-Na、Li.Na）可能是姓名，不算代码。",
    "Letters alone in parts, parted by hyphens, dots or the like (Li-Na, Li.Na), could be a name: they are no code.",
)
_OF_THIS_PROCESS = (
    "本进程转换的值；其他进程各有其数，由 Prometheus 汇总。",
    "values that this process translated. Other processes have their own counts; Prometheus adds them up.",
)


def translations_page(view: TranslationView) -> bytes:
    """The page, as UTF-8."""
    parts = [
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>转换 Translations</title><style>{_STYLE}</style></head><body>",
        '<a class="skip" href="#main">跳到正文 / Skip to content</a>',
        f'<header><p><a href="/">{_both("节点运行", "Operations")}</a></p>',
        '<h1>转换 <span lang="en">Translations</span></h1>',
        f"<p>{_both('本进程所见，截至', 'as this process saw it until')} {_time(view.at)}</p></header>",
        '<main id="main">',
        *_in_force(view),
        *_codes(view),
        *_not_shown(view),
        *_outcomes(view),
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _in_force(view: TranslationView) -> Iterator[str]:
    yield f"<section><h2>{_both('现行规则集', 'Rule set in force')}</h2><dl>"
    yield f"<dt>{_both('省', 'province')}</dt><dd>{escape(view.province)} {escape(view.name)}</dd>"
    yield f"<dt>{_both('版本', 'version')}</dt><dd><code>{escape(view.version)}</code></dd>"
    yield f"<dt>{_both('摘要', 'digest')}</dt><dd><code>{escape(view.digest)}</code></dd>"
    if view.since is not None:
        ago = f"（{escape(span(view.at - view.since))} {_both('前', 'ago')}）"
        yield f"<dt>{_both('生效于', 'since')}</dt><dd>{_time(view.since)}{ago}</dd>"
    yield "</dl></section>"


def _codes(view: TranslationView) -> Iterator[str]:
    yield f"<section><h2>{_both('规则集没有的代码', 'Codes that the rule set has no row for')}</h2>"
    if not view.codes:
        yield f"<p>{_both('没有', 'none')}</p></section>"
        return
    yield _table(
        ("未能对应的代码", "Unmapped codes"),
        (
            ("代码表", "list"),
            ("代码", "code"),
            ("次数", "times"),
            ("方向", "way"),
            ("最近", "last seen"),
        ),
        [
            (
                f"<code>{escape(one.list_name)}</code>",
                f"<code>{escape(one.code)}</code>",
                _number(one.times),
                _both(*_SHORT[one.direction]),
                _time(one.last_seen_at),
            )
            for one in view.codes
        ],
    )
    steps = "".join(f'<li>{zh} <span lang="en">{en}</span></li>' for zh, en in _STEPS)
    yield f"<p>{_both('怎么办', 'What to do')}:</p><ol>{steps}</ol></section>"


def _not_shown(view: TranslationView) -> Iterator[str]:
    if not view.not_shown:
        return
    yield f"<section><h2>{_both('只计数、不显示的值', 'Values that are only counted')}</h2>"
    yield f"<p>{_both(*_WHY_HIDDEN)}</p><p>{_both(*_WHY_PARTED)}</p>"
    yield _table(
        ("未显示的值", "Values not shown"),
        (("代码表", "list"), ("次数", "times"), ("方向", "way"), ("原因", "why")),
        [
            (
                f"<code>{escape(name)}</code>",
                _number(count),
                _both(*_SHORT[direction]),
                _both(*_HIDDEN[why]),
            )
            for (direction, name, why), count in sorted(view.not_shown.items(), key=lambda item: -item[1])
        ],
    )
    yield "</section>"


def _outcomes(view: TranslationView) -> Iterator[str]:
    yield f"<section><h2>{_both('转换结果', 'What came of the values')}</h2>"
    since = f"{_both('自', 'since')} {_time(view.counted_since)}" if view.counted_since else ""
    yield f"<p>{since} {_both(*_OF_THIS_PROCESS)}</p>"
    totals = view.totals
    rows = [
        (_both(*WORDS[word]), *(_number(totals[direction].get(word, 0)) for direction in Direction))
        for word in OUTCOMES
    ]
    yield _table(
        ("按结果和方向", "By outcome and direction"),
        (("结果", "outcome"), *(DIRECTIONS[direction] for direction in Direction)),
        rows,
    )
    yield "</section>"


def _number(count: int) -> str:
    return f'<span class="number">{count:,}</span>'


def _table(
    caption: tuple[str, str], heads: Iterable[tuple[str, str]], rows: Iterable[tuple[str, ...]]
) -> str:
    head = "".join(f'<th scope="col">{_both(*one)}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(" ".join(caption))}"><table>'
        f"<caption>{_both(*caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{moment(at)}</time>'


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)} <span lang="en">{escape(en)}</span>'
