"""A sketch counted under another layout tells what those rows would have told under it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.monitoring.drift.effect_sizes import total_variation
from include.monitoring.drift.periods import Bins
from include.monitoring.sketches.conversion import convert
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import Sketch

COLUMNS = (
    WatchedColumn("temp", "input", "number"),
    WatchedColumn("hour", "input", "number"),
    WatchedColumn("carrier", "input", "level"),
)


def rows(seed: int, *, warmer: float = 0.0, carriers: str = "ABCD", count: int = 20_000) -> pa.Table:
    rng = np.random.default_rng(seed)
    temp = 45 + warmer + 12 * rng.standard_normal(count)
    temp[rng.random(count) < 0.05] = np.nan
    hour = np.minimum(rng.poisson(8 + warmer / 10, count), 23).astype(float)
    return pa.table({"temp": temp, "hour": hour, "carrier": rng.choice(list(carriers), count)})


def learned(table: pa.Table) -> Layout:
    return learn_layout([table], COLUMNS)


def shares(one: Sketch, reference: Sketch, layout: Layout, name: str) -> np.ndarray:
    counted = np.array(Bins.of(layout[name], reference.columns[name]).count(one.columns[name]), dtype=float)
    return counted / max(one.rows, 1)


def test_under_its_own_layout_a_sketch_stays_what_it_is() -> None:
    table = rows(1)
    layout = learned(table)
    before = sketch([table], layout)
    assert convert(before, layout, layout).to_bytes() == before.to_bytes()


@pytest.mark.parametrize("name", ["temp", "hour", "carrier"])
def test_bins_hold_the_rows_that_they_would_have_held(name: str) -> None:
    winter, other, summer = rows(1), rows(2, warmer=3), rows(3, warmer=20)
    ours, theirs = learned(winter), learned(other)
    direct = sketch([summer], ours)
    found = convert(sketch([summer], theirs), theirs, ours)
    reference = sketch([winter], ours)
    one, other_ = (shares(each, reference, ours, name) for each in (direct, found))
    assert total_variation(one[:-1], other_[:-1]) < 0.03
    assert abs(one[-1] - other_[-1]) < 0.02, "rows outside the domain"
    assert (found.rows, found.columns[name].rows) == (direct.rows, direct.columns[name].rows)


def test_a_level_that_only_one_of_them_lists_is_found_again() -> None:
    ours, theirs = learned(rows(1, carriers="ABX")), learned(rows(2, carriers="AB"))
    later = rows(3, carriers="ABXY")
    direct, found = (
        sketch([later], ours).columns["carrier"],
        convert(sketch([later], theirs), theirs, ours).columns["carrier"],
    )
    assert found.counts.tolist() == direct.counts.tolist() and found.outside == direct.outside > 0


def test_a_column_that_is_new_or_another_kind_has_no_row() -> None:
    ours = learned(rows(1))
    theirs = learn_layout([rows(1)], COLUMNS[:1])
    found = convert(sketch([rows(2)], theirs), theirs, ours)
    assert found.columns["hour"].rows == found.columns["carrier"].rows == 0 < found.columns["temp"].rows
