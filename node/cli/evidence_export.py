"""`yrd evidence export`: what proves exchanges of this node, in files that anyone can check."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from node.cli.evidence_search import read_holder, read_moment
from node.cli.say import Failed, actor, config_option, say, write_new

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from federation.evidence_export import ExportedFile, Exporter
    from federation.evidence_ports import ExchangeFinder, ExchangeRef, RefPage
    from federation.former_keys import FormerKeys
    from node.cli.evidence_ground import EvidenceGround
    from node.config import Config

__all__ = ["export"]

_PAGE: Final = 200
NextPage = Callable[[str], "Awaitable[RefPage]"]


@click.command()
@click.argument("request_id", required=False)
@click.option(
    "--asking", default="", help="发问节点的实体标识；多个节点用了同一编号时须指明 / Which node asked"
)
@click.option("--case", "case_number", help="办件编号 / All exchanges of a case")
@click.option(
    "--holder-type",
    metavar="TYPE",
    help="持证主体的证件类型代码；号码另行输入 / All about a holder, by the id's type; the number is asked for",
)
@click.option(
    "--holder-id",
    type=click.Choice(["-"]),
    help="-：自标准输入读号码 / -: read the number from standard input, as is done when it is no terminal",
)
@click.option("--from", "from_at", callback=read_moment, help="自（含）/ All from that time on; UTC")
@click.option("--until", "until_at", callback=read_moment, help="至（不含）/ Before that time; default: now")
@click.option("--out", type=click.Path(path_type=Path), help="输出文件或文件夹 / Where to")
@click.option(
    "--progress/--no-progress", default=None, help="进度 / Tell how far it is; default: on a terminal only"
)
@config_option
def export(
    request_id: str | None,
    asking: str,
    case_number: str | None,
    holder_type: str | None,
    holder_id: str | None,
    from_at: datetime | None,
    until_at: datetime | None,
    out: Path | None,
    progress: bool | None,
    config_path: Path,
) -> None:
    """导出一次交换（REQUEST_ID）、一个办件、一个持证主体或一段时间的存证。

    Write self-contained evidence that `yrd verify` checks offline: of one exchange, a case, a holder or a period. What
    is too large for one file becomes a folder of files. A holder's number is read from a prompt or from standard
    input, never from the command line. The node may be running or not.
    """
    from node.config import read_config

    wanted = [bool(request_id), bool(case_number), bool(holder_type), from_at is not None]
    lost = (until_at and not from_at) or (holder_id and not holder_type) or (asking and not request_id)
    if sum(wanted) != 1 or lost:
        raise click.UsageError(
            "须指明其一：REQUEST_ID [--asking]、--case、--holder-type、--from [--until] / "
            "name one of: REQUEST_ID [--asking], --case, --holder-type, --from [--until]"
        )
    config = read_config(config_path)
    if request_id:
        asyncio.run(_export_one(config, request_id, asking, out))
        return
    if case_number:
        search = _of_case(case_number)
    elif holder_type:
        search = _of_holder(holder_type, read_holder())
    else:
        assert from_at is not None  # one of the four is given
        search = _of_period(from_at, until_at or datetime.now(UTC))
    loud = sys.stderr.isatty() if progress is None else progress
    asyncio.run(_export_many(config, search, out or Path(f"{search.scope}.evidence"), loud=loud))


class _Search(NamedTuple):
    """What is exported: its scope as a manifest has it, and how to find it page by page."""

    scope: str
    find: Callable[[ExchangeFinder], NextPage]


def _of_case(number: str) -> _Search:
    return _Search("case", lambda finder: lambda after: finder.find_by_case(number, after=after, limit=_PAGE))


def _of_holder(kind: str, number: str) -> _Search:
    return _Search(
        "holder",
        lambda finder: lambda after: finder.find_by_holder(kind, number, after=after, limit=_PAGE),
    )


def _of_period(since: datetime, until: datetime) -> _Search:
    return _Search(
        "period", lambda finder: lambda after: finder.between(since, until, after=after, limit=_PAGE)
    )


async def _export_one(config: Config, request_id: str, asking: str, out: Path | None) -> None:
    target = out or Path(f"{request_id}.evidence.zip")
    async with _exporting(config) as (exporter, _, ground):
        data = await exporter.export(request_id, asking=asking)
        await ground.audit.note(actor(), "evidence.export", {"request_id": request_id})
    write_new(target, data, secret=True)
    say(
        f"已写入 {target}（{len(data)} 字节）",
        f"written; check it with yrd verify {target} --anchor anchor.jwks.json",
    )


async def _export_many(config: Config, search: _Search, out: Path, *, loud: bool) -> None:
    """Write one file, or a folder of them once there is a second."""
    target = _Target(out)
    async with _exporting(config) as (exporter, finder, ground):
        async for file in exporter.export_many(_refs(search.find(finder)), search.scope):
            await asyncio.to_thread(target.add, file)
            if loud:
                click.echo(f"\r  {target.exchanges} 次交换 exchanges …", err=True, nl=False)
        if loud:
            click.echo(err=True)
        if not target.files:
            raise Failed("没有这样的交换", "there is no such exchange in this node's log")
        await asyncio.to_thread(target.finish)
        await ground.audit.note(
            actor(),
            "evidence.export",
            {"scope": search.scope, "exchanges": target.exchanges, "files": target.files},
        )
    say(
        f"已写入 {target.path}：{target.exchanges} 次交换，{target.files} 份文件",
        f"written: {target.exchanges} exchanges in {target.files} file(s); check with yrd verify {target.path} "
        "--anchor anchor.jwks.json",
    )


class _Target:
    """A file while there is one, a folder from the second on; nothing that exists is overwritten."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._first: bytes | None = None
        self.path = out
        self.files = 0
        self.exchanges = 0

    def add(self, file: ExportedFile) -> None:
        self.files += 1
        self.exchanges += file.exchanges
        if self.files == 1:
            self._first = file.data
            return
        if self._first is not None:
            self.path = self._out.with_suffix("") if self._out.suffix == ".zip" else self._out
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                raise Failed(f"{self.path} 已存在，不会覆盖", f"{self.path} exists already") from None
            self._write(1, self._first)
            self._first = None
        self._write(self.files, file.data)

    def _write(self, number: int, data: bytes) -> None:
        write_new(self.path / f"{number:06d}.evidence.zip", data, secret=True)

    def finish(self) -> None:
        """Write what waits to be a file alone."""
        if self._first is not None:
            self.path = (
                self._out if self._out.suffix == ".zip" else self._out.with_name(f"{self._out.name}.zip")
            )
            write_new(self.path, self._first, secret=True)


async def _refs(find: NextPage) -> AsyncIterator[ExchangeRef]:
    after = ""
    while True:
        page = await find(after)
        for ref in page.refs:
            yield ref
        after = page.next
        if not after:
            return


@asynccontextmanager
async def _exporting(config: Config) -> AsyncIterator[tuple[Exporter, ExchangeFinder, EvidenceGround]]:
    """An exporter beside the node, which may be running or not; what finds exchanges; and what both stand on."""
    import aiohttp

    from federation.evidence_export import Exporter
    from federation.rpc.convert import ProtobufCodec
    from node.cli.evidence_ground import opened_evidence
    from node.clock import SystemClock
    from node.keystore.encrypted_bodies import EncryptedBodies
    from node.store.evidence_rows import EvidenceRows
    from node.store.journal import StoreJournal
    from node.store.tree import TreeStore
    from node.store.trust import TrustRows

    clock = SystemClock()
    async with opened_evidence(config) as ground, aiohttp.ClientSession() as session:
        signing_key = ground.keystore.signing_key("envelope")
        bodies = EncryptedBodies(ground.data_keys)
        exporter = Exporter(
            records=StoreJournal(ground.database, lambda: signing_key, clock, bodies=bodies),
            archive=TrustRows(ground.database),
            codec=ProtobufCodec(),
            signer=lambda: signing_key,
            clock=clock,
            entity_id=config.node.entity_id,
            anchor=config.trust.anchor,
            tree=TreeStore(ground.database),
            former_keys=await _former_keys(config, ground, session),
        )
        yield exporter, EvidenceRows(ground.database, ground.holders.to_search), ground


async def _former_keys(config: Config, ground: EvidenceGround, session: ClientSession) -> FormerKeys:
    """The lists of former keys that are stored, and newer ones from the nodes themselves."""
    from federation.former_keys import FormerKeys
    from federation.trust_keep import TrustKeep
    from node.clock import SystemClock
    from node.connectors.statements import HttpStatementSource
    from node.own_documents import historical_keys
    from node.store.trust import TrustRows
    from node.trust_parts import trust_settings

    clock, settings = SystemClock(), trust_settings(config)
    keep = TrustKeep(settings, TrustRows(ground.database), clock)
    await keep.load()
    source = HttpStatementSource(session, allow_http_on_loopback=settings.allow_http_on_loopback)
    own = historical_keys(config, ground.keystore)
    return FormerKeys(keep, settings, source, clock, own=own)
