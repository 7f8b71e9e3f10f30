"""Sets the country up as its operators would: the same commands, the same files, nothing else.

Each province's registry gets its `[registry]` section, each node an access.toml with one line per pair and a `[login]`
section for its province's identity provider, and each platform its client id and secret in ``client.json`` (0600). The
nodes of two provinces prove themselves to their identity providers by a secret, the other two by their key.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from simulators.identity_provider import login_toml
from simulators.layout import HOST, PLATFORM, Layout, Seat
from simulators.processes import run_command
from simulators.registry import SHAPES
from simulators.softhsm import SoftHsm, SoftToken

__all__ = [
    "IDENTITY_CLIENT",
    "access_toml",
    "enrol_hostile",
    "found_country",
    "portal_client_arguments",
    "register_node",
]

IDENTITY_CLIENT = "yrd-node"
"""The node's client id at its identity provider."""

_WITH_SECRET = ("310000", "330000")
_SHORT = {"310000": "sh", "320000": "js", "330000": "zj", "340000": "ah"}
_EVERYTHING = (
    'operations = ["*"], certificate_types = ["*"], fields = ["*"], '
    'service_items = ["*"], bases = ["official_duty", "holders_consent"]'
)

Tell = Callable[[str, str], None]


async def found_country(layout: Layout, tell: Tell) -> None:
    """Make anchor, nodes and clients in `layout.folder`. Raises CommandFailedError."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    await run_command(
        "anchor", "init", "--dir", str(layout.anchor_folder), "--entity-id", layout.anchor_url,
        "--allow-http-on-loopback",
    )  # fmt: skip
    tell("锚已成立", "the anchor is there: yrd anchor init")
    tokens = await asyncio.to_thread(_make_tokens, layout)
    await asyncio.gather(*(_make_node(layout, seat, tokens.get(seat.province)) for seat in layout.seats))
    tell(
        "四省节点已建，各有密钥、配置和规则", "four nodes are made, with keys, configuration, rules: yrd init"
    )
    tell(*_said_of_signing(layout))
    if tokens:
        tell("报文密钥在 SoftHSM 令牌中，每省一个", "each envelope key is in a SoftHSM token of its own")
    for seat in layout.seats:  # one after the other: the anchor's folder has one writer
        await _enrol(layout, seat)
    tell("锚已接纳各节点", "the anchor has enrolled them: yrd anchor enroll")
    await asyncio.gather(*(_make_client(seat) for seat in layout.seats))
    tell("各省平台有了客户端口令", "each platform has its client secret: yrd client add")


def _make_tokens(layout: Layout) -> Mapping[str, SoftToken]:
    """By province, in a suite that has them."""
    return {
        seat.province: SoftHsm(seat.softhsm_folder).make_token(f"yrd-{seat.province}")
        for seat in layout.seats
        if seat.softhsm_folder is not None
    }


def _said_of_signing(layout: Layout) -> tuple[str, str]:
    """Which algorithm signs whose messages, in Chinese and English."""
    by_algorithm: dict[str, list[Seat]] = {}
    for seat in layout.seats:
        by_algorithm.setdefault(seat.envelope_algorithm, []).append(seat)
    zh = (f"{'、'.join(seat.name for seat in seats)} {name}" for name, seats in by_algorithm.items())
    en = (f"{name} in {', '.join(seat.province for seat in seats)}" for name, seats in by_algorithm.items())
    return f"报文签名：{'；'.join(zh)}", f"messages are signed with {'; '.join(en)}"


async def enrol_hostile(layout: Layout) -> None:
    """Make the hostile peer's node and have the anchor take it in; it is not started."""
    await _make_node(layout, layout.hostile)
    await _enrol(layout, layout.hostile)


async def _enrol(layout: Layout, seat: Seat) -> None:
    await run_command(
        "anchor", "enroll", "--dir", str(layout.anchor_folder), str(seat.folder / "enrolment.json"),
        "--out", str(seat.folder / "enrolled.json"),
    )  # fmt: skip


async def _make_node(layout: Layout, seat: Seat, token: SoftToken | None = None) -> None:
    beside = layout.folder / "made"
    beside.mkdir(exist_ok=True)
    arguments = [
        "init", "--province", seat.province, "--dir", str(seat.folder), "--anchor", str(layout.anchor_public),
        "--host", HOST, "--base-port", str(seat.base_port), "--envelope-algorithm", seat.envelope_algorithm,
    ]  # fmt: skip
    if token is not None:
        arguments += ["--pkcs11-module", str(token.module), "--pkcs11-token", token.label]
        arguments += ["--pkcs11-pin-file", str(token.pin_file)]
    if seat.province in SHAPES:
        registry, access = beside / f"{seat.province}.registry.toml", beside / f"{seat.province}.access.toml"
        registry.write_text(SHAPES[seat.province].registry_toml(seat.registry_url), encoding="utf-8")
        access.write_text(access_toml(seat.province), encoding="utf-8")
        arguments += ["--registry", str(registry), "--access", str(access)]
    else:
        arguments += ["--name", "敌对节点（模拟）", "--dialect", "310000"]
    await run_command(*arguments, environment=seat.environment)
    if seat.province in SHAPES:
        register_node(seat.province, seat.config, seat.public_url, seat.identity_provider_url)


def register_node(province: str, config: Path, entity_id: str, identity_provider: str) -> Path:
    """Make a node the client of its province's identity provider: `[login]` at the end of its node.toml, and beside it
    the file for ``yrd simulate idp --client``, which is returned.
    """
    client = {"entity_id": entity_id, "client_id": IDENTITY_CLIENT}
    secret_file = ""
    if province in _WITH_SECRET:
        secret_file, client["client_secret"] = "identity-provider.secret", secrets.token_urlsafe(32)
        _write_secret(config.with_name(secret_file), client["client_secret"] + "\n")
    known = config.with_name("identity-client.json")
    _write_secret(known, json.dumps(client, indent=2) + "\n")
    text = config.read_text(encoding="utf-8")
    section = login_toml(province, identity_provider, IDENTITY_CLIENT, secret_file)
    config.write_text(f"{text.rstrip()}\n\n{section}", encoding="utf-8")
    return known


def access_toml(province: str) -> str:
    """The rules of one province's node: one line per pair, everything on official duty or the holder's consent."""
    others = [other for other in SHAPES if other != province]
    asking = [
        f'  {{ rule = "portal-{_SHORT[other]}", platform = "{PLATFORM}", province = "{other}", {_EVERYTHING} }},'
        for other in others
    ]
    answering = [
        f'  {{ rule = "for-{_SHORT[other]}", asking = "{other}", platform = "*", {_EVERYTHING} }},'
        for other in others
    ]
    return "\n".join(
        [
            "# 访问规则。默认拒绝；一行一条规则，一条规则一对。改后：yrd reload access",
            "# Access rules. Default is no; one line is one rule for one pair. After a change: yrd reload access",
            "",
            'version = "2026-11-01"',
            "",
            "asking = [",
            *asking,
            "]",
            "",
            "answering = [",
            *answering,
            "]",
            "",
        ]
    )


def portal_client_arguments(portal: str) -> tuple[str, ...]:
    """What ``yrd client add`` is told of the portal at that origin: it logs people in."""
    return (
        *("--login", "--scopes", "openid,profile,identity"),
        *("--redirect-uri", f"{portal}/callback", "--post-logout-redirect-uri", f"{portal}/logged-out"),
        *("--backchannel-logout-uri", f"{portal}/backchannel-logout"),
    )


async def _make_client(seat: Seat) -> None:
    said = await run_command(
        "client", "add", PLATFORM, "--title", f"{seat.name}政务服务网", "--json", "--config", str(seat.config),
        *portal_client_arguments(seat.portal_url), environment=seat.environment,
    )  # fmt: skip
    _write_secret(seat.client_file, json.dumps(json.loads(said), indent=2) + "\n")


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
