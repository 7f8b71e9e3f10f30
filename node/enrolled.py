"""What the anchor gave this node at enrolment (`yrd anchor enroll`), checked against the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate

from trust.errors import TrustError
from trust.keys import VerificationKey
from trust.x509 import identity_from_pem

__all__ = ["Enrolled", "EnrolmentUnusable", "check_tls_key", "read_enrolled"]

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

    @property
    def tls_not_after(self) -> datetime:
        """When the TLS certificate ends."""
        return identity_from_pem(self.tls_chain_pem.encode()).not_after


def read_enrolled(path: Path, *, entity_id: str, anchor: str) -> Enrolled:
    """The bundle in a file. Raises EnrolmentUnusable: not a bundle, for another node, from another anchor."""
    try:
        bundle = orjson.loads(path.read_bytes())
        texts = {name: bundle[name] for name in _TEXTS}
        jwks = bundle["anchor_jwks"]
    except OSError as error:
        raise EnrolmentUnusable(
            f"没有 {path}：请由锚方执行 yrd anchor enroll",
            f"{path} cannot be read ({error.strerror}): the anchor makes it with `yrd anchor enroll`",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise EnrolmentUnusable(
            f"{path} 不是锚方给出的入网文件", f"{path} is not what `yrd anchor enroll` writes"
        ) from None
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(jwks, dict):
        raise EnrolmentUnusable(
            f"{path} 不是锚方给出的入网文件", f"{path} is not what `yrd anchor enroll` writes"
        )
    enrolled = Enrolled(**texts, anchor_jwks=jwks)
    for name, wanted in (("entity_id", entity_id), ("anchor", anchor)):
        found = getattr(enrolled, name)
        if found != wanted:
            raise EnrolmentUnusable(
                f"{path} 的 {name} 是 {found}，配置中是 {wanted}",
                f"{path} is for {name} {found}, the configuration says {wanted}",
            )
    _check_tls_identity(enrolled, path)
    return enrolled


def check_tls_key(enrolled: Enrolled, key: VerificationKey) -> None:
    """Return when the TLS certificate was issued for this key. Raises EnrolmentUnusable."""
    leaf = load_pem_x509_certificate(enrolled.tls_chain_pem.encode())
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or VerificationKey(public).kid != key.kid:
        raise EnrolmentUnusable(
            "TLS 证书不是为本节点的密钥签发的，请用 enrolment.json 重新入网",
            "the TLS certificate is not for this node's key: enrol again with its enrolment.json",
        )


def _check_tls_identity(enrolled: Enrolled, path: Path) -> None:
    try:
        named = identity_from_pem(enrolled.tls_chain_pem.encode()).entity_id
    except TrustError as error:
        raise EnrolmentUnusable(f"{path} 的 TLS 证书不可用", f"{path}: {error.detail}") from None
    if named != enrolled.entity_id:
        raise EnrolmentUnusable(
            f"{path} 的 TLS 证书属于 {named}", f"{path}: its TLS certificate names {named}"
        )
