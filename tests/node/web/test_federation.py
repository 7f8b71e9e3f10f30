"""What a node says of itself, while the key that signs it is slow or cannot be reached."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from federation.errors import OwnKeyUnavailable
from node.web.federation import STATEMENT_MEDIA, RenewedDocument, add_document
from tests.support.clock import FixedClock


class Key:
    """Signs with a number, as long as it can be reached."""

    def __init__(self) -> None:
        self.is_away = False
        self.signatures = 0
        self.threads: set[int] = set()

    def build(self, _now: datetime) -> str:
        if self.is_away:
            raise OwnKeyUnavailable("the token is away")
        self.signatures += 1
        self.threads.add(threading.get_ident())
        return f"document.{self.signatures}"


def test_while_the_key_is_away_the_document_of_before_is_shown() -> None:
    key, clock = Key(), FixedClock()
    document = RenewedDocument(key.build, clock)
    assert document() == "document.1"
    key.is_away = True
    clock.advance(hours=2)
    assert document() == "document.1"
    key.is_away = False
    assert document() == "document.2"


def test_a_document_is_signed_anew_at_once_when_its_revision_changes() -> None:
    key, revision = Key(), [1]
    document = RenewedDocument(key.build, FixedClock(), revision=lambda: tuple(revision))
    assert [document(), document()] == ["document.1"] * 2
    revision.append(2)
    assert [document(), document()] == ["document.2"] * 2
    key.is_away = True
    revision.append(3)
    assert document() == "document.2"
    key.is_away = False
    assert document() == "document.3"


def test_a_document_that_was_never_signed_is_refused_by_name() -> None:
    key = Key()
    key.is_away = True
    with pytest.raises(OwnKeyUnavailable):
        RenewedDocument(key.build, FixedClock())()


async def test_a_document_is_signed_beside_the_loop() -> None:
    key, app = Key(), web.Application()
    add_document(app, "/document", RenewedDocument(key.build, FixedClock()), media=STATEMENT_MEDIA)
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/document")).text() == "document.1"
    assert threading.get_ident() not in key.threads
