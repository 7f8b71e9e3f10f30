"""The node's log: one JSON object a line on standard error.

Who logs something about an exchange names its request id and trace id.

What a log may hold is decided where it is written: codes, ids, counts and times, never a name, a number, a
token or a key. `redact` is only the last guard: it goes over every finished line, so that what slipped
through in an exception's text or from a library does not reach the disk either.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import Any, BinaryIO, cast

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

__all__ = ["configure_logs", "redact"]

REDACTED = b"[redacted]"

_SECRET = re.compile(
    # a citizen number (GB 11643), also one with a wrong check digit
    rb"(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9])"
    # a compact JWS or JWE (RFC 7515, 7516)
    rb"|eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,3}"
    # a PEM block (RFC 7468) as JSON writes it, also one that was cut off
    rb"|-----BEGIN [A-Z0-9 ]+-----(?:\\[nr]|[A-Za-z0-9+/=])*(?:-----END [A-Z0-9 ]+-----)?"
    # what stands in an Authorization header
    rb"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]+|(?<=DPoP )[A-Za-z0-9._~+/=-]+|(?<=Basic )[A-Za-z0-9+/=]+"
)


def redact(line: bytes) -> bytes:
    """The same line without citizen numbers, tokens and PEM blocks. A JSON line stays valid JSON."""
    return _SECRET.sub(REDACTED, line)


def configure_logs(level: str, stream: BinaryIO | None = None) -> None:
    """Send every log line of this process, also those of libraries, to `stream` (standard error) from `level`
    up.

    A process has one log, so this is the one setting here that is the process's and not the node's.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Sink(stream or sys.stderr.buffer))),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    # A library's debug and info lines may hold whole requests: only what it warns of is ours to keep.
    root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)


class _Sink:
    """Where lines go. One that cannot be written is dropped: a node whose log is away still answers and stores."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    event["message"] = event.pop("event", "")
    return redact(orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS))


class _Forward(logging.Handler):
    """Takes the records of libraries that log by the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        log.log(record.levelno, record.getMessage(), **fields)
