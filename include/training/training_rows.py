"""The training rows of a fit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.config.sections.features import Features
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import TrainingError
from include.storage.store import ObjectStore
from include.training.metrics.costs import RowCosts, row_costs
from include.training.preprocessing.target import as_numbers, check_classes, count_classes, find_classes
from include.training.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRows:
    """Rows with their target; a fit that is given some of them has no way to the others."""

    frame: pd.DataFrame
    target: np.ndarray[Any, Any]
    """Classes as numbers from zero, or values; nothing but zeros where there is no target."""
    classes: tuple[Any, ...] | None
    costs: RowCosts | None = None
    """The cost of each row for each possible prediction, where a recipe needs it."""

    def at(self, positions: np.ndarray[Any, Any]) -> TrainingRows:
        """Return some of the rows; of neighbours, as a fold of time has, no copy is made."""
        costs = None if self.costs is None else self.costs.at(positions)
        where = _slice_of(positions)
        return replace(self, frame=self.frame.iloc[where], target=self.target[where], costs=costs)

    def answers(self, ask: Callable[[pd.DataFrame], Any]) -> np.ndarray[Any, Any]:
        """Return the result of ``ask`` for the rows: an array with one item for each row."""
        return np.asarray(ask(self.frame))

    def fetched(self) -> TrainingRows:
        """Return the same rows with all their columns in memory, where they are."""
        return self

    def __len__(self) -> int:
        return len(self.target)


def _slice_of(positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | slice:
    """Return positions that follow each other as a slice, which takes no memory."""
    if not len(positions) or positions[-1] - positions[0] != len(positions) - 1 or (np.diff(positions) != 1).any():
        return positions
    return slice(int(positions[0]), int(positions[-1]) + 1)


def read_training_rows(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, recipe: Recipe
) -> TrainingRows:
    """Return the rows of the training window with the columns that a recipe reads.

    Parameters
    ----------
    folder : Path
        The model's folder.
    snapshot : Snapshot
        The data that the rows are read from.
    recipe : Recipe
        Names the columns and the target.

    Raises
    ------
    TrainingError
        When a column is not of its group's kind, or the target is none.
    """
    frame = read_rows(store, snapshot, model, folder, window="train", columns=list(recipe.columns))
    if recipe.target is not None and recipe.task == "classification":
        check_classes(count_classes(frame[recipe.target]), recipe.positive, recipe.target)
    return training_rows(frame, recipe, folder)


def training_rows(frame: pd.DataFrame, recipe: Recipe, folder: Path = Path()) -> TrainingRows:
    """Return rows that have the columns of a recipe as a fit is given them; ``folder`` has the code of a cost function.

    Raises `TrainingError` as above, and `EvaluationError` where costs can't be told.
    """
    inputs = frame[list(recipe.inputs)]
    check_kinds(recipe.features, inputs)
    if empty := [str(name) for name in inputs if inputs[name].isna().all()]:
        log.warning(
            "%s: no training row has a value of %s; nothing can be learned from it", recipe.name, ", ".join(empty)
        )
    if infinite := [str(name) for name in inputs if _has_infinite(inputs[name])]:
        log.warning(
            "%s: infinite values of %s are taken for missing ones; `features.derive` makes them where it divides by zero",
            recipe.name,
            ", ".join(infinite),
        )
    if recipe.target is None:
        log.info("%s: %s rows, %d columns", recipe.name, f"{len(frame):,}", inputs.shape[1])
        return TrainingRows(frame, np.zeros(len(frame)), None)
    classes = find_classes(frame[recipe.target], recipe.positive) if recipe.task == "classification" else None
    target = as_numbers(frame[recipe.target], classes)
    if classes is None:
        check_values(target, recipe)
    share = ""
    if classes is not None:
        share = f", {target.mean():.1%} positive (`{classes[1]}`)" if len(classes) == 2 else f", {len(classes)} classes"
    log.info("%s: %s rows, %d columns%s", recipe.name, f"{len(target):,}", inputs.shape[1], share)
    costs = None if recipe.cost is None else row_costs(recipe.cost, folder, frame, target, classes)
    return TrainingRows(frame, target, classes, costs)


_LOWEST = {"poisson": "zero and above", "gamma": "above zero"}


def check_values(target: np.ndarray[Any, Any], recipe: Recipe) -> None:
    """Raise `TrainingError` for values that a distribution does not have; warn of a target that never changes."""
    if len(target) and (target == target[0]).all():
        log.warning(
            "%s: `%s` is the same in all %s training rows; there is nothing to learn from them",
            *(recipe.name, recipe.target, f"{len(target):,}"),
        )
    if recipe.transform is not None:
        return
    for distribution, allowed in _LOWEST.items():
        if not recipe.learns_distribution(distribution):
            continue
        if outside := int((target < 0 if distribution == "poisson" else target <= 0).sum()):
            raise TrainingError(
                f"`{recipe.target}` has values that are not possible under the loss of {distribution} regression",
                expected=f"a target of {allowed} in every training row",
                found=f"{outside:,} of {len(target):,} rows with others",
                where=f"candidate {recipe.name}",
                remedy="choose another estimator or loss for this target, or leave such rows out where they are no real values",
            )


def _has_infinite(column: pd.Series[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any())


def check_kinds(features: Features, inputs: pd.DataFrame) -> None:
    """Raise `TrainingError` for a column that is not of its group's kind."""
    api = pd.api.types
    kinds = [
        ("numeric", features.numeric, api.is_numeric_dtype, "integer, float or boolean", "categorical"),
        ("dates", features.dates, api.is_datetime64_any_dtype, "timestamp or date", "categorical"),
        ("text", features.text, lambda dtype: not api.is_numeric_dtype(dtype), "string", "numeric"),
    ]
    for section, groups, suits, expected, other in kinds:
        for name in (name for group in groups for name in group.columns):
            if not suits(inputs[name].dtype):
                raise TrainingError(
                    f"the column `{name}` is not a {'number' if section == 'numeric' else section.rstrip('s')}",
                    expected=expected,
                    found=str(inputs[name].dtype),
                    where=f"features.{section}",
                    remedy=f"name it under `features.{other}`, or make such a column of it in `features.derive`",
                )
