"""A version as an MLflow run: parameters, metrics with bounds, tags, data sets and the card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.data.snapshots import Snapshot
from include.evaluation.gains import Measured
from include.registry.history.card_files import draw_card
from include.registry.history.version_details import VersionDetails, version_details
from include.registry.ledger import Ledger
from include.registry.version_states import VersionState
from include.storage.content import digest_json, from_iso, to_iso
from include.storage.log import Entry

LONGEST_PARAM = 500
LONGEST_TAG = 4000
LONGEST_DIGEST = 36  # of a data set, in MLflow's own tables
PREFIX = "ratchet."


@dataclass(frozen=True)
class DatasetInput:
    """Rows that a run read.

    Attributes
    ----------
    context : str
        ``training`` for the model's own source, ``joined`` for a second one.
    source : dict
        Whole digests, by which the store names them.
    """

    name: str
    digest: str
    context: str
    source: dict[str, Any]
    schema: dict[str, str]
    rows: int


@dataclass(frozen=True)
class VersionRun:
    """A version as MLflow shows it.

    Attributes
    ----------
    started, ended : int
        Milliseconds since 1970: when it was registered, and when it was last decided on.
    step : int
        The number of the event that decided on it, so that the metrics of a second decision are kept beside the first.
    card : str or None
        The page; None before a decision, and where nothing could be measured.
    """

    name: str
    started: int
    ended: int
    step: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    inputs: tuple[DatasetInput, ...]
    card: str | None


def state_of(standing: VersionState) -> str:
    """Return a digest of all that a version's run shows and that can change."""
    facts = [standing.decided, standing.withdrawn, standing.rebuild_of, standing.rebuilt_as, standing.record]
    return digest_json([standing.version, *facts])[:16]


def version_run(ledger: Ledger, standing: VersionState, registered: Entry, decided: Entry | None) -> VersionRun:
    """Return a version as a run; the same events give the same run.

    Parameters
    ----------
    registered, decided : Entry
        The events that registered the version and that last decided on it.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
        When a record of the version is not sound.
    """
    told = version_details(ledger.store, ledger.model, standing)
    card = None
    if told.config is not None and told.comparison is not None and told.judgement is not None:
        card = draw_card(told.config, told.comparison, told.judgement, standing.decision)
    last = decided or registered
    return VersionRun(
        name=standing.version,
        started=_milliseconds(registered.at),
        ended=_milliseconds(last.at),
        step=last.number,
        params=dict(_params(told)),
        metrics=dict(_metrics(told, standing)),
        tags={name: text[:LONGEST_TAG] for name, text in _tags(ledger, standing, told, registered) if text is not None},
        inputs=tuple(_inputs(told.snapshot)),
        card=card,
    )


def _milliseconds(instant: str) -> int:
    return int(from_iso(instant).timestamp() * 1000)


def _params(told: VersionDetails) -> Iterator[tuple[str, str]]:
    fit = told.fit
    facts: dict[str, Any] = {
        "as_of": to_iso(told.version.as_of),
        "candidate": fit.candidate,
        "estimator": fit.estimator,
        "seed": fit.seed,
        "threshold": fit.threshold,
        "train_after": to_iso(fit.train.after),
        "train_until": to_iso(fit.train.until),
        "train_rows": fit.train.rows,
        "columns": len(fit.columns),
        **{f"params.{name}": value for name, value in fit.params.items()},
    }
    for name, value in facts.items():
        yield name, (value if isinstance(value, str) else json.dumps(value, default=str))[:LONGEST_PARAM]


def _metrics(told: VersionDetails, standing: VersionState) -> Iterator[tuple[str, float]]:
    if told.evidence is None or standing.decision is None:
        return
    for role, scores in told.evidence.scores.items():
        for metric, measured in scores.items():
            yield from _bounded(metric if role == "challenger" else f"{role}.{metric}", measured)
    yield "holdout_rows", float(told.evidence.holdout.rows)
    primary = standing.decision.primary
    for name, bound in (("gain", "gain"), ("gain.low", "low")):
        if isinstance(value := primary.get(bound), int | float):
            yield name, float(value)


def _bounded(name: str, measured: Measured) -> Iterator[tuple[str, float]]:
    for suffix, value in (("", measured.value), (".low", measured.low), (".high", measured.high)):
        if value is not None:
            yield f"{name}{suffix}", float(value)


def _tags(
    ledger: Ledger, standing: VersionState, told: VersionDetails, registered: Entry
) -> Iterator[tuple[str, str | None]]:
    decision, actor = standing.decision, registered.body["actor"]
    yield "mlflow.source.name", actor.get("dag")
    yield "mlflow.source.type", "JOB"
    yield "mlflow.note.content", None if decision is None else decision.reason
    if told.config is not None:
        yield "mlflow.user", told.config.owner
    facts = {
        "model": ledger.model,
        "version": standing.version,
        "store": ledger.store.url,
        "trigger": standing.trigger.value,
        "airflow_run": actor.get("run"),
        "model_file": told.version.model_file,
        "snapshot": told.version.snapshot,
        "fit": told.version.fit,
        "code": told.fit.code,
        "outcome": None if decision is None else decision.outcome.value,
        "incumbent": None if decision is None else decision.incumbent,
        "evidence": None if decision is None else decision.evidence,
        "policy": None if decision is None else decision.policy,
        # Values that may be removed are written as well: a tag of MLflow stays until it is written again.
        "withdrawn": standing.withdrawn or "no",
        "rebuild_of": standing.rebuild_of or "none",
        "rebuilt_as": standing.rebuilt_as or "none",
    }
    for name, value in facts.items():
        yield f"{PREFIX}{name}", value


def _inputs(snapshot: Snapshot) -> Iterator[DatasetInput]:
    for number, source in enumerate(snapshot.sources):
        digest = snapshot.digest if number == 0 else digest_json(source.to_json())
        yield DatasetInput(
            name=snapshot.model if number == 0 else f"{snapshot.model}.{snapshot.joins[number - 1].rule.name}",
            digest=digest[:LONGEST_DIGEST],
            context="training" if number == 0 else "joined",
            source={"snapshot": digest, "source": source.source, "as_of": to_iso(source.as_of)},
            schema=dict(source.own_schema),
            rows=sum(pinned.rows for pinned in source.partitions),
        )
