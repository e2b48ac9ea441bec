"""Versions in memory: one that is ready to answer, and those of a model's segments.

Not here: which version of all rows answers, and who watches (`include.serving.live_versions`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
