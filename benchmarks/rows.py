"""Up to ten million rows through the chain: processor seconds and peak memory of each step, beside the same step written by hand.

    python -m benchmarks.rows                       # 10, 3 and 0.3 million rows; writes its part of docs/performance.md
    python -m benchmarks.rows --millions 0.3 --print

The flights of five months, each repeated under other flight numbers until there are as many as wanted. Every step, ours and
theirs, is a process of its own, forked from one that has imported the libraries, with one thread. Inside of two steps, what no plain
script would do is timed apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import skops.io  # noqa: F401 (imported before the fork)
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

import include.data.ingestion.slot_reading as ingestion
import include.evaluation.measurement as evaluation
from benchmarks.page import machine, put
from benchmarks.plain import LEVELS, NUMBERS, candidates, measure
from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.quality.library import gx
from include.models.flight_delay.features import derive
from include.models.flight_delay.source import read
from include.storage.local import LocalStore
from tests.chain_run import Run

MILLIONS = (10.0, 3.0, 0.3)
FIRST, LAST = datetime(2013, 4, 1, tzinfo=UTC), datetime(2013, 9, 1, tzinfo=UTC)
AS_OF = datetime(2013, 9, 2, tzinfo=UTC)
HOLDOUT = datetime(2013, 8, 1, tzinfo=UTC)
"""The instant after which rows are held out."""
STEPS = {
    "ingest": ["ingest"],
    "check": ["check"],
    "train": ["train_hist_gradient_boosting", "train_baselines"],
    "evaluate": ["select", "evaluate"],
    "gate, promote": ["gate", "decide", "settle"],
}
APART = {"ingest": ("digests", ingestion, "table_digest"), "evaluate": ("tripwires", evaluation, "run_checks")}
"""What no plain script would do: its name, and the function that does all of it."""
ITERATIONS = 25
"""Of boosting, on both sides: training with four times as many would take most of the time that all of this takes."""
YAML = """
name: flights
description: Will this flight arrive more than 15 minutes late?
owner: benchmarks
task: classification
schedule: {retrain: "@monthly", start: 2013-09-01}
data:
  source: {kind: files, path: "FOLDER/%Y-%m.parquet", format: parquet}
  event_time: scheduled_departure
  row_id: [carrier, flight, origin, scheduled_departure]
  target: late
  partition: month
  label_delay: 1d
  windows: {train: 4mo, holdout: 1mo}
quality:
  max_quarantined: 0.08
  expectations:
    - expect_column_values_to_not_be_null: {column: late, quarantine: true}
    - expect_column_values_to_be_in_set: {column: origin, value_set: [EWR, JFK, LGA], severity: critical}
    - expect_column_values_to_be_between: {column: distance, min_value: 1, max_value: 6000, quarantine: true}
features:
  derive: features:derive
  numeric: {columns: [NUMBERS], impute: median, scale: standard}
  categorical: {columns: [LEVELS], impute: constant, encode: native, min_frequency: 0.002}
training:
  candidates: [{estimator: hist_gradient_boosting, params: {max_iter: ITERATIONS, learning_rate: 0.1}}]
  cv: {kind: time_series, folds: 1}
evaluation:
  metrics: [roc_auc, average_precision, f1, precision, recall, accuracy, brier]
  slices: [origin, carrier]
gate:
  primary: {metric: roc_auc}
"""
Array = NDArray[Any]


def write_source(folder: Path, rows: int, slot: str = "%Y-%m") -> int:
    """Write as many flights, a Parquet file a month or other slot, and return how many there are in the two windows."""
    folder.mkdir(parents=True)
    flights = pa.concat_tables(list(read(FIRST, LAST)))
    known: int = flights.num_rows
    copies = max(1, round(rows / known))
    number = flights.column_names.index("flight")
    months = pc.strftime(flights["scheduled_departure"], slot)
    for month in pc.unique(months).to_pylist():
        once = flights.filter(pc.equal(months, month))
        with pq.ParquetWriter(folder / f"{month}.parquet", once.schema) as file:
            for copy in range(copies):
                file.write_table(once.set_column(number, "flight", pc.add(once["flight"], 10_000 * copy)))
    return copies * known


def declare(folder: Path, source: Path, yaml: str = YAML) -> ModelConfig:
    """Write the model's folder."""
    folder.mkdir(parents=True)
    os.environ["RATCHET_SOURCE_FOLDERS"] = str(source)
    text = yaml.replace("FOLDER", str(source)).replace("NUMBERS", ", ".join(NUMBERS))
    text = text.replace("LEVELS", ", ".join(LEVELS)).replace("ITERATIONS", str(ITERATIONS))
    (folder / "model.yaml").write_text(text)
    shutil.copy(Path(derive.__code__.co_filename), folder / "features.py")
    return load_model(folder / "model.yaml")


def in_child(step: Callable[[], Any]) -> tuple[float, float, Any]:
    """Do a step in a process of its own; return its processor seconds, its peak GiB and its answer."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def work() -> None:
        began = time.process_time()
        with threadpool_limits(1):
            answer = step()
        seconds = time.process_time() - began
        theirs.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, answer))

    child = context.Process(target=work)
    child.start()
    theirs.close()
    try:
        seconds, peak, answer = ours.recv()
    except EOFError:
        raise SystemExit("A step failed; see above.") from None
    child.join()
    return float(seconds), float(peak), answer


@contextmanager
def timed(module: Any, name: str) -> Iterator[list[float]]:
    """Give a list that holds the processor seconds of each call of a module's function."""
    function, seconds = getattr(module, name), []

    def call(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*given, **named)
        finally:
            seconds.append(time.process_time() - began)

    setattr(module, name, call)
    try:
        yield seconds
    finally:
        setattr(module, name, function)


Found = dict[str, tuple[float, float | None]]
"""Processor seconds of each step and the peak of its process, in GiB; None of what is a part of a step."""


def side_by_side(folder: Path, source: Path) -> tuple[Found, Found]:
    """Do each step through the chain and then by hand; return seconds and peak GiB of both.

    Step by step, so that the other work of the machine weighs on both alike.
    """
    model = declare(folder / "flights", source)
    run, store, hand = Run(model, folder / "flights", AS_OF), LocalStore(folder / "store"), folder / "hand"
    hand.mkdir()
    done: dict[str, Any] = {}
    ours: Found = {}
    theirs: Found = {}
    for step, tasks in STEPS.items():
        each = []
        for task in tasks:
            seconds, peak, (done, apart) = in_child(partial(_task, run, store, done, step, task))
            each.append((seconds - apart, peak, apart))
        ours[step] = (sum(seconds for seconds, _, _ in each), max(peak for _, peak, _ in each))
        if step in APART:
            ours[f"{step}: {APART[step][0]}"] = (sum(apart for _, _, apart in each), None)
        if step in BY_HAND:
            theirs[step] = in_child(partial(BY_HAND[step], hand, source))[:2]
        print(f"  {step}: {ours[step][0]:.1f} s, by hand {theirs.get(step, (0.0,))[0]:.1f} s", flush=True)  # noqa: T201
    return ours, theirs


def _task(run: Run, store: LocalStore, done: dict[str, Any], step: str, task: str) -> tuple[dict[str, Any], float]:
    """Do one task; return what is handed over by then, and the seconds of what is timed apart."""
    if step not in APART:
        return run.do(task, store, done), 0.0
    with timed(*APART[step][1:]) as seconds:
        return run.do(task, store, done), sum(seconds)


def _ingest(folder: Path, source: Path) -> None:
    for path in sorted(source.glob("*.parquet")):
        table = pq.read_table(path).sort_by("scheduled_departure")
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(table, folder / path.name, compression="zstd", use_dictionary=texts)


def _check(folder: Path, _: Path) -> None:
    paths, columns = sorted(folder.glob("*.parquet")), ["late", "origin", "distance"]
    tables = [pq.read_table(path, columns=columns, read_dictionary=["origin"]) for path in paths]
    rows = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": rows})
    suite = gx.ExpectationSuite(
        name="flights",
        expectations=[
            gx.expectations.ExpectColumnValuesToNotBeNull(column="late", mostly=0.92),
            gx.expectations.ExpectColumnValuesToBeInSet(column="origin", value_set=["EWR", "JFK", "LGA"]),
            gx.expectations.ExpectColumnValuesToBeBetween(column="distance", min_value=1, max_value=6000),
        ],
    )
    if not batch.validate(suite).success:
        raise SystemExit("The flights are not what they should be.")


def _rows(folder: Path, after: datetime, until: datetime) -> tuple[pd.DataFrame, Array]:
    """Read what lies in a window and has a label; only the months that the window touches."""
    paths = [path for path in sorted(folder.glob("*.parquet")) if f"{after:%Y-%m}" <= path.stem <= f"{until:%Y-%m}"]
    texts = ["carrier", "origin", "dest"]
    table = pa.concat_tables([pq.read_table(path, read_dictionary=texts) for path in paths]).unify_dictionaries()
    time_of = table["scheduled_departure"]
    inside = pc.and_(pc.greater(time_of, pa.scalar(after)), pc.less_equal(time_of, pa.scalar(until)))
    rows = derive(table.filter(pc.and_(inside, table["late"].is_valid())).to_pandas())
    return rows, rows.pop("late").to_numpy(bool)


def _train(folder: Path, _: Path) -> None:
    rows, late = _rows(folder, FIRST - timedelta(days=1), HOLDOUT - timedelta(days=1))
    cut = int(len(rows) * 0.8)
    recipes = candidates()
    boosting = recipes["hist_gradient_boosting"].set_params(histgradientboostingclassifier__max_iter=ITERATIONS)
    boosting.fit(rows[:cut], late[:cut])
    print(f"  validated: {roc_auc_score(late[cut:], boosting.predict_proba(rows[cut:])[:, 1]):.4f}")  # noqa: T201
    joblib.dump({name: pipeline.fit(rows, late) for name, pipeline in recipes.items()}, folder / "models")


def _evaluate(folder: Path, _: Path) -> None:
    rows, late = _rows(folder, HOLDOUT, AS_OF - timedelta(days=1))
    models = joblib.load(folder / "models")
    scores = {name: model.predict_proba(rows)[:, 1] for name, model in models.items()}
    found: dict[str, Any] = {name: measure(late, score) for name, score in scores.items()}
    rng = np.random.default_rng(0)
    weights, group = rng.poisson(1, (1000, 2500)).astype(float), rng.permutation(len(rows)) % 2500
    for column in (None, "origin", "carrier"):
        for level in [None] if column is None else rows[column].unique():
            mask = slice(None) if column is None else (rows[column] == level).to_numpy()
            ours, theirs = (
                _resampled(late[mask], scores[name][mask], group[mask], weights)
                for name in ("hist_gradient_boosting", "logistic_regression")
            )
            found[f"{column}={level}"] = np.quantile(ours - theirs, [0.05, 0.95])
    sample = rows.sample(3000, random_state=0).index
    places = rows.index.get_indexer(sample)
    permutation_importance(
        models["hist_gradient_boosting"],
        rows[NUMBERS + LEVELS].iloc[places],
        late[places],
        scoring="roc_auc",
        n_repeats=3,
        random_state=0,
    )
    joblib.dump(found, folder / "found")


def _resampled(target: Array, score: Array, group: Array, weights: Array) -> Array:
    """Return the AUC of each resample of groups, to first order, by the share of the other class that each row beats."""
    within = np.where(target, target.sum(), (~target).sum())
    inside = np.empty(len(score))
    for label in (True, False):
        inside[target == label] = rankdata(score[target == label])
    share = np.abs(rankdata(score) - inside) / (len(score) - within)
    shares = [np.bincount(group[part], weights=share[part], minlength=2500) for part in (target, ~target)]
    counts = [np.bincount(group[part], minlength=2500) for part in (target, ~target)]
    better, worse = (weights @ part / (weights @ count) for part, count in zip(shares, counts, strict=True))
    return np.asarray(better - worse + (~target * share).sum() / (~target).sum())


BY_HAND: dict[str, Callable[[Path, Path], None]] = {
    "ingest": _ingest,
    "check": _check,
    "train": _train,
    "evaluate": _evaluate,
}


def table(found: dict[int, tuple[Found, Found]]) -> str:
    """Return the part of the page."""
    lines = [
        "| rows | step | processor seconds | by hand | ratio | peak GiB | by hand |",
        "|---|---|---|---|---|---|---|",
    ]
    for rows, (ours, theirs) in sorted(found.items()):
        for step, (seconds, peak) in ours.items():
            most = "" if peak is None else f"{peak:.2f}"
            beside = f"| | {most} |"
            if step in theirs:
                hand, theirs_most = theirs[step]
                beside = f"{hand:.1f} | {seconds / hand:.2f} | {most} | {theirs_most:.2f}"
            lines.append(f"| {rows / 1e6:.1f} million | {step} | {seconds:.1f} | {beside} |")
        whole, hand = sum(seconds for seconds, _ in ours.values()), sum(seconds for seconds, _ in theirs.values())
        lines.append(f"| {rows / 1e6:.1f} million | **all** | {whole:.1f} | {hand:.1f} | {whole / hand:.2f} | | |")
    return "\n".join([machine(), "", *lines])


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=float, action="append", help="how many rows; default 10, 3 and 0.3")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    found = {}
    for millions in arguments.millions or MILLIONS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            source = Path(name) / "source"
            rows = in_child(partial(write_source, source, round(millions * 1e6)))[2]
            print(f"{rows:,} rows", flush=True)  # noqa: T201
            found[rows] = side_by_side(Path(name), source)
        if not arguments.print:
            put("rows", table(found))  # after each size: the largest comes first, and takes most of the time
    print(table(found))  # noqa: T201


if __name__ == "__main__":
    main()
