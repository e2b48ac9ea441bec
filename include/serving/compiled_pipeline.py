"""A fitted pipeline compiled for one row at a time: the same number without a frame, which costs milliseconds.

What can't be compiled, or does not give the same numbers, is not served by it: `SingleRow.verify` decides, on rows of the
version's own holdout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from include.errors import RatchetError
from include.scoring.golden import agree
from include.scoring.predictor import Array, Predictions, Predictor
from include.serving.protocol.row_schema import Row
from include.training.fit_record import FitRecord
from include.training.preprocessing.category_encoder import UNKNOWN_CODE, CategoryEncoder
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper
from include.training.preprocessing.signed_log import SignedLog

Vector = Callable[[Array], Array]
_ALL_AT_ONCE = 20_000
"""Up to how many nodes all splits of all trees are taken at once; in larger forests only those on the way."""


class NotCompiled(RatchetError):
    """A pipeline can't be predicted row by row without a frame; the message says why."""


@dataclass(frozen=True)
class SinglePrediction:
    """What a version predicts for one row: ``score`` has shape (1,) or (n_classes,)."""

    score: Array
    outside: list[str]


def joined(fit: FitRecord, singles: Sequence[SinglePrediction]) -> Predictions:
    """Return the predictions of single rows as those of a table."""
    score = np.stack([np.atleast_1d(one.score) for one in singles])
    names = sorted({name for one in singles for name in one.outside})
    outside = {name: np.array([name in one.outside for one in singles]) for name in names}
    return Predictions(fit, score[:, 0] if score.shape[1] == 1 else score, outside)


class SingleRow:
    """A predictor for one row.

    Parameters
    ----------
    predictor : Predictor
    derive : callable, optional
        The version's ``derive`` for one row: a dict of raw values in, a dict of values out. Needed where there is a ``derive``.

    Raises
    ------
    NotCompiled
        When a part of the pipeline has no compiled form.
    """

    def __init__(self, predictor: Predictor, derive: Callable[[Row], Row] | None = None) -> None:
        if predictor.derive is not None and derive is None:
            raise NotCompiled(
                "`features.derive` is written for frames.",
                expected="a function `derive(row)` for one row in online.py beside it",
                where=predictor.model.name,
            )
        self._derive = derive if predictor.derive is not None else None
        self._prepare = _preparation(predictor.pipeline[0])
        self._steps = [_array_step(step) for _, step in predictor.pipeline.steps[1:-1]]
        self._estimate = _estimator(predictor.pipeline[-1], classes=len(predictor.fit.classes or ()))
        domain = predictor.domain
        self._ranges = [(name, r.low, r.high, r.missing == 0) for name, r in domain.numeric.items()]
        self._levels = [(name, frozenset(one.levels), one.missing == 0) for name, one in domain.categorical.items()]

    def __call__(self, row: Row) -> SinglePrediction:
        """Predict one row that has every column of the schema."""
        values = row if self._derive is None else {**row, **self._derive(row)}
        x = self._prepare(values)
        for step in self._steps:
            x = step(x)
        return SinglePrediction(self._estimate(x), self._outside(values))

    def _outside(self, values: Row) -> list[str]:
        found = []
        for name, low, high, complete in self._ranges:
            value = _number(values[name])
            if value != value:
                if complete and low is not None:
                    found.append(name)
            elif low is None or high is None or value < low or value > high:
                found.append(name)
        for name, levels, complete in self._levels:
            text = _text(values[name])
            if complete if text is None else text not in levels:
                found.append(name)
        return found

    def verify(self, predictor: Predictor, rows: pa.Table) -> None:
        """Hold the compiled form to the pipeline; raises `NotCompiled` at the first difference.

        Parameters
        ----------
        rows : pyarrow.Table
            Raw rows with the columns of the predictor's schema.
        """
        expected = predictor.predict(predictor.inputs(rows))
        outside = list(expected.outside.items())
        for number, row in enumerate(rows.to_pylist()):
            try:
                found = self(row)
            except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
                raise NotCompiled("A row can't be predicted alone.", found=type(error).__name__) from error
            if not agree(np.atleast_1d(found.score), np.atleast_1d(expected.score[number]).astype(float)):
                raise NotCompiled("A row alone gets another number.", where=predictor.version.id)
            if set(found.outside) != {name for name, mask in outside if mask[number]}:
                raise NotCompiled("A row alone lies otherwise in the domain.", where=predictor.version.id)
            if number % 16 == 0:
                time.sleep(0.001)  # it is done beside requests, which must not wait for it


def strange_rows(rows: pa.Table, seed: int = 0) -> pa.Table:
    """Return rows of which each has one value changed: to nothing, to an unknown text, or to an extreme number."""
    rng = np.random.default_rng(seed)
    changed = rng.integers(rows.num_columns, size=rows.num_rows)
    kind = rng.integers(3, size=rows.num_rows)
    columns = []
    for place, field in enumerate(rows.schema):
        values = rows[field.name].to_pylist()
        for number in np.flatnonzero(changed == place):
            if kind[number] == 0 or field.type not in _STRANGE:
                values[number] = None
            else:
                values[number] = _STRANGE[field.type][kind[number] - 1]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=rows.schema)


_STRANGE: dict[pa.DataType, tuple[Any, Any]] = {
    pa.string(): ("(never seen)", ""),
    pa.int64(): (-1_000_000, 1_000_000),
    pa.float64(): (-1e6, 1e6),
}


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    number = float(value)
    return math.nan if math.isinf(number) else number


def _text(value: Any) -> str | None:
    """Return a value as `CategoryEncoder` names its level, None for a missing one."""
    if type(value) is str:
        return value
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _preparation(transformer: Any) -> Callable[[Row], Array]:
    """Compile the transformer of a model's columns."""
    parts: list[tuple[slice, Callable[[Row], Array]]] = []
    width = 0
    for name, fitted, columns in transformer.transformers_:
        where = transformer.output_indices_[name]
        if where.stop == where.start:
            continue
        width = max(width, where.stop)
        steps = [step for _, step in fitted.steps] if hasattr(fitted, "steps") else [fitted]
        parts.append((where, _group(steps, list(columns))))

    def prepare(row: Row) -> Array:
        x = np.empty(width)
        for where, part in parts:
            x[where] = part(row)
        return x

    return prepare


def _group(steps: list[Any], columns: list[str]) -> Callable[[Row], Array]:
    first, *rest = steps
    if isinstance(first, FloatConverter):
        start: Callable[[Row], Array] = lambda row: np.array([_number(row[name]) for name in columns])  # noqa: E731
    elif isinstance(first, CategoryEncoder):
        start = _encoder(first, columns)
    else:
        raise NotCompiled(f"`{type(first).__name__}` has no form for one row.")
    others = [_array_step(step) for step in rest]

    def group(row: Row) -> Array:
        x = start(row)
        for step in others:
            x = step(x)
        return x

    return group


def _encoder(encoder: CategoryEncoder, columns: list[str]) -> Callable[[Row], Array]:
    tables = [
        ({str(level): int(code) for level, code in zip(levels, codes, strict=True)}, int(missing))
        for levels, codes, missing in zip(encoder.levels_, encoder.codes_, encoder.missing_, strict=True)
    ]
    named = list(zip(columns, tables, strict=True))

    def codes_of(row: Row) -> list[int]:
        found = []
        for name, (table, missing) in named:
            text = _text(row[name])
            found.append(missing if text is None else table.get(text, UNKNOWN_CODE))
        return found

    if encoder.encode != "one_hot":
        unknown = math.nan if encoder.encode == "native" else -1.0
        return lambda row: np.array([unknown if code == UNKNOWN_CODE else float(code) for code in codes_of(row)])
    widths = [len(names) for names in encoder.names_]
    offsets = [sum(widths[:place]) for place in range(len(widths))]

    def one_hot(row: Row) -> Array:
        x = np.zeros(sum(widths))
        for offset, code in zip(offsets, codes_of(row), strict=True):
            if code != UNKNOWN_CODE:
                x[offset + code] = 1.0
        return x

    return one_hot


def _array_step(step: Any) -> Vector:
    """Compile a transformer of arrays; one without a form of its own is asked as it is, which is right and slower."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import RobustScaler, StandardScaler

    match step:
        case OutlierClipper(action="clip"):
            low, high = step.lower_, step.upper_
            return lambda x: np.minimum(np.maximum(x, low), high)
        case SimpleImputer(add_indicator=False):
            fill = np.nan_to_num(step.statistics_.astype(float))
            return lambda x: np.where(np.isnan(x), fill, x)
        case SignedLog():
            return lambda x: np.sign(x) * np.log1p(np.abs(x))
        case StandardScaler(mean_=np.ndarray(), scale_=np.ndarray()):
            center, scale = step.mean_, step.scale_
        case RobustScaler(center_=np.ndarray(), scale_=np.ndarray()):
            center, scale = step.center_, step.scale_
        case _:
            return lambda x: np.asarray(_dense(step.transform(x.reshape(1, -1))), dtype=float)[0]
    return lambda x: (x - center) / scale


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def _estimator(estimator: Any, classes: int) -> Vector:
    """Compile an estimator to a score of shape (1,), or (n_classes,) for more than two classes."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.ensemble._forest import ForestClassifier, ForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model._base import LinearModel

    match estimator:
        case LogisticRegression() if classes == 2 and len(estimator.classes_) == 2:
            coefficients, intercept = estimator.coef_[0], estimator.intercept_
            return lambda x: expit(coefficients @ x + intercept)
        case LinearModel() if estimator.coef_.ndim == 1 and hasattr(estimator, "intercept_") and not classes:
            coefficients, intercept = estimator.coef_, np.atleast_1d(estimator.intercept_)
            return lambda x: coefficients @ x + intercept
        case HistGradientBoostingClassifier() if classes == 2 and len(estimator.classes_) == 2:
            raw = _boosted(estimator)
            return lambda x: expit(raw(x))
        case HistGradientBoostingRegressor():
            raw, inverse = _boosted(estimator), estimator._loss.link.inverse
            return lambda x: inverse(raw(x))
        case ForestClassifier() | ForestRegressor() if classes <= 2 and estimator.n_outputs_ == 1:
            if classes and len(estimator.classes_) != 2:
                raise NotCompiled("a forest that knows one class only")
            return _forest(estimator, classes)
    if not classes:
        return lambda x: np.asarray(estimator.predict(x.reshape(1, -1)), dtype=float).reshape(-1)
    if len(estimator.classes_) != classes:
        raise NotCompiled("an estimator that does not know all classes")
    both = slice(1, 2) if classes == 2 else slice(None)
    return lambda x: np.asarray(np.asarray(estimator.predict_proba(x.reshape(1, -1)), dtype=float)[0, both])


@dataclass(frozen=True)
class _Trees:
    """Trees in one table of nodes; a leaf leads to itself. A row goes left where ``x[feature] <= threshold``."""

    feature: Array
    threshold: Array
    missing_left: Array
    left: Array
    right: Array
    value: Array
    roots: Array
    depth: int
    categorical: Array
    """Places of the nodes that ask for levels."""
    goes_left: Array
    """For each of those, whether a row of level 0, 1, ..., or of another or none (the last place), goes left."""

    def leaves(self, x: Array) -> Array:
        """Return the leaf of one row in each tree."""
        if len(self.feature) <= _ALL_AT_ONCE:
            onward = self._onward(slice(None), x)
            here = self.roots
            for _ in range(self.depth):
                here = onward[here]
            return here
        here = self.roots
        for _ in range(self.depth):
            here = self._onward(here, x)
        return here

    def _onward(self, nodes: Any, x: Array) -> Array:
        values = x[self.feature[nodes]]
        left = (values <= self.threshold[nodes]) | (np.isnan(values) & self.missing_left[nodes])
        if len(self.categorical):
            if not isinstance(nodes, slice):
                raise NotCompiled("a large model with levels")
            levels = x[self.feature[self.categorical]]
            last = self.goes_left.shape[1] - 1
            known = (levels >= 0) & (levels < last)
            places = np.where(known, np.nan_to_num(levels, nan=-1.0), last).astype(np.int64)
            left[self.categorical] = self.goes_left[np.arange(len(levels)), places]
        onward: Array = np.where(left, self.left[nodes], self.right[nodes])
        return onward


def _boosted(estimator: Any) -> Vector:
    """Compile histogram gradient boosting of one output to its raw prediction.

    The nodes are those that scikit-learn's `TreePredictor` keeps (1.9): a level goes left if its bit is in the node's set, and
    a level that the feature never had goes where missing values go.
    """
    if any(len(trees) != 1 for trees in estimator._predictors):
        raise NotCompiled("boosting of several outputs")
    predictors = [trees[0] for trees in estimator._predictors]
    known, place = estimator._bin_mapper.make_known_categories_bitsets()
    # Beyond its last known level a feature has none: tables need not be wider.
    width = 1 + max((int(np.flatnonzero(_bits(words)).max(initial=0)) for words in known), default=0)
    tables, categorical, goes_left, roots, start = [], [], [], [], 0
    for predictor in predictors:
        nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
        for number in np.flatnonzero((nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)):
            node = nodes[number]
            row = np.full(width + 1, bool(node["missing_go_to_left"]))
            left = _bits(bitsets[node["bitset_idx"]])[:width]
            row[:width] = np.where(left | _bits(known[place[node["feature_idx"]]])[:width], left, row[width])
            categorical.append(start + number)
            goes_left.append(row)
        tables.append((nodes, start))
        roots.append(start)
        start += len(nodes)
    leaf = np.concatenate([nodes["is_leaf"] != 0 for nodes, _ in tables])
    own = np.arange(start, dtype=np.int32)
    trees = _Trees(
        feature=np.concatenate([nodes["feature_idx"] for nodes, _ in tables]).astype(np.int32),
        threshold=np.concatenate([nodes["num_threshold"] for nodes, _ in tables]),
        missing_left=np.concatenate([nodes["missing_go_to_left"] != 0 for nodes, _ in tables]),
        left=np.where(
            leaf, own, np.concatenate([nodes["left"].astype(np.int32) + np.int32(at) for nodes, at in tables])
        ),
        right=np.where(
            leaf, own, np.concatenate([nodes["right"].astype(np.int32) + np.int32(at) for nodes, at in tables])
        ),
        value=np.concatenate([nodes["value"] for nodes, _ in tables]),
        roots=np.array(roots),
        depth=max(int(nodes["depth"].max()) for nodes, _ in tables),
        categorical=np.array(categorical, dtype=np.int64),
        goes_left=np.array(goes_left, dtype=bool).reshape(-1, width + 1),
    )
    baseline = np.asarray(estimator._baseline_prediction, dtype=float).reshape(-1)
    reorder = _level_order(estimator)

    def raw(x: Array) -> Array:
        values = trees.value[trees.leaves(reorder(x))]
        # One after the other, as scikit-learn adds them: the same bits.
        return np.add.accumulate(np.concatenate([baseline, values]))[-1:]

    return raw


def _bits(words: Array) -> Array:
    return np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), bitorder="little").astype(bool)


def _level_order(estimator: Any) -> Vector:
    """Compile what scikit-learn does with levels first: their numbers by order, and their columns before all others."""
    preprocessor = estimator._preprocessor
    if preprocessor is None:
        return lambda x: x
    _, encoder, levels = preprocessor.transformers_[0]
    levels = np.flatnonzero(levels) if np.asarray(levels).dtype == bool else np.asarray(levels, dtype=np.int64)
    rest = np.setdiff1d(np.arange(preprocessor.n_features_in_), levels)
    places = [{float(value): float(n) for n, value in enumerate(known)} for known in encoder.categories_]
    pairs = list(zip(levels.tolist(), places, strict=True))

    def reorder(x: Array) -> Array:
        return np.concatenate([[table.get(x[at], math.nan) for at, table in pairs], x[rest]])

    return reorder


def _forest(estimator: Any, classes: int) -> Vector:
    """Compile a forest to the mean of its trees; a tree reads numbers as float32."""
    fitted = [one.tree_ for one in estimator.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in fitted)])[:-1]
    leaf = np.concatenate([tree.children_left == -1 for tree in fitted])
    own = np.arange(len(leaf))

    def every(values: Iterable[Array]) -> Array:
        return np.concatenate(list(values))

    counts = every(tree.value[:, 0, :] for tree in fitted)
    value = counts[:, 1] / counts.sum(axis=1) if classes else counts[:, 0]
    trees = _Trees(
        feature=np.maximum(every(tree.feature for tree in fitted), 0).astype(np.int32),
        threshold=every(tree.threshold for tree in fitted),
        missing_left=every(tree.missing_go_to_left != 0 for tree in fitted),
        left=np.where(leaf, own, every(t.children_left + at for t, at in zip(fitted, starts, strict=True))),
        right=np.where(leaf, own, every(t.children_right + at for t, at in zip(fitted, starts, strict=True))),
        value=value,
        roots=starts,
        depth=max(tree.max_depth for tree in fitted),
        categorical=np.array([], dtype=np.int64),
        goes_left=np.zeros((0, 1), dtype=bool),
    )

    def mean(x: Array) -> Array:
        # float32, then float64 for the comparison with thresholds.
        values: Array = trees.value[trees.leaves(x.astype(np.float32).astype(np.float64))]
        return np.asarray(values.mean(keepdims=True))

    return mean
