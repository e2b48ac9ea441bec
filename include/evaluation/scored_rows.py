"""Predictions of one model for the holdout rows, and the levels of slices that the rows are in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.training.metrics.scoring import DEFAULT_THRESHOLD
from include.training.preprocessing.category_encoder import MISSING_CATEGORY, category_names

Array = NDArray[Any]


@dataclass(frozen=True)
class Scored:
    """One model's answers for the holdout rows.

    Parameters
    ----------
    score : array of shape (n_rows,)
        Probabilities of the positive class, values, or numbers of clusters; of more than two classes the probability of
        each, of shape (n_rows, n_classes).
    threshold : float or None
        The score from which a row counts as positive.
    labels : array of shape (n_rows,), optional
        What each row is said to be, where that is not a matter of the threshold.
    terms : dict of str to array of shape (n_rows,)
        Per-row terms of metrics that follow from more than target and score.
    slice_terms : dict of str to array of shape (n_rows,)
        The same for parts of the rows.
    draws : dict of str to array of shape (1 + n_resamples,)
        Metrics that are resampled otherwise than by rows: the value, and draws from its distribution.
    interval : (float, float), optional
        How far the bounds of a prediction interval lie from the score.
    """

    score: Array
    threshold: float | None
    labels: Array | None = None
    terms: Mapping[str, Array] = field(default_factory=dict)
    slice_terms: Mapping[str, Array] = field(default_factory=dict)
    draws: Mapping[str, Array] = field(default_factory=dict)
    interval: tuple[float, float] | None = None

    @property
    def said(self) -> Array | None:
        """What each row is said to be; None for a regression."""
        if self.labels is not None:
            return self.labels
        if self.score.ndim == 2:
            return np.asarray(self.score.argmax(axis=1))
        return None if self.threshold is None else self.score >= self.threshold


def of_classes(scored: Scored, own: tuple[Any, ...] | None, classes: tuple[Any, ...] | None) -> Scored:
    """Return a model's scores as those of other classes than its own.

    Parameters
    ----------
    scored : Scored
        Of shape (n_rows,), the probability of the second, where the model knows two classes; else (n_rows, n_own).
    own : tuple of the classes that the model knows
    classes : tuple of the classes that are asked for
        One that the model does not know has no probability. Of two, both are known, and the score is what they have of
        the probability together.
    """
    if own == classes or own is None or classes is None:
        return scored
    score = scored.score
    if len(own) == 2 and len(classes) == 2:  # the same two, the other one positive: called where the first was not
        return Scored(1 - score, None if scored.threshold is None else float(np.nextafter(1 - scored.threshold, 2)))
    each = np.column_stack([1 - score, score]) if score.ndim == 1 else score
    asked = np.column_stack([each[:, own.index(value)] if value in own else np.zeros(len(each)) for value in classes])
    if len(classes) > 2:
        return Scored(asked, None)
    both = asked.sum(axis=1)
    return Scored(np.divide(asked[:, 1], both, out=np.zeros(len(both)), where=both > 0), DEFAULT_THRESHOLD)


@dataclass(frozen=True)
class SliceLevels:
    """The levels of a slice column, and which of them each row is in (an index into the names)."""

    names: tuple[str, ...]
    codes: Array

    @classmethod
    def of(cls, column: pd.Series) -> SliceLevels:
        """Read a column's levels, ascending by name.

        A number has one name, of any type that gaps give its column: 7 is ``7`` beside missing values, too. A missing value is
        the level ``(missing)``; a text that says so, or begins with a quotation mark, is quoted.
        """
        rows, texts = category_names(column)
        return cls.named(
            [
                *(_quoted(text) if text == MISSING_CATEGORY else quote_if_ambiguous(text) for text in texts),
                MISSING_CATEGORY,
            ],
            rows,
        )

    @classmethod
    def named(cls, names: Sequence[str], codes: Array) -> SliceLevels:
        """Return the levels that rows have, ascending by name; equal names are one level.

        Parameters
        ----------
        codes : array of int, of shape (n_rows,)
            Places in ``names``; -1 is the last.
        """
        used = np.flatnonzero(np.bincount(codes % len(names), minlength=len(names)))
        told = sorted({names[int(code)] for code in used})
        at = {name: number for number, name in enumerate(told)}
        place = np.array([at.get(name, -1) for name in names], dtype=np.intp)
        return cls(tuple(told), place[codes])


def quote_if_ambiguous(name: str, separator: str = "") -> str:
    """Return a name in quotation marks (as JSON) if it could be taken for another: it begins with one, or holds the separator."""
    return _quoted(name) if name.startswith('"') or (separator and separator in name) else name


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
