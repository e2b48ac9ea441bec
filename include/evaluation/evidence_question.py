"""The cache key of evidence: everything that the measurement of a challenger depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.challenger_measures import CHALLENGER_VERSION
from include.evaluation.compared_models import ComparedModel
from include.evaluation.data_coverage import counts_asked
from include.evaluation.holdout_rows import holdout_declaration
from include.evaluation.metrics.slices import slice_rows
from include.evaluation.uncertainty.resampling_units import counts_equal_rows_once
from include.leakage.checks import CHECKS_VERSION, of_entities
from include.storage.content import digest_json
from include.training.fit_record import FitRecord
from include.training.metrics.multiclass import of_averages

EVIDENCE_VERSION = 4
"""Part of what evidence is found by: raise it when the same inputs are to be measured differently."""

BOUNDS = 3
"""The edition of the bounds alone: another one reads the same draws otherwise. Evidence of the first has no such word in its question."""


def question_of(
    model: ModelConfig,
    snapshot: Snapshot,
    challenger: ComparedModel,
    incumbent: ComparedModel | None,
    baselines: Mapping[str, FitRecord],
    costs: str | None,
    answered: Sequence[str],
) -> tuple[dict[str, Any], int]:
    """Return what evidence is found by, and the seed of its resamples.

    Parameters
    ----------
    model : ModelConfig
    snapshot : Snapshot
    challenger : ComparedModel
    incumbent : ComparedModel or None
    baselines : mapping of {"trivial", "simple", "pooled"} to FitRecord
    costs : str or None
        Digest of the code of the cost function.
    answered : sequence of str
        Keys of the request log's files that may hold answers for the holdout's rows.
    """
    question = {
        "edition": [EVIDENCE_VERSION, CHECKS_VERSION, CHALLENGER_VERSION],
        "challenger": [challenger.id, challenger.fit.key],
        "incumbent": [incumbent.id, incumbent.fit.key] if incumbent else None,
        "baselines": {role: fit.key for role, fit in baselines.items()},
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "entity": model.data.entity,
        "cost": costs,
        "fairness": [list(model.fairness_groups), list(metrics_of_worst_group(model))],
    }
    files = {role: fit.model_file for role, fit in baselines.items()} | {"challenger": challenger.fit.model_file}
    files |= {"incumbent": incumbent.fit.model_file} if incumbent else {}
    mended = _mended(model, snapshot, challenger.fit, incumbent.fit if incumbent else None)
    if model.gate.canary is not None and incumbent is not None:
        mended |= {"canary": [model.gate.canary.metric, list(answered)]}
    # The seed does not hang on what an earlier release measured wrongly: it is measured again by the same draws.
    seed = int(digest_json(question)[:12], 16)
    return {**question, **mended, "rows": holdout_declaration(model), "model_files": files}, seed


def _mended(model: ModelConfig, snapshot: Snapshot, fit: FitRecord, incumbent: FitRecord | None) -> dict[str, Any]:
    """Return the editions of what earlier releases measured wrongly for such a model: it is measured again, by the same draws."""
    levels, averages = slice_rows(model.evaluation.slices, snapshot.schema), of_averages(model.metrics, fit.classes)
    equal = {"equal_rows": 1} if counts_equal_rows_once(model) else {}
    other = incumbent is not None and incumbent.classes != fit.classes
    return (
        of_entities(model)
        | levels
        | averages
        | ({"classes": 2} if other else {})
        | {"bounds": BOUNDS}
        | counts_asked(model)
        | equal
    )


def metrics_of_worst_group(model: ModelConfig) -> tuple[str, ...]:
    """Return the metrics whose worst group is determined: the primary metric, and those of fairness rules."""
    named = [rule.metric for rule in model.gate.fairness if rule.metric is not None]
    return tuple(dict.fromkeys([model.gate.primary.metric, *named]))
