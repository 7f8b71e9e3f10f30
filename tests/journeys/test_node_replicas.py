"""One node as two processes on one PostgreSQL: what they must agree on is rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.federation import (
    allow_all,
    command,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.postgres import running_postgres

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("postgres")]


def replica_of(path: Path, name: str = "second") -> Path:
    """Another configuration of the same node: its own ports and control socket, the same everything else."""
    base = free_ports(6)
    text = path.read_text("utf-8").replace('control = "control.sock"', f'control = "{name}.sock"')
    listen, rest = text.split("[public]", 1)
    for listener, offset in (("public", 0), ("platform", 1), ("operations", 2), ("grpc", 3)):
        start = listen.index(f"\n{listener} = ")
        end = listen.index("\n", start + 1)
        listen = f'{listen[:start]}\n{listener} = "127.0.0.1:{base + offset}"{listen[end:]}'
    second = path.with_name(f"{name}.toml")
    second.write_text(f"{listen}[public]{rest}", "utf-8")
    return second


def name_platform_url(path: Path) -> None:
    """Both processes issue and take tokens under one URL, as behind a load balancer."""
    text = path.read_text("utf-8")
    path.write_text(text.replace("[public]", '[public]\nplatform = "https://api.zj.example.cn"'), "utf-8")


async def test_replicas_share_clients_denials_and_evidence(tmp_path: Path) -> None:
    with running_postgres() as server, server.new_store() as url:
        public, _ = await make_anchor(tmp_path / "anchor")
        zhejiang = await make_node(public, tmp_path / "zj", "330000", "--store", url)
        shanghai = await make_node(public, tmp_path / "sh", "310000")
        for path in (zhejiang, shanghai):
            allow_all(path.parent / "access.toml")
        name_platform_url(zhejiang)
        second = replica_of(zhejiang)
        async with serving_anchor(tmp_path / "anchor"), running(zhejiang, second, shanghai) as nodes:
            one, two, peer = nodes
            token = await one.token("portal")
            await two.refresh_clients()
            status, body = await two.get("/v1/certificates/types/310000?officer=x", token)
            assert status == 200, body

            await command("trust", "deny", f"http://{peer.at.public}", "--config", zhejiang)
            await two.node.trust_sync.refresh_once()
            status, refused = await two.get("/v1/certificates/types/310000?officer=x", token)
            assert (status, refused["code"]) == (502, "peer.denied")
        await command(
            "evidence", "export", body["request_id"], "--config", zhejiang, "--out", tmp_path / "x.zip"
        )
        said = await command("verify", tmp_path / "x.zip", "--anchor", public)
        assert "存证成立" in said
