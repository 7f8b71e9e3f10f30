"""What the exchange needs from the world, by role. Adapters are in `node/` and `federation/rpc/`, doubles in
`simulators/`; one contract suite per port runs against both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from msgspec import Struct

from federation.peers import Peer
from federation.query import Answer, Operation, Request
from trust.envelope import Sealed

__all__ = [
    "CheckpointRow",
    "Claim",
    "ClaimState",
    "ClaimVerdict",
    "Clock",
    "Codec",
    "Cosignature",
    "ExchangeMeta",
    "Journal",
    "LocalDocument",
    "LocalRegistry",
    "LogGate",
    "LogGeneration",
    "PeerTransport",
    "RecordKind",
    "RegistryAnswer",
    "StoredRecord",
    "Tree",
]

LocalDocument = Mapping[str, Any]
"""One certificate or service item as the registry tells it: JSON values under local field names."""


class Clock(Protocol):
    """Where the time comes from; tests pass their own."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class RecordKind(IntEnum):
    """Which of an exchange's four records this is; the numbers are in the log's leaves."""

    ASKED_REQUEST = 1
    """At the asking node: the request it sent."""
    ASKED_ANSWER = 2
    """At the asking node: the answer it got."""
    ANSWERED_REQUEST = 3
    """At the answering node: the request it got."""
    ANSWERED_ANSWER = 4
    """At the answering node: the answer it gave."""


HolderHash = Callable[[str, str], bytes]
"""The keyed hash by which a holder is found again, of (holder id type, holder id) in shared words; empty: none kept."""


class ExchangeMeta(Struct, frozen=True):
    """By what an exchange is found again. `client` is the platform's client id, at the asking node only.

    `holders` are keyed hashes (`HolderHash`) of those whose papers it is about; they are written and not read back.
    """

    request_id: str
    asking: str
    answering: str
    operation: Operation
    client: str = ""
    outcome: str = ""
    case_number: str = ""
    holders: tuple[bytes, ...] = ()


class StoredRecord(Struct, frozen=True):
    """One record as it lies in the log. `leaf` = SHA-256 leaf data hash per design §6, `salt` 16 bytes.

    Of a record that was forgotten `envelope` and `salt` are empty; its leaf stays.
    """

    log_index: int
    kind: RecordKind
    meta: ExchangeMeta
    recorded_at: datetime
    identity: bytes
    envelope: bytes
    salt: bytes
    leaf: bytes
    generation: int = 1


class ClaimState(StrEnum):
    """What became of a claim of (asking entity, request id)."""

    NEW = "new"
    """This call holds the claim now and must finish it."""
    WORKING = "working"
    """The same request is at work, here or in another replica, under a lease that has not run out."""
    FINISHED = "finished"
    """The same request was answered; the verdict carries the first answer."""
    REPLAYED = "replayed"
    """The request id was used for other bytes."""


class Claim(Struct, frozen=True):
    """Check 7: one insert. `lease_s` is how long this process may take before another may take it up."""

    asking: str
    request_id: str
    identity: bytes
    lease_s: float


class ClaimVerdict(Struct, frozen=True):
    """What the insert said; `answer` is the stored answer's envelope bytes when FINISHED."""

    state: ClaimState
    answer: bytes = b""


class Journal(Protocol):
    """The outbox and the log in one: what it returns from is on disk.

    Every method raises OwnStoreUnavailable when the store cannot take it; then nothing was stored and nothing may be
    released. A cancelled caller changes nothing: the write still happens.
    """

    async def store_request(self, meta: ExchangeMeta, payload_type: str, payload: bytes) -> Sealed:
        """Sign and store a request of this node (ASKED_REQUEST). Durable on return."""
        ...

    async def store_answer(self, meta: ExchangeMeta, identity: bytes, envelope: bytes) -> None:
        """Store a verified answer that this node got (ASKED_ANSWER). Durable on return."""
        ...

    async def claim(self, claim: Claim) -> ClaimVerdict:
        """Check 7. Need not survive a power cut: without it the request is simply done again."""
        ...

    async def release(self, claim: Claim) -> None:
        """Give up a NEW claim without an answer, so that a repeat may try again."""
        ...

    async def await_answer(self, claim: Claim, *, timeout_s: float) -> bytes | None:
        """The answer to a WORKING claim as soon as it is finished, from whichever replica; None on timeout."""
        ...

    async def store_exchange(
        self, meta: ExchangeMeta, request: Sealed, request_identity: bytes, payload_type: str, payload: bytes
    ) -> Sealed:
        """Checks 12 and 13: sign the answer, store request and answer, finish the claim. Durable on return."""
        ...

    async def find_answer(self, asking: str, request_identity: bytes, request_id: str = "") -> bytes | None:
        """The envelope bytes of a finished answer to a request of `asking`, or None. Without `request_id` only its
        newest requests are looked through.
        """
        ...

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        """All records under a request id in log order; empty when there is none.

        Two nodes that ask here may use one id: with `asking`, those of one exchange. What this node asked itself is of
        one exchange always, since it makes the ids.
        """
        ...


class LogGeneration(Struct, frozen=True):
    """One generation of the log; the highest is open. Leaf i of it is the record with log index `first_index` + i.

    `reason` says why the one before it was closed, `halted` why nothing is sequenced or signed in this one any more
    (empty: nothing is wrong). `closed_size` and `closed_root` are those of its last checkpoint.
    """

    generation: int
    first_index: int
    opened_at: datetime
    reason: str = ""
    halted: str = ""
    closed_at: datetime | None = None
    closed_size: int | None = None
    closed_root: bytes | None = None


class CheckpointRow(Struct, frozen=True):
    """A tree size that this node committed to. `note` is the whole note signed by the log alone, empty until it is
    signed; `settled_at` the quorum's time, None until there are enough cosignatures.
    """

    generation: int
    size: int
    root: bytes
    made_at: datetime
    note: str = ""
    settled_at: datetime | None = None


class Cosignature(Struct, frozen=True):
    """What a witness (an entity id) said to a checkpoint: its signature line as it came, without a line end."""

    witness: str
    cosigned_at: datetime
    line: str


class Tree(Protocol):
    """The tree over this node's log, to be read. Only what a signed checkpoint covers can be asked for.

    Every method raises OwnStoreUnavailable. Proofs are made of stored tiles and are not checked again: who relies
    on one verifies it against the root.
    """

    async def generations(self) -> Sequence[LogGeneration]:
        """All of them, oldest first; never empty."""
        ...

    async def latest(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest signed checkpoint of a generation (None: of the open one), or None when there is none."""
        ...

    async def latest_settled(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest settled checkpoint of a generation (None: of the open one), or None when there is none."""
        ...

    async def checkpoint(self, generation: int, size: int) -> CheckpointRow | None:
        """The signed checkpoint of exactly that size."""
        ...

    async def settled_for(self, generation: int, leaf: int) -> CheckpointRow | None:
        """The earliest settled checkpoint that holds the leaf, which gives the evidence time; None until then."""
        ...

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        """The cosignatures of a checkpoint, by witness in order."""
        ...

    async def inclusion(self, generation: int, leaf: int, size: int) -> tuple[bytes, ...]:
        """The audit path of a leaf in the tree of `size`, lowest first. Raises OwnNotFound: not in that tree."""
        ...

    async def consistency(self, generation: int, old: int, new: int) -> tuple[bytes, ...]:
        """The proof (RFC 6962 §2.1.2) from `old` to `new`; empty for 0 and for equal sizes. Raises OwnNotFound."""
        ...

    async def tile(self, generation: int, level: int, position: int) -> bytes | None:
        """A stored tile: hashes of 32 bytes; for level -1 an entry bundle as `trust.tiles` spells it. None: not there.

        The last of a level may hold more than a signed checkpoint covers.
        """
        ...


class LogGate(Protocol):
    """Stops the log: while it is closed no record is written, so nothing is released. Open to begin with."""

    @property
    def reason(self) -> str:
        """Why it is closed; empty while it is open."""
        ...

    def require_open(self) -> None:
        """Raises OwnLogClosed with the reason. Cheap, from any thread."""
        ...

    def close(self, reason: str) -> None:
        """Stop the log at once; the first reason stays. Kept in the store by the sequencer's next turn, for replicas
        and restarts; only `yrd log restart` opens it again. `reason` is English, one line.
        """
        ...


class Codec(Protocol):
    """Between domain words and payload bytes."""

    def encode_request(self, request: Request) -> bytes:
        """The payload of a request; its type is ``request.header.operation.request_type``."""
        ...

    def decode_request(self, payload_type: str, payload: bytes) -> Request:
        """Raises PeerUnsupportedType, PeerMalformed, PeerUnknownCritical."""
        ...

    def encode_answer(self, answer: Answer) -> bytes:
        """The payload of an answer; its type is ``answer.header.operation.answer_type``."""
        ...

    def decode_answer(self, payload_type: str, payload: bytes) -> Answer:
        """Raises PeerUnsupportedType, PeerMalformed, PeerUnknownCritical."""
        ...


class PeerTransport(Protocol):
    """Carries envelopes to peers. It is safe to repeat: the answering side gives the first answer again."""

    async def exchange(self, peer: Peer, operation: Operation, envelope: bytes, *, timeout_s: float) -> bytes:
        """Send a request envelope, return the answer envelope.

        Raises the peer's unsigned refusal as its class, PeerUnreachable, PeerTimeout, PeerTlsIdentity.
        """
        ...

    async def fetch_answer(
        self, peer: Peer, request_identity: bytes, request_id: str, *, timeout_s: float
    ) -> bytes:
        """The finished answer to an earlier request. Raises PeerNoAnswer and the errors of `exchange`."""
        ...


class RegistryAnswer(Struct, frozen=True):
    """What a registry said: documents in local words, and for a search how many there are in all."""

    documents: tuple[LocalDocument, ...] = ()
    total: int = 0


class LocalRegistry(Protocol):
    """Where the province keeps its records, asked in local words."""

    async def look_up(
        self, operation: Operation, parameters: Mapping[str, str], *, timeout_s: float
    ) -> RegistryAnswer:
        """Documents for an operation.

        `parameters` are local values under these names: ``holder_id_type``, ``holder_id``, ``certificate_type``,
        ``certificate_id``, ``words``, ``item_code``, ``division``, ``page``, ``page_size``; absent ones are left out.
        Raises RegistryTimeout, RegistryUnreachable, RegistryBadAnswer, RegistryNotOffered. Nothing found is an
        empty answer.
        """
        ...
