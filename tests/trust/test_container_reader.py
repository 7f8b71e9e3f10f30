"""`trust.container.ContainerReader`: a tail that it knows is read as one that it does not know."""

from __future__ import annotations

import pytest

from trust import container
from trust.container import ContainerReader, read_container, write_container
from trust.errors import EvidenceBroken

HEAD = {"manifest.envelope": b"m", "index.json": b"i", "exchanges/000001/request.envelope": b"r" * 50}
TAIL = {"checkpoints/000001.note": b"c", "statements/000001.jwt": b"s1", "statements/000002.jwt": b"s2"}
FILE = write_container({**HEAD, **TAIL})


def test_a_known_tail_is_known_wherever_it_begins() -> None:
    reader = ContainerReader()
    first = reader.read(FILE)
    for size in (0, 1, 49, 51, 300, 70_000):
        data = write_container({**HEAD, "exchanges/000001/request.envelope": bytes(size), **TAIL})
        found = reader.read(data)
        assert found.tail is first.tail
        assert found.parts == read_container(data)
        assert list(found.parts) == list(read_container(data))


def test_every_byte_of_a_file_with_a_known_tail_is_looked_at() -> None:
    reader = ContainerReader()
    reader.read(FILE)
    for place in range(len(FILE)):
        changed = bytearray(FILE)
        changed[place] ^= 1
        with pytest.raises(EvidenceBroken):
            reader.read(bytes(changed))
    assert reader.read(FILE).parts == {**HEAD, **TAIL}


@pytest.mark.parametrize("more", ["status.jwt", "statements/000003.jwt", "exchanges/000002/request.envelope"])
def test_a_part_more_makes_another_file(more: str) -> None:
    reader = ContainerReader()
    first = reader.read(FILE)
    parts = {**HEAD, **TAIL, more: b"more"}
    found = reader.read(write_container(parts))
    assert found.parts == parts
    assert (found.tail is first.tail) == more.startswith("exchanges/")


@pytest.mark.parametrize("cut", [1, 22, 40, 200])
def test_a_file_that_ends_in_a_known_tail_is_refused(cut: int) -> None:
    reader = ContainerReader()
    reader.read(FILE)
    with pytest.raises(EvidenceBroken):
        reader.read(FILE[:-cut])


def test_so_many_tails_are_remembered_and_none_that_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ContainerReader()
    for number in range(container.TAILS_REMEMBERED + 5):
        reader.read(write_container({**HEAD, "statements/000001.jwt": b"%d" % number}))
    assert len(reader._tails) == container.TAILS_REMEMBERED
    monkeypatch.setattr(container, "MOST_TAIL_BYTES", 10)
    found = ContainerReader().read(FILE)
    assert not found.tail.is_remembered
    assert found.parts == {**HEAD, **TAIL}


def test_the_parts_of_a_known_tail_count(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ContainerReader()
    reader.read(FILE)
    monkeypatch.setattr(container, "MAX_PARTS", len(HEAD) + len(TAIL) - 1)
    with pytest.raises(EvidenceBroken, match="more than"):
        reader.read(FILE)
