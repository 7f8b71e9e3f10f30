"""What signs for whoever releases something, and what is said when nothing can."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.errors import OwnKeyUnavailable
from node.keystore import KeyEncryptionKey, Keystore, Purpose
from node.keystore.releasing import releasing_signer
from node.store.database import open_database
from tests.support.clock import FixedClock


async def test_it_is_the_key_of_the_moment_or_one_error_that_says_what_to_do(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    keystore = await Keystore.open(database, KeyEncryptionKey(bytes(32)), FixedClock())
    signer = releasing_signer(keystore, Purpose.OPENID)
    with pytest.raises(OwnKeyUnavailable, match="openid key cannot be used: see yrd keys list"):
        signer()
    first = await keystore.generate(Purpose.OPENID)
    assert signer().kid == first.kid
    second = await keystore.generate(Purpose.OPENID)
    assert signer().kid == second.kid
    await database.close()
