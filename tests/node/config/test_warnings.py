"""What a node runs with and is hardly meant: which configurations are warned of, and which are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import read_config
from node.config.warnings import config_warnings
from tests.node.config.samples import NODE_TOML, write_node_files

PUBLIC = 'public = "127.0.0.1:8330"'
ID = 'entity_id = "http://127.0.0.1:8330"'
PLATFORM = 'platform = "127.0.0.1:8331"'
GRPC = 'grpc = "127.0.0.1:8333"'
REACHED = ("[store]", '[public]\ngrpc = "yrd.zj.example.cn:8333"\n\n[store]')
PROXIED = ("[public]", "[public]\nproxies = 1")
WIDE = (PUBLIC, 'public = "0.0.0.0:8330"')


def warned(tmp_path: Path, *changes: tuple[str, str]) -> list[tuple[int, str]]:
    """Line and key of each warning about this configuration."""
    text = NODE_TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config = read_config(write_node_files(tmp_path, text), check_files=False)
    return [(one.line, one.key) for one in config_warnings(config)]


@pytest.mark.parametrize(
    "changes",
    [
        [(ID, 'entity_id = "https://yrd.zj.example.cn"')],
        [(ID, 'entity_id = "https://yrd.zj.example.cn:8330"')],
        [(ID, 'entity_id = "https://yrd.zj.example.cn"'), WIDE],
        [(ID, 'entity_id = "http://127.0.0.1:9330"')],
        [(ID, 'entity_id = "http://127.0.0.1"')],
        [(ID, 'entity_id = "http://localhost:9330"')],
    ],
    ids=["to loopback", "port alike", "all addresses", "other port", "default port", "by name"],
)
def test_a_proxy_that_is_not_counted_is_warned_of(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    assert warned(tmp_path, *changes, REACHED) == [(14, "public.proxies")]
    (tmp_path / "counted").mkdir()
    assert warned(tmp_path / "counted", *changes, REACHED, PROXIED) == []


def test_what_is_not_said_at_all_has_no_line(tmp_path: Path) -> None:
    found = warned(tmp_path, (ID, 'entity_id = "https://yrd.zj.example.cn"'))
    assert found == [(0, "public.grpc"), (0, "public.proxies")]


@pytest.mark.parametrize(
    "changes", [[], [(PUBLIC, 'public = "127.0.0.1:0"')], [(PUBLIC, 'public = "[::1]:8330"')]]
)
def test_a_node_to_try_out_has_no_proxy(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    assert warned(tmp_path, *changes) == []


def test_what_others_are_told_is_not_this_machine_alone(tmp_path: Path) -> None:
    narrow = '[public]\ngrpc = "127.0.0.1:8333"\nplatform = "http://localhost:8331"\n\n[store]'
    wide = [(PLATFORM, 'platform = "192.0.2.7:8331"'), (GRPC, 'grpc = "[::]:8333"')]
    found = warned(tmp_path, WIDE, *wide, ("[store]", narrow))
    assert found == [(4, "node.entity_id"), (15, "public.grpc"), (16, "public.platform")]


def test_a_listener_that_says_its_address_itself_is_reached_there(tmp_path: Path) -> None:
    wide = [(PLATFORM, 'platform = "192.0.2.7:8331"'), (GRPC, 'grpc = "192.0.2.7:8333"')]
    assert warned(tmp_path, *wide) == []
