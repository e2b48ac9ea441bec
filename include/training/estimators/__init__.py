"""Estimators: the registry of short names and what constructs an estimator from it, clusterers, ensembles, calibrated classifiers, and predictions of all of them.

Not here: what a fairness mitigation fits (`include.training.fairness`), the search for settings
(`include.training.model_selection`).
"""

PUBLIC: tuple[str, ...] = (
    "ensembles",
    "meta_estimator",
    "predictions",
    "registry",
)
"""The modules that other rooms may import."""
