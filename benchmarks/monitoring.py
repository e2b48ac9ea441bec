"""What a sketch costs beside one pyarrow pass that computes the same histograms.

    python -m benchmarks.monitoring --print

Ten million rows of twelve numbers and four columns of levels, in record batches that are in memory already, on one thread; and once
more in batches that are made as they are asked for, for the memory that it takes. Both sides count every column: cells of numbers and their extremes, rows by level, missing values. Arrow has no histogram: it cuts
numbers into equal bins and counts values, which is the least that such a pass can do with its own functions. They run by turns.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.page import machine, put
from include.config.settings import ROOT
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout

sys.path.insert(0, str(ROOT / "tests"))  # the small model of the tests
from tests.watched import promoted

NUMBERS, LEVELS, BATCH = 12, 4, 1 << 16
GOAL = 1.2


def rows(count: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Yield rows in batches, as a Parquet reader gives them: numbers of several shapes, some missing; levels in dictionaries."""
    rng = np.random.default_rng(seed)
    names = pa.array([f"level {number}" for number in range(40)])
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        gaps = rng.random(size) < 0.05
        columns: dict[str, pa.Array] = {}
        for number in range(NUMBERS):
            values = [rng.normal(280, 10, size), rng.lognormal(3, 1, size), rng.integers(0, 24, size)][number % 3]
            columns[f"number {number}"] = pa.array(values, mask=gaps if number % 4 == 0 else None)
        for number in range(LEVELS):
            codes = pa.array(rng.integers(0, 40, size).astype("int32"))
            columns[f"level {number}"] = pa.DictionaryArray.from_arrays(codes, names)
        yield pa.record_batch(columns)


def by_arrow(batches: list[pa.RecordBatch], layout: Layout) -> int:
    """Compute the histograms with Arrow's own functions; return how many rows they hold."""
    counted: dict[str, list[pa.Array]] = {column.name: [] for column in layout.columns}
    extremes: dict[str, list[object]] = {column.name: [] for column in layout.columns}
    missing: Counter[str] = Counter()
    for batch in batches:
        for column in layout.columns:
            values = batch.column(column.name)
            missing[column.name] += values.null_count
            if column.kind == "number":
                extremes[column.name].append(pc.min_max(values))
                scaled = pc.multiply(pc.subtract(values.cast(pa.float64()), column.centre), 16 / column.scale)
                values = pc.floor(pc.max_element_wise(pc.min_element_wise(scaled, 500.0), -500.0)).cast(pa.int16())
            counted[column.name].append(pc.value_counts(values))
    rows = 0
    for parts in counted.values():
        columns = {name: pa.chunked_array([part.field(name) for part in parts]) for name in ("values", "counts")}
        summed = pa.table(columns).group_by("values").aggregate([("counts", "sum")])
        rows += pc.sum(summed["counts_sum"]).as_py()
    return rows


def by_sketch(batches: list[pa.RecordBatch], layout: Layout) -> int:
    """Sketch; return how many rows the sketch holds."""
    return sum(column.rows for column in sketch(batches, layout).columns.values())


def seconds(
    step: Callable[[list[pa.RecordBatch], Layout], int], batches: list[pa.RecordBatch], layout: Layout
) -> float:
    """Return the processor seconds of one pass over all columns."""
    began = time.process_time()
    found = step(batches, layout)
    taken = time.process_time() - began
    if found != sum(batch.num_rows for batch in batches) * len(layout.columns):
        raise SystemExit(f"{step.__name__} lost rows")
    return taken


def learned(batches: Iterable[pa.RecordBatch]) -> Layout:
    """Return what is counted of the first rows' columns."""
    first = list(islice(batches, 10))
    names = first[0].schema.names
    return learn_layout(
        first, [WatchedColumn(name, "input", "number" if name.startswith("number") else "level") for name in names]
    )


def megabytes(count: int) -> float:
    """Return by how much the memory of a process grows while it sketches so many rows, one batch after the other."""
    layout = learned(rows(count, 0))
    sketch(rows(BATCH, 0), layout)  # what is imported and kept by the first batch
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sketch(rows(count, 0), layout)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def an_interval(days: int = 14) -> float:
    """Return the seconds that watching one day of the tests' small model takes: the median of some days, in a warm process."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        world = promoted(Path(folder))
        for day in range(1, days + 1):
            world.score(day)
        for day in range(1, days + 1):
            began = time.perf_counter()
            world.monitor(day)
            taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    count = round(arguments.millions * 1e6)
    with ProcessPoolExecutor(1, max_tasks_per_child=1, mp_context=get_context("spawn")) as pool:
        least, most = pool.map(megabytes, (count // 10, count))
    batches = list(rows(count, 0))
    layout = learned(batches)
    turns = [(seconds(by_sketch, batches, layout), seconds(by_arrow, batches, layout)) for _ in range(arguments.turns)]
    ours, theirs = (median(each) for each in zip(*turns, strict=True))
    ratio = median(one / other for one, other in turns)
    size = len(sketch(batches, layout).to_bytes())
    lines = [
        machine(),
        "",
        "| rows | columns | sketch, seconds | pyarrow, seconds | ratio | goal | kilobytes of the sketch | megabytes of memory, of a tenth of the rows and of all |",
        "|---|---|---|---|---|---|---|---|",
        f"| {arguments.millions:g} million | {len(layout.columns)} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} | at most {GOAL} | {size / 1000:.0f} | {least:.0f}, {most:.0f} |",
    ]
    lines += [
        "",
        f"One interval of a small model, all that the task `monitor` does beside starting: {an_interval():.2f} s.",
    ]
    text = "\n".join(lines)
    print(text)  # noqa: T201 (a command's answer)
    if not arguments.print:
        put("monitoring", text)
    raise SystemExit(0 if ratio <= GOAL else 1)


if __name__ == "__main__":
    main()
