"""The TLS certificate of a running node, where the anchor's CA is offline: the request out, the answer in.

Where the CA is online the node renews by itself, and `yrd keys rotate tls` does so at once.
"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from node.cli.running import call_node
from node.cli.say import Failed, config_option, say, write_new

__all__ = ["tls"]


@click.group()
def tls() -> None:
    """TLS 证书：CA 离线时的申请与采用。

    The TLS certificate where the CA is offline: make a signed request, take what was issued.
    """


@tls.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="申请文件 / The request"
)
@config_option
def request(out: Path, config_path: Path) -> None:
    """生成签名的申请，交给锚方 yrd anchor issue / Make the signed request for `yrd anchor issue`."""
    made = call_node(config_path, "tls.request")
    write_new(out, f"{made['request']}\n")
    say(f"申请已写入 {out}，锚方七日内受理", "give it to the anchor's operator; it is taken for seven days")


@tls.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
def take(file: Path, config_path: Path) -> None:
    """采用锚方签发的 TLS 证书 / Use the TLS certificate that the anchor issued; no restart."""
    try:
        chain = orjson.loads(file.read_bytes())["tls_chain_pem"]
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{file} 不是锚方签发的文件", f"{file} is not what `yrd anchor issue` writes") from None
    taken = call_node(config_path, "tls.take", tls_chain_pem=chain)
    say(f"TLS 证书至 {taken['tls_not_after']}", "the TLS certificate that is shown ends then")
