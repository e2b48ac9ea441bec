"""Compiled pipelines: the prediction of one row by arrays alone, held to the pipeline's own numbers before it is used.

Not here: predictions of tables (`include.scoring.predictor`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
