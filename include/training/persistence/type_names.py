"""Names under which model files store our own types, so that no move or renaming of a class changes a stored file.

A model file names a type ``ratchet.<name>``. This table says which class that is today. A class that moves or gets another
name changes its line here and keeps its name in the files; the names of a class's attributes are stored as well and stay.
"""

from __future__ import annotations

from include.config.sections.features import STEPS

STORED = "ratchet"
"""The module that stored names have; there is none of that name to import."""

TYPES: dict[str, str] = {
    "CalibratedClassifier": "include.training.estimators.calibration.CalibratedClassifier",
    "CategoryEncoder": "include.training.preprocessing.category_encoder.CategoryEncoder",
    "CategoryInteraction": "include.training.preprocessing.category_interactions.CategoryInteraction",
    "CatBoostClassifier": "include.training.estimators.boosting.catboost_trees.CatBoostClassifier",
    "CatBoostRegressor": "include.training.estimators.boosting.catboost_trees.CatBoostRegressor",
    "ColumnMask": "include.training.preprocessing.column_filters.ColumnMask",
    "DatetimeFeatures": "include.training.preprocessing.datetime_features.DatetimeFeatures",
    "DensityClusterer": "include.training.estimators.clusterers.DensityClusterer",
    "EnsembleClassifier": "include.training.estimators.ensembles.EnsembleClassifier",
    "EnsembleRegressor": "include.training.estimators.ensembles.EnsembleRegressor",
    "ExposureRegressor": "include.training.estimators.exposure.ExposureRegressor",
    "FloatConverter": "include.training.preprocessing.float_converter.FloatConverter",
    "GroupThresholdClassifier": "include.training.fairness.group_thresholds.GroupThresholdClassifier",
    "LightGBMClassifier": "include.training.estimators.boosting.lightgbm_trees.LightGBMClassifier",
    "LightGBMRegressor": "include.training.estimators.boosting.lightgbm_trees.LightGBMRegressor",
    "KerasMLPClassifier": "include.training.estimators.keras_mlp.KerasMLPClassifier",
    "KerasMLPRegressor": "include.training.estimators.keras_mlp.KerasMLPRegressor",
    "InputColumns": "include.training.estimators.meta_estimator.InputColumns",
    "MissingColumnFilter": "include.training.preprocessing.column_filters.MissingColumnFilter",
    "OutlierClipper": "include.training.preprocessing.outliers.OutlierClipper",
    "RandomClusterer": "include.training.estimators.clusterers.RandomClusterer",
    "RandomizedClassifier": "include.training.fairness.randomized_classifier.RandomizedClassifier",
    "TextColumn": "include.training.preprocessing.text_column.TextColumn",
    "XGBoostClassifier": "include.training.estimators.boosting.xgboost_trees.XGBoostClassifier",
    "XGBoostRegressor": "include.training.estimators.boosting.xgboost_trees.XGBoostRegressor",
    "TransformedTargetRegressor": "include.training.estimators.target_transform.TransformedTargetRegressor",
} | {facts.stored: facts.path for facts in STEPS.values() if facts.stored}
"""The present classes by their stored names; those of preprocessing steps are declared with the step."""

_RELEASE_0_1: dict[str, str] = {
    "include.training.calibrated.Calibrated": "CalibratedClassifier",
    "include.training.clusters.ChanceClusters": "RandomClusterer",
    "include.training.clusters.DensityClusters": "DensityClusterer",
    "include.training.crossing.CrossedLevels": "CategoryInteraction",
    "include.training.dates.DateParts": "DatetimeFeatures",
    "include.training.group_thresholds.GroupThresholds": "GroupThresholdClassifier",
    "include.training.joined.JoinedClassifier": "EnsembleClassifier",
    "include.training.joined.JoinedRegressor": "EnsembleRegressor",
    "include.training.kept_columns.FilledColumns": "MissingColumnFilter",
    "include.training.kept_columns.KeptColumns": "ColumnMask",
    "include.training.levels.LevelEncoder": "CategoryEncoder",
    "include.training.mixture.Mixture": "RandomizedClassifier",
    "include.training.model_of_models.WholeRows": "InputColumns",
    "include.training.numbers.Numbers": "FloatConverter",
    "include.training.outliers.OutlierBounds": "OutlierClipper",
    "include.training.skew.SignedLog": "SignedLog",
    "include.training.texts.Texts": "TextColumn",
}
"""What files of release 0.1 call them: by the modules that held them then."""

_STORED_NAMES = {path: f"{STORED}.{name}" for name, path in TYPES.items()} | {
    path: f"{STORED}.{name}" for path, name in _RELEASE_0_1.items()
}
_PATHS = {f"{STORED}.{name}": path for name, path in TYPES.items()}


def stored_name(path: str) -> str:
    """Return the name under which a file stores a type, given its module path of today or of release 0.1; others stay."""
    return _STORED_NAMES.get(path, path)


def module_path(name: str) -> str:
    """Return the module path of today of a stored type; types of other libraries stay as they are."""
    return _PATHS.get(name, name)
