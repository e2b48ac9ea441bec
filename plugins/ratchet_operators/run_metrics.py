"""Metrics of a model's runs, sent with Airflow's own metrics to StatsD or OpenTelemetry.

They show trends; the ledger is authoritative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from include.storage.log import Entry

ROWS = "ratchet.rows"
DECISIONS = "ratchet.decisions"
SCORE = "ratchet.score"
GAIN = "ratchet.gain"
AUDIT = "ratchet.audit_findings"


def report_rows(model: str, rows: int) -> None:
    """Report how many rows a run has, in both windows."""
    stats.gauge(ROWS, rows, tags={"model": model})


def report_audit(model: str, findings: int) -> None:
    """Report how many things audits found wrong and no later one found right."""
    stats.gauge(AUDIT, findings, tags={"model": model})


def report_written(model: str, entry: Entry) -> None:
    """Report a decision as it is written to the ledger: its outcome, and of a challenger its primary metric and its gain.

    The gain is over the champion, or over the baseline before there is one. Decisions that `settle` makes again are counted,
    but are not about the newest challenger.
    """
    from include.registry.version_states import Decision

    if entry.kind != "decided":
        return
    decision = Decision.from_json(entry.body)
    stats.incr(DECISIONS, tags={"model": model, "outcome": decision.outcome.value})
    primary = decision.primary
    for name, value in ((SCORE, primary["challenger"]), (GAIN, primary["gain"])):
        if value is not None and not decision.again:
            stats.gauge(name, value, tags={"model": model, "metric": primary["metric"]})
