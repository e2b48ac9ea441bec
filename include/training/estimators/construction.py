"""Construct the estimator of a recipe, by its short name or the path of its class, and check its settings."""

from __future__ import annotations

import importlib
from typing import Any

from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from include.config.sections.training import Range
from include.errors import ConfigError, did_you_mean
from include.training.estimators.clusterers import is_clustering
from include.training.estimators.optional_libraries import library_version
from include.training.estimators.registry import CONSTANT, REGISTRY, Estimator
from include.training.persistence.trusted_types import is_trusted

_OURS = {"random_state", "n_jobs", "early_stopping", "categorical_features", "verbose", "warm_start"}
"""Settings that Ratchet decides on: from `seed`, threads, `early_stopping` and `features`."""


def find_estimator(name: str, task: str) -> Estimator:
    """Return the estimator of a name; raises `ConfigError` when it is unknown, not permitted or not for this task."""
    if "." in name:
        return _by_path(name, task)
    found = REGISTRY.get(name)
    if found is not None and task in found.classes:
        return found
    able = [other for other, kind in REGISTRY.items() if task in kind.classes and other != CONSTANT]
    raise ConfigError(
        f"`{name}` is no estimator for {task}",
        expected=", ".join(able),
        found=name,
        remedy=did_you_mean(name, able),
    )


def build_estimator(
    name: str,
    task: str,
    params: dict[str, Any],
    *,
    seed: int,
    threads: int = 1,
    early_stopping: bool = False,
    native: list[int] | None = None,
) -> Any:
    """Build an estimator that is not fitted yet; every classifier gives probabilities.

    Parameters
    ----------
    params : dict
        Settings by scikit-learn's names, over those of the registry; looked at by `check_settings`.
    native : list of int, optional
        Positions of columns whose numbers are levels.

    Notes
    -----
    A support vector machine has no probabilities: its margins are turned into some by Platt's sigmoid, fitted to
    margins of rows that the margin's own model did not see (three folds inside the fitted rows).
    """
    kind = find_estimator(name, task)
    estimator = kind.classes[task]()
    known = estimator.get_params(deep=False)
    settings = kind.params | params | {"random_state": seed, "n_jobs": threads, "early_stopping": early_stopping}
    if name == "sgd" and task == "classification":
        settings["loss"] = "log_loss"  # the loss with probabilities
    if native and kind.native:
        settings["categorical_features"] = native
    estimator.set_params(**{key: value for key, value in settings.items() if key in known})
    if kind.margins and task == "classification":
        return CalibratedClassifierCV(estimator, method="sigmoid", ensemble=False, cv=3)
    return estimator


def check_settings(name: str, task: str, params: dict[str, Any]) -> None:
    """Raise `ConfigError` for a setting that the estimator does not have or Ratchet decides on, or a library that is missing."""
    kind = find_estimator(name, task)
    for library in kind.libraries:
        library_version(library)
    known = set(kind.classes[task]().get_params(deep=False)) - _OURS
    for key in params:
        if key not in known:
            own = "it follows from `seed`, `early_stopping`, `features` or the machine" if key in _OURS else None
            raise ConfigError(
                f"`{name}` has no setting `{key}` to give",
                expected=", ".join(sorted(known)),
                found=key,
                where="training.candidates: params or search.space",
                remedy=own or did_you_mean(key, known),
            )
        for value in _values(params[key]):
            _check_value(name, task, key, value)


def _values(given: Any) -> list[Any]:
    """Return the values that a setting may take: one, those of a search, or the ends of a range."""
    if isinstance(given, Range):
        return [int(end) if given.integer else end for end in (given.low, given.high)]
    return list(given) if isinstance(given, tuple) else [given]


def _check_value(name: str, task: str, key: str, value: Any) -> None:
    made = find_estimator(name, task).classes[task]().set_params(**{key: value})
    try:
        # What scikit-learn does first of all when it fits; classes of others may do without.
        getattr(made, "_validate_params", lambda: None)()
    except ValueError as error:
        raise ConfigError(
            f"`{name}` can't take this value of `{key}`",
            expected=str(error).partition(" Got ")[0],
            found=repr(value),
            where="training.candidates: params or search.space",
        ) from error


def _by_path(path: str, task: str) -> Estimator:
    """Return the class that a dotted path names, with its capabilities."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"there is no class `{path}`", found=error, remedy="correct the path, or install the library"
        ) from error
    if not isinstance(found, type) or not hasattr(found, "get_params"):
        raise ConfigError(f"`{path}` does not work like scikit-learn's classes", expected="a class with `get_params`")
    kept = f"{found.__module__}.{found.__qualname__}"
    if not is_trusted("ObjectNode", kept):
        raise ConfigError(
            f"`{path}` is not among the types that a model file may hold",
            expected="a type of `include.training.persistence.trusted_types`, or one that the deployment permits",
            found=kept,
            remedy=f"the operator of this deployment can add it: RATCHET_PERMITTED_TYPES={kept}",
        )
    try:
        made = found()
    except TypeError as error:
        raise ConfigError(f"`{path}` can't be made without arguments", found=error) from error
    if not {"classification": is_classifier, "regression": is_regressor, "clustering": is_clustering}[task](made):
        raise ConfigError(f"`{path}` is no estimator for {task}")
    if task == "clustering" and not hasattr(made, "predict"):
        raise ConfigError(
            f"`{path}` can't say which cluster a new row is in",
            expected="a class with `predict`",
            remedy="`hdbscan` is available by its short name, with a rule for new rows",
        )
    tags = get_tags(made).input_tags
    return Estimator(
        {task: found},
        missing=bool(tags.allow_nan),
        sparse=bool(tags.sparse),
        weights=has_fit_parameter(made, "sample_weight"),
        margins=not hasattr(made, "predict_proba"),
    )
