"""Training: from a declaration and a snapshot to a fitted model file and the record of its fit.

Here are the recipe (everything that determines a fit), the fit itself, its record, its provenance and its rows. What a fit is
made of lives in the sub-packages: `preprocessing`, `estimators`, `fairness`, `model_selection`, `metrics`, `persistence`.
Not here: reading and splitting data (`include.data`), measurements on the holdout (`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = (
    "declared_recipes",
    "fit_candidate",
    "fit_estimator",
    "fit_inputs",
    "fit_pipeline",
    "fit_record",
    "input_domain",
    "library_versions",
    "provenance",
    "recipe",
    "training_rows",
)
"""The modules that other rooms may import."""
