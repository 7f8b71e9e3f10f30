"""The tree of trust as a page for the operator, on the operations listener: what `yrd trust show` draws.

Chinese first, no script, nothing from elsewhere; it is made of the node's own memory and store when someone
looks. State is told in words, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from federation.plain_text import escape
from federation.trust_picture import Branch, Standing, TrustPicture
from node.trust_words import PURPOSES, STANDINGS, STATEMENTS, change_in_words, moment, span

__all__ = ["trust_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #9a9a9a; --ok: #14692b; --bad: #a3161a; }
@media (prefers-color-scheme: dark) { :root { --ok: #7ddb94; --bad: #ff9a94; } }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { font-size: 1.15rem; margin: 0; }
code { font-family: ui-monospace, Consolas, monospace; font-size: .85rem; overflow-wrap: anywhere; }
.tree { list-style: none; margin: 0 0 0 .75rem; padding: 0 0 0 1rem; border-left: 2px solid var(--line); }
section { padding: 1rem 0; } .standing { font-weight: 700; color: var(--ok); }
.bad { color: var(--bad); } .problem { border-left: .25rem solid var(--bad); padding-left: .6rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
caption { text-align: left; font-weight: 600; padding-top: .5rem; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
p { margin: .25rem 0; } time { white-space: nowrap; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid; }
"""
_FINE = (Standing.ANCHOR, Standing.OWN, Standing.MEMBER)


def trust_page(picture: TrustPicture) -> bytes:
    """The page, as UTF-8."""
    members = "".join(f"<li>{''.join(_branch(one, picture.at))}</li>" for one in picture.members)
    parts = [
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>信任 Trust</title><style>{_STYLE}</style></head><body>",
        '<a class="skip" href="#main">跳到正文 / Skip to content</a>',
        '<header><h1>信任 <span lang="en">Trust</span></h1>',
        f"<p>{_both('本节点所知，截至', 'as this node knows it at')} {_time(picture.at)}</p></header>",
        '<main id="main">',
        _summary(picture),
        *_branch(picture.anchor, picture.at, extra=_status(picture)),
        f'<ul class="tree">{members}</ul>' if members else "",
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _summary(picture: TrustPicture) -> str:
    """Everyone in one table, each leading to what is known of it: what an operator looks for first."""
    rows = [
        (
            f'<a href="#{escape(one.entity_id)}">{escape(_who(one))}</a>',
            _standing(one),
            "—" if one.expires_at is None else _until(one.expires_at, picture.at),
            escape(one.problem or one.reason),
        )
        for one in picture.members
    ]
    heads = (("实体", "entity"), ("状况", "standing"), ("信任链有效至", "chain until"), ("说明", "note"))
    return _table(picture.anchor, ("一览", "Overview"), heads, rows)


def _who(branch: Branch) -> str:
    return " ".join(part for part in (branch.province, branch.name) if part) or branch.entity_id


def _standing(branch: Branch) -> str:
    mood = "" if branch.standing in _FINE else " bad"
    return f'<span class="standing{mood}">{_both(*STANDINGS[branch.standing])}</span>'


def _branch(branch: Branch, now: datetime, *, extra: str = "") -> Iterator[str]:
    yield f'<section id="{escape(branch.entity_id)}"><h2>{escape(_who(branch))}</h2>'
    yield f"<p>{_standing(branch)} · <code>{escape(branch.entity_id)}</code></p>"
    if branch.reason:
        yield f"<p>{_both('原因', 'reason')}: {escape(branch.reason)}</p>"
    if branch.problem:
        yield f'<p class="problem">{_both("问题", "problem")}: {escape(branch.problem)}</p>'
    yield extra
    if branch.expires_at is not None:
        yield f"<p>{_both('信任链有效至', 'chain until')} {_until(branch.expires_at, now)}</p>"
    yield from _tables(branch, now)
    yield "</section>"


def _tables(branch: Branch, now: datetime) -> Iterator[str]:
    statements = [
        (_both(*STATEMENTS[one.kind]), _time(one.issued_at), _until(one.expires_at, now))
        for one in branch.statements
    ]
    yield _table(
        branch,
        ("声明", "Statements"),
        (("声明", "statement"), ("签发", "issued"), ("有效至", "until")),
        statements,
    )
    keys = [
        (
            _both(*PURPOSES[key.purpose]),
            f"{escape(key.alg)} <code>{escape(key.kid)}</code>",
            _until(key.until, now),
        )
        for key in branch.keys
    ]
    yield _table(
        branch, ("密钥", "Keys"), (("用途", "purpose"), ("密钥编号", "key id"), ("有效至", "until")), keys
    )
    if branch.policy:
        lines = "".join(f"<li>{escape(change_in_words(change))}</li>" for change in branch.policy)
        yield f"<p>{_both('策略改动', 'changed by policy')}:</p><ul>{lines}</ul>"


def _status(picture: TrustPicture) -> str:
    if picture.status_issued_at is None or picture.status_expires_at is None:
        return f"<p>{_both('尚未取得状态', 'no status yet')}</p>"
    age = span(picture.at - picture.status_issued_at)
    return (
        f"<p>{_both('状态序号', 'status sequence')} {picture.sequence}，{_both('签发', 'issued')} "
        f"{_time(picture.status_issued_at)}（{escape(age)} {_both('前', 'ago')}），"
        f"{_both('有效至', 'until')} {_until(picture.status_expires_at, picture.at)}</p>"
    )


def _table(
    branch: Branch,
    caption: tuple[str, str],
    heads: Iterable[tuple[str, str]],
    rows: Sequence[tuple[str, ...]],
) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{_both(*one)}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    label = escape(f"{caption[0]} {caption[1]}: {branch.entity_id}")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        f"<caption>{_both(*caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _until(at: datetime, now: datetime) -> str:
    if at <= now:
        return f'{_time(at)} <span class="bad">{_both("已过期", "expired")}</span>'
    return f"{_time(at)}（{_both('还有', 'left')} {escape(span(at - now))}）"


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{moment(at)}</time>'


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)} <span lang="en">{escape(en)}</span>'
