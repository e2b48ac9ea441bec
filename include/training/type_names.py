"""Names under which model files store our own types, so that no move or renaming of a class changes a stored file.

A model file names a type ``ratchet.<name>``. This table says which class that is today. A class that moves or gets another
name changes its line here and keeps its name in the files; the names of a class's attributes are stored as well and stay.
"""

from __future__ import annotations

STORED = "ratchet"
"""The module that stored names have; there is none of that name to import."""

TYPES: dict[str, str] = {
    "CalibratedClassifier": "include.training.calibrated.Calibrated",
    "CategoryEncoder": "include.training.levels.LevelEncoder",
    "CategoryInteraction": "include.training.crossing.CrossedLevels",
    "ColumnMask": "include.training.kept_columns.KeptColumns",
    "DatetimeFeatures": "include.training.dates.DateParts",
    "DensityClusterer": "include.training.clusters.DensityClusters",
    "EnsembleClassifier": "include.training.joined.JoinedClassifier",
    "EnsembleRegressor": "include.training.joined.JoinedRegressor",
    "FloatConverter": "include.training.numbers.Numbers",
    "GroupThresholdClassifier": "include.training.group_thresholds.GroupThresholds",
    "LightGBMClassifier": "include.training.lightgbm_trees.LightGBMClassifier",
    "LightGBMRegressor": "include.training.lightgbm_trees.LightGBMRegressor",
    "InputColumns": "include.training.model_of_models.WholeRows",
    "MissingColumnFilter": "include.training.kept_columns.FilledColumns",
    "OutlierClipper": "include.training.outliers.OutlierBounds",
    "RandomClusterer": "include.training.clusters.ChanceClusters",
    "RandomizedClassifier": "include.training.mixture.Mixture",
    "SignedLog": "include.training.skew.SignedLog",
    "TextColumn": "include.training.texts.Texts",
}
"""The classes of today by their stored names."""

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
