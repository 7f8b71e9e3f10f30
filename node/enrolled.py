"""What the anchor gave this node at enrolment (`yrd anchor enroll`), checked against the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from trust.errors import TrustError
from trust.x509 import read_leaf, verify_issued_by

__all__ = ["Enrolled", "EnrolmentFile", "EnrolmentUnusable", "read_enrolled"]

_TEXTS = ("entity_id", "anchor", "statement", "tls_chain_pem", "tls_ca_pem")


class EnrolmentUnusable(Exception):
    """The file is not this node's enrolment. `zh` and `en` say what is wrong."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The anchor's bundle. Nothing in it is secret; what it says is believed only as far as it is signed."""

    entity_id: str
    anchor: str
    statement: str
    tls_chain_pem: str
    tls_ca_pem: str
    anchor_jwks: Mapping[str, Any]
    mirrors: tuple[str, ...] = ()
    """The other members at enrolment, by entity id: each mirrors the anchor's documents."""


class EnrolmentFile:
    """The bundle's file, which an operator may replace while the node runs."""

    def __init__(self, path: Path, *, entity_id: str, anchor: str) -> None:
        self._path = path
        self._entity_id = entity_id
        self._anchor = anchor
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> Enrolled:
        """The bundle as it is now. Raises EnrolmentUnusable."""
        self._seen = self._mark()
        return read_enrolled(self._path, entity_id=self._entity_id, anchor=self._anchor)

    def read_if_changed(self) -> Enrolled | None:
        """The bundle when the file is another than at the last look. Raises EnrolmentUnusable, once per change."""
        return None if self._mark() == self._seen else self.read()

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def read_enrolled(path: Path, *, entity_id: str, anchor: str) -> Enrolled:
    """The bundle in a file. Raises EnrolmentUnusable: not a bundle, for another node, from another anchor."""
    try:
        bundle = orjson.loads(path.read_bytes())
        texts = {name: bundle[name] for name in _TEXTS}
        jwks, mirrors = bundle["anchor_jwks"], bundle.get("mirrors", [])
    except OSError as error:
        raise EnrolmentUnusable(
            f"没有 {path}：请由锚方执行 yrd anchor enroll",
            f"{path} cannot be read ({error.strerror}): the anchor makes it with `yrd anchor enroll`",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise EnrolmentUnusable(
            f"{path} 不是锚方给出的入网文件", f"{path} is not what `yrd anchor enroll` writes"
        ) from None
    named = [*texts.values(), *(mirrors if isinstance(mirrors, list) else [None])]
    if not all(isinstance(text, str) for text in named) or not isinstance(jwks, dict):
        raise EnrolmentUnusable(
            f"{path} 不是锚方给出的入网文件", f"{path} is not what `yrd anchor enroll` writes"
        )
    enrolled = Enrolled(**texts, anchor_jwks=jwks, mirrors=tuple(mirrors))
    for name, wanted in (("entity_id", entity_id), ("anchor", anchor)):
        found = getattr(enrolled, name)
        if found != wanted:
            raise EnrolmentUnusable(
                f"{path} 的 {name} 是 {found}，配置中是 {wanted}",
                f"{path} is for {name} {found}, the configuration says {wanted}",
            )
    _check_tls_identity(enrolled, path)
    return enrolled


def _check_tls_identity(enrolled: Enrolled, path: Path) -> None:
    try:
        named = read_leaf(enrolled.tls_chain_pem.encode()).entity_id
        verify_issued_by(enrolled.tls_chain_pem.encode(), enrolled.tls_ca_pem.encode())
    except TrustError as error:
        raise EnrolmentUnusable(f"{path} 的 TLS 证书不可用", f"{path}: {error.detail}") from None
    if named != enrolled.entity_id:
        raise EnrolmentUnusable(
            f"{path} 的 TLS 证书属于 {named}", f"{path}: its TLS certificate names {named}"
        )
