"""A whole `node.toml` to start from, and the files that it names."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tests.support.clock import NOON
from trust.keys import SigningKey
from trust.x509 import create_csr, issue_from_csr, make_ca

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
    (folder / "anchor.jwks.json").write_text("{}", encoding="utf-8")
    (folder / "enrolled.json").write_text(json.dumps(enrolment()), encoding="utf-8")
    (folder / "access.toml").write_text('version = "1"\nasking = []\nanswering = []\n', encoding="utf-8")
    key = folder / "kek"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


@cache
def _tls_chain(entity_id: str) -> tuple[str, str]:
    ca, key = SigningKey.generate(), SigningKey.generate()
    ca_pem = make_ca(ca, "test", NOON)
    chain = issue_from_csr(create_csr(key, entity_id), ca_pem, ca, entity_id, NOON)
    return chain.decode(), ca_pem.decode()


def enrolment(entity_id: str = "http://127.0.0.1:8330", tls_entity: str = "") -> dict[str, object]:
    """What an anchor gives a node; `tls_entity` is whom its TLS certificate names, when it is another."""
    chain, ca_pem = _tls_chain(tls_entity or entity_id)
    return {
        "entity_id": entity_id,
        "anchor": "http://127.0.0.1:8300",
        "anchor_jwks": {"keys": []},
        "statement": "a.b.c",
        "tls_chain_pem": chain,
        "tls_ca_pem": ca_pem,
    }


def line_of(text: str, part: str) -> int:
    """The line (from 1) on which `part` first stands."""
    return text[: text.index(part)].count("\n") + 1
