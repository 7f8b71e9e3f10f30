from __future__ import annotations

import io
import logging

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from node.logs import configure_logs, redact
from trust.keys import SigningKey

CITIZEN = "330106199001011234"
JWS = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> io.BytesIO:
    out = io.BytesIO()
    configure_logs("info", out)
    return out


def lines_of(stream: io.BytesIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_that_cannot_be_written_stops_nobody(stream: io.BytesIO) -> None:
    stream.close()
    structlog.get_logger().error("nobody.reads.this")


def test_a_line_is_json_with_level_time_and_what_it_was_given(stream: io.BytesIO) -> None:
    log = structlog.get_logger()
    log.info("exchange.done", code="answered", request_id="0190-id", count=3)
    log.debug("not at this level")
    (line,) = lines_of(stream)
    assert line.pop("at")
    assert line == {
        "message": "exchange.done",
        "level": "info",
        "code": "answered",
        "request_id": "0190-id",
        "count": 3,
    }


def test_what_libraries_log_goes_the_same_way(stream: io.BytesIO) -> None:
    logging.getLogger("some.library").warning("holder %s failed", CITIZEN)
    logging.getLogger("some.library").info("body: everything")
    (line,) = lines_of(stream)
    assert line["logger"] == "some.library"
    assert line["message"] == "holder [redacted] failed"


def test_no_secret_passes_wherever_it_is(stream: io.BytesIO) -> None:
    pem = SigningKey.generate().to_pem().decode()
    log = structlog.get_logger()
    log.info(f"asked for {CITIZEN}", holder={"id": CITIZEN, CITIZEN: [CITIZEN.replace("4", "X")]}, token=JWS)
    log.info("keys", key=pem, cut_off=pem[:100], header=f"Bearer {'opaque' * 5}")
    try:
        raise ValueError(f"{CITIZEN} and {JWS} and {pem}")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue().decode()
    assert len(lines_of(stream)) == 3
    assert CITIZEN not in text
    assert CITIZEN[:-1] not in text
    assert "eyJ" not in text
    assert "opaque" not in text
    assert "MIG" not in text
    assert "PRIVATE KEY" not in text


@pytest.mark.parametrize(
    "harmless",
    [
        "01939c1e-7c3a-7c3a-8c3a-0123456789ab",
        "11100000000013127D001",
        "1790000000000000",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "https://yrd.zj.example.cn",
    ],
)
def test_ids_and_times_pass(harmless: str) -> None:
    assert redact(harmless.encode()) == harmless.encode()


@given(st.text(), st.text(), st.sampled_from([CITIZEN, JWS, "-----BEGIN PRIVATE KEY-----\nMIGH+/=\n"]))
def test_a_redacted_line_is_still_json(before: str, after: str, secret: str) -> None:
    line = redact(orjson.dumps({"text": f"{before} {secret} {after}", "also": [secret]}))
    assert orjson.loads(line)["also"] == ["[redacted]"]
