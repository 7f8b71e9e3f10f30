"""Many evidence files checked at once: found, handed to processes in small heaps, told in the order in which they lie.

Memory is bounded by `IN_FLIGHT` heaps a process, whatever there is to check. Nothing here needs a node: no
configuration, no store, no network.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from federation.evidence import EvidenceFile, EvidenceVerifier, Result, unforeseen
from federation.evidence_report import EvidenceReport
from federation.evidence_summary import ExchangeSummary, FileSummary, summarize
from federation.rpc.convert import ProtobufCodec
from trust.errors import AlgorithmUnavailable, EvidenceBroken
from trust.evidence import MAX_FILE_BYTES

__all__ = ["BrokenExchange", "CheckedFile", "Tally", "Verifying", "available_cpus", "evidence_files"]

HEAP: Final = 16
"""Files that are handed over at once."""
IN_FLIGHT: Final = 4
"""Heaps that wait or are at work, for each process."""
MOST_TOGETHER_BYTES: Final = 4 * 1024 * 1024
"""Files are opened together up to this size; the one that goes beyond it is still among them."""
SUFFIX: Final = ".zip"
"""What an evidence file in a folder is called."""
SEALED_SUFFIX: Final = ".zip.sealed"
"""What a sealed one is called."""


class BrokenExchange(Struct, frozen=True):
    """An exchange that does not hold (or, `unknown`, cannot be checked on this machine), in a file that does."""

    number: int
    request_id: str
    detail: str
    unknown: bool = False


class Tally(Struct):
    """How many there were."""

    files: int = 0
    holding: int = 0
    broken: int = 0
    unknown: int = 0
    exchanges: int = 0
    proven: int = 0
    signed: int = 0
    forgotten: int = 0

    def add(self, checked: CheckedFile) -> None:
        """Count one file."""
        self.files += 1
        self.holding += checked.holds
        self.broken += checked.is_broken
        self.unknown += not checked.holds and not checked.is_broken
        self.exchanges += checked.proven + checked.signed + checked.forgotten
        self.proven += checked.proven
        self.signed += checked.signed
        self.forgotten += checked.forgotten


class CheckedFile(Struct, frozen=True):
    """What became of one file. `detail` says why nothing in it is believed; `exchanges` are there when wanted."""

    path: str
    detail: str = ""
    unknown: bool = False
    """It may hold, but this machine lacks what one of its signatures needs."""
    file: FileSummary | None = None
    exchanges: tuple[ExchangeSummary, ...] = ()
    failures: tuple[BrokenExchange, ...] = ()
    proven: int = 0
    signed: int = 0
    forgotten: int = 0

    @property
    def holds(self) -> bool:
        """Whether the file and every exchange in it hold."""
        return not self.detail and not self.failures

    @property
    def is_broken(self) -> bool:
        """Whether something in it does not hold, not only cannot be checked."""
        return (bool(self.detail) and not self.unknown) or any(not one.unknown for one in self.failures)


@dataclass(frozen=True, slots=True)
class Verifying:
    """What a process needs to check files; it can be handed to another process.

    `unseal` turns what is no ZIP into one, for sealed archives. `details`: whether exchanges are told one by one.
    `settled`: an exchange that is not proven in everything does not hold.
    """

    jwks: Any
    roll_overs: bytes
    details: bool = True
    settled: bool = False
    unseal: Callable[[bytes], bytes] | None = field(default=None)

    def run(self, paths: Iterable[Path], *, jobs: int) -> Iterator[CheckedFile]:
        """Check them, in their order, in as many processes as `jobs`; a few files in this one."""
        paths = iter(paths)
        first = list(islice(paths, HEAP))
        second = next(paths, None)
        if second is None or jobs < 2:
            checker = _Checker(self)
            rest = chain([] if second is None else [second], paths)
            while first:
                yield from checker.check(first)
                first = list(islice(rest, HEAP))
            return
        yield from _in_processes(self, chain(first, [second], paths), jobs)


def available_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def evidence_files(paths: Sequence[Path], *, sealed: bool = False) -> Iterator[Path]:
    """The files named, and those in the folders named, at any depth, in the order in which the system lists them;
    `sealed` ones too. A folder that cannot be listed comes as if it were a file, which cannot be read.
    """
    suffixes = (SUFFIX, SEALED_SUFFIX) if sealed else (SUFFIX,)
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path, suffixes)
        else:
            yield path


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    below: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif entry.name.endswith(suffixes) and entry.is_file():
                    yield Path(entry.path)
    except OSError:
        yield folder  # told as what cannot be read: what is in it was not checked
    for name in sorted(below):
        yield from _in_folder(Path(name), suffixes)


class _Checker:
    """Checks files one after the other and remembers what they have in common."""

    def __init__(self, settings: Verifying) -> None:
        self._settings = settings
        self._verifier = EvidenceVerifier(settings.jwks, ProtobufCodec(), roll_overs=settings.roll_overs)

    def check(self, paths: Sequence[Path]) -> Iterator[CheckedFile]:
        """A heap of files. Never raises for what is in them, nor for one that cannot be read."""
        group: list[tuple[Path, bytes | str]] = []
        size = 0
        for path in paths:
            try:
                data: bytes | str = self._read(path)
            except EvidenceBroken as error:
                data = error.detail
            except OSError as error:
                data = f"it cannot be read: {error.strerror or error}"
            except Exception as error:
                data = unforeseen(error).detail
            group.append((path, data))
            size += len(data)
            if size > MOST_TOGETHER_BYTES:
                yield from self._together(group)
                group, size = [], 0
        yield from self._together(group)

    def _together(self, group: Sequence[tuple[Path, bytes | str]]) -> Iterator[CheckedFile]:
        opened = iter(self._verifier.open_all(data for _, data in group if isinstance(data, bytes)))
        for path, data in group:
            if isinstance(data, str):
                yield CheckedFile(str(path), data)
                continue
            file = next(opened)
            if isinstance(file, EvidenceFile):
                yield self._told(path, file)
            else:
                yield CheckedFile(str(path), file.detail, unknown=isinstance(file, AlgorithmUnavailable))

    def _read(self, path: Path) -> bytes:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if self._settings.unseal is not None and not data.startswith(b"PK"):
            return self._settings.unseal(data)
        return data

    def _told(self, path: Path, file: EvidenceFile) -> CheckedFile:
        try:
            return self._exchanges(path, file)
        except Exception as error:  # also what cannot be told ends no run over others
            return CheckedFile(str(path), unforeseen(error).detail)

    def _exchanges(self, path: Path, file: EvidenceFile) -> CheckedFile:
        told: list[ExchangeSummary] = []
        failures: list[BrokenExchange] = []
        verdicts: Counter[str] = Counter()
        for number, result in enumerate(file.results(), start=1):
            report = self._accepted(number, result)
            if not isinstance(report, EvidenceReport):
                unknown = isinstance(report, AlgorithmUnavailable)
                failures.append(BrokenExchange(number, file.request_id(number), report.detail, unknown))
                continue
            verdicts[report.verdict] += 1
            if self._settings.details:
                told.append(summarize(report))
        return CheckedFile(
            str(path),
            file=FileSummary(file.exported_by, file.exported_at, file.scope, file.anchor),
            exchanges=tuple(told),
            failures=tuple(failures),
            proven=verdicts["proven"],
            signed=verdicts["signed"],
            forgotten=verdicts["forgotten"],
        )

    def _accepted(self, number: int, result: Result) -> Result:
        if self._settings.settled and isinstance(result, EvidenceReport) and result.unproven:
            return EvidenceBroken(f"exchange {number}", result.unproven[0].en)
        return result


_checkers: list[_Checker] = []
"""In a process of the pool: its one checker, for the life of the process."""


def _begin(settings: Verifying) -> None:
    _checkers.append(_Checker(settings))


def _check_heap(paths: Sequence[Path]) -> list[CheckedFile]:
    return list(_checkers[0].check(paths))


def _in_processes(settings: Verifying, paths: Iterator[Path], jobs: int) -> Iterator[CheckedFile]:
    # Spawned, not forked: whoever calls may have threads. Only pipes join them: no socket is opened.
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pool = stack.enter_context(
            ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(settings,))
        )
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        waiting: deque[Future[list[CheckedFile]]] = deque()
        while True:
            while len(waiting) < IN_FLIGHT * jobs and (heap := list(islice(paths, HEAP))):
                waiting.append(pool.submit(_check_heap, heap))
            if not waiting:
                return
            yield from waiting.popleft().result()
