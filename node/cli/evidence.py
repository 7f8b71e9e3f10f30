"""Evidence: taking it out of a node, and checking it anywhere with nothing but the anchor's public key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from node.cli.evidence_forget import forget
from node.cli.evidence_rewrap import rewrap
from node.cli.evidence_search import search
from node.cli.say import Failed, actor, config_option, say, write_new

if TYPE_CHECKING:
    from node.config import Config

__all__ = ["evidence", "verify"]


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
    from federation.evidence import Exporter
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


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--anchor",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="锚的公钥 / The anchor's public keys: anchor.jwks.json or anchor.public.json",
)
@click.option("--quiet", is_flag=True, help="每个文件一行 / One line a file")
def verify(files: tuple[Path, ...], anchor: Path, quiet: bool) -> None:
    """离线核验存证文件 FILES。

    Check evidence files offline and say who asked whom, for what, on which basis, when, and what came
    back. Exit code 1 when one does not hold; the line says which part.
    """
    from federation.evidence import render_report, verify_evidence
    from federation.rpc.convert import ProtobufCodec
    from trust.errors import AlgorithmUnavailable, EvidenceBroken

    jwks, roll_overs = _anchor_keys(anchor)
    broken = unknown = 0
    for file in files:
        try:
            report = verify_evidence(file.read_bytes(), jwks, ProtobufCodec(), roll_overs=roll_overs)
        except EvidenceBroken as error:
            broken += 1
            click.echo(f"{file}: 不成立 / does not hold: {error.detail}", err=True)
            continue
        except AlgorithmUnavailable as error:
            unknown += 1
            click.echo(f"{file}: 本机无法核验 / cannot be checked on this machine: {error.detail}", err=True)
            continue
        if quiet:
            click.echo(f"{file}: 成立 / holds: {report.request_id} {report.outcome}")
        else:
            click.echo(render_report(report), nl=False)
    if broken:
        raise Failed(f"{broken} 份存证不成立", f"{broken} of {len(files)} did not hold")
    if unknown:
        raise Failed(f"{unknown} 份存证无法核验", f"{unknown} of {len(files)} could not be checked")


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
