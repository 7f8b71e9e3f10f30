"""The mark: what was signed last, in a file that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.errors import OwnStoreUnavailable
from node.store.generations import LogBrokenError
from node.store.log_mark import FileMark, LogMark

MARK = LogMark(3, 1000, bytes(range(32)))


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "log.mark"
    assert FileMark(path).read() is None
    FileMark(path).write(LogMark(3, 999, bytes(32)))
    FileMark(path).write(MARK)
    assert FileMark(path).read() == MARK
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["log.mark"]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"null", b"[]", b'{"generation":1}', b"\x00" * 2000),
        b'{"generation":1,"size":5,"root":"AAAA"}',
        b'{"generation":"1","size":5,"root":"' + b"A" * 43 + b'="}',
        b'{"generation":1,"size":5,"more":1,"root":"' + b"A" * 43 + b'="}',
    ],
)
def test_a_file_that_says_nothing_is_not_taken_for_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "log.mark"
    path.write_bytes(data)
    with pytest.raises(LogBrokenError, match=r"log\.mark is damaged"):
        FileMark(path).read()


def test_what_cannot_be_read_or_written_is_said_and_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "log.mark"
    folder.mkdir()
    (folder / "in the way").touch()
    with pytest.raises(OwnStoreUnavailable, match="cannot be read"):
        FileMark(folder).read()
    with pytest.raises(OwnStoreUnavailable, match="cannot be written"):
        FileMark(folder).write(MARK)
    with pytest.raises(OwnStoreUnavailable, match="cannot be written"):
        FileMark(tmp_path / "nowhere" / "log.mark").write(MARK)
    assert [found.name for found in tmp_path.iterdir()] == ["log.mark"]
