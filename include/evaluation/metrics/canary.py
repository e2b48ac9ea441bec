"""Canary metrics: the answers of challenger and incumbent to requests of their own entities, once the labels are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.data.request_files import ANSWERED, AT, CHALLENGED, ROLE, read_requests, requests_in, written_out
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.compared_models import ComparedModel
from include.evaluation.comparison import compare
from include.evaluation.gains import CanaryAnswers, Measured, Role
from include.evaluation.scored_rows import Scored, of_classes
from include.evaluation.uncertainty.bootstrap import draw
from include.storage.content import digest_json
from include.storage.store import ObjectStore

Array = NDArray[Any]

_PREDICTION, _VERSION, _PLACE = "prediction", "version", "(place)"
_ROLES: dict[Role, str] = {"challenger": CHALLENGED, "incumbent": ANSWERED}


def answered_files(store: ObjectStore, model: ModelConfig, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the keys of the request log's files that may hold answers for the holdout's rows, as far as they came by as-of.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        Without `gate.canary` there are none.
    snapshot : Snapshot
    """
    return () if model.gate.canary is None else tuple(requests_in(store, model.name, _asked_in(snapshot)))


def compare_answers(
    store: ObjectStore,
    model: ModelConfig,
    snapshot: Snapshot,
    files: Sequence[str],
    models: dict[Role, ComparedModel],
    frame: pd.DataFrame,
    target: Array,
    classes: tuple[Any, ...] | None,
    *,
    seed: int,
) -> CanaryAnswers:
    """Measure what both models answered, each on the requests that it was given.

    Entities are split by their hash, so both answered like rows, but not the same ones: the two are independent samples. Of a
    row that was asked about more than once the first answer counts, as that is what the caller could act on first.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        With `gate.canary` and a `serving.challenger`.
    snapshot : Snapshot
        Whose holdout ``frame`` is.
    files : sequence of str
        As `answered_files` returned them.
    models : dict of {"challenger", "incumbent"} to ComparedModel
    frame : pandas.DataFrame of shape (n_rows, n_columns)
        The labelled rows of the holdout, with their ids.
    target : array of shape (n_rows,)
        0 and 1, or values.
    classes : tuple or None
        What 0 and 1 stand for.
    seed : int
        Of the resamples.

    Returns
    -------
    CanaryAnswers
        Without a value for a model that answered nothing, or where the classes are more than two: the log keeps one number a row.
    """
    rule, challenger = model.gate.canary, model.serving.challenger
    assert rule is not None and challenger is not None and challenger.by is not None  # noqa: S101 (held by the configuration)
    keys, by, metric = list(model.data.row_id), challenger.by, rule.metric or model.gate.primary.metric
    columns = list(dict.fromkeys([*keys, by, _PREDICTION, _VERSION, AT, ROLE]))
    tables = [
        written_out(table.select(columns))
        for table in read_requests(store, files, _asked_in(snapshot), columns=columns, roles=tuple(_ROLES.values()))
        if set(columns) <= set(table.column_names)
    ]
    labelled = written_out(pa.Table.from_pandas(frame[keys], preserve_index=False))
    labelled = labelled.append_column(_PLACE, pa.array(np.arange(len(frame))))
    rows: dict[Role, int] = {}
    entities: dict[Role, int] = {}
    scores: dict[Role, Measured] = {}
    for role, compared in models.items():
        answers = _answers(tables, labelled, keys, _ROLES[role], compared.id)
        rows[role], entities[role] = len(answers), int(answers[by].nunique(dropna=False)) if len(answers) else 0
        own = compared.fit.classes
        if not len(answers):
            scores[role] = Measured(None, None, None, f"the {role} answered none of the labelled rows")
        elif classes is not None and len(classes) > 2:
            scores[role] = Measured(None, None, None, "of more than two classes the request log keeps no probabilities")
        else:
            said = of_classes(Scored(answers[_PREDICTION].to_numpy(float), compared.fit.threshold), own, classes)
            # Rows without an entity, which the champion answers, are one together, as they are counted.
            of_entity, _ = pd.factorize(answers[by], use_na_sentinel=False)
            resampling = draw(of_entity, resamples=model.evaluation.resamples, seed=seed)
            truth = target[answers[_PLACE].to_numpy()]
            found = compare(truth, {"challenger": said}, (metric,), {}, resampling, positives=classes is not None)
            scores[role] = found.scores["challenger"][metric]
    return CanaryAnswers(metric, by, challenger.traffic, rows, entities, scores, digest_json(list(files)))


def _asked_in(snapshot: Snapshot) -> Window:
    return Window(snapshot.split.holdout.after, snapshot.as_of)


def _answers(
    tables: Sequence[pa.Table], labelled: pa.Table, keys: Sequence[str], role: str, version: str
) -> pd.DataFrame:
    """Return the labelled rows that a version answered in a role, each once, with their places in the holdout."""
    kinds = {name: labelled.schema.field(name).type for name in keys}
    found: list[pd.DataFrame] = []
    for table in tables:
        for name, kind in kinds.items():
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
        read = table.to_pandas()
        found.append(read[(read[ROLE] == role) & (read[_VERSION] == version)].drop(columns=[ROLE, _VERSION]))
    rows: pd.DataFrame = labelled.to_pandas()
    if not found:
        return rows[:0]
    first = pd.concat(found).sort_values(AT, kind="stable").drop_duplicates(list(keys))
    return rows.merge(first, on=list(keys))
