"""How commands reach the running node: by its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node.cli.say import NotRunning
from node.config import read_config
from node.control import call_control

__all__ = ["call_node"]


def call_node(config_path: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """What the node of that configuration answers. Raises NotRunning, CommandRefused."""
    config = read_config(config_path, check_files=False)
    try:
        return call_control(config.listen.control, command, **arguments)
    except (FileNotFoundError, ConnectionError, TimeoutError):
        raise NotRunning(
            f"没有运行中的节点（{config.listen.control}）",
            f"no node is running there ({config.listen.control})",
        ) from None
