"""What the translation of one certificate costs, against ``json.loads`` of the same certificate in the same run.

Every dialect, kind and direction, documents as the dialect's registry holds them; the dearest kind is named, most of
them have more than twenty fields. Both sides take turns and the best turn counts, so that a busy machine is busy for
both. Beside it: how long a fresh process takes to load everything (the code lists and all four dialects, with the
modules that read them), and what that holds in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

from mapping.codelists import CertificateKind, code_lists
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import PROVINCES, all_codes, document

__all__ = ["run_mapping"]

_DOCUMENTS = 20
_TURNS = 150
_LOADS = 7
_BAR, _LOADING_BAR_MS, _MEMORY_BAR_MIB = 5, 300, 40

_LOADING = """
import time, tracemalloc, sys
if sys.argv[1] == "memory": tracemalloc.start()
cpu, wall = time.process_time(), time.perf_counter()
from mapping.translate import load_dialect
for province in sys.argv[2:]: load_dialect(province)
spent = (time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3
print(*([tracemalloc.get_traced_memory()[0] / 2**20] if sys.argv[1] == "memory" else spent))
"""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Best CPU time for one certificate, in µs."""

    name: str
    fields: int
    json_us: float
    directions: dict[str, float]

    def ratio(self, way: str) -> float:
        """Against ``json.loads``."""
        return self.directions[way] / self.json_us


def run_mapping(share: float, say: Callable[[str], None]) -> None:
    """Print the ratio of every dialect and direction, loading time and memory."""
    say(f"\ntranslating one document ÷ json.loads of it (at most {_BAR}):")
    say(f"{'dialect':<10}{'direction':<11}{'kinds':>6}{'json µs':>9}{'median ×':>10}{'dearest ×':>11}")
    for province in PROVINCES:
        _print_dialect(load_dialect(province), max(3, int(_TURNS * share)), say)
    times = [_loaded("time") for _ in range(_LOADS)]
    (memory,) = _loaded("memory")
    say(
        f"loading code lists and all {len(PROVINCES)} dialects in a fresh process, imports included "
        f"(less than {_LOADING_BAR_MS} ms): CPU {median(cpu for cpu, _ in times):.0f} ms, "
        f"wall {median(wall for _, wall in times):.0f} ms, best {min(wall for _, wall in times):.0f} ms; "
        f"memory, code included (less than {_MEMORY_BAR_MIB} MiB): {memory:.1f} MiB"
    )


def _print_dialect(dialect: Dialect, turns: int, say: Callable[[str], None]) -> None:
    costs = []
    for kind in code_lists().kinds.values():
        documents = [
            json.dumps(
                dialect.render_local(kind.code, document(kind.code, all_codes, seed)), ensure_ascii=False
            ).encode()
            for seed in range(_DOCUMENTS)
        ]
        costs.append(_measured(dialect, kind, documents, turns))
    for way in costs[0].directions:
        dearest = max(costs, key=lambda cost: cost.ratio(way))
        say(
            f"{dialect.province:<10}{way:<11}{len(costs):>6}{median(cost.json_us for cost in costs):>9.1f}"
            f"{median(cost.ratio(way) for cost in costs):>10.2f}{dearest.ratio(way):>11.2f}"
            f"  {dearest.name}, {dearest.fields} fields"
        )


def _measured(dialect: Dialect, kind: CertificateKind, documents: Sequence[bytes], turns: int) -> _Cost:
    code = kind.code
    parsed = [json.loads(one) for one in documents]
    shared = [dialect.to_shared(code, one) for one in parsed]
    work: dict[str, Callable[[], object]] = {
        "json": lambda: [json.loads(one) for one in documents],
        "to_shared": lambda: [dialect.to_shared(code, one) for one in parsed],
        "to_local": lambda: [dialect.to_local(code, one) for one in shared],
        "render": lambda: [dialect.render_local(code, one) for one in shared],
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(turns):
        for way, do in work.items():
            start = process_time()
            do()
            best[way] = min(best[way], (process_time() - start) / len(documents) * 1e6)
    json_us = best.pop("json")
    return _Cost(kind.name, len(kind.elements), json_us, best)


def _loaded(what: str) -> list[float]:
    """CPU and wall time in ms, or MiB, of a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADING, what, *PROVINCES], capture_output=True, check=True, text=True
    )
    return [float(figure) for figure in done.stdout.split()]


if __name__ == "__main__":
    run_mapping(1.0, print)
