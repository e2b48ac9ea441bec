"""Preprocessing: transformers and filters that turn declared columns into a numeric matrix.

Every transformer learns from the training rows that it is fitted on. Feature selection and the encoding of the target belong
here. Not here: the user's own ``features.derive`` (`include.data.derived_columns`), estimators (`include.training.estimators.registry`).
"""

PUBLIC: tuple[str, ...] = (
    "category_encoder",
    "float_converter",
    "outliers",
    "signed_log",
    "target",
)
"""The modules that other rooms may import."""
