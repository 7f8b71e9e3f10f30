"""Translations as figures for Prometheus. Labels are from closed lists, but for the codes that have no row: how many
of those there are, and that none is a person's, is the rule of `federation.unmapped_codes`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from federation.exchange import DialectHolder
from federation.translation_counts import TranslationCounts

__all__ = ["TranslationMetrics"]


class TranslationMetrics(Collector):
    """Reads the counts when someone scrapes."""

    def __init__(self, dialect: DialectHolder, counts: TranslationCounts) -> None:
        self._dialect = dialect
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """The counts as Prometheus' objects."""
        dialect = self._dialect.current
        rules = GaugeMetricFamily("yrd_map_set_info", "The rule set in force.", labels=["version", "digest"])
        rules.add_metric([dialect.version, dialect.digest.hex()], 1)
        yield rules
        values = CounterMetricFamily(
            "yrd_translations",
            "Values translated, by direction (to_shared, to_local) and relation.",
            labels=["direction", "relation"],
        )
        for (direction, outcome), count in self._counts.outcomes.items():
            values.add_metric([direction, outcome], count)
        yield values
        codes = CounterMetricFamily(
            "yrd_unmapped_codes",
            "Codes that the rule set in force has no row for, by direction, code map and code.",
            labels=["direction", "list", "code"],
        )
        for one in self._counts.codes(dialect):
            codes.add_metric([one.direction, one.list_name, one.code], one.times)
        yield codes
        hidden = CounterMetricFamily(
            "yrd_unmapped_values",
            "Unmapped values that are not shown as codes, by direction, code map and reason.",
            labels=["direction", "list", "reason"],
        )
        for (direction, name, why), count in self._counts.not_shown.items():
            hidden.add_metric([direction, name, why], count)
        yield hidden
