"""One request and one answer per operation with every field filled, and strategies for any of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from federation.query import (
    Answer,
    AnswerHeader,
    Basis,
    BasisKind,
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateType,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    Decision,
    EvidenceRecords,
    EvidenceRecordsAnswer,
    EvidenceRoots,
    EvidenceRootsAnswer,
    HolderRecord,
    HolderRecordAnswer,
    HolderUse,
    HourRoot,
    LoggedMessage,
    MapSet,
    Operation,
    Outcome,
    Part,
    Request,
    RequestBody,
    RequestHeader,
    ServiceGet,
    ServiceItem,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    StateQuery,
    Verdict,
    VerifyAnswer,
)
from mapping.element import Element, Relation

REQUEST_ID = "0190b3f0-1a2b-7c3d-8e4f-5a6b7c8d9e0f"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ASKED_AT = datetime(2026, 11, 2, 4, 0, 0, 123456, tzinfo=UTC)
MARRIAGE = "111000000000131433001"

ELEMENTS = (
    Element("证照名称", "结婚证", "结婚证"),
    Element("性别", "1", "M", Relation.EXACT, "sex@2026.1"),
    Element("证照状态", "X9", "X9", Relation.UNMAPPED, "state@2026.1"),
    Element(
        "申请材料",
        "",
        groups=(
            (
                Element("材料名称", "身份证", "身份证"),
                Element("份数", "1", "一", Relation.BROADER, "count@1"),
            ),
            (
                Element("材料名称", "照片", "照片"),
                Element("附件", "", groups=((Element("格式", "jpg", "jpg"),),)),
            ),
        ),
    ),
)

BODIES: dict[Operation, tuple[RequestBody, Any]] = {
    Operation.CERTIFICATES_QUERY: (
        CertificateQuery("10", "330102199003077896", MARRIAGE),
        CertificatesAnswer((Certificate(MARRIAGE, "id-1", ELEMENTS), Certificate(MARRIAGE, "", ()))),
    ),
    Operation.CERTIFICATES_GET: (
        CertificateGet("1.2.156.3005.2.11100"),
        CertificateAnswer(Certificate(MARRIAGE, "id-1", ELEMENTS)),
    ),
    Operation.CERTIFICATES_VERIFY: (
        CertificateVerify("1.2.156.3005.2.11100", bytes(range(32)), ELEMENTS[:2]),
        VerifyAnswer(Verdict.NOT_VALID, "03", "2026-01-31", ("性别", "出生日期")),
    ),
    Operation.CERTIFICATES_TYPES: (
        CertificateTypes(),
        CertificateTypesAnswer((CertificateType(MARRIAGE, "结婚证", ("证照名称", "性别")),)),
    ),
    Operation.SERVICES_SEARCH: (
        ServiceSearch("社保", "11330000MB", "330100", 2, 50),
        ServicesAnswer((ServiceItem("11330000MB01", "社保转移", ELEMENTS),), 51, 2),
    ),
    Operation.SERVICES_GET: (
        ServiceGet("11330000MB01"),
        ServiceItemAnswer(ServiceItem("11330000MB01", "社保转移", ELEMENTS)),
    ),
    Operation.NODE_STATE: (StateQuery(), StateAnswer("0.1.0", ASKED_AT, ("certificates.query",))),
    Operation.EVIDENCE_ROOTS: (
        EvidenceRoots(498_220, 24, ASKED_AT),
        EvidenceRootsAnswer((HourRoot(498_220, 17, b"\x44" * 32, 34),), 470_000),
    ),
    Operation.EVIDENCE_RECORDS: (
        EvidenceRecords(498_220, ASKED_AT, REQUEST_ID, 500),
        EvidenceRecordsAnswer(
            (
                LoggedMessage(
                    REQUEST_ID, "https://node.zj.example", Part.ANSWER, b"\x55" * 32, ASKED_AT, True
                ),
            ),
            REQUEST_ID,
        ),
    ),
    Operation.HOLDER_RECORD: (
        HolderRecord("111", "330102199003077896", b"envelope", REQUEST_ID, 20),
        HolderRecordAnswer(
            (
                HolderUse(
                    request_id=REQUEST_ID,
                    request_identity=b"\x66" * 32,
                    asking="https://node.zj.example",
                    answering="https://node.sh.example",
                    operation="certificates.query",
                    asked_at=ASKED_AT,
                    platform="portal-zj",
                    certificate_types=(MARRIAGE,),
                    basis=BasisKind.OFFICIAL_DUTY,
                    service_item_name="结婚登记",
                    service_item_code="11330000MB01",
                    case_number="2026-1",
                    purpose="核验",
                    consent=b"\x77" * 32,
                    outcome=Outcome.REFUSED,
                    refusal_code="access.denied",
                    forgotten=True,
                ),
            ),
            REQUEST_ID,
        ),
    ),
}


def request_header(operation: Operation) -> RequestHeader:
    """A header with every field filled."""
    return RequestHeader(
        request_id=REQUEST_ID,
        asking="https://node.zj.example",
        answering="https://node.sh.example",
        operation=operation,
        asked_at=ASKED_AT,
        expires_at=ASKED_AT + timedelta(seconds=30),
        platform="portal-zj",
        officer="工号 0571",
        basis=Basis(BasisKind.OFFICIAL_DUTY, "结婚登记", "11330000MB01", "2026-1", "核验", "e30.e30.sig"),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        map_set=MapSet("330000@2026.1", b"\x11" * 32),
        platform_signature="e30.e30.sig",
        critical=("basis",),
    )


def answer_header(operation: Operation, outcome: Outcome = Outcome.ANSWERED) -> AnswerHeader:
    """A header with every field filled that such an outcome may have."""
    refused = outcome is Outcome.REFUSED
    return AnswerHeader(
        request_id=REQUEST_ID,
        request_identity=b"\x22" * 32,
        answering="https://node.sh.example",
        asking="https://node.zj.example",
        operation=operation,
        answered_at=ASKED_AT + timedelta(microseconds=1),
        outcome=outcome,
        map_set=MapSet("310000@2026.1", b"\x33" * 32),
        decision=Decision("for-330000", "2026-11-01", "none"),
        refusal_code="access.denied" if refused else "",
        refusal_detail="no rule" if refused else "",
        critical=("decision",),
    )


def request(operation: Operation) -> Request:
    """The sample request of an operation."""
    return Request(request_header(operation), BODIES[operation][0])


def answer(operation: Operation) -> Answer:
    """The sample answer of an operation."""
    return Answer(answer_header(operation), BODIES[operation][1])


def refusal(operation: Operation) -> Answer:
    """The sample refusal of an operation."""
    return Answer(answer_header(operation, Outcome.REFUSED), None)


# --- strategies -------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
some_words = words.filter(bool)
digests = st.binary(min_size=32, max_size=32)
times = st.integers(1, 2 * 10**17).map(lambda micros: EPOCH + timedelta(microseconds=micros))
counts = st.integers(1, 2**32 - 1)
uuids = st.uuids().map(lambda u: f"{str(u)[:14]}7{str(u)[15:19]}8{str(u)[20:]}")


def rows_of(words_of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A tuple of a few."""
    return st.lists(words_of, max_size=3).map(tuple)


elements = rows_of(
    st.recursive(
        st.builds(Element, words, words, words, st.sampled_from(Relation), words),
        lambda inner: st.builds(
            Element, words, words, words, st.sampled_from(Relation), words, rows_of(rows_of(inner))
        ),
        max_leaves=6,
    )
)
certificates = st.builds(Certificate, some_words, words, elements)
items = st.builds(ServiceItem, some_words, words, elements)

hours = st.integers(0, 2_000_000)
cursors = st.just("") | uuids
messages = st.builds(LoggedMessage, uuids, some_words, st.sampled_from(Part), digests, times, st.booleans())
uses = st.builds(
    HolderUse,
    uuids,
    digests,
    some_words,
    some_words,
    some_words,
    times,
    words,
    rows_of(words),
    st.none() | st.sampled_from(BasisKind),
    words,
    words,
    words,
    words,
    st.just(b"") | digests,
    st.none() | st.sampled_from(Outcome),
    words,
    st.booleans(),
)

REQUEST_BODIES: dict[Operation, st.SearchStrategy[Any]] = {
    Operation.CERTIFICATES_QUERY: st.builds(CertificateQuery, some_words, some_words, words),
    Operation.CERTIFICATES_GET: st.builds(CertificateGet, some_words),
    Operation.CERTIFICATES_VERIFY: st.builds(CertificateVerify, some_words, digests, elements),
    Operation.CERTIFICATES_TYPES: st.just(CertificateTypes()),
    Operation.SERVICES_SEARCH: st.builds(ServiceSearch, words, words, words, counts, counts),
    Operation.SERVICES_GET: st.builds(ServiceGet, some_words),
    Operation.NODE_STATE: st.just(StateQuery()),
    Operation.EVIDENCE_ROOTS: st.builds(EvidenceRoots, hours, counts, times),
    Operation.EVIDENCE_RECORDS: st.builds(EvidenceRecords, hours, times, cursors, counts),
    Operation.HOLDER_RECORD: st.builds(
        HolderRecord, some_words, some_words, st.binary(min_size=1, max_size=50), cursors, counts
    ),
}
ANSWER_BODIES: dict[Operation, st.SearchStrategy[Any]] = {
    Operation.CERTIFICATES_QUERY: st.builds(CertificatesAnswer, rows_of(certificates)),
    Operation.CERTIFICATES_GET: st.builds(CertificateAnswer, st.none() | certificates),
    Operation.CERTIFICATES_VERIFY: st.builds(
        VerifyAnswer, st.sampled_from(Verdict), words, words, rows_of(words)
    ),
    Operation.CERTIFICATES_TYPES: st.builds(
        CertificateTypesAnswer, rows_of(st.builds(CertificateType, some_words, words, rows_of(words)))
    ),
    Operation.SERVICES_SEARCH: st.builds(ServicesAnswer, rows_of(items), st.integers(0, 2**32 - 1), counts),
    Operation.SERVICES_GET: st.builds(ServiceItemAnswer, st.none() | items),
    Operation.NODE_STATE: st.builds(StateAnswer, words, times, rows_of(words)),
    Operation.EVIDENCE_ROOTS: st.builds(
        EvidenceRootsAnswer,
        rows_of(st.builds(HourRoot, hours, st.integers(0, 2**40), digests, st.integers(0, 2**40))),
        hours,
    ),
    Operation.EVIDENCE_RECORDS: st.builds(EvidenceRecordsAnswer, rows_of(messages), cursors),
    Operation.HOLDER_RECORD: st.builds(HolderRecordAnswer, rows_of(uses), cursors),
}
map_sets = st.builds(MapSet, words, digests)
case_numbers = words.filter(lambda text: "\0" not in text)
bases = st.builds(Basis, st.sampled_from(BasisKind), words, words, case_numbers, words, words)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request that the domain can say."""
    operation = draw(st.sampled_from(Operation))
    asked_at = draw(times)
    header = RequestHeader(
        request_id=draw(uuids),
        asking=draw(some_words),
        answering=draw(some_words),
        operation=operation,
        asked_at=asked_at,
        expires_at=asked_at + timedelta(microseconds=draw(st.integers(1, 10**12))),
        platform=draw(words),
        officer=draw(words),
        basis=draw(bases),
        traceparent=draw(words),
        map_set=draw(map_sets),
        platform_signature=draw(words),
        critical=draw(rows_of(st.sampled_from(["basis", "expires_at"]))),
    )
    return Request(header, draw(REQUEST_BODIES[operation]))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Any answer or refusal that the domain can say."""
    operation = draw(st.sampled_from(Operation))
    outcome = draw(st.sampled_from(Outcome))
    refused = outcome is Outcome.REFUSED
    header = AnswerHeader(
        request_id=draw(uuids),
        request_identity=draw(digests),
        answering=draw(some_words),
        asking=draw(some_words),
        operation=operation,
        answered_at=draw(times),
        outcome=outcome,
        map_set=draw(map_sets),
        decision=draw(st.builds(Decision, words, words, words)),
        refusal_code=draw(some_words) if refused else "",
        refusal_detail=draw(words) if refused else "",
        critical=draw(rows_of(st.sampled_from(["decision"]))),
    )
    return Answer(header, None if refused else draw(ANSWER_BODIES[operation]))
