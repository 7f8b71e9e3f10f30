"""What two nodes show each other in the handshake, and how their connections behave.

Both sides trust the federation's CA alone and both show a TLS certificate. The asking side demands the peer's
``….peer.yrd`` name in it, since gRPC cannot match a URI; the answering side reads the URI per call
(`callers`). Figures and gRPC's real behaviour: design §12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from federation.peers import Peer
from federation.rpc.limits import RpcLimits

__all__ = ["TlsMaterial", "channel_credentials", "channel_options", "server_credentials", "server_options"]

_log = structlog.get_logger(__name__)

Options = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """PEM: the federation's CA (several while it rolls over), this node's chain, leaf first, and its key."""

    ca_pem: bytes
    chain_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        """Without the key."""
        return "TlsMaterial(…)"


def channel_credentials(material: TlsMaterial) -> grpc.ChannelCredentials:
    """For calling a peer: trusts this CA only and shows this node's TLS certificate."""
    return grpc.ssl_channel_credentials(
        root_certificates=material.ca_pem,
        private_key=material.key_pem,
        certificate_chain=material.chain_pem,
    )


def server_credentials(current: Callable[[], TlsMaterial]) -> grpc.ServerCredentials:
    """For being called: `current` is asked at each handshake, so new material and a new CA count at once.

    `current` runs in a thread of gRPC and must be quick. When it raises, the last good material stays in
    use and the fault is logged.
    """
    first = current()
    last = [first]

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        try:
            material = current()
        except Exception as error:
            _log.error("tls material not readable, the last one stays", kind=type(error).__name__)
            return None
        if material == last[0]:
            return None
        configuration = _configuration(material)
        last[0] = material
        return configuration

    return grpc.dynamic_ssl_server_credentials(_configuration(first), fetch, True)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    pair = (material.key_pem, material.chain_pem)
    return grpc.ssl_server_certificate_configuration([pair], material.ca_pem)


def channel_options(peer: Peer, limits: RpcLimits) -> Options:
    """One connection to this peer and no other: its name, message sizes, keepalive, quick reconnects.

    Retries are the transport's own matter, not gRPC's: it tells a refused handshake from a restart, and
    only an item's own deadline ends it.
    """
    return [
        ("grpc.ssl_target_name_override", peer.tls_name),
        ("grpc.default_authority", peer.tls_name),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_send_message_length", limits.message_in_bytes),
        ("grpc.max_receive_message_length", limits.message_out_bytes),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 2_000),
        ("grpc.http2.ping_timeout_ms", 2_000),
    ]


def server_options(limits: RpcLimits) -> Options:
    """Message sizes, and an end to every connection, since it outlives expiry and revocation."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.message_in_bytes),
        ("grpc.max_send_message_length", limits.message_out_bytes),
        ("grpc.max_connection_age_ms", int(limits.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int(limits.drain_s * 1000)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
