"""Draw how a model's champion is watched, and what an alarm is about."""

from __future__ import annotations

from include.config.model import ModelConfig
from include.monitoring.alarms import Alarm
from include.monitoring.drift.distributions import distributions
from include.monitoring.report.charts import heat_map, performance_chart
from include.monitoring.report.watch_report import WatchReport, importance_of
from ratchet_ui.access import Viewer
from ratchet_ui.actions import ON_MODELS, ROLL_BACK, buttons_for
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.templating import draw


def draw_watch(cache: PageCache, viewer: Viewer, model: ModelConfig, root: str) -> str:
    """Draw what was watched of a model's champion; of one that was not watched yet, how it would be.

    Parameters
    ----------
    viewer : Viewer
        Decides which buttons the page has.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    report = cache.watched(model)
    entries = () if report is None else cache.read(model.declared_name)[0]
    champion = None if report is None else cache.read(model.declared_name)[1].champion
    in_force = report is not None and champion is not None and champion.id == report.version
    given = {} if report is None else {"version": report.version}
    said = None if report is None else report.probation_said
    if in_force and said is not None:
        given["reason"] = f"Probation: {said}"[:500]
    return draw(
        "watch.html",
        root,
        model=model.declared_name,
        config=model,
        report=report,
        chart=None if report is None else performance_chart(report),
        heat=None if report is None else heat_map(report),
        alarms=[] if report is None else report.alarms[::-1],
        asked={} if report is None else {key: one.as_of for one in report.requests.asked for key in one.alarms},
        withdrawn=[one for one in entries if one.kind == "withdrawn" and "evidence" in one.body],
        buttons=buttons_for(viewer, ON_MODELS[:1], model.declared_name, {}),
        roll_back=buttons_for(viewer, (ROLL_BACK,), model.declared_name, given) if in_force else [],
    )


def draw_alarm(cache: PageCache, model: ModelConfig, report: WatchReport, alarm: Alarm, root: str) -> str:
    """Draw one alarm: what it says, where, and the column's distribution in training and since.

    Parameters
    ----------
    report : WatchReport
        The report that the alarm is in.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    watched = [
        one.period
        for one in report.history.observed
        if alarm.since <= one.period.after and one.period.until <= alarm.until
    ]
    columns = [one for one in _columns(report, alarm) if watched]
    history = cache.read(model.declared_name)[1]
    decision = next((one.standing.decision for one in history.versions if one.id == alarm.version), None)
    importance = importance_of(cache.store, model, decision)
    return draw(
        "alarm.html",
        root,
        model=model.declared_name,
        alarm=alarm,
        report=report,
        pictures=[
            (column, importance.get(column), distributions(report.reference, column, watched)) for column in columns
        ],
        chart=performance_chart(report) if alarm.kind == "performance" else None,
        asked=[one for one in report.requests.asked if alarm.key in one.alarms],
        intervals=len(watched),
    )


def _columns(report: WatchReport, alarm: Alarm) -> list[str]:
    """Return the columns that an alarm is about; of one about the rows as a whole, or about a metric, none."""
    known = report.reference.bins
    if alarm.kind == "drift":
        return [alarm.subject] if alarm.subject in known else []
    if alarm.kind == "data_fault":
        faults = [fault for one in report.history.observed if one.period.until == alarm.until for fault in one.faults]
        return [
            column
            for fault in faults
            if " ".join([fault.kind, *fault.columns]) == alarm.subject
            for column in fault.columns[:4]
            if column in known
        ]
    return []
