"""Checking evidence files anywhere, with nothing but the anchor's public key."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson

from node.cli.say import Failed, say

if TYPE_CHECKING:
    from node.keystore.sealed_files import Unsealer
    from node.verifying import CheckedFile, Tally

__all__ = ["verify"]

_BAR = 30
_EVERY_S = 0.2


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--anchor",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="锚的公钥 / The anchor's public keys: anchor.jwks.json or anchor.public.json",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="节点配置，用于封存的归档文件 / A node's configuration, for its sealed archive files",
)
@click.option("--quiet", is_flag=True, help="每个文件一行 / One line a file")
@click.option(
    "--require-settled", is_flag=True, help="时间未证明者不算成立 / What is not proven does not hold"
)
@click.option(
    "--json", "json_path", help="JSON 报告，- 为标准输出 / A report for programs; - for standard output"
)
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="一页中英文报告 / A page for people, in Chinese and English",
)
@click.option("--jobs", type=click.IntRange(1, 256), help="进程数 / Processes; default: one a processor")
@click.option(
    "--progress/--no-progress", default=None, help="进度条 / The progress bar; default: on a terminal only"
)
def verify(
    paths: tuple[Path, ...],
    anchor: Path | None,
    config_path: Path | None,
    quiet: bool,
    require_settled: bool,
    json_path: str | None,
    html_path: Path | None,
    jobs: int | None,
    progress: bool | None,
) -> None:
    """离线核验存证 PATHS：文件，或放满文件的文件夹。

    Check evidence files offline, each or all in a folder, and say who asked whom, for what, on which basis, when, what
    came back, and what of it is proven. Exit code 1 when one does not hold; the line says which part. Of folders only
    what does not hold is told, and how many do.
    """
    from node.verifying import Tally, Verifying, available_cpus, evidence_files

    unseal, anchor = _of_node(config_path, anchor)
    jwks, roll_overs = _anchor_keys(anchor)
    named = {str(path) for path in paths if not path.is_dir()}
    details = bool(named) or json_path is not None or html_path is not None
    verifying = Verifying(jwks, roll_overs, details, require_settled, unseal)
    files = partial(evidence_files, paths, sealed=unseal is not None)
    tally = Tally()
    with ExitStack() as stack:
        outlets = [*_outlets(stack, json_path, html_path)]
        checked = verifying.run(files(), jobs=jobs or available_cpus())
        if sys.stderr.isatty() if progress is None else progress:
            checked = _with_bar(checked, sum(1 for _ in files()), tally)
        for one in checked:
            tally.add(one)
            _tell(one, quiet=quiet, loud=one.path in named and json_path != "-")
            for outlet in outlets:
                outlet.add(one)
        for outlet in outlets:
            outlet.finish(tally)
    _conclude(tally, silent=json_path == "-")


def _of_node(config_path: Path | None, anchor: Path | None) -> tuple[Unsealer | None, Path]:
    """What opens sealed archive files, with a node's configuration; and where the anchor's keys are."""
    if config_path is not None:
        from node.cli.evidence_archive import unsealer_of
        from node.config import read_config

        unseal = unsealer_of(config_path, action="evidence.verify", name="")
        return unseal, anchor or read_config(config_path).trust.anchor_keys
    if anchor is None:
        raise click.UsageError(
            "须给出 --anchor 或 --config / give --anchor, or --config for a node's archive files"
        )
    return None, anchor


def _tell(one: CheckedFile, *, quiet: bool, loud: bool) -> None:
    from federation.evidence_text import render_summary, verdict_en, verdict_zh
    from federation.plain_text import plain

    if one.detail:
        said = "本机无法核验 / cannot be checked on this machine" if one.unknown else "不成立 / does not hold"
        click.echo(plain(f"{one.path}: {said}: {one.detail}"), err=True)
    for failure in one.failures:
        said = (
            "本机无法核验 / cannot be checked on this machine"
            if failure.unknown
            else "不成立 / does not hold"
        )
        click.echo(plain(f"{one.path}: {said}: {failure.request_id}: {failure.detail}"), err=True)
    if not loud or one.file is None:
        return
    for summary in one.exchanges:
        if quiet:
            said = f"{verdict_zh(summary)} / {verdict_en(summary)}"
            click.echo(plain(f"{one.path}: 成立 / holds: {summary.request_id} {summary.outcome}: {said}"))
        else:
            click.echo(render_summary(one.file, summary), nl=False)


def _conclude(tally: Tally, *, silent: bool) -> None:
    """One line about all of them, and the exit code."""
    if tally.files == 0:
        raise Failed("没有存证文件（*.zip）", "there is no evidence file (*.zip)")
    if tally.files > 1 and not silent:
        say(
            f"{tally.files} 份文件中 {tally.holding} 份成立；{tally.exchanges} 次交换：时间已证明 {tally.proven}，"
            f"未证明 {tally.signed}，内容已删除 {tally.forgotten}",
            f"{tally.holding} of {tally.files} files hold; {tally.exchanges} exchanges: {tally.proven} proven, "
            f"{tally.signed} with something unproven, {tally.forgotten} forgotten",
        )
    if tally.broken:
        raise Failed(f"{tally.broken} 份存证不成立", f"{tally.broken} of {tally.files} did not hold")
    if tally.unknown:
        raise Failed(
            f"{tally.unknown} 份存证无法核验", f"{tally.unknown} of {tally.files} could not be checked"
        )


def _outlets(stack: ExitStack, json_path: str | None, html_path: Path | None) -> Iterator[Any]:
    from node.verify_reports import HtmlReport, JsonReport

    if json_path == "-":
        yield JsonReport(sys.stdout.buffer)
    elif json_path is not None:
        yield JsonReport(_written(stack, Path(json_path)))
    if html_path is not None:
        yield HtmlReport(_written(stack, html_path))


def _written(stack: ExitStack, path: Path) -> IO[bytes]:
    return stack.enter_context(path.open("wb"))


def _with_bar(checked: Iterable[CheckedFile], files: int, tally: Tally) -> Iterator[CheckedFile]:
    """The same, with a bar on standard error that is redrawn a few times a second."""
    began = drawn = time.monotonic()
    for done, one in enumerate(checked, start=1):
        yield one
        now = time.monotonic()
        if now - drawn >= _EVERY_S or done == files:
            drawn = now
            filled = _BAR * done // max(files, 1)
            a_second = done / max(now - began, 1e-6)
            click.echo(
                f"\r[{'█' * filled}{'·' * (_BAR - filled)}] {done:,}/{files:,}  {a_second:,.0f}/s"
                f"  ✗ {tally.broken + tally.unknown:,}",
                err=True,
                nl=False,
            )
    click.echo(err=True)


def _anchor_keys(path: Path) -> tuple[Any, bytes]:
    """The keys, and how they passed on until the file was written, if it says so."""
    from trust.errors import KeyRejected
    from trust.keys import keys_from_jwks

    try:
        public = orjson.loads(path.read_bytes())
    except ValueError:
        raise Failed(f"{path} 不是 JSON", f"{path} is not JSON") from None
    jwks = public["jwks"] if isinstance(public, dict) and "jwks" in public else public
    try:
        keys_from_jwks(jwks)
    except KeyRejected as error:
        raise Failed(f"{path} 不是锚的公钥", f"{path} has no usable anchor keys: {error.detail}") from None
    return jwks, orjson.dumps(public.get("roll_overs", []))
