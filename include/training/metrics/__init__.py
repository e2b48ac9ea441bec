"""Metrics: their definitions as sums over rows, for two classes, many classes, values and clusters.

Training scores candidates by them and evaluation measures models by them. Not here: intervals, slices and costs
(`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = (
    "clustering",
    "definitions",
    "multiclass",
    "scoring",
)
"""The modules that other rooms may import."""
