"""Metrics: their definitions as sums over rows, for two classes, many classes, values and clusters.

Training scores candidates by them and evaluation measures models by them. Not here: intervals, slices and costs by a
function (`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = (
    "clustering",
    "costs",
    "definitions",
    "multiclass",
    "scoring",
)
"""The modules that other rooms may import."""
