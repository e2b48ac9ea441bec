"""How often the tripwire `shuffled_labels` would trip over chance alone: honest recipes on fresh rows, many times.

    python -m benchmarks.tripwires              # minutes on two cores
    python -m benchmarks.tripwires --draws 20

Its promise is an error of at most 1 in 100,000, which no few hundred draws can count. What they can tell is whether the
deviations, in the standard errors that the wire reckons with, are spread as it takes them to be: at most like a standard
normal's. Recipes that learn much from little (target means of many levels, deep trees, calibration) are among them.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.config.sections.data import LOT
from include.leakage.shuffled_labels import shuffled_labels
from include.training.declared_recipes import recipe_of
from include.training.fit_pipeline import fit_model
from include.training.training_rows import TrainingRows

ROWS = 1_000
LEVELS = 200
"""Of a column: so many that its target means would give labels away if they were not cross-fitted."""

_NUMBERS = {"columns": [f"x{number}" for number in range(5)], "scale": "standard"}
_MEANS = {"numeric": _NUMBERS, "categorical": {"columns": ["level"], "encode": "target"}}
_FOLDS = {"cross_fitting": {"kind": "k_fold", "folds": 3}}
RECIPES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "logistic regression": ("classification", {"numeric": _NUMBERS}, {"estimator": "logistic_regression"}, {}),
    "logistic regression on target means": ("classification", _MEANS, {"estimator": "logistic_regression"}, {}),
    "gradient boosting": (
        "classification",
        {"numeric": _NUMBERS, "categorical": {"columns": ["level"], "encode": "native"}},
        {"estimator": "hist_gradient_boosting", "params": {"max_iter": 30}},
        {},
    ),
    "calibrated tree after resampling": (
        "classification",
        {"numeric": _NUMBERS},
        {"estimator": "decision_tree", "params": {"min_samples_leaf": 1}, "calibration": "isotonic"},
        {"imbalance": "random_over", **_FOLDS},
    ),
    "ridge on target means": ("regression", _MEANS, {"estimator": "ridge"}, {}),
    "forest": ("regression", {"numeric": _NUMBERS}, {"estimator": "random_forest", "params": {"n_estimators": 20}}, {}),
}


def deviation(name: str, seed: int) -> float:
    """Draw rows whose labels can be learned, ask the wire, and return how many standard errors above no skill it found."""
    task, features, candidate, training = RECIPES[name]
    model = ModelConfig.model_validate(
        {
            "name": "honest",
            "description": "Is there anything to learn from shuffled labels?",
            "owner": "benchmarks",
            "task": task,
            "schedule": {"start": "2024-01-01"},
            "data": {"source": {"kind": "python", "reader": "source:read"}, "target": "target"},
            "features": features,
            "training": {"candidates": [candidate], **training},
            "gate": {"primary": {"metric": "roc_auc" if task == "classification" else "rmse"}},
        }
    )
    recipe = recipe_of(model, model.candidate_names[0])
    rng = np.random.default_rng([seed, list(RECIPES).index(name)])
    frame = pd.DataFrame(rng.normal(size=(ROWS, 5)), columns=list(_NUMBERS["columns"]))
    frame["level"] = pd.Categorical([f"level {number}" for number in rng.integers(LEVELS, size=ROWS)])
    frame[LOT] = pd.Timestamp(0, tz="UTC")  # where a table without time keeps each row's lot
    signal = frame["x0"].to_numpy() + rng.normal(size=ROWS)
    known = task == "classification"
    rows = TrainingRows(frame, (signal > 0.7).astype(np.int64) if known else signal, (False, True) if known else None)
    wire = shuffled_labels(rows, partial(fit_model, recipe, recipe.settings), seed=seed)
    found = re.search(r"([-+]?\d+\.\d) standard errors", wire.reason)
    if found is None:
        raise RuntimeError(wire.reason)
    return float(found[1])


def table(draws: int, processes: int) -> Iterator[str]:
    """Yield the lines of a table: for each recipe the spread of the deviations, and the shares beyond two and three."""
    yield f"{'recipe':<38}{'draws':>6}{'mean':>7}{'sd':>6}{'> 2':>8}{'> 3':>8}{'largest':>9}"
    together = []
    with ProcessPoolExecutor(processes) as pool:
        for name in RECIPES:
            found = np.array(list(pool.map(partial(deviation, name), range(draws), chunksize=5)))
            together.append(found)
            yield _line(name, found)
    yield _line("all", np.concatenate(together))
    yield "A standard normal has a mean of 0, an sd of 1, 2.3 % above 2 and 0.1 % above 3; the wire trips at 4.3."


def _line(name: str, found: np.ndarray[Any, Any]) -> str:
    shares = "".join(f"{(found > limit).mean():>8.1%}" for limit in (2, 3))
    return f"{name:<38}{len(found):>6}{found.mean():>7.2f}{found.std(ddof=1):>6.2f}{shares}{found.max():>9.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=300, help="for each recipe")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    started = time.perf_counter()
    for line in table(given.draws, given.processes):
        print(line, flush=True)  # noqa: T201 (what the command is for)
    print(f"{time.perf_counter() - started:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
