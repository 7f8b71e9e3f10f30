"""The tree of trust in a terminal: `yrd trust show`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from federation.trust_picture import Branch, TrustPicture
from node.trust_words import PURPOSES, STANDINGS, STATEMENTS, change_in_words, moment, span

__all__ = ["draw_tree"]


_MOST_LINE = 1000


def draw_tree(picture: TrustPicture) -> Iterator[str]:
    """The lines of the tree, Chinese first. What a member says of itself neither steers the terminal nor makes a
    line of its own.
    """
    for line in _lines(picture):
        short = line if len(line) <= _MOST_LINE else line[: _MOST_LINE - 1] + "…"
        yield "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in short)


def _lines(picture: TrustPicture) -> Iterator[str]:
    yield from _branch(picture.anchor, picture.at, head="", body="│  " if picture.members else "   ")
    yield f"{'│' if picture.members else ' '}  {_status(picture)}"
    for number, member in enumerate(picture.members, start=1):
        is_last = number == len(picture.members)
        yield "│"
        yield from _branch(
            member, picture.at, head="└─ " if is_last else "├─ ", body="   " if is_last else "│  "
        )


def _status(picture: TrustPicture) -> str:
    if picture.status_issued_at is None or picture.status_expires_at is None:
        return "状态 status  尚未取得 none yet"
    age = span(picture.at - picture.status_issued_at)
    return (
        f"状态 status  序号 sequence {picture.sequence}，{age} 前签发 issued {age} ago，"
        f"有效至 until {moment(picture.status_expires_at)}"
    )


def _branch(branch: Branch, now: datetime, *, head: str, body: str) -> Iterator[str]:
    zh, en = STANDINGS[branch.standing]
    who = " ".join(part for part in (branch.province, branch.name) if part)
    yield f"{head}{who or branch.entity_id}  [{zh} {en}]"
    if who:
        yield f"{body}{branch.entity_id}"
    if branch.reason:
        yield f"{body}原因 reason  {branch.reason}"
    if branch.problem:
        yield f"{body}! {branch.problem}"
    if branch.expires_at is not None:
        yield f"{body}信任链 chain  {_until(branch.expires_at, now)}"
    for one in branch.statements:
        zh, en = STATEMENTS[one.kind]
        age = span(now - one.issued_at)
        yield f"{body}{zh} {en}  {age} 前签发 issued {age} ago，{_until(one.expires_at, now)}"
    for key in branch.keys:
        zh, en = PURPOSES[key.purpose]
        yield f"{body}{zh} {en}  {key.alg} {key.kid}  {_until(key.until, now)}"
    for change in branch.policy:
        yield f"{body}策略改动 policy  {change_in_words(change)}"


def _until(at: datetime, now: datetime) -> str:
    if at <= now:
        return f"{moment(at)} 已过期 expired {span(now - at)} ago"
    return f"有效至 until {moment(at)}（还有 left {span(at - now)}）"
