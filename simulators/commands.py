"""`yrd simulate`: a registry, identity provider or portal by itself, faults, people, and the hostile peer's attacks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simulators.divisions import PROVINCES, province_name
from simulators.faults import Fault, FaultMode
from simulators.layout import DEFAULT_BASE_PORT, HOST
from simulators.population import DEFAULT_RESIDENTS, DEFAULT_SEED, Population

if TYPE_CHECKING:
    from aiohttp import web

    from simulators.attacks import Attack
    from simulators.lies import Lie

__all__ = ["simulate"]

_province = click.option(
    "--province", type=click.Choice(PROVINCES), required=True, help="省 / Which province"
)
_residents = click.option(
    "--residents",
    type=click.IntRange(1, 1_000_000),
    default=DEFAULT_RESIDENTS,
    show_default=True,
    help="居民数 / How many",
)
_seed = click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="种子 / Seed")


@click.group()
def simulate() -> None:
    """模拟器：证照库、身份认证、门户、故障、人口、敌对节点。

    One simulator by itself: a registry, an identity provider, a portal, faults, people, a hostile peer.
    """


@simulate.command()
@_province
@click.option("--port", type=click.IntRange(0, 65535), help="端口，默认 8NN4 / Port; default 8NN4")
@_residents
@_seed
def registry(province: str, port: int | None, residents: int, seed: int) -> None:
    """一省的证照库，直到停止 / A province's registry, until told to stop."""
    from simulators.registry import make_registry

    at = _usual_port(province, 4) if port is None else port
    app = make_registry(province, Population(seed, residents))
    _serve(
        app, at, f"{province_name(province)}证照库（模拟） / registry simulator: http://{HOST}:{at}/_about"
    )


_port = click.option("--port", type=click.IntRange(0, 65535), help="端口 / Port; default as in yrd demo")
_node = click.option("--node", help="节点的实体标识 / The node's entity id; default as in yrd demo")
_existing = click.Path(path_type=Path, dir_okay=False, exists=True)


@simulate.command()
@_province
@_port
@_node
@click.option(
    "--client",
    type=_existing,
    help="节点在此的登记（JSON：entity_id、client_id、client_secret） / The node as client: a JSON file",
)
@_residents
@_seed
def idp(
    province: str, port: int | None, node: str | None, client: Path | None, residents: int, seed: int
) -> None:
    """一省的身份认证，直到停止 / A province's identity provider, until told to stop."""
    from simulators.identity.client import ProviderClient
    from simulators.identity_provider import make_identity_provider

    at = _usual_port(province, 5) if port is None else port
    issuer = f"http://{HOST}:{at}"
    entity_id = node or f"http://{HOST}:{_usual_port(province, 0)}"
    known = ProviderClient.read(client) if client else ProviderClient.of_node(entity_id)
    app = make_identity_provider(province, Population(seed, residents), issuer, known)
    _serve(
        app, at, f"{province_name(province)}身份认证（模拟） / identity provider simulator: {issuer}/_people"
    )


@simulate.command()
@_province
@_port
@_node
@click.option("--platform", help="节点的平台接口 / The node's platform API; default as in yrd demo")
@click.option(
    "--client", type=_existing, required=True, help="平台的 client.json / The platform's client.json"
)
def portal(province: str, port: int | None, node: str | None, platform: str | None, client: Path) -> None:
    """一省的门户，直到停止 / A province's portal, until told to stop."""
    from simulators.portal import PortalSettings, make_portal

    at = _usual_port(province, 6) if port is None else port
    origin = f"http://{HOST}:{at}"
    issuer = node or f"http://{HOST}:{_usual_port(province, 0)}"
    platform_url = platform or f"http://{HOST}:{_usual_port(province, 1)}"
    app = make_portal(PortalSettings.read(province, origin, issuer, platform_url, client))
    _serve(app, at, f"{province_name(province)}门户（模拟） / portal simulator: {origin}/")


def _usual_port(province: str, offset: int) -> int:
    """The port that it has in a demonstration."""
    return DEFAULT_BASE_PORT + 10 * (PROVINCES.index(province) + 1) + offset


def _serve(app: web.Application, port: int, said: str) -> None:
    from aiohttp import web

    click.echo(said)
    web.run_app(app, host=HOST, port=port, print=None, access_log=None, shutdown_timeout=1)


@simulate.command()
@click.argument("mode", type=click.Choice([mode.value for mode in FaultMode]))
@click.option("--province", type=click.Choice(PROVINCES), help="省，默认端口 / Province, on its default port")
@click.option("--url", help="证照库地址 / The registry's URL")
@click.option("--delay", "delay_s", type=float, default=10.0, show_default=True, help="slow 的秒数 / Seconds")
@click.option("--count", type=click.IntRange(1), help="几次后恢复 / For so many calls")
def fault(mode: str, province: str | None, url: str | None, delay_s: float, count: int | None) -> None:
    """使证照库出故障；none 恢复 / Make a registry misbehave; none takes it back."""
    if not url and not province:
        raise click.UsageError("须有 --url 或 --province / give --url or --province")
    at = url or f"http://{HOST}:{_usual_port(str(province), 4)}"
    said = _post(f"{at.rstrip('/')}/_faults", Fault(FaultMode(mode), delay_s, count).as_json())
    click.echo(json.dumps(said, ensure_ascii=False))


@simulate.command()
@_province
@click.option("--index", type=click.IntRange(0), default=0, show_default=True, help="第几人 / Which")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="几人 / How many")
@_residents
@_seed
def people(province: str, index: int, count: int, residents: int, seed: int) -> None:
    """模拟人口及其证照所在 / Synthetic residents, and where their papers lie."""
    population = Population(seed, residents)
    for place in range(index, min(index + count, residents)):
        who = population.resident(province, place)
        click.echo(f"{who.citizen_number}  {who.name}（模拟）")
        for paper in population.papers_of(who):
            said = {element.name: element.value for element in paper.elements}
            mark = f"  {paper.fault}" if paper.fault else ""
            click.echo(
                f"    {province_name(paper.province)}  {said['证照名称']}  {paper.certificate_id}{mark}"
            )


_config = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="敌对节点的配置，如 .demo/hostile/node.toml / The hostile node's configuration",
)
_list = click.option("--list", "show", is_flag=True, help="列出全部 / List them all")


@simulate.command()
@click.argument("name", required=False)
@_config
@click.option("--target", default="310000", show_default=True, help="攻击哪省的节点 / Whose node")
@click.option(
    "--wait", "wait_s", type=float, default=90.0, show_default=True, help="等对方认得 / Until it knows us"
)
@_list
def attack(name: str | None, config_path: Path | None, target: str, wait_s: float, show: bool) -> None:
    """以敌对节点攻击 --target；all 为全部。

    Attack the node of a province as a peer that the anchor took in, and show the code that came back. Exit code 1
    when it was not the expected one.
    """
    from simulators.attacks import ATTACKS

    if show or name is None or config_path is None:
        return _show_list((a.name, a.code, a.zh, a.en) for a in ATTACKS.values())
    chosen = list(ATTACKS.values()) if name == "all" else [ATTACKS[name]] if name in ATTACKS else []
    if not chosen:
        raise click.BadParameter(f"{name}；见 --list / see --list", param_hint="NAME")
    sys.exit(0 if asyncio.run(_attack(chosen, config_path, target, wait_s)) else 1)


async def _attack(chosen: Sequence[Attack], config_path: Path, target: str, wait_s: float) -> bool:
    from node.clock import SystemClock
    from node.config import read_config
    from node.logs import configure_logs
    from simulators.peer import TargetUnawareError, hostile_peer

    configure_logs("error")
    held = True
    async with hostile_peer(read_config(config_path), SystemClock()) as peer:
        for one in chosen:
            try:
                codes = await peer.attack(one, target, wait_s=wait_s)
            except TargetUnawareError as error:
                raise click.ClickException(
                    f"{target} 还不认得本节点（{error}）；可在它那里 yrd trust refresh / it does not know this node yet"
                ) from error
            good = one.code in codes
            held &= good
            came = "，".join(f"{code} × {count}" for code, count in codes.most_common(3))
            click.echo(f"{'✓' if good else '✗'} {one.name}: {one.zh} / {one.en}")
            click.echo(f"    应得 expected {one.code}    得到 came back {came}")
    return held


@simulate.command()
@click.argument("name", required=False)
@_config
@_list
def lie(name: str | None, config_path: Path | None, show: bool) -> None:
    """以敌对节点作谎答，直到停止 / Answer everybody with a lie, until told to stop."""
    from simulators.lies import LIES

    if show or name is None or config_path is None:
        return _show_list((one.name, one.code, one.zh, one.en) for one in LIES.values())
    if name not in LIES:
        raise click.BadParameter(f"{name}；见 --list / see --list", param_hint="NAME")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_lie(LIES[name], config_path))
    return None


async def _lie(chosen: Lie, config_path: Path) -> None:
    from node.clock import SystemClock
    from node.config import read_config
    from node.logs import configure_logs
    from simulators.peer import hostile_peer

    configure_logs("error")
    config = read_config(config_path)
    async with hostile_peer(config, SystemClock()) as peer, peer.lying(chosen):
        click.echo(
            f"{chosen.zh} / {chosen.en}: 问 ask province {config.node.province}, 应得 expect {chosen.code}"
        )
        await asyncio.Event().wait()


def _show_list(rows: Iterable[tuple[str, str, str, str]]) -> None:
    for name, code, zh, en in rows:
        click.echo(f"{name:18}{code:24}{zh} / {en}")


def _post(url: str, body: object) -> object:
    request = urllib.request.Request(  # noqa: S310 - the URL is the caller's own simulator
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except (urllib.error.URLError, ValueError) as error:
        raise click.ClickException(f"{url}: {error}") from error
