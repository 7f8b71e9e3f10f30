"""The node's figures for Prometheus: a registry of its own, so that two nodes in one process do not mix.

Labels are from closed lists only (operations, provinces, codes, stages), so the number of series is bounded
and no person's data can be in them. What an exchange reports is only added up here, in plain dictionaries on
the event loop, and becomes Prometheus' objects when someone scrapes: an exchange reports a dozen times, and
the library's own counters, made for threads, would cost it twenty microseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from federation.errors import TABLE
from federation.observe import Calls, Side
from federation.peers import Directory
from federation.ports import Clock
from federation.query import Operation
from node.health import Health, KeyWatch, StoreWatch

__all__ = ["Metrics", "node_version"]

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.5, 5.0)
_ITEMS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

Labels = tuple[str, ...]


def node_version() -> str:
    """The version of the software that runs."""
    try:
        return version("yrd-node")
    except PackageNotFoundError:
        return "unknown"


class _Counts:
    """A counter: how often, by labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._head = (name, text, labels)
        self.counts: defaultdict[Labels, int] = defaultdict(int)
        if not labels:
            self.counts[()] = 0

    def family(self) -> Metric:
        name, text, names = self._head
        family = CounterMetricFamily(name, text, labels=names)
        for labels, count in self.counts.items():
            family.add_metric(labels, count)
        return family


class _Spread:
    """A histogram: how many fell below each bound, by labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._head = (name, text, labels)
        self._bounds = tuple(bounds)
        self._rows: dict[Labels, tuple[list[int], list[float]]] = {}
        if not labels:
            self._add(())

    def _add(self, labels: Labels) -> tuple[list[int], list[float]]:
        row = self._rows[labels] = ([0] * (len(self._bounds) + 1), [0.0])
        return row

    def observe(self, labels: Labels, value: float) -> None:
        row = self._rows.get(labels) or self._add(labels)
        row[0][bisect_left(self._bounds, value)] += 1
        row[1][0] += value

    def family(self) -> Metric:
        name, text, names = self._head
        family = HistogramMetricFamily(name, text, labels=names)
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for labels, (counts, total) in self._rows.items():
            below, buckets = 0, []
            for bound, count in zip(bounds, counts, strict=True):
                below += count
                buckets.append((bound, float(below)))
            family.add_metric(labels, buckets, total[0])
        return family


class _ChainEnds(Collector):
    """When each member's trust chain ends, by province, this node's own too."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        snapshot = self._directory.current
        ends = GaugeMetricFamily(
            "yrd_trust_not_after_timestamp_seconds", "When a member's trust chain ends.", labels=["province"]
        )
        if snapshot.own_expires_at is not None:
            ends.add_metric([snapshot.own_province], snapshot.own_expires_at.timestamp())
        for peer in snapshot.peers.values():
            if peer.standing == "revoked":  # another may have taken its province
                continue
            ends.add_metric([peer.province], peer.expires_at.timestamp())
        yield ends


class _JournalFigures:
    """What the journal's writer reports."""

    def __init__(self) -> None:
        self.commits = _Counts("yrd_store_commits", "Transactions of the journal.")
        self.failures = _Counts("yrd_store_failures", "What the journal could not store.")
        self.unsigned = _Counts(
            "yrd_key_failures", "Messages that could not be signed, so were not released."
        )
        self.items = _Spread("yrd_store_batch_items", "Records and claims in one transaction.", [], _ITEMS)
        self.seconds = _Spread(
            "yrd_store_commit_seconds", "How long one transaction took, the sync included.", [], _SECONDS
        )

    def families(self) -> Iterator[Metric]:
        for figure in (self.commits, self.failures, self.unsigned, self.items, self.seconds):
            yield figure.family()


class _ExchangeFigures:
    """What exchanges report, and calls that became none."""

    def __init__(self) -> None:
        self.in_flight: dict[str, int] = {side.value: 0 for side in Side}
        self.exchanges = _Counts(
            "yrd_exchanges",
            "Exchanges that are over, by side (ask, answer), operation, peer's province and outcome.",
            ["side", "operation", "province", "outcome"],
        )
        self.turned_away = _Counts(
            "yrd_turned_away",
            "Messages refused without a signed answer and answers not believed, by side, province and code.",
            ["side", "province", "code"],
        )
        self.refused_calls = _Counts(
            "yrd_refused_calls",
            "gRPC calls refused as a whole, by the caller's province and code.",
            ["province", "code"],
        )
        self.calls = Calls()
        self.durations = _Spread(
            "yrd_exchange_seconds", "How long a whole exchange took.", ["side", "operation"], _SECONDS
        )
        self.stages = _Spread(
            "yrd_stage_seconds", "How long each stage of an exchange took.", ["side", "stage"], _SECONDS
        )

    def families(self) -> Iterator[Metric]:
        in_flight = GaugeMetricFamily("yrd_in_flight", "Exchanges at work now.", labels=["side"])
        for side, count in self.in_flight.items():
            in_flight.add_metric([side], count)
        yield in_flight
        calls = CounterMetricFamily(
            "yrd_calls", "gRPC calls, by stage: begun, and their message read.", labels=["stage"]
        )
        calls.add_metric(["begun"], self.calls.begun)
        calls.add_metric(["read"], self.calls.read)
        yield calls
        for figure in (
            self.exchanges,
            self.turned_away,
            self.refused_calls,
            self.durations,
            self.stages,
        ):
            yield figure.family()


class Metrics(Collector):
    """All figures. Implements `federation.observe.ExchangeObserver` and the journal's hooks."""

    def __init__(self, store: StoreWatch | None = None, key: KeyWatch | None = None) -> None:
        """`store` is told with each commit and failure whether the store takes writes, `key` when nothing could be
        signed.
        """
        self.registry = CollectorRegistry()
        self._store = store
        self._key = key
        self._exchange = _ExchangeFigures()
        self._journal = _JournalFigures()
        self._logins = _Counts(
            "yrd_logins",
            "Logins that ended here, by side, home province and outcome.",
            ("side", "province", "outcome"),
        )
        self._renewals = _Counts(
            "yrd_tls_renewals", "Attempts to renew the TLS certificate, by outcome.", ["outcome"]
        )
        self.registry.register(self)
        build = Gauge("yrd_build_info", "What runs.", ["version"], registry=self.registry)
        build.labels(node_version()).set(1)
        ProcessCollector(registry=self.registry)

    @property
    def calls(self) -> Calls:
        """What the gRPC server counts its calls in."""
        return self._exchange.calls

    # --- federation.observe.ExchangeObserver

    def began(self, side: Side) -> None:
        """One more exchange in flight."""
        self._exchange.in_flight[side] += 1

    def stage(self, side: Side, stage: str, seconds: float) -> None:
        """A stage is over."""
        self._exchange.stages.observe((side, stage), seconds)

    def finished(self, side: Side, operation: Operation, province: str, outcome: str, seconds: float) -> None:
        """An exchange is over."""
        self._exchange.in_flight[side] -= 1
        self._exchange.exchanges.counts[side, operation, province, _known(outcome)] += 1
        self._exchange.durations.observe((side, operation), seconds)

    def turned_away(self, side: Side, province: str, code: str) -> None:
        """A message was refused without a signed answer, or an answer was not believed."""
        self._exchange.turned_away.counts[side, province, _known(code)] += 1

    def call_refused(self, province: str, code: str) -> None:
        """A gRPC call was refused as a whole."""
        self._exchange.refused_calls.counts[province, _known(code)] += 1

    def tls_renewal(self, outcome: str) -> None:
        """The TLS certificate was ``renewed``, or the attempt ``failed``."""
        self._renewals.counts[(outcome,)] += 1

    def login_ended(self, side: str, province: str, outcome: str) -> None:
        """A login ended here, on the ``home`` or the ``visited`` side: ``granted``, or by an error's code. `province`
        is the citizen's, or ``unknown``.
        """
        self._logins.counts[side, province, outcome] += 1

    # --- the journal's hooks

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        """The journal's writer committed that many records and claims. Called in the writer's thread."""
        self._journal.commits.counts[()] += 1
        self._journal.items.observe((), records + claims)
        self._journal.seconds.observe((), seconds)
        if self._store is not None:
            self._store.succeeded()

    def failed(self, *, jobs: int) -> None:
        """The store did not take that many of the journal's jobs. Called in the writer's thread."""
        self._journal.failures.counts[()] += jobs
        if self._store is not None:
            self._store.failed()

    def unsigned(self, *, jobs: int) -> None:
        """That many of the journal's jobs could not be signed. Called in the writer's thread."""
        self._journal.unsigned.counts[()] += jobs
        if self._key is not None:
            self._key.failed()

    # --- what someone who scrapes sees

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Exchanges at work now, by side."""
        return self._exchange.in_flight

    def exchanges_by_outcome(self) -> dict[str, int]:
        """How many exchanges ended how, both sides together, since the start."""
        totals: defaultdict[str, int] = defaultdict(int)
        for (_, _, _, outcome), count in self._exchange.exchanges.counts.items():
            totals[outcome] += count
        return dict(totals)

    def watch(
        self, directory: Directory, health: Health, clock: Clock, tls_not_after: Callable[[], datetime]
    ) -> None:
        """Add the figures that are read when someone scrapes."""

        def trust_age_s() -> float:
            at = directory.current.refreshed_at
            return float("nan") if at is None else (clock.now() - at).total_seconds()

        self._gauge("yrd_trust_age_seconds", "Since the anchor's status was last seen.", trust_age_s)
        self._gauge("yrd_trust_sequence", "The anchor's status.", lambda: directory.current.sequence)
        self._gauge("yrd_trust_peers", "Peers in the trust list.", lambda: len(directory.current.peers))
        self._gauge(
            "yrd_tls_not_after_timestamp_seconds",
            "When the TLS certificate ends.",
            lambda: tls_not_after().timestamp(),
        )
        self._gauge(
            "yrd_trust_mirror_in_use",
            "Whether the anchor's status was had from a mirror.",
            lambda: float(bool(directory.current.mirror)),
        )
        self._gauge(
            "yrd_warnings", "What someone should look at; /readyz tells it.", lambda: len(health.warnings())
        )
        self.registry.register(_ChainEnds(directory))
        self._gauge("yrd_ready", "Whether work should come here.", lambda: float(health.is_ready))

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)

    def collect(self) -> Iterator[Metric]:
        """What the exchange and the journal reported, as Prometheus' objects."""
        yield from self._exchange.families()
        yield from self._journal.families()
        yield self._renewals.family()
        yield self._logins.family()

    def render(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


def _known(code: str) -> str:
    """Keep the series bounded: a code that a peer made up counts as one."""
    return code if code in TABLE or code in ("answered", "repeated") else "other"
