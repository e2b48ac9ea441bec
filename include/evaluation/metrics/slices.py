"""Assign each row to a level of each declared slice."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.sections.slices import Slice
from include.data.rare_levels import ALL_NAMED, OTHER_LEVELS, RareLevels
from include.errors import EvaluationError
from include.evaluation.scored_rows import SliceLevels, quote_if_ambiguous
from include.training.preprocessing.category_encoder import MISSING_CATEGORY

Array = NDArray[Any]

MAX_LEVELS = 200


def slice_levels(
    frame: pd.DataFrame, slices: tuple[Slice, ...], rare: RareLevels = ALL_NAMED, *, most: int = MAX_LEVELS
) -> dict[str, SliceLevels]:
    """Return the levels of each slice by its name, those of too few people together as one.

    Parameters
    ----------
    frame : DataFrame
        With the columns of the slices.
    slices : tuple of Slice
    rare : RareLevels
        Of these rows.
    most : int
        How many levels a slice may have.

    Raises
    ------
    EvaluationError
        For more than ``most`` levels, or bins of a column that holds no numbers.
    """
    single = {one.called: _column(frame, one) for one in slices if one.column is not None}
    found = {}
    for one in slices:
        if one.cross is None:
            found[one.called] = single[one.called]
        else:
            parts = [single[name] if name in single else SliceLevels.of(frame[name]) for name in one.cross]
            found[one.called] = _crossed(parts)
        levels = found[one.called]
        found[one.called] = pooled(levels, rare.among(levels.codes, len(levels.names)))
        if len(found[one.called].names) > most:
            raise EvaluationError(
                "A slice has too many levels to look at one by one.",
                expected=f"at most {most}",
                found=f"{len(found[one.called].names):,}",
                where=f"`evaluation.slices`: {one.called}",
                remedy="cut numbers by `edges` or `bins`, or derive a coarser column in `features.derive`",
            )
    return found


def pooled(levels: SliceLevels, rare: Array) -> SliceLevels:
    """Return levels of which some are shown together as one.

    Parameters
    ----------
    levels : SliceLevels
    rare : array of bool of shape (n_levels,)
        Which of them.
    """
    if not rare.any():
        return levels
    names = [OTHER_LEVELS if few else name for name, few in zip(levels.names, rare, strict=True)]
    return SliceLevels.named(names, levels.codes)


def slice_rows(slices: tuple[Slice, ...], schema: Mapping[str, str]) -> dict[str, int]:
    """Return the edition of how levels are distinguished, for all slices but plain texts: the first edition may have merged some levels."""
    plain = all(one.column is not None and schema.get(one.column) == "string" for one in slices)
    cut = any(one.edges or one.bins for one in slices)
    return {} if plain and not cut else {"levels": 2}


def _crossed(parts: list[SliceLevels]) -> SliceLevels:
    """Return a level for each combination that rows have, by the names of its parts; one with a comma in it is quoted."""
    combinations: list[tuple[str, ...]] = [()]
    codes = np.zeros(len(parts[0].codes), dtype=np.int64)
    for part in parts:
        width = len(part.names)
        found, codes = np.unique(codes * width + part.codes, return_inverse=True)
        combinations = [(*combinations[code // width], part.names[code % width]) for code in found]
    return SliceLevels.named(
        [", ".join(quote_if_ambiguous(name, ",") for name in names) for names in combinations], codes
    )


def _column(frame: pd.DataFrame, declared: Slice) -> SliceLevels:
    column = frame[declared.column]
    if declared.edges is None and declared.bins is None:
        return SliceLevels.of(column)
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
    texts = _texts(edges)
    names = [f"below {texts[0]}"] if texts else ["all"]
    names += [f"{low} to {high}" for low, high in pairwise(texts)] + [f"{text} or more" for text in texts[-1:]]
    codes = np.searchsorted(edges, values, side="right")
    missing = np.isnan(values)
    codes[missing] = len(names)
    used = np.unique(codes)
    place = np.searchsorted(used, codes)
    return SliceLevels(tuple([*names, MISSING_CATEGORY][code] for code in used), place)


def _texts(edges: np.ndarray[Any, Any]) -> list[str]:
    """Return edges with as many digits, from six on, as tell them apart."""
    for digits in range(6, 18):  # 17 digits tell any two floats apart
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return texts
