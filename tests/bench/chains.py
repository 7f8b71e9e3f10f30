"""The two chains that are compared: two nodes made by an operator's commands, and the bare chain of their sizes."""

from __future__ import annotations

import base64
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from mapping.translate import load_dialect
from node.keystore.aead import TAG_BYTES
from node.store.bodies import SALT_BYTES
from simulators.population import Population
from tests.bench.processes import Process, start, wait_until_ready, yrd
from trust.identity import tls_name
from trust.keys import SigningKey
from trust.x509 import create_csr, issue_from_csr, make_ca

__all__ = ["LIMITS", "BareChain", "NodeChain", "Sizes", "questions"]

ASKING, ANSWERING = "310000", "330000"
_CLIENT = "bench"
_YRD = Path(sys.executable).with_name("yrd")
_PERMITTED = (
    'operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], '
    'bases = ["official_duty"]'
)
_ACCESS = f"""version = "bench"
asking = [
  {{ rule = "ask", platform = "{_CLIENT}", province = "{ANSWERING}", {_PERMITTED} }},
]
answering = [
  {{ rule = "answer", asking = "{ASKING}", platform = "*", {_PERMITTED} }},
]
"""
LIMITS = """
[limits]
peer_quota_per_s = 1000000
peer_quota_burst = 1000000
platform_quota_per_s = 1000000
platform_quota_burst = 1000000
message_in_bytes = 67108864
message_out_bytes = 67108864
deadline_s = 30
"""


_SEALING_BYTES = SALT_BYTES + TAG_BYTES
"""What a body in the log has beside its envelope."""

_REGISTRY = "answer_bytes = 16777216"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of each message of a query; the bare chain carries as many."""

    request: int
    wire_request: int
    wire_answer: int
    answer: int
    question: int
    registry: int


def _post(path: str, body: bytes, authorization: str, port: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


_CARD = "11100000000013127D001"


def card_holders(population: Population, count: int) -> list[str]:
    """Citizen numbers of so many residents of Zhejiang whose identity card lies there."""
    found: list[str] = []
    for index in range(population.residents):
        number = population.resident(ANSWERING, index).citizen_number
        if any(paper.certificate_type == _CARD for paper in population.papers_in(ANSWERING, "111", number)):
            found.append(number)
        if len(found) == count:
            break
    return found


def questions(numbers: Sequence[str]) -> list[bytes]:
    """Bodies of POST /v1/certificates/query in Shanghai's words: the identity cards of Zhejiang's residents."""
    dialect = load_dialect(ASKING)
    id_type = dialect.code_to_local("holder_id_type", "111").value
    kind = dialect.code_to_local("certificate_type", _CARD).value
    basis = {
        "kind": "official_duty",
        "service_item_name": "居住证办理",
        "service_item_code": "1131000068735121X0231010032700001",
        "case_number": "SH20261101000001",
        "purpose": "核验身份",
    }
    return [
        orjson.dumps(
            {
                "province": ANSWERING,
                "holder": {"id_type": id_type, "id": number},
                "certificate_type": kind,
                "basis": basis,
                "officer": "bench",
            }
        )
        for number in numbers
    ]


@dataclass
class NodeChain:
    """Anchor, two nodes and a registry as separate processes.

    `settings` goes into node.toml, `init` gives more arguments of yrd init for a province; `command` is what serves a
    node.
    """

    folder: Path
    base_port: int
    origin: str
    settings: str = ""
    limits: str = LIMITS
    init: Callable[[str], Sequence[str | Path]] = lambda _province: ()
    quorum: int = 1
    command: Sequence[str | Path] = (_YRD,)
    processes: dict[str, Process] = field(default_factory=dict)
    starts_s: dict[str, float] = field(default_factory=dict)
    authorization: str = ""
    _client: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where the platform API listens."""
        return self._base(ASKING) + 1

    @property
    def nodes(self) -> tuple[Process, Process]:
        """The two nodes that are measured."""
        return self.processes[ASKING], self.processes[ANSWERING]

    def _base(self, province: str) -> int:
        return self.base_port + (10 if province == ASKING else 30)

    def make(self) -> None:
        """The folders, as an operator makes them."""
        self.folder.mkdir()
        anchor = self.folder / "anchor"
        entity_id = f"http://127.0.0.1:{self.base_port}"
        quorum = ("--witness-quorum", str(self.quorum))
        yrd("anchor", "init", "--dir", anchor, "--entity-id", entity_id, "--allow-http-on-loopback", *quorum)
        for province in (ASKING, ANSWERING):
            self._make_node(anchor, province)

    def _make_node(self, anchor: Path, province: str) -> None:
        folder = self.folder / province
        registry, access = self.folder / f"{province}.registry.toml", self.folder / "access.toml"
        access.write_text(_ACCESS, "utf-8")
        shape = Path(__file__).parents[2] / "simulators" / "shapes" / f"{_SHAPES[province]}.toml"
        stub = f"http://127.0.0.1:{self.base_port + 1}"
        section = shape.read_text("utf-8").replace("{base_url}", stub)
        registry.write_text(section.replace("[registry]", f"[registry]\n{_REGISTRY}", 1), "utf-8")
        base = str(self._base(province))
        yrd(
            *("init", "--province", province, "--dir", folder, "--anchor", anchor / "anchor.public.json"),
            *("--base-port", base, "--allow-http-on-loopback", "--registry", registry, "--access", access),
            *self.init(province),
        )
        request, enrolled = folder / "enrolment.json", folder / "enrolled.json"
        yrd("anchor", "enroll", "--dir", anchor, request, "--out", enrolled)
        config = folder / "node.toml"
        config.write_text(config.read_text("utf-8") + self.limits + self.settings, "utf-8")

    def start(self) -> None:
        """Start everything and get a token."""
        self._start("anchor", [_YRD, "anchor", "serve", "--dir", self.folder / "anchor"])
        stub = ["registry", "--port", str(self.base_port + 1), "--origin", self.origin]
        self._start("registry", [sys.executable, "-m", "tests.bench.bare", *stub])
        wait_until_ready(
            f"http://127.0.0.1:{self.base_port}/.well-known/openid-federation", self.processes["anchor"]
        )
        for province in (ANSWERING, ASKING):
            self.starts_s[province] = self.serve(province)
        yrd("trust", "refresh", "--config", self.folder / ANSWERING / "node.toml")
        config = self.folder / ASKING / "node.toml"
        self._client = orjson.loads(yrd("client", "add", _CLIENT, "--config", config, "--json"))
        self.log_in()

    def serve(self, province: str) -> float:
        """Start a province's node, also again; seconds until it was ready."""
        config = self.folder / province / "node.toml"
        process = self._start(province, [*self.command, "serve", "--config", config])
        return wait_until_ready(f"http://127.0.0.1:{self._base(province) + 2}/readyz", process)

    def _start(self, name: str, arguments: list[str | Path]) -> Process:
        self.processes[name] = start(arguments, self.folder / f"{name}.log")
        return self.processes[name]

    def log_in(self) -> None:
        """Get the platform's token; one lasts for ten minutes."""
        client = self._client
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        url = f"http://127.0.0.1:{self.port}/oauth/token"
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(url, b"grant_type=client_credentials", headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.authorization = f"Bearer {orjson.loads(answer.read())['access_token']}"

    def requests(self, bodies: list[bytes]) -> Callable[[int], bytes]:
        """HTTP requests, one after the other."""
        made = [_post("/v1/certificates/query", body, self.authorization, self.port) for body in bodies]
        return lambda number: made[number % len(made)]

    def evidence(self, province: str = ANSWERING) -> Mapping[str, float]:
        """What a node's log holds: exchanges, and for each of them bytes of its envelopes and bytes on disk, all of the
        database with what is left of the write-ahead log after it was copied.
        """
        path = self.folder / province / "node.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            count, sealed = connection.execute("SELECT count(*), sum(length(sealed)) FROM bodies").fetchone()
        connection.close()
        wal = path.with_name("node.db-wal")
        disk = path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
        exchanges = count / 2
        envelopes = sealed - count * _SEALING_BYTES
        return {"exchanges": exchanges, "envelopes": envelopes / exchanges, "disk": disk / exchanges}

    def sizes(self, request: bytes, answer_bytes: int, registry_bytes: int) -> Sizes:
        """Bytes of one query, read from the log."""
        with sqlite3.connect(self.folder / ANSWERING / "node.db") as connection:
            rows = connection.execute(
                "SELECT kind, length(sealed) FROM records JOIN bodies USING (log_index) ORDER BY log_index DESC LIMIT 2"
            )
            by_kind = dict(rows.fetchall())
        asked, answered = (by_kind[kind] - _SEALING_BYTES for kind in (3, 4))
        return Sizes(len(request), asked, answered, answer_bytes, 200, registry_bytes)


_SHAPES = {ASKING: "shanghai", ANSWERING: "zhejiang"}


@dataclass
class BareChain:
    """Front, back and registry of `tests.bench.bare` with the sizes of the nodes' messages."""

    folder: Path
    base_port: int
    sizes: Sizes
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where the front listens."""
        return self.base_port + 4

    @property
    def nodes(self) -> tuple[Process, Process]:
        """The two processes that stand where the nodes do."""
        return self.processes["front"], self.processes["back"]

    def start(self) -> None:
        """Make TLS material, start all three."""
        self.folder.mkdir()
        name = _make_tls(self.folder)
        sizes, port = self.sizes, self.base_port
        self._start("registry", "--port", str(port + 2))
        self._start(
            "back",
            *("--port", str(port + 3), "--next", str(port + 2), "--tls", str(self.folder)),
            *("--wire-bytes", str(sizes.wire_answer), "--registry-bytes", str(sizes.registry)),
            *("--question-bytes", str(sizes.question)),
        )
        self._start(
            "front",
            *(
                "--port",
                str(port + 4),
                "--next",
                str(port + 3),
                "--tls",
                str(self.folder),
                "--tls-name",
                name,
            ),
            *("--request-bytes", str(sizes.wire_request), "--answer-bytes", str(sizes.answer)),
        )

    def _start(self, part: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.bench.bare", part, *arguments]
        log = self.folder / f"{part}.log"
        self.processes[part] = start(command, log)
        _wait_for_line(log, self.processes[part])

    def requests(self, request: bytes) -> Callable[[int], bytes]:
        """The same request again and again."""
        return lambda _number: request

    def sized_request(self, more_bytes: int) -> bytes:
        """A request whose answer has so many bytes more."""
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More-Bytes: {more_bytes}\r\n"
        return (head + f"Content-Length: {self.sizes.request}\r\n\r\n").encode() + bytes(self.sizes.request)


def _wait_for_line(log: Path, process: Process) -> None:
    for _ in range(1500):
        if "ready" in log.read_text("utf-8"):
            return
        if not process.is_running:
            raise RuntimeError(f"{log.stem} of the bare chain ended: {log.read_text('utf-8')}")
        time.sleep(0.02)
    raise RuntimeError(f"{log.stem} of the bare chain did not start")


def _make_tls(folder: Path) -> str:
    """Key, chain and CA of one member that both ends share; its TLS name."""
    now, entity_id = datetime.now(UTC), "https://bare.example"
    ca_key, key = SigningKey.generate(), SigningKey.generate()
    ca = make_ca(ca_key, "bare", now)
    (folder / "ca.pem").write_bytes(ca)
    (folder / "chain.pem").write_bytes(
        issue_from_csr(create_csr(key, entity_id), ca, ca_key, entity_id, now, days=1)
    )
    (folder / "key.pem").write_bytes(key.to_pem())
    return tls_name(entity_id)
