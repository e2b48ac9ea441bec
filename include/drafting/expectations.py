"""Expectations drafted from the rows of a reference window, with tolerances from how its periods differ.

A bound lies as far beyond the most extreme period as the periods lie apart, so a column that never moved is held tightly and one with seasons is
not. What is printed are names, bounds and common levels: bounds are rounded outwards, and a level with few rows is not named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.data.stored_partitions import POSITION, SLOT
from include.storage.store import ObjectStore

Entry = tuple[str, dict[str, Any]]
_FEWEST_PERIODS, _PARTS = 3, 8
_MOST_LEVELS = 50
_CAUTION = 3.0
"""Standard errors that a bound of a mean or a share keeps at least, for periods that happen to be alike."""


@dataclass(frozen=True)
class Periods:
    """Rows of a reference window, divided into periods.

    Attributes
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
    number : array of shape (n_rows,)
        The period of each row, from zero.
    said : str
        What the periods are, for a person.
    """

    frame: pd.DataFrame
    number: np.ndarray[Any, Any]
    said: str

    def each(self, values: pd.Series[Any]) -> list[pd.Series[Any]]:
        """Return a column's values, period by period."""
        return [part for _, part in values.groupby(self.number)]


def draft_expectations(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, *, min_rows: int
) -> str:
    """Return entries of `quality.expectations` as YAML, for a person to edit.

    Parameters
    ----------
    folder : Path
        The model's folder.
    snapshot : Snapshot
        Its training window is the reference.
    min_rows : int
        A level with fewer rows is not listed.

    Raises
    ------
    NotEnoughRows, ObjectCorrupt, DataError
        When the rows can't be read.
    """
    columns = list(dict.fromkeys([*model.features.columns, *model.data.labels]))
    frame = read_rows(store, snapshot, model, folder, window="train", columns=columns, labelled=False, positions=True)
    periods = _periods(frame)
    entries = [entry for name in columns for entry in _of_column(periods, str(name), min_rows)]
    window = snapshot.split.train
    between = (
        f"after {window.after:%Y-%m-%d} until {window.until:%Y-%m-%d}" if not model.data.timeless else "of the table"
    )
    lines = [
        f"# Drafted from {len(frame):,} rows {between} in {periods.said}. Edit and paste into {model.name}/model.yaml, then `python -m include lint`.",
        f"# Levels with fewer than {min_rows:,} rows are not listed. Add `severity: critical` where a run must stop, `quarantine: true` where rows are to be set aside.",
        "quality:",
        "  expectations:",
        *(f"    - {name}: {_flow(arguments)}" for name, arguments in entries),
    ]
    return "\n".join(lines)


def _periods(frame: pd.DataFrame) -> Periods:
    rows = frame.drop(columns=[SLOT, POSITION])
    slots = frame[SLOT].astype(str).to_numpy()
    names, number = np.unique(slots, return_inverse=True)
    if len(names) >= _FEWEST_PERIODS:
        return Periods(rows, number, f"{len(names)} partitions")
    parts = max(1, min(_PARTS, len(rows)))
    return Periods(rows, np.arange(len(rows)) * parts // len(rows), f"{parts} parts of equal size")


def _of_column(periods: Periods, name: str, min_rows: int) -> Iterator[Entry]:
    values = periods.frame[name]
    yield _missing(periods, name)
    present = values.dropna()
    if not len(present):
        return
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return
    if pd.api.types.is_numeric_dtype(values.dtype):
        yield from _numbers(periods, name)
    else:
        yield from _levels(periods, name, min_rows)


def _missing(periods: Periods, name: str) -> Entry:
    absent = periods.frame[name].isna()
    if not absent.any():
        return "expect_column_values_to_not_be_null", {"column": name}
    return "expect_column_values_to_not_be_null", {"column": name, "mostly": _mostly(periods, absent)}


def _numbers(periods: Periods, name: str) -> Iterator[Entry]:
    parts = [part.dropna().astype(float) for part in periods.each(periods.frame[name])]
    parts = [part for part in parts if len(part)]
    lows, highs, means = zip(*((part.min(), part.max(), part.mean()) for part in parts), strict=True)
    whole = pd.concat(parts)
    low, high = _beyond(lows, 0.0)[0], _beyond(highs, 0.0)[1]
    # What was never negative is not expected to be: a price, a count, a distance.
    low = max(low, 0.0) if min(lows) >= 0 else low
    step = _step(high - low)
    yield (
        "expect_column_values_to_be_between",
        {"column": name, "min_value": _down(low, step), "max_value": -_down(-high, step)},
    )
    error = float(whole.std(ddof=0)) / math.sqrt(len(whole))
    low, high = _beyond(means, error)
    step = _step(max(high - low, error))
    yield (
        "expect_column_mean_to_be_between",
        {"column": name, "min_value": _down(low, step), "max_value": -_down(-high, step)},
    )


def _levels(periods: Periods, name: str, min_rows: int) -> Iterator[Entry]:
    values = periods.frame[name]
    counts = values.dropna().astype(str).value_counts()
    common = sorted(counts.index[counts >= min_rows])
    if not common or len(common) > _MOST_LEVELS:
        numbers = [float(part.dropna().nunique()) for part in periods.each(values)]
        low, high = min(numbers), len(counts) + max(numbers) - min(numbers)
        bounds = {"min_value": math.floor(low), "max_value": math.ceil(high)}
        yield "expect_column_unique_value_count_to_be_between", {"column": name, **bounds}
        return
    other = ~values.astype(object).isin(common) & values.notna()
    arguments: dict[str, Any] = {"column": name, "value_set": common}
    if other.any():
        arguments["mostly"] = _mostly(periods, other)
    yield "expect_column_values_to_be_in_set", arguments


def _beyond(found: Any, error: float) -> tuple[float, float]:
    """Return bounds as far beyond the extreme periods as the periods lie apart, and a few standard errors at least."""
    low, high = float(min(found)), float(max(found))
    margin = max(high - low, _CAUTION * error)
    return low - margin, high + margin


def _step(width: float) -> float:
    """Return a power of ten that a bound is rounded to: two digits of the width."""
    return 10.0 ** (math.floor(math.log10(width)) - 1) if width > 0 else 1.0


def _down(value: float, step: float) -> float:
    rounded = math.floor(value / step + 1e-9) * step
    digits = max(0, -math.floor(math.log10(step)))
    return round(rounded, digits) if digits else float(int(rounded))


def _mostly(periods: Periods, odd: pd.Series[Any]) -> float:
    """Return the share of rows that are as expected, given which are not: less than in the worst period."""
    share = float(odd.mean())
    most = _beyond([float(part.mean()) for part in periods.each(odd)], math.sqrt(share * (1 - share) / len(odd)))[1]
    return max(0.0, math.floor((1 - min(1.0, most)) * 1000) / 1000)


def _flow(arguments: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in arguments.items()) + "}"


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(one) for one in value) + "]"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        digits, e, power = repr(value).partition("e")  # YAML takes no 1e-05 for a number
        return f"{digits}.0e{power}" if e and "." not in digits else repr(value)
    return json.dumps(value, ensure_ascii=False)
