"""The wire still fits every release that is out: a node of this version talks with one that was not updated.

Nothing that a release declared may go, move or change its kind; new fields, values, messages and methods
are free. The rules are those of the Protocol Buffers language guide, "Updating a message type".
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from yrd.certificates.v1 import certificates_pb2 as certificates
from yrd.exchange.v1 import exchange_pb2 as exchange

from federation.query import PLATFORM_OPERATIONS, Operation
from federation.rpc.convert import ProtobufCodec
from tests.federation.rpc import samples

ROOT = Path(__file__).resolve().parents[2]
RELEASES = sorted((ROOT / "proto" / "released").glob("*.binpb"))
VECTORS = ROOT / "tests" / "vectors" / "wire_v0_1"
CODEC = ProtobufCodec()

Facts = dict[tuple[str, ...], tuple[object, ...]]


def facts_of_message(
    prefix: str, message: DescriptorProto
) -> Iterator[tuple[tuple[str, ...], tuple[object, ...]]]:
    """What a message promises: for each field number its name, kind, label and type."""
    name = f"{prefix}.{message.name}"
    yield ("message", name), ()
    for field in message.field:
        promise = (field.name, field.type, field.label, field.type_name, field.HasField("oneof_index"))
        yield ("field", name, str(field.number)), promise
    for nested in message.nested_type:
        yield from facts_of_message(name, nested)
    for enum in message.enum_type:
        yield from facts_of_enum(name, enum)


def facts_of_enum(
    prefix: str, enum: EnumDescriptorProto
) -> Iterator[tuple[tuple[str, ...], tuple[object, ...]]]:
    """What an enum promises: for each number its name."""
    for value in enum.value:
        yield ("value", f"{prefix}.{enum.name}", str(value.number)), (value.name,)


def facts_of_service(
    prefix: str, service: ServiceDescriptorProto
) -> Iterator[tuple[tuple[str, ...], tuple[object, ...]]]:
    """What a service promises: for each method what it takes and gives, and how."""
    for method in service.method:
        promise = (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
        yield ("method", f"{prefix}.{service.name}", method.name), promise


def facts(files: Iterable[FileDescriptorProto]) -> Facts:
    """Everything that .proto files promise, as comparable facts."""
    found: Facts = {}
    for file in files:
        if not file.package.startswith("yrd."):
            continue
        for message in file.message_type:
            found.update(facts_of_message(file.package, message))
        for enum in file.enum_type:
            found.update(facts_of_enum(file.package, enum))
        for service in file.service:
            found.update(facts_of_service(file.package, service))
    return found


def present_files() -> list[FileDescriptorProto]:
    """The contract as the generated code has it."""
    files = []
    for path in sorted((ROOT / "proto").glob("yrd/**/*.proto")):
        module = ".".join(path.relative_to(ROOT / "proto").with_suffix("").parts) + "_pb2"
        file = FileDescriptorProto()
        importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
        files.append(file)
    return files


def broken_promises(released: Facts, present: Facts) -> list[str]:
    """One line for each fact of the release that does not hold any more."""
    return [
        f"{' '.join(fact)}: released as {promise}, now {present.get(fact, 'gone')}"
        for fact, promise in released.items()
        if present.get(fact) != promise
    ]


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_no_promise_of_a_release_is_broken(release: Path) -> None:
    released = facts(FileDescriptorSet.FromString(release.read_bytes()).file)
    assert len(released) > 100
    assert broken_promises(released, facts(present_files())) == []


def test_there_is_a_release_to_hold_against() -> None:
    assert "v0_1" in {path.stem for path in RELEASES}


@pytest.mark.parametrize("change", ["renumber", "rename", "retype", "relabel", "remove", "value", "method"])
def test_each_kind_of_broken_promise_is_seen(change: str) -> None:
    files = present_files()
    before = facts(files)
    by_name = {file.name: file for file in files}
    header, item = by_name["yrd/header/v1/header.proto"], by_name["yrd/exchange/v1/exchange.proto"]
    field = header.message_type[0].field[0]
    match change:
        case "renumber":
            field.number = 100
        case "rename":
            field.name = "other"
        case "retype":
            field.type = field.TYPE_BYTES
        case "relabel":
            field.label = field.LABEL_REPEATED
        case "remove":
            del header.message_type[0].field[0]
        case "value":
            header.enum_type[0].value[1].number = 9
        case "method":
            item.service[0].method[0].server_streaming = False
    assert len(broken_promises(before, facts(files))) == 1


def test_what_is_new_breaks_nothing() -> None:
    files = present_files()
    before = facts(files)
    message = files[0].message_type[0]
    message.field.add(name="newer", number=500, type=9, label=1)
    files[0].message_type.add(name="Newer")
    assert broken_promises(before, facts(files)) == []


# --- golden messages --------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", PLATFORM_OPERATIONS)
def test_golden_messages_still_mean_the_same(operation: Operation) -> None:
    request = (VECTORS / f"{operation.value}.request.bin").read_bytes()
    answer = (VECTORS / f"{operation.value}.answer.bin").read_bytes()
    refusal = (VECTORS / f"{operation.value}.refusal.bin").read_bytes()
    assert CODEC.decode_request(operation.request_type, request) == samples.request(operation)
    assert CODEC.decode_answer(operation.answer_type, answer) == samples.answer(operation)
    assert CODEC.decode_answer(operation.answer_type, refusal) == samples.refusal(operation)


def test_golden_envelope_and_frame_still_mean_the_same() -> None:
    raw = (VECTORS / "envelope.bin").read_bytes()
    envelope = exchange.Envelope.FromString(raw)
    assert envelope.payload_type == Operation.NODE_STATE.request_type
    assert envelope.signatures[0].batch.path[1] == b"\x03" * 32
    frame = exchange.Frame.FromString((VECTORS / "frame.bin").read_bytes())
    assert (frame.items[0].call_id, frame.items[0].envelope, frame.items[0].timeout_ms) == (7, raw, 5000)
    assert (frame.items[1].fault.code, frame.items[1].fault.detail) == ("peer.bad_signature", "签名")


def test_the_envelope_is_dsse() -> None:
    """DSSE 1.0.2, envelope.proto: payload 1, payloadType 2, signatures 3; sig 1, keyid 2."""
    numbers = {
        field.full_name.removeprefix("yrd.exchange.v1."): field.number
        for message in (exchange.Envelope, exchange.Signature)
        for field in message.DESCRIPTOR.fields
    }
    dsse = {
        "Envelope.payload": 1,
        "Envelope.payload_type": 2,
        "Envelope.signatures": 3,
        "Signature.sig": 1,
        "Signature.keyid": 2,
    }
    assert dsse.items() <= numbers.items()


def test_a_compiler_reads_the_golden_request_as_we_do() -> None:
    """An independent reader: protoc itself, from the .proto file."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}"]
    command += ["--decode=yrd.certificates.v1.QueryRequest", "yrd/certificates/v1/certificates.proto"]
    golden = (VECTORS / "certificates.query.request.bin").read_bytes()
    told = subprocess.run(command, input=golden, capture_output=True, check=True, cwd=ROOT / "proto").stdout
    assert b'holder_id: "330102199003077896"' in told
    assert b"kind: BASIS_KIND_OFFICIAL_DUTY" in told
    assert b"asked_at: 1793592000123456" in told


# --- newer and older nodes --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["message", "header", "element"])
def test_a_newer_nodes_unknown_fields_are_ignored(where: str) -> None:
    operation = Operation.CERTIFICATES_QUERY
    message = certificates.QueryAnswer.FromString(CODEC.encode_answer(samples.answer(operation)))
    target = {"message": message, "header": message.header, "element": message.certificates[0].elements[0]}
    target[where].MergeFromString(b"\xc2\x3e\x03new")  # field 1000
    newer = message.SerializeToString()
    assert b"\x03new" in newer
    assert CODEC.decode_answer(operation.answer_type, newer) == samples.answer(operation)


# --- the generated code -----------------------------------------------------------------------------


def run_generator(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run proto/generate.py."""
    command = [sys.executable, str(ROOT / "proto" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_code_fits_the_contract() -> None:
    done = run_generator("--check")
    assert done.returncode == 0, done.stderr


def test_a_release_is_never_written_again() -> None:
    before = RELEASES[0].read_bytes()
    done = run_generator("--release", "v0_1")
    assert done.returncode == 1
    assert "released already" in done.stderr
    assert RELEASES[0].read_bytes() == before
