"""A recipe: everything that a model's declaration says about one fit, and the key that stands for all of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from include.config.code import code_files, file_digests
from include.config.model import ModelConfig
from include.config.training import CrossValidation, Features, Search
from include.data.snapshots import Snapshot
from include.errors import ConfigError, nearest
from include.storage.content import digest_json
from include.training.estimators import CONSTANT, Space, build_estimator, check_settings, find_estimator
from include.training.preparation import native_positions, preparation
from include.training.scoring import check_metric

MEANING = 1
"""Raise it when the same declaration starts to give another model, so that earlier fits are not taken for it."""


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
    target: str
    event_time: str
    row_id: tuple[str, ...]
    label_delay: str
    cv: CrossValidation | None
    """None for a baseline, which takes no part in the choice of the challenger."""
    metric: str
    weights: bool
    """Whether both classes count the same in sum."""
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        groups = [cv.group for cv in (self.cv, self.search.cv if self.search else None) if cv and cv.group]
        return tuple(dict.fromkeys([*self.features.columns, self.target, self.event_time, *self.row_id, *groups]))

    @property
    def space(self) -> Space:
        """Where the search looks."""
        declared = self.search.space if self.search else None
        return find_estimator(self.estimator, self.task).space if declared is None else dict(declared)

    @property
    def settings(self) -> dict[str, Any]:
        """The estimator's settings before any search, Ratchet's own defaults included."""
        return find_estimator(self.estimator, self.task).params | self.params

    def key(self, folder: Path, snapshot: Snapshot) -> str:
        """Return the digest of everything that determines the fit: declaration, rows, code, libraries."""
        return self.key_with(snapshot.digest, digest_json(file_digests(self.code(folder))), self.libraries())

    def key_with(self, snapshot: str, code: str, libraries: dict[str, str]) -> str:
        """Return the key of a fit on other rows, with other code or libraries, by their digests and versions."""
        declared = {
            name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            for name, value in vars(self).items()
        }
        return digest_json(
            {
                "meaning": MEANING,
                "recipe": declared | {"row_id": list(self.row_id)},
                "snapshot": snapshot,
                "code": code,
                "libraries": libraries,
            }
        )

    def code(self, folder: Path) -> dict[str, bytes]:
        """Return the Python files behind ``features.derive``, by name."""
        derive = self.features.derive
        return {} if derive is None else code_files(folder, derive.partition(":")[0])

    def libraries(self) -> dict[str, str]:
        """Return the versions that a fit depends on."""
        names = ["numpy", "pandas", "scikit-learn", "scipy", "skops"]
        if self.search is not None and self.search.method == "bayesian":
            names.append("optuna")
        return {"python": platform.python_version()} | {name: version(name) for name in names}

    def pipeline(self, settings: dict[str, Any], threads: int) -> Pipeline:
        """Return preparation and estimator in one, not fitted yet."""
        kind = find_estimator(self.estimator, self.task)
        if self.estimator == CONSTANT:
            prepare = ColumnTransformer([("nothing", "drop", list(self.features.columns))])
        else:
            prepare = preparation(self.features, missing=kind.missing, native=kind.native, sparse=kind.sparse)
        estimator = build_estimator(
            self.estimator,
            self.task,
            settings,
            seed=self.seed,
            threads=threads,
            early_stopping=self.early_stopping,
            native=native_positions(self.features),
        )
        return Pipeline([("prepare", prepare), ("estimator", estimator)])


def recipe_of(model: ModelConfig, name: str) -> Recipe:
    """Return the recipe of a candidate, or of the baseline ``trivial`` or ``simple``.

    ``simple`` is a logistic or ridge regression on the same features, scaled in any case: without, it would be a weak
    opponent for no good reason.

    Raises
    ------
    ConfigError
        When there is no such candidate, or it names an estimator, setting or metric that does not exist.
    """
    training, features = model.training, model.features
    classification = model.task == "classification"
    search, early_stopping, cv = None, False, None
    params: dict[str, Any] = {}
    if name == "trivial":
        estimator, params = CONSTANT, {"strategy": "prior" if classification else "mean"}
    elif name == "simple":
        estimator = "logistic_regression" if classification else "ridge"
        features = _scaled(features)
    else:
        candidates = {candidate.name: candidate for candidate in training.candidates}
        if name not in candidates:
            close = nearest(name, candidates)
            raise ConfigError(
                f"there is no candidate `{name}`",
                expected=", ".join([*candidates, "trivial", "simple"]),
                where=f"{model.name}: training.candidates",
                remedy=f"did you mean `{close}`?" if close else None,
            )
        chosen = candidates[name]
        estimator, params, search = chosen.estimator, dict(chosen.params), chosen.search
        early_stopping, cv = chosen.early_stopping, training.cv
    check_metric(model.gate.primary.metric, model.task)
    recipe = Recipe(
        model=model.name,
        name=name,
        task=model.task,
        estimator=estimator,
        params=params,
        early_stopping=early_stopping,
        search=search,
        features=features,
        target=model.data.target,
        event_time=model.data.event_time,
        row_id=model.data.row_id,
        label_delay=str(model.data.label_delay),
        cv=cv,
        metric=model.gate.primary.metric,
        weights=training.imbalance == "class_weight" and name != "trivial",
        seed=training.seed,
    )
    check_settings(estimator, model.task, params if search is None else params | recipe.space)
    return recipe


def _scaled(features: Features) -> Features:
    if features.numeric is None or features.numeric.scale != "none":
        return features
    return features.model_copy(update={"numeric": features.numeric.model_copy(update={"scale": "standard"})})
