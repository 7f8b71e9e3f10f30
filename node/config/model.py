"""The settings of a node, section by section, as `node.toml` has them: frozen, and unknown keys are refused.

Times end in `_s` (seconds), sizes in `_bytes`. Every default is the figure of the design's chapter on limits.
Paths are resolved against the folder of the file, so a node can be started from anywhere.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, SkipValidation, ValidationInfo

from federation.keeping import DEFAULT_DAYS, Retention
from federation.query import Operation
from node.config.login import LoginSection
from node.config.section import FilePath, Section, to_tuple
from node.connectors.settings import RegistrySettings

__all__ = [
    "AccessSection",
    "Address",
    "Config",
    "ConsentSection",
    "DialectSection",
    "EvidenceSection",
    "ExchangeSection",
    "KeysSection",
    "LimitsSection",
    "ListenSection",
    "LogSection",
    "LoginSection",
    "NodeSection",
    "Pkcs11Section",
    "PublicSection",
    "RetentionSection",
    "Section",
    "StoreSection",
    "TrustSection",
    "resolve_sqlite",
]

_SQLITE = "sqlite:///"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


class Address(NamedTuple):
    """Where something listens or is reached. `str()` gives ``host:port``, with brackets around an IPv6
    address.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _read_address(value: Any) -> Address:
    message = f'须写作 "host:port"，端口 0–65535 / must be "host:port" with a port of 0–65535, not {value!r}'
    if not isinstance(value, str):
        raise ValueError(message)
    host, _, port = value.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (port.isascii() and port.isdigit() and int(port) <= 65535 and _is_host(host)):
        raise ValueError(message)
    return Address(host, int(port))


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def resolve_sqlite(url: str, folder: Path) -> str:
    """The same URL; a relative SQLite path in it is taken from `folder`."""
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return f"{_SQLITE}{(folder / url.removeprefix(_SQLITE)).absolute()}"
    return url


def _resolve_store(value: Any, info: ValidationInfo) -> str:
    if isinstance(value, str) and value.startswith(_SQLITE) and len(value) > len(_SQLITE):
        return resolve_sqlite(value, (info.context or {}).get("folder", Path()))
    if isinstance(value, str) and value.startswith("postgresql://"):
        return value
    raise ValueError("须为 sqlite:///文件 或 postgresql://… / must be sqlite:///FILE or postgresql://…")


ListenAddress = Annotated[Address, BeforeValidator(_read_address)]
StoreUrl = Annotated[str, BeforeValidator(_resolve_store)]
Province = Annotated[str, Field(pattern=r"^[1-9][0-9]0000$")]


class NodeSection(Section):
    """[node]: who this node is. `entity_id` is its public URL; plain HTTP on loopback only, when said so."""

    province: Province
    name: Annotated[str, Field(min_length=1, max_length=60)]
    entity_id: str
    allow_http_on_loopback: bool = False


class ListenSection(Section):
    """[listen]: the four listeners and the control socket. Port 0 takes any free port."""

    public: ListenAddress
    platform: ListenAddress
    operations: ListenAddress
    grpc: ListenAddress
    control: FilePath


class PublicSection(Section):
    """[public]: how others reach this node, where that is not where it listens.

    `grpc` is for other nodes; `platform` is the URL by which the province's platforms know the API, which is
    also the issuer of their access tokens. `proxies` is how many reverse proxies stand before the public listener, each
    of which appends to X-Forwarded-For the address that it was asked from.
    """

    proxies: int = Field(default=0, ge=0, le=8)
    grpc: ListenAddress | None = None
    platform: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$")] | None = None


class StoreSection(Section):
    """[store]: SQLite out of the box, PostgreSQL in production."""

    url: StoreUrl


class Pkcs11Section(Section):
    """[keys.pkcs11]: a token that makes and holds the keys of `purposes`.

    `token` is its label; the PIN is in `pin_file` (mode 0600) or in the environment, YRD_PKCS11_PIN. TLS keys are
    always in the store. With `protect_key_file` the token also computes the passphrase of the file of the
    key-encryption key.
    """

    module: FilePath
    token: Annotated[str, Field(min_length=1, max_length=32)]
    pin_file: FilePath | None = None
    purposes: list[Literal["federation", "envelope", "openid", "dpop", "log", "witness"]] = Field(
        default=["envelope"]
    )
    protect_key_file: bool = False


class KeysSection(Section):
    """[keys]: where the node's keys are, and how one follows another.

    `key_encryption_key` is a file of mode 0600; when it is protected by a passphrase, that is in
    `passphrase_file` (mode 0600) or in the environment, YRD_KEY_PASSPHRASE. A new key is published `publish_s`
    before it is used, and the one before it stays for verification `overlap_s` after. A replica takes what
    another one changed within `poll_s`.
    """

    key_encryption_key: FilePath
    passphrase_file: FilePath | None = None
    publish_s: Annotated[float, Field(ge=1, le=30 * 86400)] = 180.0
    overlap_s: Annotated[float, Field(ge=1, le=365 * 86400)] = 3600.0
    poll_s: Annotated[float, Field(ge=0.05, le=300)] = 15.0
    pkcs11: Pkcs11Section | None = None


class TrustSection(Section):
    """[trust]: the anchor, its public keys, what it gave this node at enrolment, and how fresh its word must
    be. `mirrors` are URLs below which the anchor's documents are served too, beside every peer's own mirror.
    """

    anchor: str
    anchor_keys: FilePath
    enrolment: FilePath
    refresh_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    status_max_age_s: Annotated[float, Field(ge=10, le=86400)] = 600.0
    mirrors: Annotated[tuple[str, ...], BeforeValidator(to_tuple), Field(max_length=16)] = ()


class AccessSection(Section):
    """[access]: the file of the access rules."""

    policy: FilePath


class DialectSection(Section):
    """[dialect]: whose dialect this node speaks; `directory` only when it is not one that comes with the
    node.
    """

    province: Province
    directory: FilePath | None = None


class LimitsSection(Section):
    """[limits]: every limit by name and unit."""

    message_in_bytes: Annotated[int, Field(ge=4096, le=64 * 1024 * 1024)] = 1024 * 1024
    message_out_bytes: Annotated[int, Field(ge=4096, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    request_body_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 64 * 1024
    deadline_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    skew_s: Annotated[float, Field(ge=1, le=600)] = 60.0
    request_life_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    peer_quota_per_s: Annotated[float, Field(gt=0)] = 500.0
    peer_quota_burst: Annotated[float, Field(ge=1)] = 1000.0
    platform_quota_per_s: Annotated[float, Field(gt=0)] = 500.0
    platform_quota_burst: Annotated[float, Field(ge=1)] = 1000.0
    signed_refusals_per_minute: Annotated[int, Field(ge=0)] = 600
    frame_items: Annotated[int, Field(ge=1, le=4096)] = 64
    frame_bytes: Annotated[int, Field(ge=4096)] = 512 * 1024
    in_flight: Annotated[int, Field(ge=1, le=100_000)] = 512
    drain_s: Annotated[float, Field(ge=0, le=300)] = 10.0


class ExchangeSection(Section):
    """[exchange]: how messages travel to peers.

    `frames`: what is ready for a peer leaves in one call; without, each request is a call of its own.
    `sign_batches`: what is ready to be signed shares one signature over a Merkle root (design §3); without, each
    message has its own.
    """

    frames: bool = True
    sign_batches: bool = True


Days = Annotated[int, Field(ge=1, le=36_500)]


class RetentionSection(Section):
    """[evidence.retention]: for how many days the content of records is kept, and where an operation differs."""

    default_days: Days = DEFAULT_DAYS
    operations: dict[Annotated[Operation, Field(strict=False)], Days] = Field(default_factory=dict)

    @property
    def rules(self) -> Retention:
        """As the work that forgets takes them."""
        return Retention(self.default_days, {str(name): days for name, days in self.operations.items()})


class EvidenceSection(Section):
    """[evidence]: how the log of evidence is kept.

    `cipher` is that of the bodies that are written from now on; what is there is read in whichever it is in. With
    something new in the log a checkpoint is made after `checkpoint_s`. Peers' logs are compared every `reconcile_s`;
    of each pair of nodes so many of the newest records are recomputed from their bodies as `audit_records` says.

    Every `keep_every_s` what is beyond its retention is forgotten, and older data keys go out of use. With a folder
    `archive`, months that ended `archive_after_days` ago are written there, in files of about `archive_bytes` of
    content, and leave the database. Of checkpoints that are older than `thin_checkpoints_after_days` the first settled
    one of each minute is kept; all of them without.
    """

    cipher: Literal["aes-256-gcm", "sm4-gcm"] = "aes-256-gcm"
    checkpoint_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    reconcile_s: Annotated[float, Field(ge=1, le=86400)] = 60.0
    audit_records: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    keep_every_s: Annotated[float, Field(ge=1, le=86400)] = 3600.0
    archive: FilePath | None = None
    archive_after_days: Days = 400
    archive_bytes: Annotated[int, Field(ge=64 * 1024, le=48 * 1024 * 1024)] = 8 * 1024 * 1024
    thin_checkpoints_after_days: Days | None = None
    retention: RetentionSection = RetentionSection()


class ConsentSection(Section):
    """[consent]: how fresh what is known of consents must be.

    The peers' status lists are fetched every `status_lists_s`, so that a withdrawn consent is refused everywhere within
    a minute; one that is older than `status_list_max_age_s` refuses the consents of its issuer.
    """

    status_lists_s: Annotated[float, Field(ge=1, le=300)] = 50.0
    status_list_max_age_s: Annotated[float, Field(ge=10, le=3600)] = 600.0


class LogSection(Section):
    """[log]: how much is logged, as JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """A whole node. `path` is the file it was read from."""

    node: NodeSection
    listen: ListenSection
    store: StoreSection
    keys: KeysSection
    trust: TrustSection
    access: AccessSection
    dialect: DialectSection
    registry: Annotated[RegistrySettings, SkipValidation]
    public: PublicSection = PublicSection()
    limits: LimitsSection = LimitsSection()
    exchange: ExchangeSection = ExchangeSection()
    evidence: EvidenceSection = EvidenceSection()
    log: LogSection = LogSection()
    consent: ConsentSection = ConsentSection()
    login: LoginSection | None = None
    path: Path = Path("node.toml")

    @property
    def grpc_target(self) -> Address:
        """Where other nodes reach this one."""
        return self.public.grpc or self.listen.grpc

    @property
    def platform_url(self) -> str:
        """By which platforms know the API; without a slash at its end."""
        return self.public.platform or f"http://{self.listen.platform}"
