"""Monitoring of a model's champion, as text for a terminal."""

from __future__ import annotations

from include.command_line.ledger_queries import ledger_of
from include.command_line.ledger_table import draw_table
from include.config.load import load_models
from include.config.model import ModelConfig
from include.config.settings import Settings
from include.errors import ConfigError, did_you_mean
from include.evaluation.gains import Measured
from include.monitoring.report.watch_report import watch_report
from include.monitoring.report.watched_intervals import WatchedInterval
from include.monitoring.segment_states import SegmentWatched
from include.storage.store import ObjectStore

_INTERVALS = 14


def declared(name: str) -> ModelConfig:
    """Return the declaration of a model; raises `ConfigError` if there is none, or if it is broken."""
    models, broken = load_models(Settings.from_environment().models)
    for one in broken:
        if one.name == name:
            raise one.error
    for model in models:
        if name in (model.declared_name, *model.renamed_from):
            return model
    names = [model.declared_name for model in models]
    raise ConfigError(
        f"There is no model {name}.",
        expected=f"one of {', '.join(names) or 'none'}",
        where=Settings.from_environment().models,
        remedy=did_you_mean(name, names, mark=""),
    )


def watch(name: str) -> str:
    """Return what a person needs to know of a model's champion: intervals, columns that moved, alarms, requests, probation."""
    return watching(ledger_of(name).store, declared(name))


def watching(store: ObjectStore, model: ModelConfig) -> str:
    """Return the same of a model in a store."""
    report = watch_report(store, model)
    if report is None:
        return f"{model.declared_name} was not watched yet: its DAG monitor_{model.declared_name} runs if `schedule.monitor` is set."
    metric = model.gate.primary.metric
    head = ["interval", "rows", "outside", f"{metric} estimated", f"{metric} measured", "moved most", "broken"]
    rows = [_row(one) for one in report.intervals[-_INTERVALS:]]
    parts = [
        f"{report.version}, in force since {report.since:%Y-%m-%d}, watched over {report.watched} intervals; the newest:",
        draw_table(head, rows),
    ]
    if report.kept is not None and report.kept.found.mean is not None and report.kept.promised.mean is not None:
        found, short = report.kept.found, "surely less" if report.kept.short else "not surely less"
        parts.append(
            f"{metric} over {found.values} intervals: {found.mean:.4f}, on the holdout {report.kept.promised.mean:.4f}: {short}"
        )
    parts += [report.unknown_said] if report.unknown_said else []
    parts += [f"Estimates: {one}" for one in report.reservations]
    moved = [one for one in report.moved if one.effect.total_variation >= 0.01][:5]
    if moved:
        body = [
            [one.column, f"{one.effect.psi:.3f}", f"{one.effect.total_variation:.1%}", _of(one.importance)]
            for one in moved
        ]
        parts.append(draw_table(["moved over a week", "psi", "rows moved", "importance"], body))
    if report.segments:
        table = [_segment_row(one) for one in report.segments]
        parts.append(
            draw_table(["segment", "version", "rows", f"{metric} measured", "on its holdout", "", "alarms"], table)
        )
        parts += [f"segment {one.level}: probation: {said}" for one in report.segments if (said := one.probation_said)]
    told = sorted((*report.alarms, *(alarm for one in report.segments for alarm in one.alarms)), key=lambda a: a.until)
    alarms = [
        [f"{one.until:%Y-%m-%d %H:%M}", one.kind.replace("_", " "), one.said, "backfilled" if one.backfilled else ""]
        for one in told
    ]
    parts.append(draw_table(["alarm", "kind", "", ""], alarms) if alarms else "no alarms")
    parts.append(f"retraining: {report.because}; asked {len(report.requests.asked)}, taken {report.requests.taken}")
    if report.would_ask:
        parts.append(f"backfilled intervals would have asked {report.would_ask} times")
    if report.probation_said:
        parts.append(f"probation: {report.probation_said}")
    parts += [f"needs you: {one.sentence}" for one in report.needs]
    return "\n\n".join(parts)


def _row(one: WatchedInterval) -> list[str]:
    most = max(one.moved.items(), key=lambda item: item[1], default=None)
    return [
        f"{one.after:%Y-%m-%d %H:%M}",
        f"{one.rows:,}",
        f"{one.outside / max(one.rows, 1):.1%}",
        _measured(one.estimated),
        _measured(one.measured),
        "" if most is None or most[1] < 0.01 else f"{most[0]} {most[1]:.1%}",
        ", ".join(dict.fromkeys(fault.kind for fault in one.faults)),
    ]


def _segment_row(one: SegmentWatched) -> list[str]:
    kept = one.kept
    known = kept is not None and kept.found.mean is not None and kept.promised.mean is not None
    numbers = ["", "", "no label has matured"]
    if kept is not None and known:
        short = "surely less" if kept.short else "not surely less"
        numbers = [f"{kept.found.mean:.4f}", f"{kept.promised.mean:.4f}", short]
    return [one.level, one.version, f"{one.rows:,}", *numbers, str(len(one.alarms))]


def _measured(one: Measured | None) -> str:
    if one is None or one.value is None:
        return ""
    if one.low is None or one.high is None:
        return f"{one.value:.4f}"
    return f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})"


def _of(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
