"""Prometheus metrics of all models, read from the store at each scrape.

The only label is ``model``: a label for the version would create a new series with each promotion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from include.audit.audit_log import AuditLog
from include.config.model import ModelConfig
from include.monitoring.report.watch_report import WatchReport, watch_report
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome
from include.storage.store import ObjectStore

GAUGES = {
    "ratchet_champion_since_timestamp_seconds": "The as-of from which the champion is in force.",
    "ratchet_last_decision": "What was decided of the newest version: 1 promoted, 0 held, -1 rejected, -2 incomparable.",
    "ratchet_last_decision_timestamp_seconds": "The as-of of the newest version that was decided on.",
    "ratchet_waiting_approvals": "Versions that are registered and not decided on, of a model whose policy may ask a person.",
    "ratchet_interval_end_timestamp_seconds": "The end of the newest interval that was watched.",
    "ratchet_interval_seconds": "How long an interval is.",
    "ratchet_interval_rows": "Rows of the newest interval.",
    "ratchet_out_of_domain_ratio": "The share of them outside the domain that the champion was fitted on.",
    "ratchet_data_faults": "Data faults of the newest interval.",
    "ratchet_drift_ratio": "The largest share of rows that moved in any column over the newest week.",
    "ratchet_alarms": "Alarms of drift and performance that stand of the champion.",
    "ratchet_alarm_timestamp_seconds": "The end of the interval at which the newest of them was raised.",
    "ratchet_performance": "The champion's primary metric, the mean over intervals since its promotion.",
    "ratchet_performance_low": "The lower end of its confidence sequence.",
    "ratchet_performance_high": "The upper end.",
    "ratchet_performance_promised": "What the metric was over intervals of the holdout.",
    "ratchet_performance_short": "1 if the champion surely falls short of that.",
    "ratchet_performance_estimated": "The metric of the newest interval, estimated before labels.",
    "ratchet_requests_pending": "Retrainings that are asked for and that no run has taken.",
    "ratchet_probation_worse": "1 if probation found the champion worse than its predecessor.",
    "ratchet_audit_findings": "Things that audits found wrong, and no later one found right.",
}
_OUTCOMES = {Outcome.PROMOTE: 1.0, Outcome.HOLD: 0.0, Outcome.REJECT: -1.0, Outcome.INCOMPARABLE: -2.0}


def gauges_of(store: ObjectStore, model: ModelConfig) -> dict[str, float]:
    """Return a model's numbers by their names in `GAUGES`; what is not known is left out."""
    timeline = Ledger(store, model.name).timeline()
    found = dict(_of_ledger(model, timeline))
    found["ratchet_audit_findings"] = float(len(AuditLog(store, model.name).state().wrong))
    report = watch_report(store, model, timeline=timeline) if model.schedule.monitor is not None else None
    return found if report is None else {**found, **dict(_of_report(report))}


def exposition(numbers: Mapping[str, Mapping[str, float]]) -> str:
    """Return numbers in the text format that Prometheus reads.

    Parameters
    ----------
    numbers : mapping of model to mapping of gauge to float
    """
    lines: list[str] = []
    for name, told in GAUGES.items():
        series = [f'{name}{{model="{model}"}} {of[name]!r}' for model, of in sorted(numbers.items()) if name in of]
        if series:
            lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge", *series]
    return "\n".join([*lines, ""])


def _of_ledger(model: ModelConfig, timeline: Timeline) -> Iterable[tuple[str, float]]:
    if timeline.champion is not None:
        yield "ratchet_champion_since_timestamp_seconds", timeline[timeline.champion].since.timestamp()
    decided = [one for one in timeline.standings if one.decision is not None]
    if decided and decided[-1].decision is not None:
        yield "ratchet_last_decision", _OUTCOMES[decided[-1].decision.outcome]
        yield "ratchet_last_decision_timestamp_seconds", decided[-1].since.timestamp()
    waiting = [one for one in timeline.standings if one.decision is None and one.withdrawn is None]
    yield "ratchet_waiting_approvals", float(len(waiting)) if model.gate.approval.when != "never" else 0.0


def _of_report(report: WatchReport) -> Iterator[tuple[str, float]]:
    last = report.intervals[-1]
    yield "ratchet_interval_end_timestamp_seconds", last.until.timestamp()
    yield "ratchet_interval_seconds", (last.until - last.after).total_seconds()
    yield "ratchet_interval_rows", float(last.rows)
    yield "ratchet_out_of_domain_ratio", last.outside / max(last.rows, 1)
    yield "ratchet_data_faults", float(len(last.faults))
    yield "ratchet_drift_ratio", max((one.effect.total_variation for one in report.moved), default=0.0)
    raised = [one for one in report.alarms if one.kind != "data_fault"]
    yield "ratchet_alarms", float(len(raised))
    if raised:
        yield "ratchet_alarm_timestamp_seconds", max(one.until for one in raised).timestamp()
    if report.kept is not None:
        found, promised = report.kept.found, report.kept.promised
        for name, value in (
            ("ratchet_performance", found.mean),
            ("ratchet_performance_low", found.low),
            ("ratchet_performance_high", found.high),
            ("ratchet_performance_promised", promised.mean),
        ):
            if value is not None:
                yield name, value
        yield "ratchet_performance_short", float(report.kept.short)
    if last.estimated is not None and last.estimated.value is not None:
        yield "ratchet_performance_estimated", last.estimated.value
    yield "ratchet_requests_pending", float(len(report.requests.pending))
    worse = report.probation is not None and report.probation.verdict == "worse"
    yield "ratchet_probation_worse", float(worse)
