"""Serving: an HTTP server that predicts with the champion in force.

Formats of requests and answers are in `protocol`. Not here: the prediction itself (`include.scoring.predictor`).
"""

PUBLIC: tuple[str, ...] = (
    "access",
    "sagemaker",
    "server",
    "settings",
)
"""The modules that other rooms may import."""
