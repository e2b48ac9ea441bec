"""Gradient boosting by other libraries: LightGBM, XGBoost and CatBoost behind one estimator, with trees that are checked when read.

Not here: scikit-learn's own boosting (`include.training.estimators.registry`), which library brings what
(`include.training.estimators.optional_libraries`).
"""

PUBLIC: tuple[str, ...] = ("boosted_trees",)
"""The modules that other rooms may import."""
