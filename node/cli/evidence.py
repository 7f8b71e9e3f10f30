"""Evidence: taking it out of a node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.evidence_forget import forget
from node.cli.evidence_rewrap import rewrap
from node.cli.evidence_search import search
from node.cli.say import actor, config_option, say, write_new

if TYPE_CHECKING:
    from node.config import Config

__all__ = ["evidence"]


@click.group()
def evidence() -> None:
    """存证：导出一次交换的证明。

    Evidence of what this node asked and answered.
    """


for command in (search, forget, rewrap):
    evidence.add_command(command)


@evidence.command()
@click.argument("request_id")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="输出文件 / Where to; default: its id"
)
@config_option
def export(request_id: str, out: Path | None, config_path: Path) -> None:
    """导出 REQUEST_ID 的存证文件。

    Write one self-contained file that `yrd verify` checks offline. The node may be running or not.
    """
    from node.config import read_config

    config = read_config(config_path)
    target = out or Path(f"{request_id}.evidence.zip")
    data = asyncio.run(_export(config, request_id))
    write_new(target, data, secret=True)
    say(
        f"已写入 {target}（{len(data)} 字节）",
        f"written; check it with yrd verify {target} --anchor anchor.jwks.json",
    )


async def _export(config: Config, request_id: str) -> bytes:
    from federation.evidence_export import Exporter
    from federation.rpc.convert import ProtobufCodec
    from node.clock import SystemClock
    from node.keystore.configured import opened_keystore
    from node.keystore.data_keys import DataKeys
    from node.keystore.encrypted_bodies import EncryptedBodies
    from node.store.audit import AuditRows
    from node.store.database import open_database
    from node.store.journal import StoreJournal
    from node.store.trust import TrustRows

    clock = SystemClock()
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock) as keystore:
            signing_key = keystore.signing_key("envelope")
            data_keys = await DataKeys.open(database, keystore.wrapping, clock, cipher=config.evidence.cipher)
            bodies = EncryptedBodies(data_keys)
            exporter = Exporter(
                records=StoreJournal(database, lambda: signing_key, clock, bodies=bodies),
                archive=TrustRows(database),
                codec=ProtobufCodec(),
                signer=lambda: signing_key,
                clock=clock,
                entity_id=config.node.entity_id,
                anchor=config.trust.anchor,
            )
            data = await exporter.export(request_id)
        await AuditRows(database, clock).note(actor(), "evidence.export", {"request_id": request_id})
    finally:
        await database.close()
    return data
