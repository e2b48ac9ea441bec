"""Compiled pipelines: fast prediction of a single row, verified against the pipeline before use.

Not here: predictions of tables (`include.scoring.predictor`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
