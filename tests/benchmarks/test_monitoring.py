"""Both sides of the benchmark count the same rows."""

from __future__ import annotations

from benchmarks.monitoring import by_arrow, by_sketch, learned, megabytes, rows, seconds


def test_the_sketch_and_the_pass_beside_it_count_every_row_of_every_column() -> None:
    batches = list(rows(70_000, 1))
    layout = learned(batches)
    assert by_sketch(batches, layout) == by_arrow(batches, layout) == 70_000 * 16
    assert seconds(by_sketch, batches, layout) > 0


def test_ten_times_as_many_rows_take_no_more_memory() -> None:
    assert megabytes(1_500_000) < 1_500_000 * 16 * 8 / 2**20 / 2, "half of what the rows themselves would take"
