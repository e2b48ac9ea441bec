"""A recipe: everything that a model's declaration says about one fit, and the key that stands for all of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer

from include.config.code import code_files, file_digests
from include.config.free_values import marked
from include.config.model import BASELINES, ModelConfig
from include.config.names import ENSEMBLES, SIMPLE_BASELINE
from include.config.section import Section
from include.config.sections.features import Features
from include.config.sections.training import (
    Candidate,
    CrossValidation,
    Imbalance,
    Mitigation,
    RowWeights,
    Search,
    Threshold,
)
from include.data.snapshots import Snapshot
from include.errors import ConfigError, nearest
from include.storage.content import digest_json
from include.training.estimators.boosted_trees import library_version
from include.training.estimators.registry import CONSTANT, Space, build_estimator, check_settings, find_estimator
from include.training.metrics.scoring import check_metric
from include.training.preprocessing.column_transformer import build_column_transformer

RECIPE_VERSION = 3
"""Raise it when the same declaration starts to give another model, so that earlier fits are not taken for it; where that is
so for some declarations only, `Recipe.meaning` tells which. `include.training.provenance` works out the keys of earlier fits:
what it was must be kept there."""

STABILITY_REFITS = 10
"""How often a clustering is fitted again to tell its stability."""

_TRIVIAL: dict[str, dict[str, Any]] = {
    "classification": {"strategy": "prior"},
    "regression": {"strategy": "mean"},
    "clustering": {},
}
_CLUSTERS = Search(method="grid", trials=7, space={"n_clusters": tuple(range(2, 9))})


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
    """How fitted rows are divided for what is learned from scores of rows not learned from."""
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

    @property
    def meaning(self) -> int:
        """The edition of what such a declaration means: part of the key."""
        from_scores = self.calibration != "none" or self.threshold is not None or self.estimator == "stacking"
        # 4: declared weights reach what is learned from scores, and target encoding tells a level never seen from a gap.
        mended = (from_scores and self.weights is not None) or any(
            group.encode == "target" and group.impute == "none" for group in self.features.categorical
        )
        return max([RECIPE_VERSION + mended, *(one.meaning for one in self.members)])

    @property
    def least_rows(self) -> int:
        """How many rows of each class a fit needs: one more for each layer that learns from scores of rows held out."""
        layers = (self.estimator == "stacking") + (self.calibration != "none") + self.reads_groups
        if self.members:
            return layers + max(member.least_rows for member in self.members)
        margins = 3 if find_estimator(self.estimator, self.task).margins else 1
        return layers + max(margins, 2 if self.imbalance.method == "smote" else 1)

    @property
    def cross_fits(self) -> bool:
        """Whether a fit learns from scores of rows that it holds out in turn: its folds must then know every class."""
        own = self.estimator == "stacking" or self.calibration != "none" or self.reads_groups
        return own or any(member.cross_fits for member in self.members)

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
        return self.estimator == name or any(str(loss).rpartition(":")[2] == name for loss in losses)

    @property
    def exposure_weighs(self) -> bool:
        """Whether a row counts as much as it was exposed: of amounts with a gamma distribution the exposure is a scale alone."""
        return not self.learns_distribution("gamma")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        divisions = [self.cv, self.search.cv if self.search else None, self.cross_fitting]
        groups = [cv.group for cv in divisions if cv and cv.group]
        weights = [self.weights.column] if self.weights and self.weights.column else []
        fairness = [self.fairness.column] if self.fairness else []
        joined = [column for one in self.members for column in one.columns]
        own = [*([self.target] if self.target else []), self.event_time, *self.row_id, *groups, *weights, *fairness]
        return tuple(dict.fromkeys([*self.inputs, *own, *joined]))

    @property
    def space(self) -> Space:
        """Where the search looks."""
        declared = self.search.space if self.search else None
        if self.members:
            return {}
        if declared is None:
            return find_estimator(self.estimator, self.task).space
        # In an order of its own: the declaration that is kept for a retraining has its names sorted.
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
        """Return the key of a fit on other rows, with other code or libraries, by their digests and versions."""
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
        """Return the Python files behind ``features.derive``, by name."""
        derive = self.features.derive
        return {} if derive is None else code_files(folder, derive.partition(":")[0])

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
            names += packages_distributions().get(self.estimator.partition(".")[0], [])
        own = {"python": platform.python_version()} | {name: version(name) for name in names}
        if not self.members and (library := find_estimator(self.estimator, self.task).library):
            own[library] = library_version(library)
        for member in self.members:
            own |= member.libraries()
        return own

    @property
    def native(self) -> bool:
        """Whether levels go to the estimator as numbers: selection and SMOTE would take those for quantities."""
        kind = find_estimator(self.estimator, self.task)
        return kind.native and not self.features.select and self.imbalance.method != "smote" and not self._reduced

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
            and not self._reduced,
            native=self.native,
            sparse=kind.sparse and not self._reduced,
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
    def _reduced(self) -> bool:
        return self.fairness is not None and self.fairness.method == "exponentiated_gradient"


_LATER = ("positive", "transform", "exposure", "coverage")


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, Recipe):
        # What release 0.1 did not have is part of a key only where it is declared.
        return {name: _plain(part) for name, part in vars(value).items() if name not in _LATER or part is not None}
    return [_plain(part) for part in value] if isinstance(value, tuple) else marked(value)


def recipe_of(model: ModelConfig, name: str) -> Recipe:
    """Return the recipe of a candidate, or of the baseline ``trivial`` or ``simple``.

    ``simple`` is a logistic or ridge regression on the same features, scaled in any case: without, it would be a weak
    opponent for no good reason. For clustering it is k-means, with as many of two to eight clusters as validate best, on
    features as they are declared: there the scale of columns is a part of the question. ``trivial`` then clusters by chance.

    Raises
    ------
    ConfigError
        When there is no such candidate, or it names an estimator, setting or metric that does not exist.
    """
    training, features = model.training, model.features
    own: dict[str, Any] = {"params": {}, "early_stopping": False, "search": None, "cv": None}
    imbalance = training.imbalance
    if name == "trivial":
        own |= {"estimator": CONSTANT, "params": dict(_TRIVIAL[model.task])}
        features, imbalance = features.model_copy(update={"select": ()}), Imbalance(method="none")
    elif name == "simple":
        own |= {"estimator": SIMPLE_BASELINE[model.task]}
        if model.task == "clustering":
            own |= {"search": _CLUSTERS, "cv": training.cv}
        else:
            features = _scaled(features)
    else:
        chosen = _candidate(model, name)
        own |= {"estimator": chosen.estimator, "params": dict(chosen.params), "search": chosen.search}
        own |= {"early_stopping": chosen.early_stopping, "cv": training.cv}
        own |= {"coverage": training.intervals.coverage if training.intervals else None}
        own |= {"calibration": chosen.calibration, "fairness": chosen.fairness}
        if chosen.estimator in ENSEMBLES:
            names = [one.name for one in training.candidates if one.estimator not in ENSEMBLES]
            joined = [recipe_of(model, member) for member in chosen.members or names]
            own |= {"members": tuple(joined), "best": chosen.best}
    check_metric(model.gate.primary.metric, model.task)
    recipe = Recipe(
        model=model.name,
        name=name,
        task=model.task,
        features=features,
        target=model.data.target,
        event_time=model.data.event_time,
        row_id=model.data.row_id,
        label_delay=str(model.data.label_delay),
        metric=model.gate.primary.metric,
        seed=training.seed,
        cross_fitting=training.cross_fitting or training.cv,
        imbalance=imbalance,
        weights=None if name == "trivial" else training.weights,
        threshold=training.threshold,
        quantile=model.evaluation.quantile,
        positive=model.data.positive,
        transform=None if name == "trivial" or training.target is None else training.target.transform,
        exposure=training.exposure,
        refits=STABILITY_REFITS if "stability" in model.metrics else 0,
        **own,
    )
    if not recipe.members:
        _check_monotone(recipe)
        check_settings(recipe.estimator, model.task, recipe.params | (recipe.space if recipe.search else {}))
    return recipe


def _check_monotone(recipe: Recipe) -> None:
    """Raise `ConfigError` unless each column of ``monotone_constraints`` stays one number on its way to the estimator."""
    declared = recipe.params.get("monotone_constraints")
    if declared is None:
        return
    able = {
        column
        for group in recipe.features.numeric
        if group.degree == 1 and not group.indicator and group.max_missing is None
        for column in group.columns
    }
    good = isinstance(declared, dict) and set(declared) <= able and all(s in (-1, 0, 1) for s in declared.values())
    if not good or recipe.features.select or recipe._reduced:
        raise ConfigError(
            "`monotone_constraints` can't be held",
            expected="{column: 1 or -1} of `features.numeric` columns without `degree`, `indicator` and `max_missing`, and no "
            f"`select` or `exponentiated_gradient`: {', '.join(sorted(able)) or 'there are none'}",
            found=declared,
            where=f"{recipe.model}: candidate {recipe.name}: params",
            remedy="name such columns only, or move them to a group of their own",
        )


def equivalent_candidates(model: ModelConfig) -> dict[str, str]:
    """Return the candidate that is fitted just as a baseline is, by the baseline's name, where there is one: it need not be fitted twice."""
    found: dict[str, str] = {}
    for baseline in BASELINES:
        wanted = recipe_of(model, baseline)
        for candidate in model.training.candidates:
            try:
                recipe = recipe_of(model, candidate.name)
            except ConfigError:  # said where that candidate is fitted
                continue
            # Without a search the folds say how good a fit is, and have no part in it.
            if replace(recipe, name=baseline, cv=wanted.cv) == wanted:
                found.setdefault(baseline, candidate.name)
    return found


def _candidate(model: ModelConfig, name: str) -> Candidate:
    candidates = {candidate.name: candidate for candidate in model.training.candidates}
    if name in candidates:
        return candidates[name]
    close = nearest(name, candidates)
    raise ConfigError(
        f"there is no candidate `{name}`",
        expected=", ".join([*candidates, "trivial", "simple"]),
        where=f"{model.name}: training.candidates",
        remedy=f"did you mean `{close}`?" if close else None,
    )


def _scaled(features: Features) -> Features:
    def scaled(groups: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            group.model_copy(update={"scale": "standard"}) if group.scale == "none" else group for group in groups
        )

    return features.model_copy(update={"numeric": scaled(features.numeric), "dates": scaled(features.dates)})
