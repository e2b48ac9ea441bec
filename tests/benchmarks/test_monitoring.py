"""Both sides of the benchmark count the same rows."""

from __future__ import annotations

from benchmarks.monitoring import by_arrow, by_sketch, rows, seconds
from include.monitoring.sketches.layouts import WatchedColumn, learn_layout


def test_the_sketch_and_the_pass_beside_it_count_every_row_of_every_column() -> None:
    batches = rows(70_000, 1)
    columns = [
        WatchedColumn(name, "input", "number" if "number" in name else "level") for name in batches[0].schema.names
    ]
    layout = learn_layout(batches, columns)
    assert by_sketch(batches, layout) == by_arrow(batches, layout) == 70_000 * 16
    assert seconds(by_sketch, batches, layout) > 0
