"""Leakage check: fit the preparation again on the training rows alone, and compare it with the one in the model file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from include.data.row_digests import rows_digest
from include.leakage.inputs import LeakageInputs
from include.leakage.tripwire import Tripwire
from include.training.estimators.ensembles import EnsembleClassifier, EnsembleRegressor
from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.registry import CONSTANT
from include.training.fit_estimator import learn_preparation, learned_from
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows

_NAME = "preparation"
_SHOWN = 3
Array = NDArray[np.float64]
_NEAR = np.array(1e-12)
"""How far what is learned may be apart beside its share, where the scale of its column is not known."""


def ask(inputs: LeakageInputs) -> Tripwire:
    """Hold the training rows of one fit against its record, and what it learned against those rows."""
    learned = inputs.learned
    fit, frame = learned.fit, learned.rows.frame
    found = rows_digest(frame, learned.declared.data.row_id)
    if (len(frame), found) != (fit.train.rows, fit.train.rows_digest):
        return Tripwire(
            _NAME,
            "tripped",
            f"the record of the fit names {fit.train.rows:,} rows ({fit.train.rows_digest[:12]}), and the training window has "
            f"{len(frame):,} ({found[:12]})",
            "It was fitted to other rows than those of its training window. Train it again with the task `train`",
        )
    return preparation_of_training_rows(inputs.pipeline, learned.recipe, learned.rows, threads=inputs.threads)


def preparation_of_training_rows(model: Pipeline, recipe: Recipe, rows: TrainingRows, *, threads: int = 1) -> Tripwire:
    """Hold everything that a model's preparation has learned against what training rows alone teach.

    It looks at the file that would be shipped, not at how it was made: had an imputation, scaling, encoding or selection
    been given any other row, a holdout row above all, it would know other values. Equal are values within one part in 1e9,
    since another processor may round otherwise.

    Parameters
    ----------
    model : Pipeline
        As loaded from its file.
    recipe : Recipe
        Its ``members`` are those that it joins.
    rows : TrainingRows
        All training rows.
    """
    steps = 0
    for part, pipeline in _prepared(recipe, model):
        if part.estimator == CONSTANT:
            continue
        found: list[str] = []
        for name, shipped, again, near in _learned_again(part, pipeline, rows, threads):
            # Through a file, as the model came: what a file does to types then makes no difference.
            body = dump(Pipeline([("learned", again)]))
            learned = load(body, hashlib.sha256(body).hexdigest())[0]
            steps += sum(1 for _ in _learners(learned))
            found += _differences(shipped, learned, name, near)
        if found:
            more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            who = f" of {part.name}" if part is not recipe else ""
            return Tripwire(
                _NAME,
                "tripped",
                f"the preparation{who} knows other values than its {len(rows):,} training rows teach: "
                f"{'; '.join(found[:_SHOWN])}{more}",
                "It was fitted to other rows as well, and what it learned of the holdout makes the holdout easier than the "
                "future. Fit it inside the pipeline, to training rows only; what `features` declares always is. If this file "
                "was not made by `train`, make it there",
            )
    return Tripwire(
        _NAME, "clear", f"learned again from {len(rows):,} training rows alone, all {steps} steps know the same"
    )


def _learned_again(
    recipe: Recipe, pipeline: Pipeline, rows: TrainingRows, threads: int
) -> Iterator[tuple[tuple[str, ...], Any, Any, Array]]:
    """Yield each learned value of the file with the value learned from the rows, by name, and how far columns may be apart.

    The preparation is fitted group by group where possible, so that the prepared rows need not be held in memory.
    """
    shipped = pipeline.named_steps
    prepare = recipe.preparation(2 if rows.classes is None else len(rows.classes))
    groups = prepare.transformers
    declared = [(name, list(columns)) for name, _, columns in groups]
    found = [(name, list(columns)) for name, _, columns in getattr(shipped["prepare"], "transformers_", ())]
    alike = [pair for pair in found if pair[0] != "remainder"] == declared and _only_groups(shipped["prepare"], prepare)
    if recipe.engine is not None or recipe.features.select or not alike:
        for name, step in learn_preparation(recipe, rows, threads=threads)[0]:
            yield (), shipped.get(name), step, _NEAR
        return
    rows = learned_from(recipe, rows)
    for name, step, columns in groups:
        own = rows.frame[list(columns)]
        yield (name,), shipped["prepare"].named_transformers_[name], step.fit(own, rows.target), _near(own)


def _near(frame: pd.DataFrame) -> Array:
    """Return the rounding of what is learned of each column of numbers: a mean near zero is off by a share of the largest value."""
    if not all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes):
        return _NEAR
    largest = np.nanmax(np.abs(FloatConverter().transform(frame)), axis=0, initial=0.0)
    return np.asarray(_NEAR * np.minimum(1.0, largest))


def _only_groups(shipped: Any, declared: Any) -> bool:
    """Tell whether two column transformers are the same but for what their groups learned: nothing else is fitted, and nothing weighs."""
    mine, theirs = ({**one.get_params(deep=False), "transformers": None} for one in (shipped, declared))
    left = [step for name, step, _ in shipped.transformers_ if name == "remainder"]
    return mine == theirs and mine["remainder"] == "drop" and all(step == "drop" for step in left)


def _prepared(recipe: Recipe, model: Pipeline) -> Iterator[tuple[Recipe, Pipeline]]:
    """Yield every pipeline inside a model that prepares columns, with its recipe."""
    if "prepare" in model.named_steps:
        yield recipe, model
        return
    last = model[-1]
    if isinstance(last, EnsembleClassifier | EnsembleRegressor):
        for member, one in zip(recipe.members, last.models, strict=True):
            yield from _prepared(member, one)
    elif isinstance(last, MetaEstimator):
        for one in last.models:
            yield from _prepared(recipe, one)


def _learners(value: Any) -> Iterator[Any]:
    """Yield the innermost estimators: the steps that learn something."""
    if isinstance(value, Pipeline):
        for _, step in value.steps:
            yield from _learners(step)
    elif hasattr(value, "transformers_"):
        for _, step, _ in value.transformers_:
            yield from _learners(step)
    elif isinstance(value, BaseEstimator):
        yield value


def _differences(one: Any, other: Any, path: tuple[str, ...], near: Array) -> Iterator[str]:
    """Yield what differs, as ``numeric, scale: mean_ is 3.2 instead of 3.1``."""
    if isinstance(one, BaseEstimator) and isinstance(other, BaseEstimator):
        if type(one) is not type(other):
            yield _said(path, type(one).__name__, type(other).__name__)
            return
        yield from _named(vars(one), vars(other), path, near)
    elif isinstance(one, dict) and isinstance(other, dict):
        yield from _named(one, other, path, near)
    elif sparse.issparse(one) and sparse.issparse(other):
        yield from _differences(one.toarray(), other.toarray(), path, near)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield _said(path, f"{len(one)} values", str(len(other)))
            return
        for a, b in zip(one, other, strict=True):
            # A pair of a name and a step, as pipelines keep them, is identified by its name.
            named = isinstance(a, tuple) and a and isinstance(a[0], str) and isinstance(b, tuple)
            yield from _differences(a, b, (*path, a[0]) if named else path, near)
    elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype == other.dtype == object:
        yield from _differences(one.tolist(), other.tolist(), path, near)
    elif not _equal(one, other, near):
        yield _said(path, one, other)


def _named(one: dict[str, Any], other: dict[str, Any], path: tuple[str, ...], near: Array) -> Iterator[str]:
    for name in sorted({*map(str, one), *map(str, other)}):
        if name in one and name in other:
            # `steps` and `transformers_` are how the structure is kept: what is in them tells where it is.
            inner = path if name in ("steps", "transformers_", "transformers") else (*path, name)
            yield from _differences(one[name], other[name], inner, near)
        elif not name.startswith("_"):
            yield _said((*path, name), one.get(name, "not known"), other.get(name, "not known"))


def _equal(one: Any, other: Any, near: Array) -> bool:
    if isinstance(one, float | int | np.number | np.ndarray) and isinstance(
        other, float | int | np.number | np.ndarray
    ):
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape:
            return False
        if a.dtype.kind == b.dtype.kind == "f":
            by_column = near.shape == a.shape[-1:] and a.ndim > 0
            return bool(np.isclose(a, b, rtol=1e-9, atol=near if by_column else _NEAR, equal_nan=True).all())
        return bool((a == b).all())
    if type(one) is not type(other):
        return False
    return bool(np.all(one == other)) or one is other


def _said(path: Sequence[str], one: Any, other: Any) -> str:
    where, what = ", ".join(path[:-1]), path[-1] if path else "it"
    facts = f"{what} is {_short(one, other)} instead of {_short(other, one)}"
    return f"{where}: {facts}" if where else facts


def _short(value: Any, beside: Any) -> str:
    """Return a value; for an array the first number that differs; a level of a column is not shown."""
    if isinstance(value, np.ndarray) and isinstance(beside, np.ndarray):
        if value.shape != beside.shape:
            return f"{value.size} values"
        if value.dtype.kind in "fiub":
            differs = value.ravel()[np.flatnonzero(~np.isclose(value, beside, rtol=1e-9, atol=0).ravel())]
            return f"{differs[0]:.6g}" if len(differs) else "other values"
    if isinstance(value, float | int | np.number):
        return f"{value:.6g}"
    return "other levels" if isinstance(value, str | np.ndarray) else str(value)
