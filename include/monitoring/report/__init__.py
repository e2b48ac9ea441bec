"""Report: monitoring results for people and for Prometheus.

Not here: the pages themselves (`plugins/ratchet_ui`).
"""

PUBLIC: tuple[str, ...] = (
    "charts",
    "prometheus_metrics",
    "watch_report",
    "watched_intervals",
)
"""The modules that other rooms may import."""
