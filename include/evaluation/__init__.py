"""Evaluation: evidence about a challenger and the models that it is compared with, measured on the same holdout rows.

Here are the measurement from end to end, the comparison and the evidence that it gives. Sub-packages: `metrics`,
`uncertainty`, `explanation`, `report`. Not here: verdicts of the gate (`include.registry`), live data (`include.monitoring`).
"""

PUBLIC: tuple[str, ...] = (
    "compared_models",
    "comparison",
    "evidence",
    "evidence_recheck",
    "gains",
    "holdout_rows",
    "measure",
    "scored_rows",
    "unknown_classes",
)
"""The modules that other rooms may import."""
