"""All twelve ordered pairs: certificates and a service item, the evidence of both nodes, and its check offline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from simulators.layout import Layout, Seat
from simulators.people import Resident
from simulators.platform_client import PlatformClient, PlatformRefusedError
from simulators.population import Population
from simulators.processes import CommandFailedError, run_command, run_commands
from simulators.services import catalogue_of
from simulators.walk import certificate_question

__all__ = [
    "Exchange",
    "PairOutcome",
    "ask_pairs",
    "export_evidence",
    "proven_evidence",
    "verify_evidence_files",
]

_AT_ONCE = 3
_SETTLED_S = 90.0
"""How long to wait for witnesses at most."""
_PAUSE_S = 1.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answered question of a pair; its evidence at one node is one file."""

    request_id: str
    words: str


@dataclass(slots=True)
class PairOutcome:
    """What became of one ordered pair. `trouble` is empty when everything was answered."""

    asking: Seat
    answering: Seat
    exchanges: list[Exchange] = field(default_factory=list)
    trouble: str = ""

    @property
    def label(self) -> str:
        """上海市 → 浙江省."""
        return f"{self.asking.name} → {self.answering.name}"


async def ask_pairs(
    layout: Layout, platforms: dict[str, PlatformClient], population: Population
) -> list[PairOutcome]:
    """Every province asks every other one; never raises for a refusal, it stands in the outcome."""
    pairs = [
        PairOutcome(asking, answering)
        for asking in layout.seats
        for answering in layout.seats
        if asking != answering
    ]
    await _some_at_once(_ask(pair, platforms[pair.asking.province], population) for pair in pairs)
    return pairs


async def _ask(pair: PairOutcome, platform: PlatformClient, population: Population) -> None:
    place = 1 + int(pair.asking.province[:2])
    try:
        await _ask_certificates(
            pair, platform, _resident_with_papers(population, pair.answering.province, place)
        )
        await _ask_service_item(pair, platform, population.seed)
    except PlatformRefusedError as refused:
        pair.trouble = str(refused)


async def _ask_certificates(pair: PairOutcome, platform: PlatformClient, who: Resident) -> None:
    question = certificate_question(pair.asking, pair.answering.province, who.citizen_number)
    answer = await platform.post("/v1/certificates/query", question)
    certificates = answer["certificates"]
    pair.exchanges.append(Exchange(answer["request_id"], f"{len(certificates)} 份证照 certificates"))
    if not certificates:
        pair.trouble = "没有证照 / no certificates"


async def _ask_service_item(pair: PairOutcome, platform: PlatformClient, seed: int) -> None:
    entries = catalogue_of(pair.answering.province, seed).entries
    entry = entries[int(pair.asking.province[:2]) % len(entries)]
    answer = await platform.get(f"/v1/services/{pair.answering.province}/{entry.item_code}")
    pair.exchanges.append(Exchange(answer["request_id"], f"事项 item {answer['item']['name']}"))
    if answer["item"]["name"] != entry.name:
        pair.trouble = "事项不符 / another item came back"


def _resident_with_papers(population: Population, province: str, start: int) -> Resident:
    """Somebody of that province, not the same for every asker, with papers at home."""
    for turn in range(population.residents):
        who = population.resident(province, (start + turn) % population.residents)
        if population.papers_in(province, "111", who.citizen_number):
            return who
    raise ValueError(f"nobody of {province} has papers at home")


async def export_evidence(
    layout: Layout, pairs: Sequence[PairOutcome], platforms: dict[str, PlatformClient]
) -> dict[Path, tuple[PairOutcome, Seat]]:
    """Each exchange's evidence as both nodes have it: the asking platform fetches its own, the answering node's
    operator exports the other. What is there already stays.
    """
    folder = layout.folder / "evidence"
    folder.mkdir(exist_ok=True)
    missing = [one for one in _wanted(folder, pairs) if not one.file.exists()]
    asked = [one for one in missing if one.seat == one.pair.asking]
    answered = [
        (seat, [one for one in missing if one.seat == seat == one.pair.answering]) for seat in layout.seats
    ]
    await _some_at_once(_fetch(one, platforms[one.seat.province]) for one in asked)
    await _some_at_once(_export(seat, wanted) for seat, wanted in answered if wanted)
    return {one.file: (one.pair, one.seat) for one in missing if one.file.exists()}


class _Wanted(NamedTuple):
    """A file that is to be made: of one exchange, as one of its two nodes has it."""

    file: Path
    pair: PairOutcome
    exchange: Exchange
    seat: Seat


def _wanted(folder: Path, pairs: Iterable[PairOutcome]) -> Iterator[_Wanted]:
    for pair in pairs:
        for exchange in pair.exchanges:
            for role, seat in (("asking", pair.asking), ("answering", pair.answering)):
                file = folder / f"{exchange.request_id}.{role}-{seat.province}.zip"
                yield _Wanted(file, pair, exchange, seat)


async def _fetch(one: _Wanted, platform: PlatformClient) -> None:
    """As the asking platform gets it from its node."""
    try:
        one.file.write_bytes(await platform.evidence_file(one.exchange.request_id))
    except PlatformRefusedError as error:
        one.pair.trouble = str(error)


async def _export(seat: Seat, wanted: Sequence[_Wanted]) -> None:
    """As the operator of the node that answered exports it."""
    where = ("--config", str(seat.config))
    commands = [
        ["evidence", "export", one.exchange.request_id, "--out", str(one.file), *where] for one in wanted
    ]
    try:
        await run_commands(commands, seat.environment)
    except CommandFailedError as error:
        for one in wanted:
            one.pair.trouble = str(error)


async def proven_evidence(
    layout: Layout, pairs: Sequence[PairOutcome], platforms: dict[str, PlatformClient]
) -> tuple[dict[Path, tuple[PairOutcome, Seat]], set[Path], str]:
    """All evidence, that of it which holds with its time proven, and what was said of the rest.

    The nodes witness each other's logs within seconds; what was not settled when it was exported is exported again.
    """
    files: dict[Path, tuple[PairOutcome, Seat]] = {}
    held: set[Path] = set()
    told = ""
    until = time.monotonic() + _SETTLED_S
    while True:
        for file in files.keys() - held:
            file.unlink(missing_ok=True)
        files |= await export_evidence(layout, pairs, platforms)
        held, told = await verify_evidence_files(layout, files)
        if held == files.keys() or time.monotonic() > until or any(pair.trouble for pair in pairs):
            return files, held, told
        await asyncio.sleep(_PAUSE_S)


async def verify_evidence_files(layout: Layout, files: Iterable[Path]) -> tuple[set[Path], str]:
    """The files that hold and are settled, by one run of `yrd verify`, and what it said when not all did."""
    names = sorted(files)
    if not names:
        return set(), "没有存证 / no evidence"
    try:
        await run_command(
            *("verify", "--quiet", "--require-settled", "--anchor", str(layout.anchor_public)),
            *map(str, names),
        )
        return set(names), ""
    except CommandFailedError as error:
        told = str(error)
    broken = {name for name in names if f"{name}: 不成立" in told}
    return (set(names) - broken if broken else set()), told


async def _some_at_once(work: Iterable[Awaitable[T]]) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Awaitable[T]) -> None:
        async with gate:
            await item

    await asyncio.gather(*(one(item) for item in work))
