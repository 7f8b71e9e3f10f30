"""Where everything of the demonstration is: ports and folders."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from simulators.divisions import PROVINCES, province_name
from simulators.softhsm import CONFIG_FILE, CONFIG_VARIABLE

__all__ = [
    "DEFAULT_BASE_PORT",
    "HOST",
    "HOSTILE_SLOT",
    "PLATFORM",
    "SUITES",
    "Layout",
    "Seat",
    "first_port_in_use",
]

HOST = "127.0.0.1"
DEFAULT_BASE_PORT = 8300
PLATFORM = "demo-portal"
"""The client id of each province's platform at its own node."""
HOSTILE_SLOT = 5
"""The hostile peer's ports are the tens after the four provinces': 8350 and on."""
_PORTS = 7
"""Of each province."""

SUITES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"es256": {}, "sm2": {"330000": "SM2", "340000": "SM2"}, "pkcs11": {}}
)
"""What signs the messages of which province, where it is not ES256: in one federation each node has its own.

With ``pkcs11`` each node's key is in a token of its own.
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """One node's folder and ports: +0 public, +1 platform, +2 operations, +3 gRPC, +4 registry, +5 identity provider,
    +6 portal.
    """

    province: str
    folder: Path
    base_port: int
    envelope_algorithm: str = "ES256"
    softhsm_folder: Path | None = None
    """A SoftHSM of its own, in a suite that has them: several processes that write to one disturb each other."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the node's processes have in their environment beside what is there."""
        if self.softhsm_folder is None:
            return {}
        return {CONFIG_VARIABLE: str(self.softhsm_folder / CONFIG_FILE)}

    @property
    def name(self) -> str:
        """The province's name, or what stands for it."""
        return province_name(self.province) if self.province in PROVINCES else self.province

    @property
    def config(self) -> Path:
        """The node's configuration."""
        return self.folder / "node.toml"

    @property
    def public_url(self) -> str:
        """The public listener, also the entity id."""
        return f"http://{HOST}:{self.base_port}"

    @property
    def platform_url(self) -> str:
        """The platform API."""
        return f"http://{HOST}:{self.base_port + 1}"

    @property
    def operations_url(self) -> str:
        """Metrics and health."""
        return f"http://{HOST}:{self.base_port + 2}"

    @property
    def grpc_port(self) -> int:
        """Where peers ask."""
        return self.base_port + 3

    @property
    def registry_url(self) -> str:
        """The registry simulator."""
        return f"http://{HOST}:{self.base_port + 4}"

    @property
    def identity_provider_url(self) -> str:
        """The identity provider simulator, its issuer."""
        return f"http://{HOST}:{self.base_port + 5}"

    @property
    def portal_url(self) -> str:
        """The portal simulator."""
        return f"http://{HOST}:{self.base_port + 6}"

    @property
    def client_file(self) -> Path:
        """The client id and secret that the platform, and its portal, have at the node."""
        return self.folder / "client.json"

    @property
    def identity_client_file(self) -> Path:
        """What the identity provider knows of the node as its client."""
        return self.folder / "identity-client.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole country: the anchor, the four nodes, and the hostile peer that is enrolled but not started."""

    folder: Path
    base_port: int = DEFAULT_BASE_PORT
    suite: str = "es256"

    @property
    def anchor_folder(self) -> Path:
        """The anchor's folder."""
        return self.folder / "anchor"

    @property
    def anchor_public(self) -> Path:
        """What the nodes are given of the anchor."""
        return self.anchor_folder / "anchor.public.json"

    @property
    def anchor_url(self) -> str:
        """The anchor's entity id."""
        return f"http://{HOST}:{self.base_port}"

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The four provinces' nodes."""
        signing = SUITES[self.suite]
        return tuple(
            Seat(
                province,
                self.folder / province,
                self.base_port + 10 * place,
                signing.get(province, "ES256"),
                self.folder / "softhsm" / province if self.suite == "pkcs11" else None,
            )
            for place, province in enumerate(PROVINCES, start=1)
        )

    @property
    def hostile(self) -> Seat:
        """The hostile peer's node, of a province that does not exist."""
        return Seat("990000", self.folder / "hostile", self.base_port + 10 * HOSTILE_SLOT)

    def ports(self) -> tuple[int, ...]:
        """Every port that is listened on."""
        return (self.base_port, *(seat.base_port + offset for seat in self.seats for offset in range(_PORTS)))


def first_port_in_use(ports: tuple[int, ...]) -> int | None:
    """The first of these ports that somebody listens on; None when all are free."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return port
                raise
    return None
