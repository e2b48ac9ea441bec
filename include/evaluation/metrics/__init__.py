"""Measurements on the holdout beyond plain metrics: slices, curves, disparities of groups, costs, clusterings.

Not here: the definitions of metrics (`include.training.metrics.definitions`).
"""

PUBLIC: tuple[str, ...] = ("business_cost", "slices")
"""The modules that other rooms may import."""
