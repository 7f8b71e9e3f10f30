"""Resolve (OpenID Federation 1.1 §8.3): the anchor's word on what a chain proves about a member, or about one
below an authority that is a member.

It answers from what it already knows: its own statements, and what members, authorities and those below them
said when the watch last saw them. It never asks anyone for a stranger. The response must be signed with a
federation key of the anchor, and the only ones are its root keys: another key in its configuration could sign
statements as well, which would undo keeping the root key offline. So without the root key there are no responses,
and whoever wants one builds the chain from the plain files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multidict import MultiMapping

from federation.ports import Clock
from node.anchor.folder import ROOT, AnchorFolder, Member
from node.anchor.listing import QueryRefused
from node.anchor.signing import read_own, root_key
from trust.entity import read_statement, statement_digest
from trust.errors import EntityIdRejected, TrustError
from trust.identity import check_entity_id
from trust.paths import find_held
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
        held = self._held(subject)
        # Only types that it has: else a stranger could have something new signed with every request.
        types = None if asked is None else sorted(asked & read_own(held[0]).claims.get("metadata", {}).keys())
        kept_as = (subject, str(types), *(statement_digest(token) for token in held))
        now = self._clock.now()
        signed_at, token = self._kept.get(kept_as, (0.0, ""))
        if not token or not 0 <= now.timestamp() - signed_at < _KEPT_S:
            token = self._sign(subject, held, types)
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

    def _held(self, subject: str) -> list[str]:
        """The statements that may make up its chain: its own configuration first, the anchor's last."""
        members = self._folder.members()
        member = members.get(subject)
        if member is None:
            held = self._held_below(subject, members.values())
        elif member.is_revoked:
            held = []
        else:
            configuration = str(self._folder.seen(subject).get("configuration", ""))
            if not configuration:
                raise QueryRefused("not_found", "its configuration has not been seen yet", status=404)
            held = [configuration, member.statement]
        if not held:
            raise QueryRefused("not_found", "there is no such subordinate", status=404)
        if not self._folder.has_key(ROOT):
            raise QueryRefused(
                "temporarily_unavailable",
                "the anchor's federation key is offline: build the chain from the statements themselves",
                status=503,
            )
        return [*held, self._folder.configuration()]

    def _held_below(self, subject: str, members: Iterable[Member]) -> list[str]:
        held: list[str] = []
        try:
            check_entity_id(subject, allow_http_on_loopback=True)
        except EntityIdRejected:
            return held
        for member in members:
            if member.is_authority and not member.is_revoked:
                found = self._folder.below(member.entity_id, subject)
                if found:
                    held += [found["configuration"], found["statement"], member.statement]
        return held

    def _sign(self, subject: str, held: Sequence[str], types: Sequence[str] | None) -> str:
        now, root = self._clock.now(), root_key(self._folder)
        allow_http = self._folder.facts().allow_http_on_loopback
        try:
            chain, entity = find_held(
                subject,
                [read_statement(token, allow_http_on_loopback=allow_http) for token in held],
                anchor=self._anchor,
                anchor_keys={root.kid: root.verification_key},
                now=now,
            )
        except TrustError as error:
            raise QueryRefused("invalid_trust_chain", error.detail) from error
        return build_resolve_response(
            issuer=self._anchor,
            entity=entity,
            trust_chain=[statement.token.text for statement in chain],
            signer=root,
            now=now,
            entity_types=types,
        )
