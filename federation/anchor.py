"""What the anchor's stored documents say. Pure: rows and a time in, verified words out.

 - Its keys are those that the operator pinned, followed through the roll-overs (`trust.rollover`), so that a
   change of the root key asks nothing of a node's configuration.
 - Its configuration, under those keys, names the keys for statements and for the status.
 - Its status says who belongs, with which statement, and who is revoked.

Every document has a mark that never goes down. A status and a roll-over count by number, so another one under
a number that was seen is refused: the first seen stays. Statements count by the second they were issued in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from federation.statements import StatementKind, StoredStatement
from trust.chain import verify_statement
from trust.entity import UnverifiedStatement, read_statement, time_of
from trust.errors import ChainExpired, StatementRejected, StatementRolledBack
from trust.keys import VerificationKey, keys_from_jwks
from trust.rollover import RollOver, anchor_keys, read_roll_overs
from trust.status import ANCHOR_TYPE, TrustStatus, read_witness_quorum, verify_status
from trust.tokens import read_token
from trust.x509 import read_authorities

__all__ = [
    "Anchor",
    "Key",
    "Rows",
    "TrustSettings",
    "believed",
    "check_continued",
    "check_mark",
    "check_revocations",
    "is_ahead",
    "last_moment",
    "read_anchor",
    "read_status",
    "rows_by_key",
    "stored_roll_overs",
]

Key = tuple[str, str, StatementKind]
Rows = Mapping[Key, StoredStatement]

_NUMBERED = frozenset({StatementKind.STATUS, StatementKind.ROLL_OVERS})


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """From where trust starts, and its limits. `anchor_keys` are pinned by the operator, by key id.

    `mirrors` are base URLs to ask beside the peers when the anchor is away. What one refresh may cost is
    capped: `documents_max`, `refresh_max_bytes` and `refresh_max_s` in all, `mirrors_max` mirrors, and
    `mirrors_max_s` for everything that is asked of mirrors.
    """

    own_entity: str
    own_province: str
    anchor: str
    anchor_keys: Mapping[str, VerificationKey]
    allow_http_on_loopback: bool = False
    refresh_s: float = 60.0
    status_max_age_s: int = 600
    skew_s: int = 60
    fetch_timeout_s: float = 5.0
    statement_max_bytes: int = 64 * 1024
    members_max: int = 64
    mirrors: tuple[str, ...] = ()
    mirrors_max: int = 4
    mirrors_max_s: float = 10.0
    documents_max: int = 512
    refresh_max_bytes: int = 16 * 1024 * 1024
    refresh_max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the anchor's verified configuration says. `root_keys` are those that may have signed it now."""

    token: str
    root_keys: Mapping[str, VerificationKey]
    keys: Mapping[str, VerificationKey]
    """What its statements about others are signed with."""
    status_keys: Mapping[str, VerificationKey]
    fetch_endpoint: str
    """Where single statements can be asked for, or empty: they are plain files too."""
    issued_at: datetime
    expires_at: datetime
    tls_ca_pem: tuple[str, ...] = ()
    """The CAs for mutual TLS, each in PEM: several while one follows the other, empty when it names none."""
    witness_quorum: int = 0
    """How many other members must cosign a checkpoint before it is settled; 0 when it names none."""


def rows_by_key(rows: Iterable[StoredStatement]) -> dict[Key, StoredStatement]:
    """The rows of a store by what identifies them."""
    return {(row.iss, row.sub, row.kind): row for row in rows}


def stored_roll_overs(settings: TrustSettings, rows: Rows) -> tuple[RollOver, ...]:
    """The roll-overs that were seen, oldest first; none when there were none, or when the operator has pinned
    another key since that none of them names: then they are those of an anchor that was replaced. Raises
    TrustError.
    """
    row = rows.get((settings.anchor, settings.anchor, StatementKind.ROLL_OVERS))
    seen = () if row is None else read_roll_overs(row.token, anchor=settings.anchor)
    return seen if _are_of(seen, settings.anchor_keys) else ()


def _are_of(roll_overs: Sequence[RollOver], pinned: Mapping[str, VerificationKey]) -> bool:
    return any(key.kid in pinned for change in roll_overs for key in (change.old, change.new))


def check_continued(
    known: Sequence[RollOver], offered: Sequence[RollOver], pinned: Mapping[str, VerificationKey]
) -> None:
    """Return when `offered` is what is `known`, and perhaps more, and is about a `pinned` key.

    Raises StatementRolledBack: whoever once held a root key that was replaced can sign another roll-over under
    the same number, so what was seen first stays. Raises StatementRejected when no key in it is pinned: anyone
    can make up such roll-overs, and they must not take the place of the anchor's.
    """
    if offered and not _are_of(offered, pinned):
        raise StatementRejected("the roll-overs are not those of a key that is pinned here")
    if len(offered) < len(known):
        raise StatementRolledBack(f"the roll-overs end at {len(offered)}, after number {len(known)} was seen")
    for before, now in zip(known, offered, strict=False):
        if _signed_part(before) != _signed_part(now):
            raise StatementRolledBack(f"roll-over {before.number} is another than the one seen first")


def _signed_part(roll_over: RollOver) -> str:
    """What was said: an ECDSA signature has a second spelling, which anyone can make and which verifies too."""
    return roll_over.token.rpartition(".")[0]


def read_anchor(
    token: str | bytes, settings: TrustSettings, roll_overs: Sequence[RollOver], now: datetime
) -> tuple[Anchor, int]:
    """The anchor's configuration under the keys of the time, and its mark. Raises TrustError."""
    roots = anchor_keys(settings.anchor_keys, roll_overs, now)
    statement = read_statement(
        token,
        allow_http_on_loopback=settings.allow_http_on_loopback,
        max_bytes=settings.statement_max_bytes,
    )
    verify_statement(
        statement, iss=settings.anchor, sub=settings.anchor, keys=roots, now=now, skew_s=settings.skew_s
    )
    metadata = statement.claims.get("metadata", {})
    fetch_endpoint = _fetch_endpoint(metadata.get("federation_entity", {}), settings.anchor)
    anchor = Anchor(
        token=statement.token.text,
        root_keys=roots,
        keys=_counting(statement.keys, roots, roll_overs),
        status_keys=keys_from_jwks(metadata.get(ANCHOR_TYPE, {}).get("status_jwks")),
        fetch_endpoint=fetch_endpoint,
        issued_at=statement.issued_at,
        expires_at=statement.expires_at,
        tls_ca_pem=_authorities(metadata.get(ANCHOR_TYPE, {})),
        witness_quorum=read_witness_quorum(statement.claims),
    )
    return anchor, int(statement.issued_at.timestamp())


def _counting(
    named: Mapping[str, VerificationKey], roots: Mapping[str, VerificationKey], roll_overs: Sequence[RollOver]
) -> Mapping[str, VerificationKey]:
    """Without former root keys whose time is over: a configuration that names one may live on after that."""
    of_line = {key.kid for change in roll_overs for key in (change.old, change.new)}
    return MappingProxyType({kid: key for kid, key in named.items() if kid in roots or kid not in of_line})


def _fetch_endpoint(federation: Mapping[str, object], anchor: str) -> str:
    endpoint = federation.get("federation_fetch_endpoint", "")
    if not isinstance(endpoint, str) or (endpoint and not endpoint.startswith(anchor + "/")):
        raise StatementRejected("the anchor's configuration names a fetch endpoint that is not its own")
    return endpoint


def _authorities(own: Mapping[str, object]) -> tuple[str, ...]:
    return read_authorities(own["tls_ca_pem"]) if "tls_ca_pem" in own else ()


def read_status(
    token: str | bytes, anchor: Anchor, settings: TrustSettings, now: datetime, *, expired_too: bool = False
) -> TrustStatus:
    """A status under the delegated keys. Raises TrustError.

    `expired_too`: for one from the store, since what it says holds on after it has expired.
    """
    return verify_status(
        token,
        anchor=settings.anchor,
        keys=anchor.status_keys,
        now=now,
        skew_s=settings.skew_s,
        expired_too=expired_too,
        max_bytes=settings.statement_max_bytes,
    )


def believed(settings: TrustSettings, rows: Rows, now: datetime) -> tuple[Anchor, TrustStatus]:
    """What the anchor said last, also when its configuration has expired since.

    Then every chain under it has expired too: whoever asks is told since when, and revocations hold on.
    Raises TrustError, KeyError when nothing is stored yet.
    """
    row = rows[(settings.anchor, settings.anchor, StatementKind.CONFIGURATION)]
    roll_overs = stored_roll_overs(settings, rows)
    try:
        anchor, _ = read_anchor(row.token, settings, roll_overs, now)
    except ChainExpired:
        statement = read_statement(row.token, allow_http_on_loopback=settings.allow_http_on_loopback)
        at, skew_s = last_moment([statement], now, settings.skew_s)
        anchor, _ = read_anchor(row.token, replace(settings, skew_s=skew_s), roll_overs, at)
    row = rows[(settings.anchor, settings.anchor, StatementKind.STATUS)]
    return anchor, read_status(row.token, anchor, settings, now, expired_too=True)


def last_moment(
    statements: Iterable[UnverifiedStatement], now: datetime, skew_s: int
) -> tuple[datetime, int]:
    """When these statements last held together, and the skew that lets pass what was issued until now."""
    at = min(statement.expires_at for statement in statements) - timedelta(seconds=1)
    return at, skew_s + max(0, int((now - at).total_seconds()))


def check_mark(known: StoredStatement | None, offered: StoredStatement) -> None:
    """Return when `offered` may take the place of what is `known`. Raises StatementRolledBack."""
    if known is None or offered.mark > known.mark:
        return
    what = f"the {offered.kind.value} by {offered.iss} about {offered.sub}"
    if offered.mark < known.mark:
        raise StatementRolledBack(f"{what} is number {offered.mark}, after {known.mark} was seen")
    if offered.kind in _NUMBERED and offered.token != known.token:
        raise StatementRolledBack(f"{what} under number {offered.mark} is another than the one seen first")


def check_revocations(known: TrustStatus, offered: TrustStatus) -> None:
    """Return when every revocation that is `known` is still `offered`. Raises StatementRolledBack.

    A revocation is final. An anchor that was restored from a copy of before one signs higher numbers again,
    since they follow the clock, so the number alone does not show that it has forgotten.
    """
    forgotten = sorted(known.revocations.keys() - offered.revocations.keys())
    if forgotten and offered.sequence > known.sequence:
        raise StatementRolledBack(
            f"status {offered.sequence} has forgotten the revocation of {', '.join(forgotten)}: the anchor was "
            "restored from an old copy, and must revoke again"
        )


def is_ahead(row: StoredStatement, now: datetime, skew_s: int) -> bool:
    """Whether a stored row is from the future: this node's own clock was ahead when it was taken in.

    Its mark must lock nobody out, so the next statement that holds may take its place although it is older.
    """
    if row.kind is StatementKind.ROLL_OVERS:
        return False
    if row.kind is StatementKind.STATUS:
        issued_at = time_of(read_token(row.token).claims, "iat")
    else:
        issued_at = datetime.fromtimestamp(row.mark, UTC)
    return issued_at > now + timedelta(seconds=skew_s)
