"""What one node can ask another: headers, the body of each operation, and the answers.

These are the words that `ask` and `answer` speak. They are the same on both sides and know neither protobuf nor
JSON; `rpc.convert` turns them into payload bytes and back. All values are in shared words, all times aware UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum

from msgspec import Struct

from mapping.element import Element

__all__ = [
    "BETWEEN_NODES",
    "PLATFORM_OPERATIONS",
    "Answer",
    "AnswerBody",
    "AnswerHeader",
    "Basis",
    "BasisKind",
    "Certificate",
    "CertificateAnswer",
    "CertificateGet",
    "CertificateQuery",
    "CertificateType",
    "CertificateTypes",
    "CertificateTypesAnswer",
    "CertificateVerify",
    "CertificatesAnswer",
    "Decision",
    "EvidenceRecords",
    "EvidenceRecordsAnswer",
    "EvidenceRoots",
    "EvidenceRootsAnswer",
    "HolderRecord",
    "HolderRecordAnswer",
    "HolderUse",
    "HourRoot",
    "LoggedMessage",
    "MapSet",
    "Operation",
    "Outcome",
    "Part",
    "Request",
    "RequestBody",
    "RequestHeader",
    "ServiceGet",
    "ServiceItem",
    "ServiceItemAnswer",
    "ServiceSearch",
    "ServicesAnswer",
    "StateAnswer",
    "StateQuery",
    "Verdict",
    "VerifyAnswer",
]


class Operation(StrEnum):
    """Every operation; the payload types are ``application/vnd.yrd.<operation>[.answer].v1+protobuf``."""

    CERTIFICATES_QUERY = "certificates.query"
    CERTIFICATES_GET = "certificates.get"
    CERTIFICATES_VERIFY = "certificates.verify"
    CERTIFICATES_TYPES = "certificates.types"
    SERVICES_SEARCH = "services.search"
    SERVICES_GET = "services.get"
    NODE_STATE = "node.state"
    EVIDENCE_ROOTS = "evidence.roots"
    EVIDENCE_RECORDS = "evidence.records"
    HOLDER_RECORD = "holder.record"

    @property
    def request_type(self) -> str:
        """The payload type of a request."""
        return f"application/vnd.yrd.{self.value}.v1+protobuf"

    @property
    def answer_type(self) -> str:
        """The payload type of an answer."""
        return f"application/vnd.yrd.{self.value}.answer.v1+protobuf"


BETWEEN_NODES = frozenset({Operation.EVIDENCE_ROOTS, Operation.EVIDENCE_RECORDS, Operation.HOLDER_RECORD})
"""What only nodes ask each other, by themselves: no platform can ask it, and no access rule speaks of it."""

PLATFORM_OPERATIONS = tuple(operation for operation in Operation if operation not in BETWEEN_NODES)
"""What a platform can ask, if the rules let it."""


class BasisKind(IntEnum):
    """用证依据; the numbers are those on the wire."""

    HOLDERS_CONSENT = 1
    DELEGATED_CONSENT = 2
    OFFICIAL_DUTY = 3

    @property
    def word(self) -> str:
        """The basis as JSON and `access.toml` say it: ``official_duty`` and so on."""
        return self.name.lower()


class Basis(Struct, frozen=True):
    """Why the certificate is used: service item, case and purpose, and the consent where there is one."""

    kind: BasisKind
    service_item_name: str = ""
    service_item_code: str = ""
    case_number: str = ""
    purpose: str = ""
    consent: str = ""


class MapSet(Struct, frozen=True):
    """The rule set that a node translated with: its version and the SHA-256 of its data (32 bytes)."""

    version: str
    digest: bytes


class RequestHeader(Struct, frozen=True):
    """What every request says about itself (design §3)."""

    request_id: str
    asking: str
    answering: str
    operation: Operation
    asked_at: datetime
    expires_at: datetime
    platform: str
    officer: str
    basis: Basis
    traceparent: str
    map_set: MapSet
    platform_signature: str = ""
    critical: tuple[str, ...] = ()


class Outcome(IntEnum):
    """Whether an answer answers or refuses; the numbers are those on the wire."""

    ANSWERED = 1
    REFUSED = 2

    @property
    def word(self) -> str:
        """``answered`` or ``refused``."""
        return self.name.lower()


class Decision(Struct, frozen=True):
    """The access rule that let the request through, or the policy under which it was refused."""

    rule: str = ""
    policy_version: str = ""
    consent_status: str = ""


class AnswerHeader(Struct, frozen=True):
    """What every answer says about itself and about the request it answers."""

    request_id: str
    request_identity: bytes
    answering: str
    asking: str
    operation: Operation
    answered_at: datetime
    outcome: Outcome
    map_set: MapSet
    decision: Decision = Decision()
    refusal_code: str = ""
    refusal_detail: str = ""
    critical: tuple[str, ...] = ()


# --- request bodies ---------------------------------------------------------------------------------------------


class CertificateQuery(Struct, frozen=True):
    """All certificates of a holder, or those of one type. `certificate_type` empty: all."""

    holder_id_type: str
    holder_id: str
    certificate_type: str = ""


class CertificateGet(Struct, frozen=True):
    """One certificate by its GB/T 36904 id."""

    certificate_id: str


class CertificateVerify(Struct, frozen=True):
    """A certificate that someone presents: its id, and the SHA-256 of its face (32 bytes) or the face itself."""

    certificate_id: str
    digest: bytes = b""
    face: tuple[Element, ...] = ()


class CertificateTypes(Struct, frozen=True):
    """The certificate types that a province offers."""


class ServiceSearch(Struct, frozen=True):
    """Service items by words, code or division; pages count from 1."""

    words: str = ""
    item_code: str = ""
    division: str = ""
    page: int = 1
    page_size: int = 20


class ServiceGet(Struct, frozen=True):
    """One service item with its guide."""

    item_code: str


class StateQuery(Struct, frozen=True):
    """A node's own state."""


class EvidenceRoots(Struct, frozen=True):
    """What the answering node logged of its exchanges with the asking one, hour by hour.

    Hours count from 1970 and go by the time in the request id. Request ids of `until` or later are left out.
    """

    first_hour: int
    hours: int
    until: datetime


class EvidenceRecords(Struct, frozen=True):
    """The messages of one such hour, in the order of request ids: at most `limit` exchanges after `after`."""

    hour: int
    until: datetime
    after: str = ""
    limit: int = 500


class HolderRecord(Struct, frozen=True):
    """Who asked about a holder: exchanges before `before`, newest first.

    `statement` is the envelope by which the asking node says that the holder is logged in there
    (`trust.authentication`).
    """

    holder_id_type: str
    holder_id: str
    statement: bytes
    before: str = ""
    limit: int = 100


RequestBody = (
    CertificateQuery
    | CertificateGet
    | CertificateVerify
    | CertificateTypes
    | ServiceSearch
    | ServiceGet
    | StateQuery
    | EvidenceRoots
    | EvidenceRecords
    | HolderRecord
)


class Request(Struct, frozen=True):
    """One request: header and body."""

    header: RequestHeader
    body: RequestBody


# --- answer bodies ----------------------------------------------------------------------------------------------


class Certificate(Struct, frozen=True):
    """One certificate as an element list."""

    certificate_type: str
    certificate_id: str
    elements: tuple[Element, ...]


class CertificatesAnswer(Struct, frozen=True):
    """The certificates of a holder, possibly none."""

    certificates: tuple[Certificate, ...] = ()


class CertificateAnswer(Struct, frozen=True):
    """One certificate, or None when the registry has none with that id."""

    certificate: Certificate | None = None


class Verdict(IntEnum):
    """What a presented certificate is; the numbers are those on the wire."""

    VALID = 1
    NOT_VALID = 2
    ALTERED = 3
    UNKNOWN = 4

    @property
    def word(self) -> str:
        """``valid``, ``not_valid``, ``altered`` or ``unknown``."""
        return self.name.lower()


class VerifyAnswer(Struct, frozen=True):
    """The verdict; with the shared state and its date when not valid, with the differing names when altered."""

    verdict: Verdict
    state: str = ""
    state_on: str = ""
    altered: tuple[str, ...] = ()


class CertificateType(Struct, frozen=True):
    """A certificate type that a province offers, with the shared names of its elements."""

    code: str
    name: str
    fields: tuple[str, ...] = ()


class CertificateTypesAnswer(Struct, frozen=True):
    """The certificate types that a province offers."""

    types: tuple[CertificateType, ...] = ()


class ServiceItem(Struct, frozen=True):
    """One service item as an element list; the guide's materials, places and fees are groups in it."""

    item_code: str
    name: str
    elements: tuple[Element, ...]


class ServicesAnswer(Struct, frozen=True):
    """One page of service items, and how many there are in all."""

    items: tuple[ServiceItem, ...] = ()
    total: int = 0
    page: int = 1


class ServiceItemAnswer(Struct, frozen=True):
    """One service item, or None when the province has none with that code."""

    item: ServiceItem | None = None


class StateAnswer(Struct, frozen=True):
    """A node's software version, clock and operations."""

    version: str
    clock: datetime
    operations: tuple[str, ...] = ()


class HourRoot(Struct, frozen=True):
    """One hour of one pair: how many answered exchanges, the root over their messages (32 bytes), and of how many
    messages the identity was made anew from the stored bytes.
    """

    hour: int
    exchanges: int
    root: bytes
    checked: int = 0


class EvidenceRootsAnswer(Struct, frozen=True):
    """The roots, by hour; exchanges before `held_since_hour` have left the database for archives."""

    hours: tuple[HourRoot, ...] = ()
    held_since_hour: int = 0


class Part(IntEnum):
    """Which message of an exchange; the numbers are those on the wire and in the roots."""

    REQUEST = 1
    ANSWER = 2


class LoggedMessage(Struct, frozen=True, order=True):
    """One message as a log has it.

    `identity` is that of the stored bytes, or, when they are not those that were logged (`altered`), the one that
    was logged with them.
    """

    request_id: str
    asking: str
    part: Part
    identity: bytes
    recorded_at: datetime
    altered: bool = False


class EvidenceRecordsAnswer(Struct, frozen=True):
    """One page of messages; `next` is what to ask `after` for more, empty at the end."""

    messages: tuple[LoggedMessage, ...] = ()
    next: str = ""


class HolderUse(Struct, frozen=True):
    """One exchange that was about a holder: who asked whom, for what, when, why, and what came of it.

    It names no holder and no officer. `consent` is the SHA-256 of the consent, `outcome` None when no answer is in
    that log; of a message that was forgotten only what the log itself knows is left.
    """

    request_id: str
    request_identity: bytes
    asking: str
    answering: str
    operation: str
    asked_at: datetime
    platform: str = ""
    certificate_types: tuple[str, ...] = ()
    basis: BasisKind | None = None
    service_item_name: str = ""
    service_item_code: str = ""
    case_number: str = ""
    purpose: str = ""
    consent: bytes = b""
    outcome: Outcome | None = None
    refusal_code: str = ""
    forgotten: bool = False


class HolderRecordAnswer(Struct, frozen=True):
    """One page of uses, newest first; `next` is what to ask `before` for more, empty at the end."""

    uses: tuple[HolderUse, ...] = ()
    next: str = ""


AnswerBody = (
    CertificatesAnswer
    | CertificateAnswer
    | VerifyAnswer
    | CertificateTypesAnswer
    | ServicesAnswer
    | ServiceItemAnswer
    | StateAnswer
    | EvidenceRootsAnswer
    | EvidenceRecordsAnswer
    | HolderRecordAnswer
)


class Answer(Struct, frozen=True):
    """One answer: header, and a body unless it is a refusal."""

    header: AnswerHeader
    body: AnswerBody | None
