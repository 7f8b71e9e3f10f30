"""What is no fault, since a node runs with it, and hardly what was meant: said by `yrd init` and `yrd check-config`.

Each check is given a whole configuration and yields what to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from node.config.checks import Finding
from node.config.faults import Fault
from node.config.lines import key_lines, nearest_line
from node.config.model import Address, Config
from trust.identity import is_loopback_host

__all__ = ["config_warnings"]

_DEFAULT_PORTS = {"https": 443, "http": 80}


def config_warnings(config: Config) -> tuple[Fault, ...]:
    """What an operator should look at, in the order of the lines of `config.path`, which is read again for them."""
    lines = key_lines(config.path.read_text("utf-8"))
    found = (finding for check in _CHECKS for finding in check(config))
    file = str(config.path)
    return tuple(sorted(Fault(file, nearest_line(lines, one.key), one.key, one.zh, one.en) for one in found))


def _unsaid_proxy(config: Config) -> Iterator[Finding]:
    """A proxy that stands before the public listener and is not counted sends everybody's requests as its own."""
    listen = config.listen.public
    if config.public.proxies or not _is_behind(listen, config.node.entity_id):
        return
    yield Finding(
        "public.proxies",
        f"为 0，而 {config.node.entity_id} 与 listen.public（{listen}）之间应有反向代理："
        "所有居民和节点都会被算作同一来源，任何一方请求过多，其他各方也被拒绝；"
        "请写明代理的层数，并由各代理追加 X-Forwarded-For",
        f"is 0, while a reverse proxy must stand between {config.node.entity_id} and listen.public ({listen}): all "
        "citizens and nodes count as one sender, and who floods shuts out everybody; say here how many proxies there "
        "are, each of which appends to X-Forwarded-For",
    )


def _is_behind(listen: Address, url: str) -> bool:
    """Whether what is asked for at a URL comes to this listener, which speaks plain HTTP, by way of another."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return (
        parts.scheme == "https"
        or (listen.port != 0 and port != listen.port)
        or (listen.is_loopback and not is_loopback_host(parts.hostname or ""))
    )


def _loopback_told(config: Config) -> Iterator[Finding]:
    """What others are told cannot be reached from another machine, though they are to come from there."""
    node, listen = config.node.entity_id, config.listen
    host = urlsplit(node).hostname or ""
    if is_loopback_host(host) and not listen.public.is_loopback:
        yield _told("node.entity_id", host, f"listen.public = {listen.public}")
    if config.grpc_target.is_loopback and not (listen.grpc.is_loopback and is_loopback_host(host)):
        here = f"listen.grpc = {listen.grpc}, node.entity_id = {node}"
        yield _told("public.grpc", config.grpc_target.host, here)
    host = urlsplit(config.platform_url).hostname or ""
    if is_loopback_host(host) and not listen.platform.is_loopback:
        yield _told("public.platform", host, f"listen.platform = {listen.platform}")


def _told(key: str, host: str, others: str) -> Finding:
    return Finding(
        key,
        f"为 {host}，只有本机能访问，而 {others}：请写明他人使用的地址",
        f"is {host}, which is this machine only, while {others}: say here the address that others use",
    )


_CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (_unsaid_proxy, _loopback_told)
