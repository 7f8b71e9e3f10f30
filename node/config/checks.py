"""What no single setting can know: settings that must fit each other, and files that must be there.

Each check is given the sections that were readable and yields what is wrong; a section that has faults of its
own is not there, and the checks that need it say nothing.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import mapping
from node.config.login import LoginSection, login_findings
from node.config.model import (
    AccessSection,
    DialectSection,
    KeysSection,
    ListenSection,
    NodeSection,
    PublicSection,
    Section,
    TrustSection,
)
from node.enrolled import EnrolmentUnusable, read_enrolled
from trust.errors import EntityIdRejected
from trust.identity import check_entity_id

__all__ = ["FILE_CHECKS", "SETTING_CHECKS", "Finding", "Sections", "check_secret_file"]

Sections = dict[str, Section]
S = TypeVar("S", bound=Section)

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  to be refused
_NOWHERE = ("不是他人能访问的地址", "is not an address that anybody can reach")


class Finding(NamedTuple):
    """A fault before its line is known: the dotted key, and what is wrong in Chinese and English."""

    key: str
    zh: str
    en: str


def _section(sections: Sections, name: str, kind: type[S]) -> S | None:
    found = sections.get(name)
    return found if isinstance(found, kind) else None


def check_urls(sections: Sections) -> Iterator[Finding]:
    """Entity ids are URLs in their one spelling; plain HTTP only on loopback and when the file says so."""
    node = _section(sections, "node", NodeSection)
    trust = _section(sections, "trust", TrustSection)
    if node is None:
        return
    urls = [("node.entity_id", node.entity_id)]
    if trust is not None:
        urls += [("trust.anchor", trust.anchor), *(("trust.mirrors", mirror) for mirror in trust.mirrors)]
    for key, url in urls:
        try:
            check_entity_id(url, allow_http_on_loopback=node.allow_http_on_loopback)
        except EntityIdRejected as error:
            yield Finding(
                key,
                "须为规范的 https URL；回环地址须设 node.allow_http_on_loopback = true 方可用 http",
                error.detail,
            )
        else:
            if urlsplit(url).hostname in _EVERYWHERE:
                yield Finding(key, *_NOWHERE)
    if trust and node.entity_id == trust.anchor:
        yield Finding("trust.anchor", "不能与 node.entity_id 相同", "must not be the node itself")


def check_ports(sections: Sections) -> Iterator[Finding]:
    """No two listeners share a port."""
    listen = _section(sections, "listen", ListenSection)
    if listen is None:
        return
    taken: dict[int, str] = {}
    for name in ("public", "platform", "operations", "grpc"):
        port = getattr(listen, name).port
        if port and port in taken:
            yield Finding(
                f"listen.{name}",
                f"端口 {port} 已用于 listen.{taken[port]}",
                f"port {port} is already that of listen.{taken[port]}",
            )
        taken.setdefault(port, name)


def check_reachable(sections: Sections) -> Iterator[Finding]:
    """What others are told is an address that they can use, not every address or any port."""
    listen = _section(sections, "listen", ListenSection)
    public = _section(sections, "public", PublicSection)
    if listen is None or public is None:
        return
    if public.grpc is None and listen.grpc.host in _EVERYWHERE:
        yield Finding(
            "public.grpc",
            "listen.grpc 监听所有地址，须写明其他节点使用的地址",
            "listen.grpc listens on every address; say here which one the other nodes use",
        )
    if public.grpc is not None and public.grpc.port == 0:
        yield Finding("public.grpc", "端口不能为 0", "the port must not be 0")
    if public.grpc is not None and public.grpc.host in _EVERYWHERE:
        yield Finding("public.grpc", *_NOWHERE)
    if public.platform is None and listen.platform.host in _EVERYWHERE:
        yield Finding(
            "public.platform",
            "listen.platform 监听所有地址，须写明平台访问 API 的 URL（也是访问令牌的 iss）",
            "listen.platform listens on every address; say here by which URL platforms know the API, which is also the "
            "issuer of their tokens",
        )
    if public.platform is not None and urlsplit(public.platform).hostname in _EVERYWHERE:
        yield Finding("public.platform", *_NOWHERE)


def check_dialect(sections: Sections) -> Iterator[Finding]:
    """The dialect is one that comes with the node, or its directory is there."""
    dialect = _section(sections, "dialect", DialectSection)
    if dialect is None:
        return
    directory = dialect.directory or _bundled_dialects() / dialect.province
    if not directory.is_dir():
        yield Finding(
            "dialect.directory" if dialect.directory else "dialect.province",
            f"没有方言数据目录 {directory}",
            f"there is no dialect data in {directory}",
        )


def _bundled_dialects() -> Path:
    return Path(mapping.__file__).parent / "dialects"


def check_secret_file(path: Path) -> tuple[str, str] | None:
    """Why a file that holds a secret cannot be used, in Chinese and English; None when it can."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return f"没有文件 {path}", f"there is no file {path}"
    if not stat.S_ISREG(mode):
        return f"{path} 不是普通文件", f"{path} is not a regular file"
    if mode & 0o077:
        said = oct(stat.S_IMODE(mode))[2:]
        return (
            f"{path} 的权限为 {said}，只可由所有者读写（chmod 600）",
            f"{path} has mode {said}; nobody but its owner may read it (chmod 600)",
        )
    return None


def check_key_file(sections: Sections) -> Iterator[Finding]:
    """The key-encryption key, its passphrase and the token's PIN are there, and nobody else may read them."""
    keys = _section(sections, "keys", KeysSection)
    if keys is None:
        return
    secrets = {
        "keys.key_encryption_key": keys.key_encryption_key,
        "keys.passphrase_file": keys.passphrase_file,
    }
    if keys.pkcs11 is not None:
        secrets["keys.pkcs11.pin_file"] = keys.pkcs11.pin_file
        module = keys.pkcs11.module
        if not module.is_file():
            yield Finding(
                "keys.pkcs11.module", f"没有 PKCS#11 库 {module}", f"there is no PKCS#11 module {module}"
            )
    for key, path in secrets.items():
        if path is not None and (wrong := check_secret_file(path)):
            yield Finding(key, *wrong)


def check_login(sections: Sections) -> Iterator[Finding]:
    """What is said about the province's identity provider fits together."""
    login = _section(sections, "login", LoginSection)
    if login is not None:
        yield from (Finding(*found) for found in login_findings(login))


def check_issuers(sections: Sections) -> Iterator[Finding]:
    """Citizens log in under one issuer, platforms call under another: a token of the one is then none of the other."""
    node = _section(sections, "node", NodeSection)
    listen = _section(sections, "listen", ListenSection)
    public = _section(sections, "public", PublicSection)
    if node is None or listen is None or public is None or _section(sections, "login", LoginSection) is None:
        return
    platform = public.platform or f"http://{listen.platform}"
    if platform == node.entity_id:
        yield Finding(
            "public.platform",
            "不能与 node.entity_id 相同：登录令牌与平台令牌的 iss 须不同；请为平台 API 另设路径或域名",
            "must not be node.entity_id, the issuer of logins: give the platforms' API another path or host name",
        )


def check_login_secret(sections: Sections) -> Iterator[Finding]:
    """The secret for the identity provider is there, and nobody else may read it."""
    login = _section(sections, "login", LoginSection)
    path = login and login.identity_provider.client_secret_file
    if path and (wrong := check_secret_file(path)):
        yield Finding("login.identity_provider.client_secret_file", *wrong)


def check_key_times(sections: Sections) -> Iterator[Finding]:
    """Every replica has seen a new key before its time comes."""
    keys = _section(sections, "keys", KeysSection)
    if keys is not None and keys.publish_s < 2 * keys.poll_s:
        yield Finding(
            "keys.publish_s",
            f"须不小于 poll_s（{keys.poll_s:g}）的两倍，否则副本来不及知道新密钥",
            f"must be at least twice poll_s ({keys.poll_s:g}): else a replica may not know a new key in time",
        )


def check_trust_files(sections: Sections) -> Iterator[Finding]:
    """The anchor's keys are there, and the enrolment is this node's."""
    trust = _section(sections, "trust", TrustSection)
    if trust is None:
        return
    if wrong := _not_json(trust.anchor_keys):
        yield Finding("trust.anchor_keys", *wrong)
    node = _section(sections, "node", NodeSection)
    if node is None:
        return
    try:
        read_enrolled(trust.enrolment, entity_id=node.entity_id, anchor=trust.anchor)
    except EnrolmentUnusable as error:
        yield Finding("trust.enrolment", error.zh, error.en)


def _not_json(path: Path) -> tuple[str, str] | None:
    try:
        json.loads(path.read_bytes())
    except OSError:
        return f"没有文件 {path}", f"there is no file {path}"
    except ValueError:
        return f"{path} 不是 JSON", f"{path} is not JSON"
    return None


def check_access_file(sections: Sections) -> Iterator[Finding]:
    """The access rules are there; what is in them is read by `federation.access`."""
    access = _section(sections, "access", AccessSection)
    if access and not access.policy.is_file():
        yield Finding("access.policy", f"没有文件 {access.policy}", f"there is no file {access.policy}")


Check = Callable[[Sections], Iterator[Finding]]

SETTING_CHECKS: tuple[Check, ...] = (
    check_urls,
    check_ports,
    check_reachable,
    check_key_times,
    check_login,
    check_issuers,
)
FILE_CHECKS: tuple[Check, ...] = (
    check_key_file,
    check_trust_files,
    check_access_file,
    check_dialect,
    check_login_secret,
)
