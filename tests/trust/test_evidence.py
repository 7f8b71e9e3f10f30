"""The container, read by other tools; the leaf, computed by hand; the manifest's own rules."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.container import (
    CONTAINER,
    INDEX,
    MANIFEST,
    MAX_FILE_BYTES,
    ROLL_OVERS,
    STATUS,
    answer_part,
    checkpoint_part,
    former_keys_part,
    is_part,
    read_container,
    request_part,
    statement_part,
    write_container,
)
from trust.envelope import seal
from trust.errors import EvidenceBroken
from trust.evidence import MANIFEST_TYPE, leaf_data, read_manifest, seal_parts
from trust.keys import SigningKey

KEY = SigningKey.generate()
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
REQUEST = request_part(1)
PARTS = {INDEX: b"{}", REQUEST: b"request", STATUS: b"status"}
NUMBERED = (request_part, answer_part, checkpoint_part, statement_part, former_keys_part)
ORDER = [
    MANIFEST,
    INDEX,
    *(part(number) for number in (1, 2, 10, 999_999) for part in (request_part, answer_part)),
    *(part(number) for part in NUMBERED[2:] for number in (1, 2, 10, 999_999)),
    STATUS,
    ROLL_OVERS,
]
"""Names in the order in which they must stand."""
parts_of_any_kind = st.dictionaries(st.sampled_from(ORDER), st.binary(max_size=200))


def sealed_file(parts: dict[str, bytes]) -> bytes:
    return seal_parts(
        parts, exported_by="https://a.example", exported_at=NOON, scope="exchange", chain=(1,), signer=KEY
    )


def part_of(data: bytes) -> str:
    with pytest.raises(EvidenceBroken) as caught:
        read_container(data)
    return caught.value.part


def test_a_leaf_is_version_and_salted_digest_of_kind_time_and_envelope() -> None:
    record = struct.pack(">Bq", 3, 1_700_000_000_000_001) + b"envelope"
    expected = b"\x01" + hashlib.sha256(b"s" * 16 + record).digest()
    assert leaf_data(3, 1_700_000_000_000_001, b"envelope", b"s" * 16) == expected


@given(parts_of_any_kind)
def test_a_container_comes_back_as_it_was(parts: dict[str, bytes]) -> None:
    data = write_container(parts)
    assert read_container(data) == parts
    assert write_container(dict(reversed(parts.items()))) == data


@given(parts_of_any_kind)
def test_any_zip_reader_reads_it(parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(write_container(parts))) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == parts
        assert [info.filename for info in archive.infolist()] == sorted(parts, key=ORDER.index)
        assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED}


@given(parts_of_any_kind.filter(bool), st.data())
def test_every_other_spelling_is_refused(parts: dict[str, bytes], data: st.DataObject) -> None:
    good = write_container(parts)
    place = data.draw(st.integers(0, len(good) - 1))
    altered = bytearray(good)
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    assert part_of(bytes(altered)) in {CONTAINER, *parts}


def test_what_is_in_a_part_is_named_by_that_part() -> None:
    good = write_container(PARTS)
    assert part_of(good.replace(b"request\x50", b"reques!\x50", 1)) == REQUEST
    assert part_of(good.replace(b"{}", b"[]")) == INDEX


@pytest.mark.parametrize(
    "bend",
    [
        lambda good: good + b"\0",
        lambda good: b"\0" + good,
        lambda good: good + good,
        lambda good: good[:-1],
        lambda good: good[:40],
        lambda good: b"",
        lambda good: good[:-2] + b"\x01\x00!",
    ],
    ids=["trailing", "leading", "twice", "cut", "cut in an entry", "empty", "comment"],
)
def test_another_frame_is_refused(bend: object) -> None:
    assert part_of(bend(write_container(PARTS)))  # type: ignore[operator]


def test_an_entry_that_is_compressed_renamed_or_out_of_order_is_refused() -> None:
    for method, names in (
        (zipfile.ZIP_DEFLATED, [REQUEST]),
        (zipfile.ZIP_STORED, ["../../etc/passwd"]),
        (zipfile.ZIP_STORED, [STATUS, REQUEST]),
    ):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), b"x" * 100)
        assert part_of(file.getvalue())


def test_the_same_part_twice_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(REQUEST), b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(zipfile.ZipInfo(REQUEST), b"two")
    assert part_of(file.getvalue()) == CONTAINER


def test_a_size_that_lies_is_refused() -> None:
    good = bytearray(write_container(PARTS))
    good[18:22] = struct.pack("<L", 0xFFFFFFFF)
    assert part_of(bytes(good)) == INDEX


def test_a_file_beyond_the_limit_is_not_read() -> None:
    assert part_of(bytes(MAX_FILE_BYTES + 1)) == CONTAINER
    with pytest.raises(EvidenceBroken):
        write_container({REQUEST: bytes(MAX_FILE_BYTES)})


def test_an_unknown_part_is_not_written() -> None:
    with pytest.raises(EvidenceBroken, match="not a part"):
        write_container({"notes.txt": b""})


@pytest.mark.parametrize(
    "name",
    [
        "exchanges/000000/request.envelope",
        "exchanges/1/request.envelope",
        "exchanges/0000001/request.envelope",
        "exchanges/００００01/request.envelope",
        "exchanges/000001/other.envelope",
        "statements/000001.jwt/",
        "checkpoints/000001.note\n",
        "",
    ],
)
def test_a_number_has_one_spelling(name: str) -> None:
    assert not is_part(name)


def test_a_file_has_no_more_parts_than_a_zip_counts() -> None:
    with pytest.raises(EvidenceBroken, match="65535 parts"):
        write_container({statement_part(number): b"" for number in range(1, 65_537)})


def test_a_manifest_names_every_part() -> None:
    manifest, sealed = read_manifest(read_container(sealed_file(PARTS)))
    assert (manifest.exported_by, manifest.exported_at) == ("https://a.example", NOON)
    assert (manifest.scope, manifest.chain, sealed.kid) == ("exchange", (1,), KEY.kid)
    assert manifest.digests == {name: hashlib.sha256(part).hexdigest() for name, part in PARTS.items()}


def said(**other: object) -> bytes:
    """A manifest of no parts, or with something else in it."""
    claims = {
        "chain": [1],
        "exported_at": NOON.isoformat(),
        "exported_by": "https://a.example",
        "format": 2,
        "parts": [],
        "scope": "exchange",
    }
    return json.dumps({**claims, **other}, sort_keys=True, separators=(",", ":")).encode()


def test_a_manifest_of_no_parts_is_read() -> None:
    assert read_manifest({MANIFEST: seal(MANIFEST_TYPE, said(), KEY).envelope})[0].digests == {}


@pytest.mark.parametrize(
    ("payload_type", "payload"),
    [
        ("application/json", said()),
        (MANIFEST_TYPE, b"not json"),
        (MANIFEST_TYPE, b'{"format": 2}'),
        (MANIFEST_TYPE, b'{"format":2,"format":2}'),
        (MANIFEST_TYPE, b"[]"),
        (MANIFEST_TYPE, said(format=1)),
        (MANIFEST_TYPE, said(format=3)),
        (MANIFEST_TYPE, said() + b" "),
        (MANIFEST_TYPE, said(more=1)),
        (MANIFEST_TYPE, said(scope="everything")),
        (MANIFEST_TYPE, said(exported_at="2026-11-02T12:00:00")),
        (MANIFEST_TYPE, said(exported_at="2026-11-02T12:00:00Z")),
        (MANIFEST_TYPE, said(exported_at="yesterday")),
        (MANIFEST_TYPE, said(parts=[{"bytes": 0, "name": MANIFEST, "sha256": ""}])),
        (MANIFEST_TYPE, said(chain="1")),
        (MANIFEST_TYPE, b"[" * 100_000),
    ],
)
def test_what_is_no_manifest_is_refused(payload_type: str, payload: bytes) -> None:
    with pytest.raises(EvidenceBroken) as caught:
        read_manifest({MANIFEST: seal(payload_type, payload, KEY).envelope})
    assert caught.value.part == MANIFEST


def test_a_file_without_a_manifest_is_refused() -> None:
    with pytest.raises(EvidenceBroken) as caught:
        read_manifest(PARTS)
    assert caught.value.part == MANIFEST
