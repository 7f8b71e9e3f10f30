"""`yrd demo`: the anchor, four nodes and their registries on this machine, one query told, all pairs asked.

Everything runs as separate processes, made by the operator's own commands and files (`simulators.founding`); nothing
in a node knows that it is in a demonstration.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import click

from simulators.founding import enrol_hostile, found_country
from simulators.identity.accounts import Accounts
from simulators.layout import DEFAULT_BASE_PORT, SUITES, Layout, Seat, first_port_in_use
from simulators.login_walk import walk_login
from simulators.pairs import PairOutcome, ask_pairs, proven_evidence
from simulators.people import Resident
from simulators.platform_client import PlatformClient, PlatformRefusedError
from simulators.population import DEFAULT_RESIDENTS, DEFAULT_SEED, Population
from simulators.processes import CommandFailedError, Household, run_command, yrd
from simulators.softhsm import SoftHsmMissingError, find_softhsm
from simulators.walk import certificate_question, walk
from trust.errors import AlgorithmUnavailable
from trust.sm2 import require_sm2

__all__ = ["demo"]

_MARK = ".yrd-demo"
_READY_S = 60.0
_SETTLED_S = 90.0


class DemoFailedError(click.ClickException):
    """The demonstration cannot go on, for a reason that can be said in a line."""

    def show(self, file: object = None) -> None:
        """One line on standard error."""
        click.echo(f"yrd demo: {self.message}", err=True)


@click.command()
@click.option("--check", is_flag=True, help="只检查，不停留 / Do it all, then stop; exit 0 only if all held")
@click.option(
    "--base-port",
    type=click.IntRange(1024, 65000),
    default=DEFAULT_BASE_PORT,
    show_default=True,
    help="端口起点：锚在此，各省在其后 / The anchor's port; the provinces follow",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="目录，每次重建 / Folder; made anew each time",
)
@click.option(
    "--residents",
    type=click.IntRange(10, 1_000_000),
    default=DEFAULT_RESIDENTS,
    show_default=True,
    help="每省居民数 / Residents a province",
)
@click.option(
    "--seed", type=int, default=DEFAULT_SEED, show_default=True, help="种子 / Seed of the population"
)
@click.option(
    "--suite",
    type=click.Choice(list(SUITES)),
    default="es256",
    show_default=True,
    help="签名算法；sm2：浙江、安徽用 SM2；pkcs11：密钥在 SoftHSM 令牌中 / What signs messages; sm2: two provinces of "
    "the four with SM2; pkcs11: each with its key in a SoftHSM token",
)
def demo(check: bool, base_port: int, folder: Path, residents: int, seed: int, suite: str) -> None:
    """演示：四省联邦全部在本机，走一次跨省查询，再问遍十二对。

    The whole federation on this machine: walk one cross-province query, then ask all twelve pairs.
    """
    layout = Layout(folder.absolute(), base_port, suite)
    country = Country(layout, Population(seed, residents))
    _require_algorithms(layout)
    _require_softhsm(layout)
    _require_free_ports(layout)
    _clear(layout.folder)
    held = asyncio.run(country.run(stay=not check))
    sys.exit(0 if held else 1)


def _require_algorithms(layout: Layout) -> None:
    if any(seat.envelope_algorithm == "SM2" for seat in layout.seats):
        try:
            require_sm2()
        except AlgorithmUnavailable as error:
            raise DemoFailedError(
                f"本机没有 SM2，请用 --suite es256 / {error.detail}; take --suite es256"
            ) from None


def _require_softhsm(layout: Layout) -> None:
    if any(seat.softhsm_folder for seat in layout.seats):
        try:
            find_softhsm()
        except SoftHsmMissingError as missing:
            raise DemoFailedError(str(missing)) from None


def _require_free_ports(layout: Layout) -> None:
    taken = first_port_in_use(layout.ports())
    if taken is not None:
        raise DemoFailedError(
            f"端口 {taken} 已被占用；请停止占用者（也许是另一个 yrd demo），或用 --base-port 换一段 / "
            f"port {taken} is in use; stop who uses it (another yrd demo?) or move all with --base-port"
        )


def _clear(folder: Path) -> None:
    """Begin with an empty folder. Only what a demonstration made is removed."""
    if folder.exists():
        if not (folder / _MARK).exists() and any(folder.iterdir()):
            raise DemoFailedError(
                f"{folder} 不是演示目录，不会清除；请另指 --dir / {folder} was not made by yrd demo; name another --dir"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


def _tell(zh: str, en: str) -> None:
    click.echo(f"· {zh} / {en}")


class Country:
    """One run of the demonstration."""

    def __init__(self, layout: Layout, population: Population) -> None:
        self._layout = layout
        self._population = population
        self._household = Household(layout.folder / "logs")
        self._stopped = asyncio.Event()

    async def run(self, *, stay: bool) -> bool:
        """Set up, walk, ask, verify; True when all held. Whatever happens, no child is left behind."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(self._work(stay, began))

        def stop() -> None:
            self._stopped.set()
            work.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._stopped.is_set():
                raise
            return stay
        except (CommandFailedError, PlatformRefusedError, aiohttp.ClientError, OSError) as error:
            raise DemoFailedError(f"演示未成 / the demonstration failed: {error}") from error
        finally:
            if stay:
                _tell("正在停止全部进程", "stopping every process")
            await asyncio.to_thread(self._household.stop)

    async def _work(self, stay: bool, began: float) -> bool:
        await found_country(self._layout, _tell)
        self._start()
        async with aiohttp.ClientSession() as session:
            await self._await_ready(session)
            platforms = await self._log_in(session)
            _tell(
                f"四省节点互认就绪，用时 {time.monotonic() - began:.0f} 秒",
                "four nodes are up and know each other",
            )
            asking, answering = self._layout.seats[0], self._layout.seats[2]
            walked = await walk(click.echo, platforms[asking.province], asking, answering, self._population)
            await self._show_proof(platforms[asking.province], walked.request_id)
            home, visited = self._layout.seats[1], self._layout.seats[3]
            logged_in = await walk_login(_tell, self._layout, home, visited, self._population)
            pairs = await ask_pairs(self._layout, platforms, self._population)
            verified = await self._verify(pairs, platforms)
            self._tell_pairs(pairs, verified)
            held = self._conclude(pairs, verified) and logged_in
            if stay:
                await enrol_hostile(self._layout)
                self._tell_places()
                await self._stay()
        return held

    def _start(self) -> None:
        """The anchor first, then registries and identity providers, then the nodes and the portals."""
        layout, household = self._layout, self._household
        _require_free_ports(layout)
        household.start("anchor", yrd("anchor", "serve", "--dir", str(layout.anchor_folder)))
        for seat in layout.seats:
            people = ("--residents", str(self._population.residents), "--seed", str(self._population.seed))
            household.start(
                f"registry-{seat.province}",
                yrd(
                    *("simulate", "registry", "--province", seat.province),
                    *("--port", str(seat.base_port + 4), *people),
                ),
            )
            household.start(
                f"idp-{seat.province}",
                yrd(
                    *("simulate", "idp", "--province", seat.province, "--port", str(seat.base_port + 5)),
                    *("--client", str(seat.identity_client_file), *people),
                ),
            )
        for seat in layout.seats:
            household.start(
                f"node-{seat.province}", yrd("serve", "--config", str(seat.config)), seat.environment
            )
            household.start(
                f"portal-{seat.province}",
                yrd(
                    *("simulate", "portal", "--province", seat.province, "--port", str(seat.base_port + 6)),
                    *("--node", seat.public_url, "--platform", seat.platform_url),
                    *("--client", str(seat.client_file)),
                ),
            )
        _tell("锚、四个证照库、四个节点正在启动", "starting the anchor, four registries, four nodes")

    async def _await_ready(self, session: aiohttp.ClientSession) -> None:
        urls = [f"{seat.registry_url}/_about" for seat in self._layout.seats]
        urls += [f"{seat.operations_url}/readyz" for seat in self._layout.seats]
        urls += [f"{seat.identity_provider_url}/_about" for seat in self._layout.seats]
        urls += [f"{seat.portal_url}/_sessions" for seat in self._layout.seats]
        deadline = time.monotonic() + _READY_S
        for url in urls:
            while not await _is_there(session, url):
                self._household.check()
                if time.monotonic() > deadline:
                    raise CommandFailedError(f"{url} 未就绪 / is not ready after {_READY_S:.0f} s")
                await asyncio.sleep(0.1)
        self._household.check()  # what answered may have been somebody else's, on a port that was taken meanwhile

    async def _await_peers(self, seat: Seat, platform: PlatformClient) -> None:
        """Until the node has found the other three, which it does by itself."""
        deadline = time.monotonic() + _READY_S
        while True:
            known = {peer["province"] for peer in (await platform.get("/v1/peers"))["peers"]}
            if known >= {other.province for other in self._layout.seats} - {seat.province}:
                return
            if time.monotonic() > deadline:
                raise CommandFailedError(f"{seat.name} 只认得 / knows only {sorted(known)}")
            await asyncio.sleep(0.1)

    async def _log_in(self, session: aiohttp.ClientSession) -> dict[str, PlatformClient]:
        platforms = {}
        for seat in self._layout.seats:
            secret = json.loads((seat.folder / "client.json").read_text())
            platform = PlatformClient(
                session, seat.platform_url, secret["client_id"], secret["client_secret"]
            )
            await platform.log_in()
            await self._await_peers(seat, platform)
            platforms[seat.province] = platform
        return platforms

    async def _show_proof(self, platform: PlatformClient, request_id: str) -> None:
        """The file, as soon as the other nodes have witnessed the log: until then its time is not proven."""
        file, until = self._layout.folder / "walk.evidence.zip", time.monotonic() + _SETTLED_S
        check = ("verify", str(file), "--anchor", str(self._layout.anchor_public))
        while True:
            file.write_bytes(await platform.evidence_file(request_id))
            try:
                told = await run_command(*check, "--require-settled")
                break
            except CommandFailedError:
                if time.monotonic() > until:
                    told = await run_command(*check)
                    break
            await asyncio.sleep(1)
        click.echo("")
        click.echo("【六】 存证文件离线核验，只凭锚的公钥")
        click.echo("  [6] The evidence file, checked offline with nothing but the anchor's public key:")
        for line in told.rstrip().splitlines():
            click.echo(f"      {line}")
        click.echo("")

    async def _verify(
        self, pairs: list[PairOutcome], platforms: dict[str, PlatformClient]
    ) -> set[tuple[int, str]]:
        """(pair, node) of every record that holds: all exchanges of that pair as that node stored them."""
        files, held, told = await proven_evidence(self._layout, pairs, platforms)
        if told:
            click.echo(told, err=True)
        whole = Counter((id(files[file][0]), files[file][1].province) for file in held)
        return {
            (place, seat.province)
            for place, pair in enumerate(pairs)
            for seat in (pair.asking, pair.answering)
            if pair.exchanges and whole[(id(pair), seat.province)] == len(pair.exchanges)
        }

    def _tell_pairs(self, pairs: list[PairOutcome], verified: set[tuple[int, str]]) -> None:
        _tell(
            "十二对全部问一遍：证照一次，事项一次；双方存证逐一离线核验",
            "all twelve pairs, both nodes' evidence",
        )
        for place, pair in enumerate(pairs):
            words = "，".join(exchange.words for exchange in pair.exchanges)
            proofs = sum((place, seat.province) in verified for seat in (pair.asking, pair.answering))
            trouble = f"  ✗ {pair.trouble}" if pair.trouble else ""
            click.echo(f"    {pair.label}  {words}  存证 evidence {proofs}/2{trouble}")

    def _conclude(self, pairs: list[PairOutcome], verified: set[tuple[int, str]]) -> bool:
        answered = sum(not pair.trouble and bool(pair.exchanges) for pair in pairs)
        click.echo(
            f"{answered} of {len(pairs)} pairs answered, {len(verified)} of {2 * len(pairs)} records verified"
        )
        return answered == len(pairs) and len(verified) == 2 * len(pairs)

    def _tell_places(self) -> None:
        layout, seats = self._layout, self._layout.seats
        click.echo("")
        _tell(f"全部在 {layout.folder}", "everything is there; logs in logs/, evidence in evidence/")
        click.echo(f"    {'锚 anchor':<22}{layout.anchor_url}")
        for seat in seats:
            click.echo(
                f"    {seat.name} {seat.province}  {seat.folder}\n"
                f"        平台 platform {seat.platform_url}/docs  公开 public {seat.public_url}\n"
                f"        运行 operations {seat.operations_url}/metrics  gRPC {seat.grpc_port}\n"
                f"        证照库 registry {seat.registry_url}/_about\n"
                f"        身份认证 identity provider {seat.identity_provider_url}/_people\n"
                f"        门户 portal {seat.portal_url}/"
            )
        asking, answering = seats[0], seats[2]
        for name, value in answering.environment.items():
            _tell(
                f"直接打开令牌的命令（如 yrd evidence export）须先 export {name}={value}（各省各一）",
                "what opens a province's token itself needs this in its environment",
            )
        who = self._population.resident(answering.province, 0)
        home, visited = seats[1], seats[3]
        account = Accounts(home.province, self._population).account(0)
        click.echo("")
        _tell(f"跨省登录：打开 {visited.portal_url}/ ，选{home.name}", "log in across provinces in a browser")
        click.echo(f"    账号 account {account.user_name}  密码 password {account.password}")
        click.echo("")
        _tell(
            "自己试一次（客户端口令在各省目录的 client.json）",
            "try it yourself; the secrets are in client.json",
        )
        for line in _curl(asking, answering, who):
            click.echo(f"    {line}")
        click.echo("")
        _tell(
            f"捣乱：yrd simulate fault --url {answering.registry_url} slow；yrd simulate attack --list",
            "misbehave on purpose",
        )
        _tell("Ctrl-C 全部停止", "Ctrl-C stops it all")

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._household.check()


async def _is_there(session: aiohttp.ClientSession, url: str) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return answer.status == 200
    return False


def _curl(asking: Seat, answering: Seat, who: Resident) -> list[str]:
    """The commands of docs/integrating.md for this run: a token, then a question."""
    client = asking.folder / "client.json"
    field = "python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])'"
    body = json.dumps(
        certificate_question(asking, answering.province, who.citizen_number), ensure_ascii=False
    )
    token = (
        f'curl -s -u "$ID:$SECRET" -d grant_type=client_credentials {asking.platform_url}/oauth/token'
        """ | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])'"""
    )
    headers = '-H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"'
    return [
        f"ID=$({field} {client} client_id); SECRET=$({field} {client} client_secret)",
        f"TOKEN=$({token})",
        f"curl -s {headers} {asking.platform_url}/v1/certificates/query -d '{body}'",
    ]
