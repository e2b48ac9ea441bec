"""Input domain of a fit: ranges, levels and gaps in its training rows. Rows outside are predicted by extrapolation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.sections.features import Features
from include.data.rare_levels import ALL_NAMED, RareLevels
from include.training.preprocessing.category_encoder import category_names, factorize_texts
from include.training.preprocessing.float_converter import to_floats

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NumericRange:
    """The values of a numeric column."""

    low: float | None
    """None when no training row had a value."""
    high: float | None
    missing: float
    """Share of training rows without a value; infinite counts as none."""


@dataclass(frozen=True)
class SeenCategories:
    """The values of a categorical column."""

    levels: tuple[str, ...]
    missing: float

    @cached_property
    def known(self) -> frozenset[str]:
        """The levels, to look one up in."""
        return frozenset(self.levels)


@dataclass(frozen=True)
class InputDomain:
    """The training rows' values, column by column; nothing is widened."""

    numeric: dict[str, NumericRange]
    categorical: dict[str, SeenCategories]

    def outside(self, inputs: pd.DataFrame) -> dict[str, Mask]:
        """Tell for each column which rows lie outside: beyond the range, of a level never seen, or first with a gap.

        Parameters
        ----------
        inputs : pandas.DataFrame
            With every column of the domain.

        Returns
        -------
        dict of str to array of shape (n_rows,)
        """
        found: dict[str, Mask] = {}
        for name, range_ in self.numeric.items():
            values = to_floats(inputs[name])
            gaps = np.isnan(values)
            if range_.low is None or range_.high is None:
                found[name] = ~gaps
            else:
                found[name] = (values < range_.low) | (values > range_.high) | (gaps & (range_.missing == 0))
        for name, seen in self.categorical.items():
            rows, texts = category_names(inputs[name])
            # A missing value has the number -1, which is the table's last place.
            strange = np.array([*(text not in seen.known for text in texts), seen.missing == 0])
            found[name] = strange[rows]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> InputDomain:
        """Read what `to_json` wrote."""
        return cls(
            {name: NumericRange(**one) for name, one in value["numeric"].items()},
            {name: SeenCategories(tuple(one["levels"]), one["missing"]) for name, one in value["categorical"].items()},
        )


def fit_input_domain(features: Features, inputs: pd.DataFrame, rare: RareLevels = ALL_NAMED) -> InputDomain:
    """Return the domain of training rows; a level that too few people have is no part of it."""
    return InputDomain(
        {name: _range(to_floats(inputs[name])) for group in features.numeric for name in group.columns},
        {name: _levels(inputs[name], rare) for group in features.categorical for name in group.columns},
    )


def _range(values: NDArray[np.float64]) -> NumericRange:
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
    return NumericRange(low, high, (len(values) - len(known)) / max(len(values), 1))


def _levels(column: pd.Series[Any], rare: RareLevels) -> SeenCategories:
    rows, texts = factorize_texts(column)
    levels, which = np.unique(texts, return_inverse=True)
    codes = np.append(which, -1)[rows]
    seen = np.isin(np.arange(len(levels)), codes) & ~rare.among(codes, len(levels))
    return SeenCategories(tuple(map(str, levels[seen])), int((rows < 0).sum()) / max(len(rows), 1))
