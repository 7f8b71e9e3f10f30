"""Making a node: its folder with keys, configuration, access rules, and the request to the anchor."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, TypedDict, Unpack

import click
import orjson

from node.cli.say import Failed, say, warn, write_new
from node.config import Config, read_config

__all__ = ["init"]

_NAMES = {"310000": "上海市节点", "320000": "江苏省节点", "330000": "浙江省节点", "340000": "安徽省节点"}
_PURPOSES = ("federation", "envelope", "openid", "tls", "log", "witness")
# As node.keystore.ALGORITHMS_FOR says; not imported, so that `yrd --help` need not load the store.
_ENVELOPE_ALGORITHMS = ("ES256", "EdDSA", "SM2")
_NOTE_ALGORITHMS = {"log": "EdDSA", "witness": "EdDSA"}


class _Given(TypedDict):
    """The options, as they are given."""

    province: str
    directory: Path
    anchor: Path | None
    entity_id: str
    allow_http_on_loopback: bool
    name: str
    host: str
    base_port: int | None
    grpc_public: str
    platform_url: str
    proxies: int
    store: str
    dialect: str
    registry: Path | None
    access: Path | None
    envelope_algorithm: str
    pkcs11_module: Path | None
    pkcs11_token: str
    pkcs11_pin_file: Path | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The node that is to be made."""

    province: str
    name: str
    entity_id: str
    allow_http: bool
    host: str
    base_port: int
    grpc_public: str
    platform_url: str
    proxies: int
    store: str
    dialect: str
    anchor: str
    anchor_jwks: Any
    access: str
    registry: str
    pkcs11: str = ""
    envelope_algorithm: str = _ENVELOPE_ALGORITHMS[0]


@click.command()
@click.option("--province", required=True, help="行政区划代码，如 330000 / Province code, six digits")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), required=True, help="节点目录 / Its folder"
)
@click.option(
    "--anchor",
    type=click.Path(path_type=Path, exists=True),
    help="锚的目录或公开文件 / The anchor's public file",
)
@click.option(
    "--entity-id", default="", help="公开 URL；默认本机试用 / Public URL; default: on this machine, to try"
)
@click.option(
    "--allow-http-on-loopback", is_flag=True, help="本机试用可用 http / Plain HTTP on loopback, to try"
)
@click.option("--name", default="", help="节点名称 / Name")
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 / Address to listen on")
@click.option(
    "--base-port", type=click.IntRange(1, 65529), help="端口起点，默认 8NN0 / First port; default 8NN0"
)
@click.option("--grpc-public", default="", help="他省访问的 host:port / Where peers reach the gRPC port")
@click.option(
    "--platform-url", default="", help="平台访问 API 的 URL / The URL by which platforms know the API"
)
@click.option(
    "--proxies",
    type=click.IntRange(0, 8),
    default=0,
    show_default=True,
    help="公开监听前的反向代理层数 / How many reverse proxies stand before the public listener",
)
@click.option("--store", default="sqlite:///node.db", show_default=True, help="存储 / The store's URL")
@click.option("--dialect", default="", help="方言，默认本省 / Whose dialect; default: the province's")
@click.option(
    "--registry",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="写入配置的 [registry] / A file with the [registry] part",
)
@click.option(
    "--access",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="访问规则；默认全部拒绝 / Access rules; default: deny all",
)
@click.option(
    "--envelope-algorithm",
    type=click.Choice(_ENVELOPE_ALGORITHMS),
    default=_ENVELOPE_ALGORITHMS[0],
    show_default=True,
    help="报文签名算法；SM2 须有系统 OpenSSL 3 / What signs messages; SM2 by the system's OpenSSL 3",
)
@click.option(
    "--pkcs11-module",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="报文密钥放进密码机：PKCS#11 库 / Have the envelope key in a token: its PKCS#11 module",
)
@click.option("--pkcs11-token", default="", help="令牌标签 / The token's label")
@click.option(
    "--pkcs11-pin-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="口令文件，0600；默认取环境变量 / The file of its PIN; default: YRD_PKCS11_PIN",
)
def init(**given: Unpack[_Given]) -> None:
    """新建节点：密钥、配置、访问规则与入网申请。

    Make a node: keys in its store under a key file (0600), node.toml, access.toml that denies all, and
    enrolment.json for the anchor. Nothing is overwritten. What `yrd check-config` would warn of is said at once.
    """
    directory, wanted = given["directory"], _wanted(given)
    kids = _make_folder(directory, wanted)
    for purpose, kid in kids.items():
        click.echo(f"  {purpose:11}{kid}")
    say(f"节点已建：{directory}", "the node is there; back up kek apart from the store")
    warn(read_config(directory / "node.toml", check_files=False))
    _say_next(directory, wanted)


def _wanted(given: _Given) -> _Wanted:
    """The node that the options describe, with what follows from the province where they say nothing."""
    province, host = given["province"], given["host"]
    if not (province.isascii() and province.isdigit() and len(province) == 6):
        raise click.BadParameter("须为六位数字 / must be six digits", param_hint="--province")
    if host in ("0.0.0.0", "::"):  # noqa: S104  others must be told where, then
        _require_public(given["grpc_public"], "--grpc-public")
        _require_public(given["platform_url"], "--platform-url")
    base = given["base_port"] or 8000 + 10 * int(province[:2])
    anchor_id, jwks = _read_anchor(given["anchor"])
    return _Wanted(
        province=province,
        name=given["name"] or _NAMES.get(province, f"{province}节点"),
        entity_id=given["entity_id"] or f"http://127.0.0.1:{base}",
        allow_http=given["allow_http_on_loopback"] or not given["entity_id"],
        host=_shown(host),
        base_port=base,
        grpc_public=given["grpc_public"] or f"{_shown(host)}:{base + 3}",
        platform_url=given["platform_url"],
        proxies=given["proxies"],
        store=given["store"],
        dialect=given["dialect"] or province,
        anchor=anchor_id,
        anchor_jwks=jwks,
        access=_text(given["access"]),
        registry=_text(given["registry"]),
        pkcs11=_pkcs11_toml(given["pkcs11_module"], given["pkcs11_token"], given["pkcs11_pin_file"]),
        envelope_algorithm=given["envelope_algorithm"],
    )


def _text(path: Path | None) -> str:
    return path.read_text("utf-8") if path else ""


def _require_public(given: str, option: str) -> None:
    """Whoever listens on every address must say by which one others reach it."""
    if not given:
        raise click.BadParameter(
            "监听所有地址时须写明 / is needed when listening on every address", param_hint=option
        )


def _shown(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def _read_anchor(path: Path | None) -> tuple[str, Any]:
    """The anchor's entity id and root keys, from its folder or its public file."""
    from node.cli.anchor import PUBLIC_FILE
    from trust.keys import keys_from_jwks

    if path is None:
        return "", None
    file = path / PUBLIC_FILE if path.is_dir() else path
    try:
        public = orjson.loads(file.read_bytes())
        entity_id, jwks = public["entity_id"], public["jwks"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(f"{file} 不是锚的公开文件", f"{file} is not an anchor's {PUBLIC_FILE}") from None
    keys_from_jwks(jwks)
    return str(entity_id), jwks


def _make_folder(directory: Path, wanted: _Wanted) -> dict[str, str]:
    """Make it beside and move it into place, so that there is a whole node or none."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Failed(
            f"{directory} 已存在且非空，不会覆盖", f"{directory} is not empty and is not overwritten"
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        kids = _fill(beside, wanted)
        beside.rename(directory)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return kids


def _fill(folder: Path, wanted: _Wanted) -> dict[str, str]:
    from node.keystore.wrapping import KeyEncryptionKey

    write_new(folder / "node.toml", _node_toml(wanted))
    write_new(folder / "access.toml", wanted.access or _access_toml(wanted.province))
    if wanted.anchor_jwks is not None:
        write_new(folder / "anchor.jwks.json", _json(wanted.anchor_jwks))
    config = read_config(folder / "node.toml", check_files=False)
    KeyEncryptionKey.create(folder / "kek")
    request, kids = asyncio.run(
        _make_keys(config, {"envelope": wanted.envelope_algorithm, **_NOTE_ALGORITHMS})
    )
    write_new(folder / "enrolment.json", _json(request))
    return kids


async def _make_keys(config: Config, algorithms: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    from node.clock import SystemClock
    from node.enrolling import own_enrolment_request
    from node.keystore.configured import opened_keystore
    from node.store.database import open_database

    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, SystemClock()) as keystore:
            made = {
                purpose: await keystore.generate(purpose, alg=algorithms.get(purpose, "ES256"))
                for purpose in _PURPOSES
            }
            kids = {purpose: key.kid for purpose, key in made.items()}
            request = own_enrolment_request(config, keystore)
    finally:
        await database.close()
    return request, kids


def _template(name: str) -> Template:
    return Template((resources.files("node.cli") / "templates" / name).read_text("utf-8"))


def _node_toml(wanted: _Wanted) -> str:
    ports = ("public_port", "platform_port", "operations_port", "grpc_port", "registry_port")
    numbers = {name: str(wanted.base_port + offset) for offset, name in enumerate(ports)}
    registry = wanted.registry or _template("registry.toml").substitute(numbers)
    return _template("node.toml").substitute(
        numbers,
        province=wanted.province,
        name=wanted.name.replace("\\", "\\\\").replace('"', '\\"'),
        entity_id=wanted.entity_id,
        allow_http="true" if wanted.allow_http else "false",
        host=wanted.host,
        grpc_public=wanted.grpc_public,
        proxies=f"proxies = {wanted.proxies}" if wanted.proxies else "# proxies = 1",
        platform_public=f'platform = "{wanted.platform_url}"\n' if wanted.platform_url else "",
        store=wanted.store,
        anchor=wanted.anchor or "https://anchor.example",
        dialect=wanted.dialect,
        registry=registry.rstrip() + "\n",
        pkcs11=wanted.pkcs11,
    )


def _pkcs11_toml(module: Path | None, token: str, pin_file: Path | None) -> str:
    """[keys.pkcs11], with paths that hold wherever the folder is moved; nothing without a token."""
    if module is None and not token and pin_file is None:
        return ""
    if module is None or not token:
        raise click.BadParameter(
            "须与 --pkcs11-token 同时给出 / must come with --pkcs11-token", param_hint="--pkcs11-module"
        )
    lines = ["", "[keys.pkcs11]                            # 密钥留在令牌中 / these keys stay in the token"]
    lines += [f"module = {_toml_string(str(module.absolute()))}", f"token = {_toml_string(token)}"]
    if pin_file is not None:
        lines.append(f"pin_file = {_toml_string(str(pin_file.absolute()))}")
    return "\n".join([*lines, 'purposes = ["envelope"]', ""])


def _toml_string(text: str) -> str:
    return orjson.dumps(text).decode()  # a JSON string is a basic string of TOML


def _access_toml(province: str) -> str:
    other = "320000" if province == "310000" else "310000"
    version = datetime.now(UTC).date().isoformat()
    return _template("access.toml").substitute(version=version, other=other)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _say_next(directory: Path, wanted: _Wanted) -> None:
    say("下一步", "next")
    if not wanted.anchor:
        say(
            f"  0. 在 {directory / 'node.toml'} 写明 trust.anchor，把锚的公钥存为 anchor.jwks.json",
            "name the anchor in node.toml and put its keys into anchor.jwks.json",
        )
    request, out = directory / "enrolment.json", directory / "enrolled.json"
    click.echo(f"  1. yrd anchor enroll --dir ANCHOR {request} --out {out}")
    click.echo(f"  2. yrd check-config --config {directory / 'node.toml'}")
    click.echo(f"  3. yrd serve --config {directory / 'node.toml'}")
