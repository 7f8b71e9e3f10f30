"""The trust chains of evidence files: what each proves at a time, from keys of the anchor's, each verified once.

The anchor is whoever signed the last statement with one of its keys of that time, as the pinned keys and the roll-overs
tell them: those enclosed in a file and those that whoever checks has got since, of which one must go on where the other
ends. Entity ids on loopback are taken: a demonstration's evidence verifies as well, and its report says whose it is.

A chain that held is remembered by the digests of its statements, together with the time in which it holds: what is
remembered is what verifying it again would give. At most `CHAINS_REMEMBERED` are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from trust.chain import MAX_CHAIN_BYTES, VerifiedEntity, verify_chain
from trust.container import ROLL_OVERS
from trust.entity import SKEW_S, UnverifiedStatement, read_statement
from trust.errors import AlgorithmUnavailable, EvidenceBroken, TrustError
from trust.keys import VerificationKey, keys_from_jwks
from trust.profile import NodeProfile, read_node
from trust.rollover import RollOver, anchor_keys, read_roll_overs
from trust.status import ANCHOR_TYPE, read_witness_quorum

__all__ = ["CHAINS_REMEMBERED", "ChainBook", "ClaimedChain", "EnclosedChain", "ProvenNode", "Remembered"]

CHAINS_REMEMBERED: Final = 1024
_ROLL_OVERS_REMEMBERED: Final = 16

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The last so many results, by key. What fails is not remembered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is remembered under the key."""
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> V:
        """Remember it, and forget the one that was not asked for the longest."""
        self._found[key] = value
        if len(self._found) > self._most:
            self._found.popitem(last=False)
        return value

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What is remembered under the key, or else made now."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found


@dataclass(frozen=True, slots=True)
class EnclosedChain:
    """A chain of a file: part names and bytes of its statements, a node's own first, with their digests together."""

    names: tuple[str, ...]
    statements: tuple[bytes, ...]
    digests: tuple[str, ...]

    @property
    def part(self) -> str:
        """What an error names: the node's own statement."""
        return self.names[0]


@dataclass(frozen=True, slots=True)
class ClaimedChain:
    """Whose a chain says it is, under which anchor, with which quorum of witnesses. Nothing of it is proven."""

    subject: str
    anchor: str
    witness_quorum: int


@dataclass(frozen=True, slots=True)
class ProvenNode:
    """What a chain proves between two times: the node, its federation keys, and what its anchor says."""

    node: NodeProfile
    federation_keys: Mapping[str, VerificationKey]
    anchor: str
    status_keys: Mapping[str, VerificationKey]
    witness_quorum: int
    """How many witnesses settle a checkpoint by the anchor's word; 0 when it says nothing."""
    begins_at: datetime
    """From when on it holds: the youngest of its statements, with the allowed skew, or the anchor's key."""
    ends_at: datetime

    def holds_at(self, at: datetime) -> bool:
        """Whether each of its statements was in force, and the anchor's keys were the same, at a time."""
        return self.begins_at <= at < self.ends_at


_SKEW: Final = timedelta(seconds=SKEW_S)
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)
_SPANS: Final = 4
"""Of a chain that outlives a key of the anchor's, times that are remembered apart."""
_Line = tuple[tuple[RollOver, ...], tuple[datetime, ...]]
"""Roll-overs, and the times at which the anchor's keys change by them."""


class ChainBook:
    """Proves chains from `pinned` keys of the anchor, from whichever time. `roll_overs` are what it published since.

    Not for several threads.
    """

    def __init__(self, pinned: Mapping[str, VerificationKey], roll_overs: str | bytes = b"[]") -> None:
        self._pinned = pinned
        self._given = roll_overs.encode() if isinstance(roll_overs, str) else roll_overs
        self._chains: Remembered[tuple[tuple[str, ...], bytes], tuple[ProvenNode, ...]]
        self._chains = Remembered(CHAINS_REMEMBERED)
        self._claimed: Remembered[tuple[str, ...], ClaimedChain] = Remembered(CHAINS_REMEMBERED)
        self._lines: Remembered[tuple[bytes, str], _Line] = Remembered(_ROLL_OVERS_REMEMBERED)

    def prove(self, chain: EnclosedChain, at: datetime, *, roll_overs: bytes = b"[]") -> ProvenNode:
        """The node that a chain proves at a time.

        `roll_overs` are those enclosed in the file. Raises EvidenceBroken, naming a statement or the roll-overs;
        AlgorithmUnavailable when this machine lacks what one of the node's keys needs.
        """
        key = (chain.digests, roll_overs)
        for known in self._chains.get(key) or ():
            if known.holds_at(at):
                return known
        found = self._verify(chain, at, roll_overs)
        self._chains.put(key, (found, *(self._chains.get(key) or ())[: _SPANS - 1]))
        return found

    def claimed(self, chain: EnclosedChain) -> ClaimedChain:
        """What a chain says before it is proven. Raises EvidenceBroken when it cannot be read."""
        return self._claimed.made(chain.digests, lambda: _claims(chain))

    def _line(self, enclosed: bytes, anchor: str) -> _Line:
        return self._lines.made((enclosed, anchor), lambda: self._longest(enclosed, anchor))

    def _longest(self, enclosed: bytes, anchor: str) -> _Line:
        shorter, known = sorted((_read_roll_overs(one, anchor) for one in (self._given, enclosed)), key=len)
        if [one.token for one in shorter] != [one.token for one in known[: len(shorter)]]:
            # Whoever has a retired key can make a longer line from it: length says nothing.
            raise EvidenceBroken(ROLL_OVERS, "it contradicts the roll-overs you gave")
        changes = [one.at - _SKEW for one in known] + [one.old_until for one in known]
        return known, tuple(sorted(changes))

    def _verify(self, chain: EnclosedChain, at: datetime, roll_overs: bytes) -> ProvenNode:
        statements = _read(chain)
        line, changes = self._line(roll_overs, statements[-1].sub)
        keys = anchor_keys(self._pinned, line, at, skew_s=SKEW_S)
        try:
            entity = verify_chain(statements, anchor=statements[-1].sub, anchor_keys=keys, now=at)
        except TrustError as error:
            raise EvidenceBroken(chain.part, f"the trust chain does not hold: {error.detail}") from error
        place = bisect_right(changes, at)
        began = changes[place - 1] if place else _ALWAYS
        until = changes[place] if place < len(changes) else _FOREVER
        return _proven(chain, entity, statements, began, until)


def _read(chain: EnclosedChain) -> list[UnverifiedStatement]:
    if sum(map(len, chain.statements)) > MAX_CHAIN_BYTES:
        raise EvidenceBroken(chain.part, f"a chain has at most {MAX_CHAIN_BYTES} bytes")
    found = []
    for name, statement in zip(chain.names, chain.statements, strict=True):
        try:
            found.append(read_statement(statement, allow_http_on_loopback=True))
        except TrustError as error:
            raise EvidenceBroken(name, error.detail) from error
    return found


def _claims(chain: EnclosedChain) -> ClaimedChain:
    statements = _read(chain)
    try:
        quorum = read_witness_quorum(statements[-1].claims)
    except TrustError as error:
        raise EvidenceBroken(chain.names[-1], error.detail) from error
    return ClaimedChain(statements[0].sub, statements[-1].sub, quorum)


def _read_roll_overs(document: bytes, anchor: str) -> tuple[RollOver, ...]:
    try:
        return read_roll_overs(document, anchor=anchor)
    except TrustError as error:
        raise EvidenceBroken(ROLL_OVERS, error.detail) from error


def _proven(
    chain: EnclosedChain,
    entity: VerifiedEntity,
    statements: Sequence[UnverifiedStatement],
    began: datetime,
    until: datetime,
) -> ProvenNode:
    """`began` and `until` are the time in which the anchor's keys are the same."""
    said = statements[-1].claims
    own = said.get("metadata", {}).get(ANCHOR_TYPE, {})
    try:
        return ProvenNode(
            node=read_node(entity),
            federation_keys=entity.keys,
            anchor=entity.anchor,
            status_keys=keys_from_jwks(own["status_jwks"]) if "status_jwks" in own else {},
            witness_quorum=read_witness_quorum(said),
            begins_at=max(began, max(statement.issued_at for statement in statements) - _SKEW),
            ends_at=min(until, entity.expires_at),
        )
    except AlgorithmUnavailable:
        raise
    except TrustError as error:
        raise EvidenceBroken(chain.part, error.detail) from error
