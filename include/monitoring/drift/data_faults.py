"""Data faults, distinguished from drift: changes of columns that are caused by the source, not by the world.

The owner of the source must correct a fault. It is never a reason to retrain, and its rows are not given to the drift
detectors: a model that is trained on them would learn the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.monitoring.drift.periods import MOST_BINS, Period, Reference
from include.monitoring.drift.swapped_columns import ALIKE, QUANTILES, swapped_columns
from include.monitoring.sketches.layouts import ColumnLayout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch

Array = NDArray[Any]
FaultKind = Literal[
    "unit_change", "swapped_columns", "new_missing_code", "constant", "frozen_feed", "rows_lost", "duplicated_rows"
]
OF_ALL_ROWS = ("frozen_feed", "rows_lost", "duplicated_rows")
"""Faults that leave no column of the interval to be trusted."""

LEAST_ROWS = 30
"""Fewer rows with a value look like anything."""
_SURE = 2_000
"""The number of rows from which a factor below ten, or a shift, is distinguished from real growth of about that size."""
_FACTORS: dict[float, str] = {
    **{10.0**power: f"{10**power:,}" for power in (1, 2, 3, 6, 9)},
    24: "24, as of days and hours",
    60: "60, as of hours and minutes",
    3_600: "3,600, as of hours and seconds",
    1_440: "1,440, as of days and minutes",
    86_400: "86,400, as of days and seconds",
    3.28084: "3.28, as of metres and feet",
    2.54: "2.54, as of inches and centimetres",
    1.609344: "1.61, as of miles and kilometres",
    1.852: "1.85, as of nautical miles and kilometres",
    2.20462: "2.2, as of kilograms and pounds",
}
_SHIFTED: dict[tuple[float, float], str] = {  # value = factor * other + offset
    (1.8, 32.0): "degrees Fahrenheit instead of Celsius",
    (1 / 1.8, -32 / 1.8): "degrees Celsius instead of Fahrenheit",
    (1.0, 273.15): "kelvins instead of degrees Celsius",
    (1.0, -273.15): "degrees Celsius instead of kelvins",
}
_CODES = (-1.0, 0.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, -999999.0)


@dataclass(frozen=True)
class DataFault:
    """What is broken: of which columns, none of them for the rows as a whole; ``said`` is a sentence without a row's value."""

    kind: FaultKind
    columns: tuple[str, ...]
    said: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "columns": list(self.columns)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> DataFault:
        """Read what `to_json` wrote."""
        return cls(value["kind"], tuple(value["columns"]), value["said"])


def faults_in(reference: Reference, current: Sketch) -> tuple[DataFault, ...]:
    """Return the faults in the columns of an interval, from its sketch and the reference."""
    columns = [one for one in reference.layout.columns if one.role in ("input", "derived")]
    found: list[DataFault] = []
    for layout in columns:
        before, now = reference.sketch.columns[layout.name], current.columns[layout.name]
        if now.known < LEAST_ROWS or before.known < LEAST_ROWS:
            continue
        said = _unit(layout, before, now) if layout.kind == "number" else None
        if said is not None:
            found.append(DataFault("unit_change", (layout.name,), said))
        elif (said := _missing_code(layout, before, now)) is not None:
            found.append(DataFault("new_missing_code", (layout.name,), said))
        elif _constant(reference, layout, before, now):
            said = f"`{layout.name}` has one value in all rows, as in no period of training"
            found.append(DataFault("constant", (layout.name,), said))
    taken = {name for one in found if one.kind != "unit_change" for name in one.columns}
    candidates = [
        one
        for one in columns
        if one.name not in taken
        and min(current.columns[one.name].known, reference.sketch.columns[one.name].known) >= LEAST_ROWS
    ]
    swapped = [
        DataFault("swapped_columns", pair, f"`{pair[0]}` and `{pair[1]}` each hold what the other held in training")
        for pair in swapped_columns(reference, current, candidates)
    ]
    apart = {name for one in swapped for name in one.columns}
    return (*(one for one in found if not apart & set(one.columns)), *swapped)


def faults_between(
    reference: Reference, periods: Sequence[Period], phases: Sequence[int]
) -> tuple[tuple[DataFault, ...], ...]:
    """Return, for each watched period, what is broken in its rows as a whole, beside the reference and the periods before it.

    Parameters
    ----------
    phases : sequence of int
        The phase of each of the reference's periods and then of each watched one.
    """
    of = len(reference.periods)
    rows = [float(one.rows) for one in reference.periods]
    most = max((one.duplicates for one in reference.periods), default=0.0)
    found: list[tuple[DataFault, ...]] = []
    for number, period in enumerate(periods):
        faults: list[DataFault] = []
        alike = [one for one, phase in zip(rows, phases, strict=False) if phase == phases[of + number]]
        known = np.array([one for one in alike if np.isfinite(one)])
        lost = len(known) >= 4 and period.rows < min(0.7 * known.min(), 0.6 * float(np.median(known)))
        if lost:
            share = period.rows / float(np.median(known))
            said = f"{share:.0%} of the rows that such periods have, fewer than any of {len(known)} had"
            faults.append(DataFault("rows_lost", (), said))
        if period.rows >= LEAST_ROWS and period.duplicates >= 2 * most + 0.1:
            faults.append(
                DataFault("duplicated_rows", (), f"{period.duplicates:.0%} of the rows have the id of another")
            )
        if number and (frozen := _frozen(period, periods[number - 1])) is not None:
            faults.append(frozen)
        rows.append(np.nan if lost else float(period.rows))
        found.append(tuple(faults))
    return tuple(found)


def _frozen(period: Period, before: Period) -> DataFault | None:
    """Return the fault of columns whose values equal those of the previous period, row by row."""
    same = tuple(name for name, one in period.fingerprints.items() if before.fingerprints.get(name) == one)
    if not same or period.rows < LEAST_ROWS:
        return None
    if 2 * len(same) > len(period.fingerprints):
        return DataFault("frozen_feed", (), f"{len(same)} columns hold the values of the period before, one for one")
    names = ", ".join(f"`{name}`" for name in same)
    return DataFault("constant", same, f"{names} hold the values of the period before, one for one")


def _unit(layout: ColumnLayout, before: ColumnSketch, now: ColumnSketch) -> str | None:
    spread = before.deviation(layout)
    if not spread:
        return None
    usual = before.quantiles(layout, QUANTILES)
    for part, rows in (("", now), ("some rows of ", _beyond(layout, now))):
        if rows is None or rows.known < LEAST_ROWS:
            continue
        found = rows.quantiles(layout, QUANTILES)
        apart = float(np.abs(found - usual).mean() / spread)
        if apart < 1:
            continue
        known = [
            *((factor, 0.0, f"{factor_name} times as large") for factor, factor_name in _FACTORS.items()),
            *((1 / factor, 0.0, f"smaller by a factor of {factor_name}") for factor, factor_name in _FACTORS.items()),
            *((*shift, shift_name) for shift, shift_name in _SHIFTED.items()),
        ]
        if rows.known < _SURE:
            known = [one for one in known if one[1] == 0 and not 0.1 < one[0] < 10]
        rests = [float(np.abs((found - offset) / factor - usual).mean() / spread) for factor, offset, _ in known]
        best = int(np.argmin(rests))
        plain = known[best][1] == 0 and not 0.1 < known[best][0] < 10
        if rests[best] < min(ALIKE, (0.2 if plain else 0.04) * apart) and _spread_alike(
            (found - known[best][1]) / known[best][0], usual, spread
        ):
            return f"{part}`{layout.name}` {'look like' if part else 'looks like'} those of training in another unit: {known[best][2]}"
    return None


def _spread_alike(found: Array, usual: Array, spread: float) -> bool:
    """Tell whether middle halves are as wide as each other: a narrow thing, or one of mostly zeros, fits any scale."""
    wide = usual[14] - usual[4]
    return bool(wide > 0.1 * spread and 0.5 < (found[14] - found[4]) / wide < 2)


def _beyond(layout: ColumnLayout, sketch: ColumnSketch) -> ColumnSketch | None:
    """Return the part of a column that lies outside the domain, if there is enough of it to be looked at."""
    if layout.low is None or layout.high is None or sketch.outside < 0.02 * sketch.rows:
        return None
    edges = layout.edges
    apart = (edges[1:] < layout.low) | (edges[:-1] > layout.high)
    counts = np.where(apart, sketch.counts, 0)
    used = np.flatnonzero(counts)
    if not len(used):
        return None
    low, high = max(edges[used[0]], sketch.low), min(edges[used[-1] + 1], sketch.high)
    return replace(sketch, counts=counts, missing=0, low=float(low), high=float(high))


def _missing_code(layout: ColumnLayout, before: ColumnSketch, now: ColumnSketch) -> str | None:
    shares, usual = now.counts / now.rows, before.counts / before.rows
    fewer = before.missing / before.rows - now.missing / now.rows
    grown = shares - usual
    cell = int(np.argmax(grown))
    share = float(grown[cell])
    if share < 0.02 or usual[cell] > 0.1 * shares[cell]:
        return None
    replaced = fewer >= 0.5 * share
    if layout.kind == "level":
        is_code = cell == len(layout.levels)
        alone = cell >= len(layout.levels) and now.counts[cell] >= 0.8 * now.outside
        if not alone or not (replaced or is_code):
            return None
        what = "a text that means no value" if is_code else "one level"
        return f"{what}, which training did not have, stands in {share:.0%} of the rows of `{layout.name}`" + (
            f", and {fewer:.0%} fewer rows have no value" if replaced else ""
        )
    value = now.low if cell < np.argmax(np.cumsum(now.counts) >= now.known / 2) else now.high
    edges = layout.edges
    extreme = value is not None and edges[cell] <= value <= edges[cell + 1]
    code = next((one for one in _CODES if extreme and value == one), None)
    outside = now.outside >= 0.8 * now.counts[cell] and now.counts[cell] >= 0.8 * now.outside
    if (outside and extreme and (code or replaced)) or (replaced and code is not None):
        named = "one value" if code is None else f"the value {code:g}"
        return f"{named}, new in such numbers, stands in {share:.0%} of the rows of `{layout.name}`" + (
            f", and {fewer:.0%} fewer rows have no value" if replaced else ""
        )
    return None


def _constant(reference: Reference, layout: ColumnLayout, before: ColumnSketch, now: ColumnSketch) -> bool:
    if now.counts.max() < 0.995 * now.known or before.counts.max() > 0.9 * before.known:
        return False
    # A column may well have one value a day, such as the weekday.
    for period in reference.periods:
        bins = period.counts[layout.name][:-2]
        if sum(bins) >= LEAST_ROWS and max(bins) >= 0.99 * sum(bins):
            return False
    return len(reference.bins[layout.name].reference) > 1 or MOST_BINS == 1
