"""Drift: sketches of rows, references, effect sizes, and sequential change detection with a known false-alarm rate.

Not here: labels (`include.monitoring.performance.measured`).
"""

PUBLIC: tuple[str, ...] = ("distributions",)
"""The modules that other rooms may import."""
