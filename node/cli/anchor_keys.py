"""The anchor's commands about keys: change its own, and issue TLS certificates where the CA is offline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from node.cli.anchor_folder import (
    dir_option,
    out_file_option,
    refusals_told,
    root_key_option,
    write_json,
    write_public,
)
from node.cli.say import say

__all__ = ["issue", "rotate"]

_ENDED = {"federation": "旧根密钥", "status": "旧状态密钥", "ca": "旧 CA"}


@click.command()
@dir_option
@click.option("--status", "what", flag_value="status", help="换状态密钥 / The status key")
@click.option("--ca", "what", flag_value="ca", help="换 TLS 的 CA / The CA for mutual TLS")
@click.option("--finish", "what", flag_value="finish", help="清除已到期的旧密钥 / Take out old keys")
@click.option("--root", "what", flag_value="root", default=True, help="换根密钥（默认）/ The root key")
@click.option("--reason", default="scheduled", show_default=True, help="原因 / Why (root key)")
@click.option(
    "--overlap-days",
    default=30,
    show_default=True,
    type=click.IntRange(0, 366),
    help="旧根密钥仍有效的天数 / How long the old root key still counts",
)
@click.option("--again", is_flag=True, help="上次更换尚未结束也换 / Although the last change is not over")
@click.option(
    "--early", is_flag=True, help="与 --finish：已无人使用的也清除 / With --finish: also what nobody needs"
)
@click.option(
    "--lead-s", type=click.IntRange(0, 30 * 86400), help="新密钥启用前的秒数 / Before it is used, s"
)
@root_key_option
def rotate(
    directory: Path,
    what: str,
    reason: str,
    overlap_days: int,
    again: bool,
    early: bool,
    lead_s: int | None,
    root_key: Path | None,
) -> None:
    """更换锚的密钥；需要根密钥。

    Change the anchor's root key; or its status key, its CA; or take out the old ones. Nodes follow by
    themselves: the new key is published first, old and new overlap. A published folder has to be laid out
    again afterwards: yrd anchor publish --out, or yrd anchor status --out.
    """
    from node.anchor import finish, rotate_ca, rotate_status

    now = datetime.now(UTC)
    lead: dict[str, Any] = {} if lead_s is None else {"lead_s": lead_s}
    with refusals_told():
        if what == "root":
            _rotate_root(directory, now, reason, timedelta(days=overlap_days), again, root_key)
        elif what == "finish":
            gone = finish(directory, now=now, early=early, root_path=root_key)
            for name in gone:
                say(f"{_ENDED[name]}已清除", f"the old {name} key is gone")
            if not gone:
                say("没有到期的密钥", "no old key has had its time")
        else:
            change = rotate_status if what == "status" else rotate_ca
            from_at = change(directory, now=now, root_path=root_key, **lead)
            say(f"新密钥已公布，{from_at:%Y-%m-%d %H:%M}Z 起使用", f"the next {what} key is published")
    write_public(directory)


def _rotate_root(
    directory: Path, now: datetime, reason: str, overlap: timedelta, again: bool, root_key: Path | None
) -> None:
    from node.anchor import rotate_root

    done = rotate_root(directory, now=now, reason=reason, overlap=overlap, again=again, root_path=root_key)
    if done.old_until is None:
        say(
            f"新密钥 {done.kid} 已公布",
            "published; let the superior run yrd anchor update, then rotate again",
        )
        return
    say(f"新根密钥 {done.kid}，第 {done.number} 次更换", "the new root key signs now")
    say(f"旧根密钥有效至 {done.old_until:%Y-%m-%d %H:%M}Z", "until then both count; then rotate --finish")


@click.command()
@dir_option
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@out_file_option
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(1, 90),
    help="天数 / Life of the TLS certificate",
)
def issue(directory: Path, request: Path, out: Path, days: int) -> None:
    """为节点签发 TLS 证书（CA 离线时用）。

    Issue a TLS certificate from REQUEST, where the CA is offline: a node's signed request, or its
    enrolment.json, whose TLS key id is to be compared with its operator. The root key is not needed.
    """
    from node.anchor import issue_from_file
    from trust.keys import VerificationKey
    from trust.x509 import read_csr

    data = request.read_bytes()
    try:
        wanted: Any = orjson.loads(data)
    except ValueError:
        wanted = data
    with refusals_told():
        bundle = issue_from_file(directory, wanted, now=datetime.now(UTC), days=days)
    write_json(out, bundle)
    if isinstance(wanted, dict):
        kid = VerificationKey(read_csr(wanted["tls_csr_pem"].encode()).public_key).kid
        say(f"TLS 密钥 {kid}", "tls key, to compare with its operator")
    say(f"TLS 证书已写入 {out}", "issued; give it to the node's operator")
