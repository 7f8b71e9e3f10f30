"""A node of an earlier release gets the keys of later purposes when it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.keystore import KeyEncryptionKey, Keystore
from node.keystore.missing import make_missing
from node.store.database import open_database
from tests.support.clock import FixedClock


@pytest.fixture
async def keystore(tmp_path: Path) -> AsyncIterator[Keystore]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield await Keystore.open(database, KeyEncryptionKey(bytes(32)), FixedClock())
    await database.close()


async def test_the_keys_of_later_purposes_are_made_once(keystore: Keystore) -> None:
    made = await make_missing(keystore)
    assert {purpose: keystore.signing_key(purpose).alg for purpose in made} == {
        **dict.fromkeys(("log", "witness"), "EdDSA"),
        **dict.fromkeys(("dpop", "consent"), "ES256"),
    }
    kids = [keystore.signing_key(purpose).kid for purpose in made]
    assert await make_missing(keystore) == []
    assert [keystore.signing_key(purpose).kid for purpose in made] == kids


async def test_a_key_that_is_there_stays(keystore: Keystore) -> None:
    await keystore.generate("log", alg="EdDSA", activate=False)
    assert "log" not in await make_missing(keystore)
