"""A whole `node.toml` to start from, and the files that it names."""

from __future__ import annotations

from pathlib import Path

NODE_TOML = """\
[node]
province = "330000"
name = "浙江省节点"
entity_id = "http://127.0.0.1:8330"
allow_http_on_loopback = true

[listen]
public = "127.0.0.1:8330"
platform = "127.0.0.1:8331"
operations = "127.0.0.1:8332"
grpc = "127.0.0.1:8333"
control = "control.sock"

[store]
url = "sqlite:///node.db"

[keys]
key_encryption_key = "kek"

[trust]
anchor = "http://127.0.0.1:8300"
anchor_keys = "anchor.jwks.json"
enrolment = "enrolled.json"

[access]
policy = "access.toml"

[dialect]
province = "330000"
directory = "dialect"

[registry]
kind = "http"
base_url = "http://127.0.0.1:8334"

[registry.operations."certificates.query"]
path = "/query"
parameters = { holder_id = "idNo" }
documents = "data.list"
"""


def write_node_files(folder: Path, text: str = NODE_TOML) -> Path:
    """`node.toml` in a folder with everything that it names; the path of the file."""
    (folder / "dialect").mkdir()
    for name in ("anchor.jwks.json", "enrolled.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "access.toml").write_text('version = "1"\nasking = []\nanswering = []\n', encoding="utf-8")
    key = folder / "kek"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(text: str, part: str) -> int:
    """The line (from 1) on which `part` first stands."""
    return text[: text.index(part)].count("\n") + 1
