"""What the rule sets cover, as a page: lists by province, certificate types by province, and every open end.

Chinese first, no script, nothing from elsewhere. State is told in words and figures, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from federation.plain_text import escape
from mapping.coverage import KindCoverage, ListCoverage, RuleSetCoverage, Told

__all__ = ["coverage_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #9a9a9a; --ok: #14692b; --warn: #7a4b00; --bad: #a3161a; --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ok: #7ddb94; --warn: #f2c46d; --bad: #ff9a94; --ground: #121212; } }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 78rem; margin: 0 auto; padding: 1rem; background: var(--ground); }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { font-size: 1.25rem; } h3 { font-size: 1.05rem; margin: 1rem 0 0; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .85rem; overflow-wrap: anywhere; }
section { padding: .5rem 0 1rem; border-top: 1px solid var(--line); }
.state { font-weight: 700; display: block; } .ok { color: var(--ok); } .warn { color: var(--warn); }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin-top: .5rem; min-width: 100%; }
caption { text-align: left; font-weight: 600; padding-top: .5rem; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
tbody th { position: sticky; left: 0; background: var(--ground); box-shadow: inset 0 -1px var(--line);
  min-width: 5.5rem; overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; } .figure { display: block; white-space: nowrap; }
p { margin: .25rem 0; } nav ul { padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: .25rem 0; }
dt { font-weight: 600; } dd { margin: 0; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a:focus-visible, .scroll:focus-visible, summary:focus-visible { outline: 3px solid; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { padding-bottom: .4rem; } }
"""
_IN_CELLS = ("每格为状态与数字", "state and figures")
_Heads = Sequence[tuple[str, str]]


def coverage_page(found: Sequence[RuleSetCoverage]) -> bytes:
    """The page of several rule sets, as UTF-8."""
    days = "、".join(sorted({one.on for one in found}))
    parts = [
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>代码覆盖 Coverage</title><style>{_STYLE}</style></head><body>",
        '<a class="skip" href="#main">跳到正文 / Skip to content</a>',
        '<header><h1>代码覆盖 <span lang="en">What the rule sets cover</span></h1>',
        f"<p>{_both('日期', 'on')} {escape(days)}</p></header>",
        f'<main id="main">{_contents(found)}{_legend()}',
        _matrix("代码表", "Lists", found, _list_names(found), _list_cell),
        _matrix("证照类型", "Certificate types", found, _kind_names(found), _kind_cell),
        *(part for one in found for part in _rule_set(one)),
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _contents(found: Sequence[RuleSetCoverage]) -> str:
    links = [("lists", "代码表", "lists"), ("certificate-types", "证照类型", "certificate types")]
    links += [(one.province, f"{one.province} {one.name}", "details") for one in found]
    items = "".join(f'<li><a href="#{escape(to)}">{_both(zh, en)}</a></li>' for to, zh, en in links)
    return f'<nav aria-label="目录 Contents"><ul>{items}</ul></nav>'


def _legend() -> str:
    said = (
        (
            "有行 row",
            "本地代码在代码表中有一行；无对应的行说明原因",
            "local codes that have a row; a row none says why",
        ),
        ("可达 reached", "有本地代码对应的共同代码", "shared codes that some local code means"),
        ("可写 written", "能写成本地代码的共同代码", "shared codes that have a local code"),
        ("有损 lossy", "有对应但不等同：读入 / 写出", "translated, but not exactly: read / written"),
        ("往返 returns", "去而复回仍是原代码的本地代码", "local codes that come back as they were"),
    )
    rows = "".join(f"<dt>{escape(word)}</dt><dd>{_both(zh, en)}</dd>" for word, zh, en in said)
    return f"<dl>{rows}</dl>"


# --- the matrix -----------------------------------------------------------------------------------


def _matrix(
    zh: str,
    en: str,
    found: Sequence[RuleSetCoverage],
    names: Mapping[str, str],
    cell: Callable[[RuleSetCoverage, str], str],
) -> str:
    rows = [(name, *(cell(one, key) for one in found)) for key, name in names.items()]
    heads = [(zh, en), *((one.name, one.province) for one in found)]
    anchor = en.lower().replace(" ", "-")
    return f'<section id="{anchor}"><h2>{_both(zh, en)}</h2>{_table(_IN_CELLS, heads, rows, of=zh)}</section>'


def _list_names(found: Sequence[RuleSetCoverage]) -> dict[str, str]:
    lists = {codes.list_name: codes.title for one in found for codes in one.lists}
    return {name: _both(lists[name], name) for name in sorted(lists)}


def _list_cell(one: RuleSetCoverage, name: str) -> str:
    return "".join(_list_figures(codes) for codes in one.lists if codes.list_name == name) or "—"


def _list_figures(codes: ListCoverage) -> str:
    state, zh, en = _state(codes)
    figures = [] if codes.map_name.partition(" ")[0] == codes.list_name else [codes.map_name]
    figures += [
        f"有行 {codes.with_row}/{codes.sources}",
        f"可达 {codes.reachable}/{codes.targets}",
        f"可写 {codes.writable}/{codes.targets}",
        f"有损 {len(codes.lossy_to_shared)} / {len(codes.lossy_to_local)}",
        f"往返 {codes.returns}/{codes.translated}",
    ]
    figures += [f"无对应 {len(codes.none)}"] if codes.none else []
    figures += [f"不确定 {len(codes.undecided)}"] if codes.undecided else []
    return f'<span class="state {state}">{_both(zh, en)}</span>' + _lines(figures)


def _lines(figures: Iterable[str]) -> str:
    return "".join(f'<span class="figure">{escape(figure)}</span>' for figure in figures)


def _state(codes: ListCoverage) -> tuple[str, str, str]:
    if codes.without_row:
        return "bad", "有缺", "gaps"
    if codes.undecided:
        return "warn", "不确定", "undecided"
    if codes.unwritable:
        return "warn", "不能全写", "not all written"
    if codes.lossy_to_shared or codes.lossy_to_local:
        return "warn", "有损", "lossy"
    if codes.none:
        return "warn", "部分无对应", "some none"
    return "ok", "完整", "whole"


def _kind_names(found: Sequence[RuleSetCoverage]) -> dict[str, str]:
    return {kind.name: escape(kind.name) for one in found for kind in one.kinds}


def _kind_cell(one: RuleSetCoverage, name: str) -> str:
    return next((_kind_figures(kind) for kind in one.kinds if kind.name == name), "—")


def _kind_figures(kind: KindCoverage) -> str:
    states = {field.codes.title: _state(field.codes) for field in kind.fields}
    gaps = [*kind.missing, *(title for title, (state, _, _) in states.items() if state == "bad")]
    open_ends = [(zh, title) for title, (state, zh, _) in states.items() if state == "warn"]
    state, zh, en = ("warn", "有未尽处", "open ends") if open_ends else ("ok", "完整", "whole")
    if gaps:
        state, zh, en = "bad", "有缺", "gaps"
    lines = [f"要素 {kind.covered}/{kind.elements}", f"代码字段 {len(kind.fields)}"]
    lines += [f"缺 {name}" for name in gaps]
    lines += [f"{said} {title}" for said, title in open_ends]
    return f'<span class="state {state}">{_both(zh, en)}</span>' + _lines(lines)


# --- one rule set ---------------------------------------------------------------------------------


def _rule_set(one: RuleSetCoverage) -> Iterator[str]:
    yield f'<section id="{escape(one.province)}"><h2>{escape(f"{one.province} {one.name}")}</h2>'
    yield f"<p>{_both('规则集', 'rule set')} {escape(one.version)} <code>{one.digest.hex()}</code></p>"
    heads = (
        ("代码表", "list"), ("有行", "row"), ("可译", "read"), ("无对应", "none"), ("可达", "reached"),
        ("可写", "written"), ("有损", "lossy"), ("往返", "returns"),
    )  # fmt: skip
    yield _table((f"{one.name} 各代码表", "lists"), heads, [_figures(codes) for codes in one.lists])
    for codes in one.lists:
        yield from _open_ends(one, codes)
    yield "</section>"


def _figures(codes: ListCoverage) -> tuple[str, ...]:
    day = f"（{escape(codes.on)}）" if codes.on else ""
    return (
        _both(codes.title, codes.map_name) + day,
        f"{codes.with_row}/{codes.sources}",
        f"{codes.translated}/{codes.sources}",
        str(len(codes.none)),
        f"{codes.reachable}/{codes.targets}",
        f"{codes.writable}/{codes.targets}",
        f"{len(codes.lossy_to_shared)} / {len(codes.lossy_to_local)}",
        f"{codes.returns}/{codes.translated}",
    )


def _open_ends(one: RuleSetCoverage, codes: ListCoverage) -> Iterator[str]:
    """What is not whole, code by code."""
    told = [
        *_ends("没有行", "no row", codes.without_row),
        *_ends("无对应", "none", codes.none),
        *_ends("不确定", "undecided", codes.undecided),
        *_ends("读入有损", "lossy when read", codes.lossy_to_shared),
        *_ends("写出有损", "lossy when written", codes.lossy_to_local),
        *_ends("写不出", "cannot be written", codes.unwritable),
    ]
    if not told:
        return
    label = f"{one.name} {codes.title} {codes.map_name}"
    heads = (("代码", "code"), ("如何", "what"), ("成为", "becomes"), ("说明", "note"))
    yield f"<details><summary>{_both(codes.title, codes.map_name)}：{len(told)} {_both('处', 'open ends')}</summary>"
    yield _table((label, "open ends"), heads, told) + "</details>"


def _ends(zh: str, en: str, codes: Iterable[Told]) -> Iterator[tuple[str, ...]]:
    for told in codes:
        became = f"{told.became}（{told.relation}）" if told.relation not in ("", "unmapped") else "—"
        name = escape(" ".join(dict.fromkeys(filter(None, (told.code, told.label)))))
        yield name, _both(zh, en), escape(became), escape(told.note)


def _table(caption: tuple[str, str], heads: _Heads, rows: Sequence[tuple[str, ...]], *, of: str = "") -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{_both(*one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    label = escape(" ".join(filter(None, (of, *caption))))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        f"<caption>{_both(*caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)} <span lang="en">{escape(en)}</span>'
