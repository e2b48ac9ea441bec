"""A fitted pipeline compiled for one row at a time: the same number without a frame, which costs milliseconds.

What can't be compiled, or does not give the same numbers, is not served by it: `SingleRow.verify` decides, on rows of the
version's own holdout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from include.scoring.golden import agree
from include.scoring.predictor import Array, Predictions, Predictor
from include.serving.compiled.estimators import estimator_of
from include.serving.compiled.not_compiled import NotCompiled
from include.serving.compiled.preprocessing import array_step, number_of, preparation, text_of
from include.serving.protocol.row_schema import Row
from include.training.fit_record import FitRecord

_CHUNK = 500
"""How many rows are held at a time while a compiled form is verified: what ten thousand leave behind is more than a model."""


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
        self._prepare = preparation(predictor.pipeline[0])
        self._steps = [array_step(step) for _, step in predictor.pipeline.steps[1:-1]]
        self._estimate = estimator_of(predictor.pipeline[-1], classes=len(predictor.fit.classes or ()))
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
            value = number_of(values[name])
            if value != value:
                if complete and low is not None:
                    found.append(name)
            elif low is None or high is None or value < low or value > high:
                found.append(name)
        for name, levels, complete in self._levels:
            text = text_of(values[name])
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
        for start in range(0, rows.num_rows, _CHUNK):
            self._verify(predictor, rows.slice(start, _CHUNK))

    def _verify(self, predictor: Predictor, rows: pa.Table) -> None:
        expected = predictor.predict(predictor.inputs(rows))
        outside = list(expected.outside.items())
        for number, row in enumerate(rows.to_pylist()):
            try:
                found = self(row)
            except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
                raise NotCompiled("A single row can't be predicted.", found=type(error).__name__) from error
            if not agree(np.atleast_1d(found.score), np.atleast_1d(expected.score[number]).astype(float)):
                raise NotCompiled("A single row gets another prediction.", where=predictor.version.id)
            if set(found.outside) != {name for name, mask in outside if mask[number]}:
                raise NotCompiled("A single row gets another out-of-domain flag.", where=predictor.version.id)
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
