"""A recipe: everything that a declaration says about one fit, and the key of the fit."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer

from include.config.code import code_behind, file_digests
from include.config.free_values import marked
from include.config.section import Section
from include.config.sections.evaluation import BusinessCost
from include.config.sections.features import Features
from include.config.sections.training import (
    CrossValidation,
    Imbalance,
    Mitigation,
    RowWeights,
    Search,
    Threshold,
)
from include.data.snapshots import Snapshot
from include.storage.content import digest_json
from include.training.estimators.construction import build_estimator, find_estimator
from include.training.estimators.optional_libraries import library_version
from include.training.estimators.registry import CONSTANT, Space
from include.training.preprocessing.column_transformer import build_column_transformer

version = cache(metadata.version)
"""The version of an installed distribution; asked five times for the key of each fit, and read from a file of a hundred lines."""

RECIPE_VERSION = 3
"""Raise it when the same declaration starts to give another model, so that earlier fits are not taken for it; where that is
so for some declarations only, `Recipe.meaning` tells which. `include.training.provenance` works out the keys of earlier fits:
what it was must be kept there."""


@dataclass(frozen=True)
class Recipe:
    """One fit as declared; what a search finds comes on top of ``params``."""

    model: str
    name: str
    task: str
    estimator: str
    params: dict[str, Any]
    early_stopping: bool
    search: Search | None
    features: Features
    target: str | None
    event_time: str
    row_id: tuple[str, ...]
    label_delay: str
    cv: CrossValidation | None
    """None for a baseline, which takes no part in the choice of the challenger."""
    metric: str
    seed: int
    cross_fitting: CrossValidation
    """How fitted rows are split for out-of-fold scores."""
    imbalance: Imbalance
    weights: RowWeights | None = None
    threshold: Threshold | None = None
    calibration: str = "none"
    fairness: Mitigation | None = None
    members: tuple[Recipe, ...] = ()
    """The candidates to join, for an estimator that does."""
    best: int | None = None
    """How many of the members to join; all of them if None."""
    quantile: float = 0.5
    """Of the metric `pinball`."""
    refits: int = 0
    """How many more fits to resamples of the rows are kept, for the stability of clusters."""
    positive: str | int | bool | None = None
    """The declared positive class of two."""
    transform: str | None = None
    """The scale on which the target is learned."""
    exposure: str | None = None
    """The column of each row's exposure: the target is learned per unit of it."""
    coverage: float | None = None
    """Of prediction intervals."""
    costs: dict[str, dict[str, float]] | None = None
    """What classes cost, where candidates are compared by it or the threshold is chosen by it."""
    cost_function: tuple[str, tuple[str, ...]] | None = None
    """The function that says what rows cost, and the columns that it reads, where it is used as ``costs`` are."""
    pooled: tuple[int | str, ...] | None = None
    """How many people must have a level for the domain to name it, and the column that tells people apart."""
    engine: str | None = None
    """Where rows are held while it is fitted."""

    @property
    def cost(self) -> BusinessCost | None:
        """What predictions cost, where candidates are compared by it or the threshold is chosen by it."""
        if self.cost_function is not None:
            function, columns = self.cost_function
            return BusinessCost(function=function, columns=columns)
        return None if self.costs is None else BusinessCost(matrix=self.costs)

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions of the model's folder whose code is part of the fit."""
        priced = self.cost_function[0] if self.cost_function else None
        return tuple(name for name in (self.features.derive, priced) if name is not None)

    @property
    def meaning(self) -> int:
        """The edition of the recipe format for this declaration: part of the key."""
        from_scores = self.calibration != "none" or self.threshold is not None or self.estimator == "stacking"
        # 4: declared weights reach what is learned from scores, and target encoding tells a level never seen from a gap.
        mended = (from_scores and self.weights is not None) or any(
            group.encode == "target" and group.impute == "none" for group in self.features.categorical
        )
        # 5: calibration, group thresholds and threshold learn from the same scores.
        shared = (self.calibration != "none") + self.reads_groups + (self.threshold is not None) > 1
        own = RECIPE_VERSION + 2 if shared else RECIPE_VERSION + mended
        return max([own, *(one.meaning for one in self.members)])

    @property
    def least_rows(self) -> int:
        """How many rows of each class a fit needs: one more for each round of cross-fitting, one within the other."""
        layers = (self.estimator == "stacking") + self.learns_from_scores
        if self.members:
            return layers + max(member.least_rows for member in self.members)
        margins = 3 if find_estimator(self.estimator, self.task).margins else 1
        return layers + max(margins, 2 if self.imbalance.method == "smote" else 1)

    @property
    def cross_fits(self) -> bool:
        """Whether a fit uses out-of-fold scores: its folds must then have every class."""
        own = self.estimator == "stacking" or self.learns_from_scores
        return own or any(member.cross_fits for member in self.members)

    @property
    def learns_from_scores(self) -> bool:
        """Whether a part of the model file is fitted to out-of-fold scores."""
        return self.calibration != "none" or self.reads_groups

    @property
    def reads_groups(self) -> bool:
        """Whether a row's group must be known to score it."""
        return self.fairness is not None and self.fairness.method == "group_thresholds"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a row needs to be scored, each once."""
        groups = [self.fairness.column] if self.fairness is not None and self.reads_groups else []
        exposure = [self.exposure] if self.exposure is not None else []
        return tuple(
            dict.fromkeys(
                [*self.features.columns, *groups, *exposure, *(c for one in self.members for c in one.inputs)]
            )
        )

    def learns_distribution(self, name: str) -> bool:
        """Whether the estimator, or its loss, is that of a distribution such as ``gamma``."""
        losses = {self.settings.get(setting) for setting in ("loss", "objective")}
        return self.estimator == name or any(str(loss).rpartition(":")[2].lower() == name for loss in losses)

    @property
    def exposure_weighs(self) -> bool:
        """Whether the exposure is the weight of a row; for a gamma distribution it is only a scale."""
        return not self.learns_distribution("gamma")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        joined = [column for one in self.members for column in one.columns]
        own = [*([self.target] if self.target else []), self.event_time, *self.row_id, *self.beside]
        return tuple(dict.fromkeys([*self.inputs, *own, *joined]))

    @property
    def beside(self) -> list[str]:
        """The columns that group or weigh rows, or identify people."""
        divisions = [self.cv, self.search.cv if self.search else None, self.cross_fitting]
        groups = [cv.group for cv in divisions if cv and cv.group]
        weights = [self.weights.column] if self.weights and self.weights.column else []
        fairness = [self.fairness.column] if self.fairness else []
        priced = self.cost_function[1] if self.cost_function else ()
        return [*groups, *weights, *fairness, *map(str, (self.pooled or ())[1:]), *priced]

    @property
    def space(self) -> Space:
        """The search space."""
        declared = self.search.space if self.search else None
        if self.members:
            return {}
        if declared is None:
            return find_estimator(self.estimator, self.task).space
        # Sorted, as the names are in the stored declaration that a reproduction reads.
        return dict(sorted(declared.items()))

    @property
    def settings(self) -> dict[str, Any]:
        """The estimator's settings before any search, Ratchet's own defaults included."""
        if self.members:
            return {}
        return find_estimator(self.estimator, self.task).params | self.params

    def key(self, folder: Path, snapshot: Snapshot) -> str:
        """Return the digest of everything that determines the fit: declaration, rows, code, libraries."""
        return self.key_with(snapshot.digest, digest_json(file_digests(self.code(folder))), self.libraries())

    def key_with(self, snapshot: str, code: str, libraries: dict[str, str], *, meaning: int | None = None) -> str:
        """Return the key of a fit on other rows, with other code or libraries.

        Parameters
        ----------
        snapshot, code : str
            Their digests.
        libraries : dict of str to str
            Versions by name.
        meaning : int, optional
            Version of the recipe format; the recipe's own if left out.
        """
        return digest_json(
            {
                "meaning": self.meaning if meaning is None else meaning,
                "recipe": _plain(self),
                "snapshot": snapshot,
                "code": code,
                "libraries": libraries,
            }
        )

    def code(self, folder: Path) -> dict[str, bytes]:
        """Return the Python files behind `functions`, by name."""
        return code_behind(folder, self.functions)

    def libraries(self) -> dict[str, str]:
        """Return the versions that a fit depends on."""
        names = ["numpy", "pandas", "scikit-learn", "scipy", "skops"]
        if self.search is not None and self.search.method == "bayesian":
            names.append("optuna")
        if self.imbalance.method not in ("none", "class_weight"):
            names.append("imbalanced-learn")
        if self.fairness is not None and self.fairness.method != "reweighing":
            names.append("fairlearn")
        if "." in self.estimator:
            names += metadata.packages_distributions().get(self.estimator.partition(".")[0], [])
        own = {"python": platform.python_version()} | {name: version(name) for name in names}
        if not self.members:
            own |= {name: library_version(name) for name in find_estimator(self.estimator, self.task).libraries}
        for member in self.members:
            own |= member.libraries()
        return own

    @property
    def native(self) -> bool:
        """Whether levels go to the estimator as numbers: selection and SMOTE would take those for quantities."""
        kind = find_estimator(self.estimator, self.task)
        return kind.native and not self.features.select and self.imbalance.method != "smote" and not self.reduced

    def preparation(self, classes: int) -> ColumnTransformer:
        """Return the first half of the pipeline, not fitted yet."""
        if self.estimator == CONSTANT:
            return ColumnTransformer([("nothing", "drop", list(self.features.columns))])
        kind = find_estimator(self.estimator, self.task)
        return build_column_transformer(
            self.features,
            missing=kind.missing
            and not self.features.select
            and self.imbalance.method in ("none", "class_weight")
            and not self.reduced,
            native=self.native,
            sparse=kind.sparse and not self.reduced,
            target="continuous" if self.task == "regression" else "binary" if classes == 2 else "multiclass",
            seed=self.seed,
        )

    def build(self, settings: dict[str, Any], threads: int, native: list[int]) -> Any:
        """Return the estimator, not fitted yet."""
        return build_estimator(
            self.estimator,
            self.task,
            settings,
            seed=self.seed,
            threads=threads,
            early_stopping=self.early_stopping,
            native=native,
        )

    @property
    def reduced(self) -> bool:
        """Whether it is fitted by reductions to weighted classifications, which need dense numbers without gaps."""
        return self.fairness is not None and self.fairness.method == "exponentiated_gradient"


_LATER = ("positive", "transform", "exposure", "coverage", "costs", "cost_function", "pooled", "engine")


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, Recipe):
        # What release 0.1 did not have is part of a key only where it is declared.
        return {name: _plain(part) for name, part in vars(value).items() if name not in _LATER or part is not None}
    return [_plain(part) for part in value] if isinstance(value, tuple) else marked(value)
