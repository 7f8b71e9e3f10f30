"""Resolve (OpenID Federation 1.1 §8.3): the anchor's word on what a chain proves about a member.

It answers from what it already knows: its own statements, and the members' configurations as the watch last
saw them. It never asks anyone for a stranger. The response must be signed with a federation key of the anchor,
and the only ones are its root keys: another key in its configuration could sign statements as well, which would
undo keeping the root key offline. So without the root key there are no responses, and whoever wants one builds
the chain from the plain files.
"""

from __future__ import annotations

from collections.abc import Sequence

from multidict import MultiMapping

from federation.ports import Clock
from node.anchor.folder import ROOT, AnchorFolder
from node.anchor.listing import QueryRefused
from node.anchor.signing import read_own, root_key
from trust.chain import resolve_chain
from trust.entity import statement_digest
from trust.errors import TrustError
from trust.resolution import build_resolve_response

__all__ = ["Resolver"]

_MOST_KEPT = 256
_KEPT_S = 60
_PARAMETERS = frozenset({"sub", "trust_anchor", "entity_type"})


class Resolver:
    """Answers resolve requests; one answer is signed once a minute at most, however often it is asked for."""

    def __init__(self, folder: AnchorFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._anchor = folder.facts().entity_id
        self._kept: dict[tuple[str, ...], tuple[float, str]] = {}

    def resolve(self, query: MultiMapping[str]) -> str:
        """The response, a token. Raises QueryRefused, AnchorRefused."""
        subject, asked = self._read(query)
        chain = self._chain(subject)
        # Only types that it has: else a stranger could have something new signed with every request.
        types = (
            None if asked is None else sorted(asked & read_own(chain[0]).claims.get("metadata", {}).keys())
        )
        kept_as = (subject, str(types), *(statement_digest(token) for token in chain))
        now = self._clock.now()
        signed_at, token = self._kept.get(kept_as, (0.0, ""))
        if not token or not 0 <= now.timestamp() - signed_at < _KEPT_S:
            token = self._sign(chain, types)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[kept_as] = (now.timestamp(), token)
        return token

    def _read(self, query: MultiMapping[str]) -> tuple[str, set[str] | None]:
        """Who is asked for, and which entity types; None: all."""
        unknown = sorted(set(query) - _PARAMETERS)
        if unknown:
            raise QueryRefused("unsupported_parameter", f"not supported here: {', '.join(unknown)[:100]}")
        subjects, anchors = query.getall("sub", []), query.getall("trust_anchor", [])
        if len(subjects) != 1 or not subjects[0] or not anchors:
            raise QueryRefused("invalid_request", "resolve needs one sub, and a trust_anchor")
        if self._anchor not in anchors:
            raise QueryRefused(
                "invalid_trust_anchor", f"only {self._anchor} is a trust anchor here", status=404
            )
        return subjects[0], set(query.getall("entity_type")) if "entity_type" in query else None

    def _chain(self, subject: str) -> list[str]:
        member = self._folder.members().get(subject)
        if member is None or member.is_revoked:
            raise QueryRefused("not_found", "there is no such subordinate", status=404)
        configuration = str(self._folder.seen(subject).get("configuration", ""))
        if not configuration:
            raise QueryRefused("not_found", "its configuration has not been seen yet", status=404)
        if not self._folder.has_key(ROOT):
            raise QueryRefused(
                "temporarily_unavailable",
                "the anchor's federation key is offline: build the chain from the statements themselves",
                status=503,
            )
        return [configuration, member.statement, self._folder.configuration()]

    def _sign(self, chain: Sequence[str], types: Sequence[str] | None) -> str:
        now, root = self._clock.now(), root_key(self._folder)
        try:
            entity = resolve_chain(
                chain,
                anchor=self._anchor,
                anchor_keys={root.kid: root.verification_key},
                now=now,
                allow_http_on_loopback=self._folder.facts().allow_http_on_loopback,
            )
        except TrustError as error:
            raise QueryRefused("invalid_trust_chain", error.detail) from error
        return build_resolve_response(
            issuer=self._anchor,
            entity=entity,
            trust_chain=chain,
            signer=root,
            now=now,
            entity_types=types,
        )
