"""A column that predicts almost perfectly by itself: most often it is the answer under another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeRegressor

from include.leakage.inputs import LeakageInputs
from include.leakage.sampling import MIN_SAMPLE, halves, sample
from include.leakage.tripwire import NO_TARGET, Tripwire
from include.training.preprocessing.category_encoder import category_names
from include.training.preprocessing.float_converter import FloatConverter
from include.training.training_rows import TrainingRows

PERFECT = 0.995
"""ROC AUC, of more than two classes their mean, or R², from which on one column alone predicts almost perfectly."""
MAX_SAMPLED_ROWS = 10_000

_NAME = "single_column"
Array = np.ndarray[Any, Any]


def ask(inputs: LeakageInputs) -> Tripwire:
    """Let every column of one training predict its target alone."""
    if inputs.model.data.target is None:
        return Tripwire(_NAME, "not_asked", NO_TARGET)
    learned, trusted = inputs.learned, inputs.model.evaluation.trusted
    return single_column(learned.rows, learned.fit.columns, trusted=trusted, seed=inputs.seed)


def single_column(
    rows: TrainingRows, columns: Sequence[str], *, trusted: Sequence[str] = (), seed: int = 0
) -> Tripwire:
    """Predict the target from each input column alone, learning on one half of a sample and scoring on the other.

    A decision tree learns from numbers and times, a table of means from levels, so that any shape of dependence is found,
    and a gap where a value is missing counts as a value.

    Parameters
    ----------
    trusted : sequence of str
        Columns that may predict perfectly.
    """
    drawn = sample(rows, MAX_SAMPLED_ROWS, seed)
    metric = "R²" if rows.classes is None else "ROC AUC"
    skills = {column: skill_of(drawn.frame[column], drawn, seed) for column in columns if column not in trusted}
    known = {column: skill for column, skill in skills.items() if skill is not None}
    if skills and not known:
        return Tripwire(
            _NAME,
            "unknown",
            f"in {len(rows):,} training rows there are not {MIN_SAMPLE} of each of two classes to look at",
            "A longer `data.windows.train` brings more rows of the rare class",
        )
    aside = f"; `evaluation.trusted` passes over {', '.join(trusted)}" if trusted else ""
    if not known:
        return Tripwire(_NAME, "clear", f"there is no column to look at{aside}")
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    if perfect := [(column, skill) for column, skill in ranked if skill >= PERFECT]:
        named = ", ".join(f"`{column}` ({metric} {skill:.4f})" for column, skill in perfect)
        return Tripwire(
            _NAME,
            "tripped",
            f"alone predicts the target almost perfectly: {named}",
            "Such a column usually is the target in other words, or is filled in only once the answer is known: a model "
            "with it shines here and fails in use. Remove it from `features`; if it is truly known when the model is asked, "
            "name it in `evaluation.trusted`",
        )
    best, skill = ranked[0]
    return Tripwire(
        _NAME,
        "clear",
        f"of {len(known)} columns the strongest alone is `{best}` with {metric} {skill:.4f}, below {PERFECT:g}, on "
        f"{len(drawn):,} training rows{aside}",
    )


def skill_of(column: pd.Series[Any], rows: TrainingRows, seed: int) -> float | None:
    """Return ROC AUC or R² of a column alone on rows that its tree or table did not learn from; None if undefined."""
    wanted = rows.target[:, None] if rows.classes is None else _indicators(rows.target, len(rows.classes))
    predicted = np.empty(wanted.shape, dtype=float)
    one, other = halves(rows, seed)
    for learned, asked in ((one, other), (other, one)):
        predicted[asked] = _predicted(column, wanted, learned, asked, leaf=2 if rows.classes is None else 5)
    if rows.classes is None:
        return float(r2_score(rows.target, predicted[:, 0])) if np.ptp(rows.target) > 0 else None
    counts = wanted.sum(axis=0)
    told = [number for number in range(wanted.shape[1]) if MIN_SAMPLE <= counts[number] <= len(rows) - MIN_SAMPLE]
    return float(np.mean([roc_auc_score(wanted[:, k], predicted[:, k]) for k in told])) if told else None


def _predicted(column: pd.Series[Any], wanted: Array, learned: Array, asked: Array, *, leaf: int) -> Array:
    api = pd.api.types
    if api.is_datetime64_any_dtype(column.dtype):
        column = column.astype("int64").where(column.notna()).astype(float)
    if api.is_numeric_dtype(column.dtype):
        values = FloatConverter().transform(column.to_frame())
        tree = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=0).fit(values[learned], wanted[learned])
        return np.asarray(tree.predict(values[asked]).reshape(len(asked), -1))
    levels, texts = category_names(column)
    levels = levels + 1  # a missing value is a level as well
    counts = np.bincount(levels[learned], minlength=len(texts) + 1)
    sums = np.stack([np.bincount(levels[learned], weights=k, minlength=len(texts) + 1) for k in wanted[learned].T], 1)
    overall = wanted[learned].mean(axis=0)
    means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], overall)
    return np.asarray(means[levels[asked]])


def _indicators(target: Array, classes: int) -> Array:
    numbers = np.arange(1, 2) if classes == 2 else np.arange(classes)
    return np.asarray(target[:, None] == numbers, dtype=float)
