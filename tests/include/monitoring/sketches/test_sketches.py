"""Sketches: added in any order to the byte, close to what numpy computes, and without a row's text."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import DataError
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import ColumnLayout, Layout, WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import SAMPLED_IDS, Sketch, merge

COLUMNS = (
    WatchedColumn("number", "input", "number"),
    WatchedColumn("whole", "input", "number"),
    WatchedColumn("flag", "input", "number"),
    WatchedColumn("level", "input", "level"),
    WatchedColumn("code", "input", "level"),
    WatchedColumn("remark", "input", "text"),
    WatchedColumn("joined", "input", "time"),
)


def table(rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    number = rng.normal(283, 10, rows)
    number[rng.random(rows) < 0.1] = np.nan
    number[rng.random(rows) < 0.01] = np.inf
    gaps = rng.random(rows) < 0.1
    return pa.table(
        {
            "number": pa.array(number),
            "whole": pa.array(rng.integers(0, 24, rows), mask=gaps),
            "flag": pa.array(rng.random(rows) < 0.3, mask=gaps),
            "level": pa.array(rng.choice(["a", "b", "c", "é"], rows), mask=gaps).dictionary_encode(),
            "code": pa.array(rng.integers(0, 5, rows), mask=gaps),
            "remark": pa.array(["x" * length for length in rng.integers(0, 9, rows)], mask=gaps),
            "joined": pa.array(rng.integers(15_000, 15_400, rows).astype("int32"), pa.date32()),
            "at": pa.array((1_350_000_000 + np.arange(rows) * 60) * 1_000_000, pa.timestamp("us", "UTC")),
            "id": pa.array(np.arange(rows) // 2),
        }
    )


def laid_out(rows: pa.Table, columns: tuple[WatchedColumn, ...] = COLUMNS) -> Layout:
    return learn_layout([rows], columns, event_time="at", row_id=("id", "level"))


ROWS = table(600)
LAYOUT = laid_out(ROWS)
WHOLE = sketch([ROWS], LAYOUT).to_bytes()


@given(st.lists(st.integers(0, 600), max_size=6), st.randoms(use_true_random=False), st.integers(60, 300))
@settings(max_examples=30, deadline=None)
def test_rows_divided_and_merged_in_any_order_are_the_same_bytes(cuts: list[int], random: Any, batch: int) -> None:
    places = sorted({0, 600, *cuts})
    parts = [ROWS.slice(start, end - start) for start, end in pairwise(places)]
    random.shuffle(parts)
    sketches = [sketch(part.to_batches(max_chunksize=batch), LAYOUT) for part in parts]
    while len(sketches) > 1:  # merged two by two, as parallel tasks would
        one = sketches.pop(random.randrange(len(sketches)))
        other = sketches.pop(random.randrange(len(sketches)))
        sketches.append(one + other)
    assert sketches[0].to_bytes() == WHOLE
    assert sketch([pa.concat_tables(parts)], LAYOUT).to_bytes() == WHOLE
    assert laid_out(pa.concat_tables(parts)).digest == LAYOUT.digest


def test_what_is_stored_is_read_back() -> None:
    back = Sketch.from_bytes(WHOLE, Layout.from_json(LAYOUT.to_json()))
    assert back.to_bytes() == WHOLE
    assert Layout.from_json(LAYOUT.to_json()) == LAYOUT
    assert merge([back, back]).rows == 1200


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(0, 1, 20_000),
        np.random.default_rng(1).normal(2_013, 0.3, 20_000),
        np.random.default_rng(1).lognormal(3, 2, 20_000),
        -np.random.default_rng(1).exponential(1e-9, 20_000),
        np.random.default_rng(1).integers(0, 24, 20_000).astype(float),
        np.r_[np.zeros(15_000), np.random.default_rng(1).gamma(2, 5, 5_000)],
        np.full(100, 7.0),
    ],
    ids=["normal", "far from zero", "skewed", "tiny", "whole", "mostly zero", "constant"],
)
def test_moments_and_quantiles_are_those_of_the_rows(values: np.ndarray[Any, Any]) -> None:
    rows = pa.table({"x": values})
    layout = learn_layout([rows], (WatchedColumn("x", "input", "number"),))
    found, spread = sketch([rows], layout).columns["x"], values.std() or 1.0
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.mean(layout["x"]) == pytest.approx(values.mean(), abs=0.02 * spread)
    assert found.deviation(layout["x"]) == pytest.approx(values.std(), abs=0.03 * spread)
    at = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    below = np.array(
        [
            [(values < q - 0.07 * spread).mean(), (values <= q + 0.07 * spread).mean()]
            for q in found.quantiles(layout["x"], at)
        ]
    )
    apart = np.abs(found.quantiles(layout["x"], at) - np.quantile(values, at))
    within = (below[:, 0] <= at) & (at <= below[:, 1])
    assert (within | (apart <= 0.07 * (np.abs(np.quantile(values, at) - np.median(values)) + 0.1 * spread))).all()


@given(st.floats(allow_nan=False, allow_infinity=False, width=32, min_value=-1e9, max_value=1e9))
def test_a_value_lies_within_the_edges_of_its_cell(value: float) -> None:
    layout = Layout((ColumnLayout("x", "input", "number", centre=3.0, scale=0.5),))
    column = layout.columns[0]
    counts = sketch([pa.table({"x": [value]})], layout).columns["x"].counts
    (cell,) = np.flatnonzero(counts)
    slack = 1e-6 * (abs(value) + 1)  # distances are taken in single precision
    assert column.edges[cell] - slack <= value <= column.edges[cell + 1] + slack


def test_nothing_not_a_number_and_infinite_count_as_missing() -> None:
    column = sketch([ROWS], LAYOUT).columns["number"]
    values = ROWS["number"].to_numpy()
    assert column.missing == (~np.isfinite(values)).sum()
    assert column.known + column.missing == 600
    assert sketch([ROWS], LAYOUT).columns["whole"].missing == ROWS["whole"].null_count


def test_rows_outside_what_the_reference_had_are_counted_one_by_one() -> None:
    low, high = LAYOUT["number"].low, LAYOUT["number"].high
    assert low is not None and high is not None
    rows = table(4)
    rows = rows.set_column(0, "number", pa.array([low, high, np.nextafter(low, -np.inf), 2 * high]))
    assert sketch([rows], LAYOUT).columns["number"].outside == 2


def test_unknown_levels_are_counted_and_their_text_is_not_kept() -> None:
    rows = table(6)
    texts = pa.array(["a", "secret", "secret", "b", None, "another"])
    found = sketch([rows.set_column(3, "level", texts)], LAYOUT)
    column = found.columns["level"]
    assert (column.outside, column.missing, column.known) == (3, 1, 5)
    assert sorted(column.counts[len(LAYOUT["level"].levels) :][column.counts[len(LAYOUT["level"].levels) :] > 0]) == [
        1,
        2,
    ]
    assert b"secret" not in found.to_bytes()
    # Whichever way Arrow holds the texts.
    assert sketch([rows.set_column(3, "level", texts.dictionary_encode())], LAYOUT).to_bytes() == found.to_bytes()


def test_a_whole_number_with_gaps_is_the_same_level() -> None:
    rows = table(3)
    whole, gaps = pa.array([1, 2, 2]), pa.array([1.0, 2.0, 2.0])
    one, other = (sketch([rows.set_column(4, "code", values)], LAYOUT).columns["code"] for values in (whole, gaps))
    assert (one.counts == other.counts).all() and one.outside == 0


def test_duplicates_are_rows_whose_id_another_has() -> None:
    ids = pa.table({"id": np.r_[np.arange(200), np.arange(50)]})
    layout = Layout((), None, ("id",))
    assert sketch([ids], layout).ids.duplicates == pytest.approx(50 / 250)
    many = pa.table({"id": np.r_[np.arange(50_000), np.arange(10_000)]})
    found = sketch(many.to_batches(max_chunksize=999), layout).ids
    assert len(found.hashes) == SAMPLED_IDS
    assert found.duplicates == pytest.approx(1 / 6, abs=4 * np.sqrt(0.2 * 0.8 / SAMPLED_IDS))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([2**60, 2**60 + 1, 2**60 + 1]), pa.array([True, True, True])),
        (pa.array([15_000, 15_001, 15_001], pa.date32()), pa.array([True, True, True])),
        (pa.array([0, 1, 1], pa.date64()), pa.array([False, False, False])),
        (pa.array([1, 1, 1]), pa.array([True, False, False])),
        (pa.array([1_350_000_000_000_000, 1, 1], pa.timestamp("us", "UTC")), pa.array([0.5, 0.5, 0.5])),
    ],
)
def test_ids_of_any_type_are_told_apart(one: pa.Array, other: pa.Array) -> None:
    ids = sketch([pa.table({"one": one, "other": other})], Layout((), None, ("one", "other"))).ids
    assert ids.duplicates == pytest.approx(1 / 3)


def test_a_sketch_does_not_grow_with_the_rows() -> None:
    layout = laid_out(table(20_000))
    small, large = (len(sketch([table(rows)], layout).to_bytes()) for rows in (20_000, 200_000))
    assert large < 1.3 * small < 50_000


def test_sketches_of_two_layouts_are_not_merged() -> None:
    other = laid_out(table(50, seed=1))
    with pytest.raises(DataError, match="two layouts"):
        sketch([ROWS], LAYOUT) + sketch([ROWS], other)


def test_a_column_that_is_gone_or_of_another_kind_is_named() -> None:
    with pytest.raises(DataError, match="no column `number`"):
        sketch([ROWS.drop_columns(["number"])], LAYOUT)
    with pytest.raises(DataError, match="`number` can't be watched"):
        sketch([ROWS.set_column(0, "number", pa.array(["x"] * 600))], LAYOUT)


def test_no_rows_are_a_sketch_too() -> None:
    empty = sketch([ROWS.slice(0, 0)], LAYOUT)
    assert (empty.rows, empty.first, empty.columns["number"].mean(LAYOUT["number"])) == (0, None, None)
    assert (empty + sketch([ROWS], LAYOUT)).to_bytes() == WHOLE
