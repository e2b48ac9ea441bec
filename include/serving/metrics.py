"""Prometheus metrics of the server: counts and times, without rows or callers."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("ratchet_serving_requests", "Requests by what was answered", ["model", "route", "status"])
SECONDS = Histogram(
    "ratchet_serving_request_duration_seconds", "From a request's first byte to its answer", ["model"], buckets=_SECONDS
)
ROWS = Counter("ratchet_serving_rows", "Rows predicted", ["model", "version", "path"])
OUT_OF_DOMAIN = Counter("ratchet_serving_out_of_domain_rows", "Rows outside what the version was fitted on", ["model"])
IN_FLIGHT = Gauge("ratchet_serving_requests_in_flight", "Requests held now", multiprocess_mode="livesum")
SWAPS = Counter("ratchet_serving_swaps", "Versions put in the place of others", ["model"])
REFUSED = Counter("ratchet_serving_refused_versions", "Attempts to load a version that failed", ["model"])
CHAMPION = Gauge(
    "ratchet_serving_champion_as_of_timestamp_seconds",
    "As-of of the version that answers, 0 if none does",
    ["model"],
    multiprocess_mode="livemin",
)
STORE_AWAY = Gauge(
    "ratchet_serving_store_unavailable", "Whether the store does not answer", multiprocess_mode="livemax"
)
UNSENT = Gauge("ratchet_request_log_unsent_rows", "Rows that a kill would lose now", multiprocess_mode="livesum")
LOGGED = Counter("ratchet_request_log_rows", "Rows sent to the store", ["model"])
DROPPED = Counter("ratchet_request_log_dropped_rows", "Rows not kept: too many were unsent", ["model"])


def text() -> bytes:
    """Return all numbers of all workers as Prometheus reads them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    from prometheus_client import multiprocess

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget(worker: int) -> None:
    """Forget what a dead worker holds, its gauges that is; what it counted stays."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker)  # type: ignore[no-untyped-call]
