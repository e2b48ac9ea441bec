"""Attributions: the contribution of each column to a prediction, for linear and tree models.

Linear models: coefficient times prepared value; the base is the intercept. Trees: along a row's way from the root, each split
changes the expected value, and the change goes to the column that was asked (Saabas, 2014, "Interpreting random forests"); the
base is what the roots expect. LightGBM, XGBoost and CatBoost: Shapley values of trees (TreeSHAP), by the
library. All are on the scale on which the model adds: log-odds for logistic regression and boosted classifiers, the prediction
itself otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.errors import EvaluationError
from include.scoring.predictor import Array, Predictor
from include.training.estimators.boosting.boosted_trees import BoostedClassifier, BoostedRegressor, BoostedTrees


class NotAttributable(EvaluationError):
    """A version's predictions have no contributions that add up."""


@dataclass(frozen=True)
class Attributions:
    """Contributions of columns to predictions.

    Attributes
    ----------
    scale : {"log-odds", "prediction"}
    base : float
        What the model says before it has looked at any column.
    columns : tuple of str
        The fit's columns.
    contributions : array of shape (n_rows, n_columns)
        ``base`` plus the sum of a row is the prediction on ``scale``.
    """

    scale: str
    base: float
    columns: tuple[str, ...]
    contributions: Array

    def row(self, number: int) -> dict[str, Any]:
        """Return one row's explanation as plain JSON."""
        values = self.contributions[number].tolist()
        return {
            "scale": self.scale,
            "base": self.base,
            "contributions": dict(zip(self.columns, values, strict=True)),
        }


def attribute(predictor: Predictor, frame: pd.DataFrame) -> Attributions:
    """Explain rows that have the fit's columns; raises `NotAttributable` as `contributions_of` does."""
    return contributions_of(predictor.pipeline, predictor.fit.columns, frame)


def require_attributable(pipeline: Any, columns: tuple[str, ...]) -> None:
    """Raise `NotAttributable` if `contributions_of` would for any rows."""
    _parts(pipeline[-1], np.zeros((1, len(_owner_of(pipeline, columns)))))


def contributions_of(pipeline: Any, columns: tuple[str, ...], frame: pd.DataFrame) -> Attributions:
    """Return what each column contributed to a pipeline's predictions.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted: preparation and estimator.
    columns : tuple of str
        The columns that it was fitted on.
    frame : pandas.DataFrame
        Rows that have them.

    Raises
    ------
    NotAttributable
        When the estimator is neither linear nor made of trees, or a step of the pipeline mixes columns.
    """
    owner = _owner_of(pipeline, columns)
    matrix = pipeline[0].transform(frame[list(columns)])
    matrix = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)
    scale, base, parts = _parts(pipeline[-1], matrix)
    contributions = np.zeros((len(matrix), len(columns)))
    for place, column in enumerate(owner):
        contributions[:, column] += parts[:, place]
    return Attributions(scale, base, tuple(columns), contributions)


def _owner_of(pipeline: Any, columns: tuple[str, ...]) -> list[int]:
    if len(pipeline.steps) != 2 or not hasattr(pipeline[0], "output_indices_"):
        raise NotAttributable("A step between preparation and estimator mixes or drops columns.")
    return _owners(pipeline[0], columns)


def _owners(prepared: Any, columns: tuple[str, ...]) -> list[int]:
    """Return for each prepared column which of the fit's columns it was made of."""
    owner = [-1] * sum(where.stop - where.start for where in prepared.output_indices_.values())
    for name, fitted, inputs in prepared.transformers_:
        where = prepared.output_indices_[name]
        if where.stop == where.start:
            continue
        widths = _widths(fitted, len(inputs), where.stop - where.start)
        places = [columns.index(column) for column, width in zip(inputs, widths, strict=True) for _ in range(width)]
        owner[where] = places
    return owner


def _widths(fitted: Any, inputs: int, outputs: int) -> list[int]:
    """Return how many prepared columns each input column of a group became."""
    steps = [step for _, step in fitted.steps] if hasattr(fitted, "steps") else [fitted]
    if hasattr(steps[0], "names_") and getattr(steps[0], "encode", "") == "one_hot" and len(steps) == 1:
        return [len(names) for names in steps[0].names_]
    if outputs % inputs == 0 and not any(hasattr(step, "powers_") for step in steps):
        if outputs == inputs:
            return [1] * inputs
        if inputs == 1:
            return [outputs]
    raise NotAttributable("A prepared column is made of several columns.")


def _parts(estimator: Any, matrix: Array) -> tuple[str, float, Array]:
    """Return scale, base, and an array of shape (n_rows, n_prepared) of contributions."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.ensemble._forest import ForestClassifier, ForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model._base import LinearModel
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    match estimator:
        case LogisticRegression() if len(estimator.classes_) == 2:
            return "log-odds", float(estimator.intercept_[0]), matrix * estimator.coef_[0]
        case LinearModel() if estimator.coef_.ndim == 1 and not hasattr(estimator, "classes_"):
            return "prediction", float(np.ravel(estimator.intercept_)[0]), matrix * estimator.coef_
        case HistGradientBoostingClassifier() if len(estimator.classes_) == 2:
            return ("log-odds", *_boosted(estimator, matrix))
        case HistGradientBoostingRegressor() if estimator.loss in ("squared_error", "absolute_error", "quantile"):
            return ("prediction", *_boosted(estimator, matrix))
        case BoostedClassifier() if estimator.outputs == 1:
            return ("log-odds", *_shapley(estimator, matrix))
        case BoostedRegressor() if estimator.additive:
            return ("prediction", *_shapley(estimator, matrix))
        case ForestClassifier() | DecisionTreeClassifier() if len(estimator.classes_) == 2:
            return ("prediction", *_averaged(estimator, matrix, of_classes=True))
        case ForestRegressor() | DecisionTreeRegressor():
            return ("prediction", *_averaged(estimator, matrix, of_classes=False))
    raise NotAttributable(
        "The estimator's predictions have no contributions that add up.",
        expected="a linear model, trees, or a forest or histogram boosting of trees, of two classes or of numbers",
        found=type(estimator).__name__,
    )


def _shapley(estimator: BoostedTrees, matrix: Array) -> tuple[float, Array]:
    known = estimator.contributions(matrix)
    return float(known[0, -1]) if len(known) else 0.0, known[:, :-1]


def _averaged(estimator: Any, matrix: Array, *, of_classes: bool) -> tuple[float, Array]:
    fitted = [one.tree_ for one in getattr(estimator, "estimators_", [estimator])]
    base, parts = 0.0, np.zeros_like(matrix)
    for tree in fitted:
        counts = tree.value[:, 0, :]
        value = counts[:, 1] / counts.sum(axis=1) if of_classes else counts[:, 0]
        path = tree.decision_path(matrix.astype(np.float32)).tocsr()
        base += float(value[0])
        # Children have greater numbers than their parent, so a row's path is in the order of its nodes.
        nodes, starts = path.indices, path.indptr
        changes = value[nodes[1:]] - value[nodes[:-1]]
        within = np.ones(len(changes), dtype=bool)
        within[starts[1:-1] - 1] = False
        rows = np.repeat(np.arange(len(matrix)), np.diff(starts))[:-1]
        np.add.at(parts, (rows[within], tree.feature[nodes[:-1]][within]), changes[within])
    return base / len(fitted), parts / len(fitted)


def _boosted(estimator: Any, matrix: Array) -> tuple[float, Array]:
    """Follow each row through the nodes of scikit-learn's `TreePredictor` (1.9), whose order of columns has levels first."""
    prepared, order = matrix, np.arange(matrix.shape[1])
    if estimator._preprocessor is not None:
        prepared = np.asarray(estimator._preprocessor.transform(matrix), dtype=float)
        chosen = np.asarray(estimator._preprocessor.transformers_[0][2])
        levels = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        order = np.concatenate([levels, np.setdiff1d(order, levels)])
    known, places = estimator._bin_mapper.make_known_categories_bitsets()
    base, parts = float(np.ravel(estimator._baseline_prediction)[0]), np.zeros_like(matrix)
    for (tree,) in estimator._predictors:
        nodes = tree.nodes
        value = _expected(nodes)
        base += float(value[0])
        here = np.zeros(len(matrix), dtype=np.int64)
        rows = np.arange(len(matrix))
        while len(rows := rows[nodes["is_leaf"][here[rows]] == 0]):
            at = here[rows]
            feature = nodes["feature_idx"][at]
            x = prepared[rows, feature]
            left = x <= nodes["num_threshold"][at]
            missing = np.isnan(x)
            if (levels_asked := np.flatnonzero(nodes["is_categorical"][at])).size:
                asked, code = at[levels_asked], x[levels_asked]
                inside = (code >= 0) & (code < 256)
                number = np.where(inside, np.nan_to_num(code), 0).astype(np.int64)
                in_set = _has(tree.raw_left_cat_bitsets[nodes["bitset_idx"][asked]], number) & inside
                left[levels_asked] = in_set
                missing[levels_asked] |= ~in_set & ~(_has(known[places[feature[levels_asked]]], number) & inside)
            left = np.where(missing, nodes["missing_go_to_left"][at] != 0, left)
            after = np.where(left, nodes["left"][at], nodes["right"][at]).astype(np.int64)
            np.add.at(parts, (rows, order[feature]), value[after] - value[at])
            here[rows] = after
    return base, parts


def _expected(nodes: Array) -> Array:
    """Return what each node expects: the mean of its leaves by their training rows."""
    value = nodes["value"].astype(float).copy()
    for number in range(len(nodes) - 1, -1, -1):
        if not nodes["is_leaf"][number]:
            left, right = int(nodes["left"][number]), int(nodes["right"][number])
            counts = float(nodes["count"][left]), float(nodes["count"][right])
            value[number] = (counts[0] * value[left] + counts[1] * value[right]) / max(sum(counts), 1.0)
    return value


def _has(sets: Array, numbers: Array) -> Array:
    """Tell for each row of bit sets whether a number is in it."""
    words = sets[np.arange(len(numbers)), numbers // 32]
    return np.asarray((words >> (numbers % 32).astype(np.uint32)) & 1, dtype=bool)
