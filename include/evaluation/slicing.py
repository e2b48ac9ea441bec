"""Which level of each declared slice a row is in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from include.config.slices import Slice
from include.errors import EvaluationError
from include.evaluation.comparison import MISSING, Levels

MAX_LEVELS = 200


def levels_of(frame: pd.DataFrame, slices: tuple[Slice, ...]) -> dict[str, Levels]:
    """Return the levels of each slice by its name.

    Raises
    ------
    EvaluationError
        For more than `MAX_LEVELS` levels, or bins of a column that holds no numbers.
    """
    single = {one.called: _column(frame, one) for one in slices if one.column is not None}
    found = {}
    for one in slices:
        if one.cross is None:
            found[one.called] = single[one.called]
        else:
            parts = [single[name] if name in single else Levels.of(frame[name]) for name in one.cross]
            names = [np.array(part.names, dtype=object)[part.codes] for part in parts]
            joined = [", ".join(row) for row in zip(*names, strict=True)]
            found[one.called] = Levels.of(pd.Series(joined, index=frame.index))
        if len(found[one.called].names) > MAX_LEVELS:
            raise EvaluationError(
                "A slice has too many levels to look at one by one.",
                expected=f"at most {MAX_LEVELS}",
                found=f"{len(found[one.called].names):,}",
                where=f"`evaluation.slices`: {one.called}",
                remedy="cut numbers by `edges` or `bins`, or derive a coarser column in `features.derive`",
            )
    return found


def _column(frame: pd.DataFrame, declared: Slice) -> Levels:
    column = frame[declared.column]
    if declared.edges is None and declared.bins is None:
        return Levels.of(column)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise EvaluationError(
            "A slice cuts a column that holds no numbers.",
            expected="integer or float",
            found=str(column.dtype),
            where=f"`evaluation.slices`: {declared.called}",
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    known = values[np.isfinite(values)]
    edges = np.array(declared.edges or ())
    if declared.bins is not None:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, declared.bins + 1)[1:-1])) if len(known) else edges
    texts = [f"{edge:g}" for edge in edges]
    names = [f"below {texts[0]}"] if texts else ["all"]
    names += [f"{low} to {high}" for low, high in pairwise(texts)] + [f"{text} or more" for text in texts[-1:]]
    codes = np.searchsorted(edges, values, side="right")
    missing = np.isnan(values)
    codes[missing] = len(names)
    used = np.unique(codes)
    place = np.searchsorted(used, codes)
    return Levels(tuple([*names, MISSING][code] for code in used), place)
