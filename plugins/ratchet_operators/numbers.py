"""Numbers of a model's runs among Airflow's own metrics, for StatsD or OpenTelemetry, whichever Airflow sends.

They say how it goes; what is true stands in the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from include.registry.gate import Judgement

ROWS = "ratchet.rows"
DECISIONS = "ratchet.decisions"
SCORE = "ratchet.score"
GAIN = "ratchet.gain"


def report_rows(model: str, rows: int) -> None:
    """Report how many rows a run has, in both windows."""
    stats.gauge(ROWS, rows, tags={"model": model})


def report_judgement(model: str, judgement: Judgement) -> None:
    """Report the outcome, the challenger's primary metric, and its gain over the champion, or the simple baseline before there is one."""
    stats.incr(DECISIONS, tags={"model": model, "outcome": judgement.outcome.value})
    primary = judgement.primary
    for name, value in ((SCORE, primary["challenger"]), (GAIN, primary["gain"])):
        if value is not None:
            stats.gauge(name, value, tags={"model": model, "metric": primary["metric"]})
