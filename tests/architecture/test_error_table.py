"""One error vocabulary: every code once, every class in the table, every status one that exists."""

from __future__ import annotations

import re
from http import HTTPStatus

import grpc
import pytest

from federation import error_table
from federation.errors import TABLE, FederationError, Row, code_of, detail_of, error_from, row_of
from trust.errors import TrustError


def all_of(cls: type[Exception]) -> set[type[Exception]]:
    """The class and everything below it."""
    return {cls}.union(*(all_of(below) for below in cls.__subclasses__()))


def test_every_code_is_in_the_table_once() -> None:
    rows = error_table._ROWS
    assert len(rows) == len(TABLE) == len({row.code for row in rows})


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.code)
def test_a_row_is_whole(row: Row) -> None:
    assert row.code == "internal" or re.fullmatch(
        r"(own|peer|registry|access|trust|evidence)\.[a-z_]+", row.code
    )
    assert row.grpc in grpc.StatusCode.__members__
    assert row.grpc != "OK"
    assert HTTPStatus(row.http) >= HTTPStatus.BAD_REQUEST
    assert row.zh
    assert not row.zh.isascii()
    assert row.en
    assert row.en.isascii()


def test_every_error_of_ours_is_in_the_table() -> None:
    classes = all_of(FederationError) | all_of(TrustError)
    strangers = {cls.__name__ for cls in classes if getattr(cls, "code", None) not in TABLE}
    assert strangers == set()


def test_every_code_has_a_class_that_the_wire_can_rebuild() -> None:
    assert {code: error_from(code).code for code in TABLE} == {code: code for code in TABLE}


def test_a_code_from_elsewhere_and_an_error_from_elsewhere_say_nothing() -> None:
    assert error_from("peer.invented", "x" * 1000).code == "peer.internal"
    assert len(error_from("peer.invented", "x" * 1000).detail) == 500
    stranger = ValueError("330102199003077896")
    assert (code_of(stranger), detail_of(stranger), row_of(stranger).http) == ("internal", "", 500)
