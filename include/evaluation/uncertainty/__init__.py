"""Uncertainty: bootstrap resampling, intervals, DeLong's interval, and simultaneous bounds over the levels of a slice (max-t).

Not here: the metrics that are resampled (`include.training.metrics.definitions`).
"""

PUBLIC: tuple[str, ...] = ("bootstrap", "intervals")
"""The modules that other rooms may import."""
