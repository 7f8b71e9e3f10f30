"""A journal under load whose SQLite loses power after each commit. A process of its own; prints what it
found.

``python -m tests.node.store.power_cut_run DIRECTORY``
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

from tests.support.power_cut import PowerCut, install


def look(cut: PowerCut, image: dict[str, bytes], directory: Path) -> dict[str, list[str]]:
    """What a node finds when it starts again on that image."""
    directory.mkdir()
    cut.restore(image, directory)
    connection = sqlite3.connect(directory / "node.db")
    found = {
        "records": [
            row[0] for row in connection.execute("SELECT request_id FROM records ORDER BY log_index")
        ],
        "claims": [row[0] for row in connection.execute("SELECT request_id FROM claims")],
        "check": [row[0] for row in connection.execute("PRAGMA integrity_check")],
    }
    connection.close()
    return found


class Cuts:
    """The journal's metrics hook runs in the writer thread, after COMMIT and before anyone is told: cut
    there.
    """

    def __init__(self, cut: PowerCut) -> None:
        self.cut = cut
        self.images: list[tuple[int, dict[str, bytes]]] = []
        self.records = 0

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        self.records += records
        self.images.append((self.records, self.cut.image()))

    def failed(self, *, jobs: int) -> None:
        raise AssertionError("nothing should fail here")

    def unsigned(self, *, jobs: int) -> None:
        raise AssertionError("nothing should fail here")


async def run(directory: Path) -> dict[str, object]:
    cut = install()
    # Only now: the store must open its connections on the VFS above.
    from node.store.database import open_database
    from node.store.journal import StoreJournal
    from tests.support.clock import FixedClock
    from tests.support.exchanges import OPERATION, claim_of, meta_of, next_request_id, request_of
    from trust.keys import SigningKey

    database = open_database(f"sqlite:///{directory / 'node.db'}")
    cuts, key = Cuts(cut), SigningKey.generate()
    journal = StoreJournal(database, lambda: key, FixedClock(), cuts)

    lost = next_request_id()
    await journal.claim(claim_of(request_of(lost), lost))
    after_claim = cut.image()

    released: list[tuple[str, int]] = []

    async def exchange() -> None:
        request_id = next_request_id()
        request = request_of(request_id)
        await journal.claim(claim_of(request, request_id))
        await journal.store_exchange(
            meta_of(request_id), request, request.identity, OPERATION.answer_type, b"x" * 2000
        )
        released.append((request_id, len(cuts.images)))

    for _ in range(30):
        await asyncio.gather(*(exchange() for _ in range(8)))
    final = cut.image()
    await journal.close()
    await database.close()

    restored = [
        (expected, look(cut, image, directory / f"cut-{number}"))
        for number, (expected, image) in enumerate(cuts.images)
    ]
    at_end = look(cut, final, directory / "end")
    return {
        "commits": len(cuts.images),
        "too_few": [
            number for number, (expected, found) in enumerate(restored) if len(found["records"]) < expected
        ],
        "released_before_synced": [
            request_id
            for request_id, images in released
            if request_id not in restored[images - 1][1]["records"]
        ],
        "damaged": [number for number, (_, found) in enumerate(restored) if found["check"] != ["ok"]],
        "released": len(released),
        "records_at_end": len(at_end["records"]),
        "claim_survived_alone": lost in look(cut, after_claim, directory / "claim")["claims"],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1])))))
