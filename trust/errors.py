"""Why something is not believed. Each class carries its code in the vocabulary of `federation.errors`."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlgorithmUnavailable",
    "AlgorithmUnknown",
    "AuthenticationRejected",
    "BadSignature",
    "ChainBroken",
    "ChainExpired",
    "ConsentExpired",
    "ConsentMismatch",
    "ConsentRejected",
    "EntityIdRejected",
    "EnvelopeMalformed",
    "EnvelopeTooLarge",
    "EvidenceBroken",
    "ForeignKey",
    "KeyRejected",
    "NoteRejected",
    "SignatureForm",
    "StatementRejected",
    "StatementRolledBack",
    "TileRejected",
    "TlsIdentityRejected",
    "TrustError",
    "TwoSignatures",
]


_MOST_DETAIL = 1000


class TrustError(Exception):
    """Something was not believed. `detail` says what, in words that may be shown to anyone.

    It may quote what was not believed, so whatever would steer a terminal, or fill a log, is taken out.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "") -> None:
        if len(detail) > _MOST_DETAIL:
            detail = detail[: _MOST_DETAIL - 1] + "…"
        if not detail.isprintable():
            detail = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in detail)
        super().__init__(detail)
        self.detail = detail


class EnvelopeMalformed(TrustError):
    """The bytes are not an envelope: unknown field, wrong wire type, missing part, trailing bytes."""

    code = "peer.malformed"


class EnvelopeTooLarge(TrustError):
    """The envelope is longer than its limit; it was not parsed."""

    code = "peer.too_large"


class TwoSignatures(TrustError):
    """The envelope carries more than one signature."""

    code = "peer.two_signatures"


class SignatureForm(TrustError):
    """The signature has not the form of its algorithm: an ES256 signature that is not 64 bytes r‖s."""

    code = "peer.signature_form"


class ForeignKey(TrustError):
    """The key id is not one of the keys that the trust list gives to this signer."""

    code = "peer.foreign_key"


class BadSignature(TrustError):
    """The signature does not verify under the key it names."""

    code = "peer.bad_signature"


class KeyRejected(TrustError):
    """A key is not of an allowed algorithm, or not on its curve, or its form is wrong."""

    code = "trust.key_rejected"


class AlgorithmUnavailable(KeyRejected):
    """The key may be good, but this machine lacks what its algorithm needs; `detail` says what."""


class AlgorithmUnknown(KeyRejected):
    """The key is of a kind or curve that is none of ours; a later version may know it."""


class StatementRejected(TrustError):
    """An entity statement breaks a rule of OpenID Federation; `detail` names the rule."""

    code = "trust.statement_rejected"


class EntityIdRejected(StatementRejected):
    """An entity id or endpoint is not in its one allowed spelling."""


class StatementRolledBack(StatementRejected):
    """A statement is older than one already seen for the same issuer, subject and type."""

    code = "trust.rolled_back"


class ChainBroken(TrustError):
    """No trust chain leads from the entity to the anchor."""

    code = "trust.chain_broken"


class ChainExpired(ChainBroken):
    """The chain was good once; a statement in it has expired."""

    code = "trust.chain_expired"


class AuthenticationRejected(TrustError):
    """A node's word that a holder is logged in there is not of this holder, node or request, or not fresh."""

    code = "trust.authentication_rejected"


class ConsentRejected(TrustError):
    """A consent has not its form, is not signed by a home node of the federation, or breaks a rule of its time."""

    code = "access.consent_rejected"


class ConsentMismatch(TrustError):
    """A consent is for something else than what it was shown for; `detail` names what."""

    code = "access.consent_mismatch"


class ConsentExpired(TrustError):
    """A consent has ended."""

    code = "access.consent_expired"


class TlsIdentityRejected(TrustError):
    """The TLS certificate names no entity, several, or not this one."""

    code = "peer.tls_identity"


class NoteRejected(TrustError):
    """A signed note or checkpoint has not its one spelling, or nobody known signed it."""

    code = "peer.malformed"


class TileRejected(TrustError):
    """A tile, its path or an entry bundle has not its one form, or a tree has no such tile."""

    code = "peer.malformed"


class EvidenceBroken(TrustError):
    """An evidence file does not hold; `part` names the part that fails."""

    code = "evidence.broken"

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part}: {detail}")
        self.part = part
