"""What the anchor's commands share: their options, how refusals are told, how files are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from node.cli.say import Failed

__all__ = [
    "JWKS_FILE",
    "PUBLIC_FILE",
    "dir_option",
    "out_file_option",
    "quorum_option",
    "refusals_told",
    "root_key_option",
    "write_json",
    "write_public",
]

PUBLIC_FILE = "anchor.public.json"
"""What nodes are given: the anchor's entity id, its public root key, and how that passed on so far."""

JWKS_FILE = "anchor.jwks.json"
"""The root key alone, as a node's configuration names them: to be put in place where they are pinned anew."""

dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="锚的目录 / The anchor's folder",
)
root_key_option = click.option(
    "--root-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="根密钥不在 keys/ 时的位置 / Where the root key is, when not in keys/",
)
quorum_option = click.option(
    "--witness-quorum",
    type=click.IntRange(1, 64),
    help="见证人法定数，默认 2 / How many other nodes must cosign a checkpoint; two at first",
)
out_file_option = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="输出 / Where to"
)


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn what the anchor refuses into one line for its operator."""
    from node.anchor import AnchorRefused

    try:
        yield
    except AnchorRefused as error:
        raise Failed("锚方未予办理", str(error)) from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file for somebody else; a former one is replaced."""
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def write_public(directory: Path) -> None:
    """Write the public files anew, with the root key that signs now."""
    from node.anchor import AnchorFolder, anchor_jwks

    folder, jwks = AnchorFolder(directory), anchor_jwks(directory)
    public = {
        "entity_id": folder.facts().entity_id,
        "jwks": jwks,
        "roll_overs": orjson.loads(folder.roll_overs()),
    }
    write_json(directory / PUBLIC_FILE, public)
    write_json(directory / JWKS_FILE, jwks)
