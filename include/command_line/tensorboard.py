"""Write the metrics of a model's versions and of its champion's intervals as TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from include.config.model import ModelConfig
from include.errors import ConfigError, ObjectMissing
from include.evaluation.evidence import load_evidence
from include.monitoring.report.watch_report import watch_report
from include.registry.ledger import Ledger
from include.storage.store import ObjectStore

Scalar = tuple[str, str, int, datetime, float]
"""The run, the tag, the step, the instant and the value."""


def scalars(store: ObjectStore, model: ModelConfig) -> Iterator[Scalar]:
    """Yield what is shown: of each version its metrics on the holdout, of each interval how the champion did.

    A version's step is its place among those that were decided on, an interval's its place under the champion.
    """
    timeline = Ledger(store, model.name).timeline()
    decided = [one for one in timeline.standings if one.decision is not None]
    for step, standing in enumerate(decided):
        decision = standing.decision
        if decision is None or decision.evidence is None:
            continue
        try:
            evidence = load_evidence(store, model.name, decision.evidence)
        except ObjectMissing:
            continue
        for role, of_role in evidence.scores.items():
            for metric, measured in of_role.items():
                if measured.value is not None:
                    yield f"versions/{role}", f"holdout/{metric}", step, standing.since, measured.value
        if decision.primary["gain"] is not None:
            yield (
                "versions/challenger",
                f"gain/{decision.primary['metric']}",
                step,
                standing.since,
                decision.primary["gain"],
            )
    report = watch_report(store, model) if model.schedule.monitor is not None else None
    if report is None:
        return
    metric = model.gate.primary.metric
    first = report.watched - len(report.intervals)
    for step, one in enumerate(report.intervals, first):
        yield "intervals/measured", "rows", step, one.until, float(one.rows)
        yield "intervals/measured", "out_of_domain", step, one.until, one.outside / max(one.rows, 1)
        for run, found in (("measured", one.measured), ("estimated", one.estimated)):
            if found is not None and found.value is not None:
                yield f"intervals/{run}", f"performance/{metric}", step, one.until, found.value
        for column, effect in one.effects.items():
            yield "intervals/measured", f"drift/{column}", step, one.until, effect.total_variation


def export(store: ObjectStore, model: ModelConfig, folder: Path) -> int:
    """Write event files below ``folder/<model>`` and return how many scalars they hold.

    Raises
    ------
    ConfigError
        When tensorboardX is not installed, or the folder has an export: TensorBoard would show both as one.
    """
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-not-found,unused-ignore] # an extra
    except ImportError:
        raise ConfigError(
            "Event files are written by tensorboardX, which is not installed.",
            remedy="pip install 'ratchet[tensorboard]'",
        ) from None
    place = folder / model.declared_name
    if place.exists() and any(place.iterdir()):
        raise ConfigError(
            "An export stands there already.",
            expected="a folder that does not exist, or an empty one",
            found=f"{len(list(place.iterdir()))} entries",
            where=place,
            remedy="remove it, or name another folder",
        )
    writers: dict[str, SummaryWriter] = {}
    count = 0
    try:
        for run, tag, step, instant, value in scalars(store, model):
            if run not in writers:
                writers[run] = SummaryWriter(str(place / run))
            writers[run].add_scalar(tag, value, step, walltime=instant.timestamp())
            count += 1
    finally:
        for writer in writers.values():
            writer.close()
    return count
