"""Measurements on the holdout beyond plain metrics: slices, curves, disparities of groups, costs, clusterings, canaries.

Not here: the definitions of metrics (`include.training.metrics.definitions`).
"""

PUBLIC: tuple[str, ...] = ("slices",)
"""The modules that other rooms may import."""
