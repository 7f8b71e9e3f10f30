from __future__ import annotations

import math
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from federation.errors import OwnStoreUnavailable
from federation.exchange import DialectHolder
from federation.observe import Side
from federation.peers import Directory, Peer, TrustSnapshot
from federation.query import Operation
from federation.translation_counts import TranslationCounts
from federation.translator import Direction, Translator
from federation.trust_picture import Branch, Standing, TrustPicture
from mapping.translate import load_dialect
from node.evidence_view import EvidenceView
from node.health import Health, Reason, Stage, StoreWatch
from node.metrics import Metrics
from node.operations import make_operations_app
from node.translation_metrics import TranslationMetrics
from node.translation_view import TranslationView
from node.trust_warnings import trust_warner
from tests.support.clock import NOON, FixedClock


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by name and sorted label values."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


PICTURE = TrustPicture(
    NOON, Branch("https://anchor.example", Standing.ANCHOR, problem="away"), 0, None, None, ()
)


VIEW = TranslationView(
    NOON,
    "330000",
    "浙江省",
    "330000@2026.2",
    "ab" * 32,
    NOON,
    NOON,
    {(Direction.TO_SHARED, "exact"): 7},
    (),
    {},
)


async def evidence() -> EvidenceView:
    """An empty log, or a store that is away."""
    if STORE_IS_AWAY:
        raise OwnStoreUnavailable("the store cannot be reached")
    return EvidenceView(NOON, "https://node.sh.example", "310000", "", 1, None, None, 0, (), ())


STORE_IS_AWAY: list[bool] = []


async def get(health: Health, metrics: Metrics, path: str) -> tuple[int, str, Any]:
    app = make_operations_app(health, metrics.render, lambda: PICTURE, lambda: VIEW, evidence)
    async with TestClient(TestServer(app)) as client:
        response = await client.get(path)
        is_json = response.content_type == "application/json"
        return response.status, response.content_type, await (response.json() if is_json else response.text())


async def test_livez_says_alive_even_when_not_ready() -> None:
    assert await get(Health(), Metrics(), "/livez") == (200, "application/json", {"alive": True})


async def test_readyz_says_why_not() -> None:
    reason = Reason("trust_unresolved", "尚未取得信任状态", "trust is not resolved yet")
    health = Health([lambda: reason])
    health.stage = Stage.SERVING
    status, _, body = await get(health, Metrics(), "/readyz")
    assert status == 503
    assert body == {
        "ready": False,
        "stage": "serving",
        "reasons": [{"code": reason.code, "zh": reason.zh, "en": reason.en}],
        "warnings": [],
    }


async def test_readyz_says_ready() -> None:
    health = Health()
    health.stage = Stage.SERVING
    status, _, body = await get(health, Metrics(), "/readyz")
    assert (status, body["ready"], body["reasons"]) == (200, True, [])


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    status, kind, text = await get(Health(), Metrics(), "/metrics")
    assert (status, kind) == (200, "text/plain")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"yrd_in_flight", "yrd_store_commits", "yrd_build_info", "process_resident_memory_bytes"} <= names


def test_an_exchange_is_counted_by_operation_province_and_outcome() -> None:
    metrics = Metrics()
    metrics.began(Side.ASK)
    metrics.began(Side.ASK)
    metrics.stage(Side.ASK, "send", 0.003)
    metrics.finished(Side.ASK, Operation.CERTIFICATES_QUERY, "310000", "answered", 0.004)
    seen = samples(metrics)
    assert seen["yrd_in_flight", "ask"] == 1
    assert seen["yrd_exchanges_total", "310000", "answered", "ask", "certificates.query"] == 1
    assert seen["yrd_exchange_seconds_count", "ask", "certificates.query"] == 1
    assert seen["yrd_stage_seconds_bucket", "0.002", "ask", "send"] == 0
    assert seen["yrd_stage_seconds_bucket", "0.004", "ask", "send"] == 1
    assert seen["yrd_stage_seconds_bucket", "+Inf", "ask", "send"] == 1
    assert seen["yrd_stage_seconds_sum", "ask", "send"] == pytest.approx(0.003)
    assert metrics.exchanges_by_outcome() == {"answered": 1}


def test_a_peer_cannot_make_up_series() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.turned_away(Side.ANSWER, "unknown", f"peer.made_up_{number}")
    metrics.turned_away(Side.ANSWER, "310000", "peer.bad_signature")
    seen = samples(metrics)
    assert seen["yrd_turned_away_total", "answer", "other", "unknown"] == 100
    assert seen["yrd_turned_away_total", "310000", "answer", "peer.bad_signature"] == 1


def test_the_journals_hooks_count_and_tell_whether_the_store_is_there() -> None:
    watch = StoreWatch(FixedClock())
    metrics = Metrics(watch)
    metrics.failed(jobs=3)
    assert watch() is not None
    metrics.committed(records=4, claims=1, seconds=0.002)
    assert watch() is None
    seen = samples(metrics)
    assert seen["yrd_store_commits_total",] == 1
    assert seen["yrd_store_failures_total",] == 3
    assert seen["yrd_store_batch_items_bucket", "4.0"] == 0
    assert seen["yrd_store_batch_items_bucket", "8.0"] == 1


def test_trust_age_is_read_when_scraped() -> None:
    clock = FixedClock()
    directory = Directory(TrustSnapshot("https://zj.example", "330000"))
    metrics = Metrics()
    metrics.watch(directory, Health(), clock, lambda: NOON)
    assert math.isnan(samples(metrics)["yrd_trust_age_seconds",])
    directory.swap(TrustSnapshot("https://zj.example", "330000", refreshed_at=clock.now(), sequence=7))
    clock.advance(seconds=42)
    seen = samples(metrics)
    assert seen["yrd_trust_age_seconds",] == 42
    assert seen["yrd_trust_sequence",] == 7
    assert seen["yrd_ready",] == 0
    assert seen["yrd_tls_not_after_timestamp_seconds",] == NOON.timestamp()


def test_ends_of_chains_and_warnings_are_figures() -> None:
    clock, metrics = FixedClock(), Metrics()
    peer = Peer("https://sh.example", "310000", "", "", "", MappingProxyType({}), NOON + timedelta(hours=3))
    own = TrustSnapshot(
        "https://zj.example",
        "330000",
        peers=MappingProxyType({peer.entity_id: peer}),
        refreshed_at=NOON,
        mirror="https://sh.example/trust/mirror",
        own_expires_at=NOON + timedelta(hours=2),
    )
    directory = Directory(own)
    health = Health(warners=[trust_warner(directory, clock, status_max_age_s=600)])
    metrics.watch(directory, health, clock, lambda: NOON)
    seen = samples(metrics)
    ends = "yrd_trust_not_after_timestamp_seconds"
    assert (seen[ends, "310000"], seen[ends, "330000"]) == (
        peer.expires_at.timestamp(),
        (NOON + timedelta(hours=2)).timestamp(),
    )
    assert (seen["yrd_trust_mirror_in_use",], seen["yrd_warnings",]) == (1, 1)


async def test_the_tree_of_trust_is_a_page() -> None:
    status, kind, text = await get(Health(), Metrics(), "/trust")
    assert (status, kind) == (200, "text/html")
    assert "https://anchor.example" in text
    assert "away" in text


async def test_what_was_translated_is_a_page_and_the_first_page_leads_to_all() -> None:
    status, kind, text = await get(Health(), Metrics(), "/translations")
    assert (status, kind) == (200, "text/html")
    assert "330000@2026.2" in text
    status, kind, text = await get(Health(), Metrics(), "/")
    assert (status, kind) == (200, "text/html")
    for path in ("/livez", "/readyz", "/metrics", "/trust", "/translations"):
        assert f'href="{path}"' in text
        assert (await get(Health(), Metrics(), path))[0] in (200, 503)


def test_translations_are_figures_and_codes_without_a_row_too() -> None:
    metrics, counts, clock = Metrics(), TranslationCounts(), FixedClock()
    dialect = DialectHolder(load_dialect("320000"), NOON)
    metrics.registry.register(TranslationMetrics(dialect, counts))
    words = Translator(dialect.current)
    for code in ("JS-GA-001", "JS-GA-099", "110101199003070011", "110101199003070011"):
        words.code_to_shared("certificate_type", code)
    counts.add(words, clock)
    seen = samples(metrics)
    assert seen["yrd_translations_total", "exact", "to_shared"] == 1
    assert seen["yrd_translations_total", "to_shared", "unmapped"] == 3
    assert seen["yrd_unmapped_codes_total", "JS-GA-099", "certificate_type", "to_shared"] == 1
    assert seen["yrd_unmapped_values_total", "certificate_type", "number", "to_shared"] == 2
    assert seen["yrd_map_set_info", "320000@2026.2", dialect.current.digest.hex()] == 1
    assert b"110101199003070011" not in metrics.render()


async def test_the_evidence_page_and_what_it_says_when_the_store_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, kind, page = await get(Health(), Metrics(), "/evidence")
    assert (status, kind) == (200, "text/html")
    assert "存证" in page
    monkeypatch.setitem(globals(), "STORE_IS_AWAY", [True])
    status, _, body = await get(Health(), Metrics(), "/evidence")
    assert (status, body["code"]) == (503, "own.store_unavailable")
