"""What the translation of one certificate costs, against ``json.loads`` of the same certificate in the same run.

Every dialect and direction: the certificate types of about twenty elements, documents as the dialect's registry
holds them. Both sides take turns and the best turn counts, so that a busy machine is busy for both. Beside it: how
much CPU loading everything takes in a fresh process, and what it holds in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import PROVINCES, all_codes, document

__all__ = ["run_mapping"]

_ELEMENTS = range(18, 24)
_DOCUMENTS = 100
_TURNS = 30

_LOADING = """
import time, tracemalloc, sys
if sys.argv[2] == "memory": tracemalloc.start()
import msgspec
start = time.process_time()
from mapping.translate import load_dialect
load_dialect(sys.argv[1])
if sys.argv[2] == "memory":
    print(tracemalloc.get_traced_memory()[0] / 2**20)
else:
    print((time.process_time() - start) * 1e3)
"""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Best CPU time for one certificate, in µs."""

    name: str
    json_us: float
    directions: dict[str, float]


def run_mapping(share: float, say: Callable[[str], None]) -> None:
    """Print the ratio of every dialect and direction, loading time and memory."""
    say("\ntranslating one certificate of about 20 fields ÷ json.loads of it:")
    say(
        f"{'dialect':<10}{'types':>6}{'bytes':>7}{'json µs':>9}{'to_shared ×':>13}{'to_local ×':>12}{'render ×':>10}"
        "  dearest to_shared"
    )
    for province in PROVINCES:
        _print_dialect(load_dialect(province), max(3, int(_TURNS * share)), say)
    say(
        f"loading code lists and one dialect, imports included: {_loaded('time'):.0f} ms of CPU; "
        f"memory that they hold, code included: {_loaded('memory'):.1f} MiB"
    )


def _print_dialect(dialect: Dialect, turns: int, say: Callable[[str], None]) -> None:
    kinds = [
        kind
        for code, kind in code_lists().kinds.items()
        if code != SERVICE_ITEM and len(kind.elements) in _ELEMENTS and not kind.groups
    ]
    costs = []
    sizes = []
    for kind in kinds:
        documents = [
            json.dumps(
                dialect.render_local(kind.code, document(kind.code, all_codes, seed)), ensure_ascii=False
            ).encode()
            for seed in range(_DOCUMENTS)
        ]
        sizes += [len(one) for one in documents]
        costs.append(_measured(dialect, kind.code, kind.name, documents, turns))
    ratios = {way: [cost.directions[way] / cost.json_us for cost in costs] for way in costs[0].directions}
    dearest = max(costs, key=lambda cost: cost.directions["to_shared"] / cost.json_us)
    say(
        f"{dialect.province:<10}{len(kinds):>6}{median(sizes):>7.0f}{median(c.json_us for c in costs):>9.1f}"
        f"{median(ratios['to_shared']):>13.2f}{median(ratios['to_local']):>12.2f}{median(ratios['render']):>10.2f}"
        f"  {dearest.name} {dearest.directions['to_shared'] / dearest.json_us:.2f}"
    )


def _measured(dialect: Dialect, kind: str, name: str, documents: Sequence[bytes], turns: int) -> _Cost:
    parsed = [json.loads(one) for one in documents]
    shared = [dialect.to_shared(kind, one) for one in parsed]
    work: dict[str, Callable[[], object]] = {
        "json": lambda: [json.loads(one) for one in documents],
        "to_shared": lambda: [dialect.to_shared(kind, one) for one in parsed],
        "to_local": lambda: [dialect.to_local(kind, one) for one in shared],
        "render": lambda: [dialect.render_local(kind, one) for one in shared],
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(turns):
        for way, do in work.items():
            start = process_time()
            do()
            best[way] = min(best[way], (process_time() - start) / len(documents) * 1e6)
    json_us = best.pop("json")
    return _Cost(name, json_us, best)


def _loaded(what: str) -> float:
    """The median of five fresh processes."""
    values = []
    for turn in range(5):
        done = subprocess.run(
            [sys.executable, "-c", _LOADING, PROVINCES[turn % len(PROVINCES)], what],
            capture_output=True,
            check=True,
            text=True,
        )
        values.append(float(done.stdout))
    return median(values)


if __name__ == "__main__":
    run_mapping(1.0, print)
