"""Uncertainty: bootstrap resampling, DeLong's interval, and simultaneous bounds over the levels of a slice (max-t).

Not here: the metrics that are resampled (`include.training.metrics.definitions`).
"""

PUBLIC: tuple[str, ...] = ("bootstrap",)
"""The modules that other rooms may import."""
