"""Scoring: predictions of the champion as of an interval, their publication, and golden rows.

Not here: the server (`include.serving`).
"""

PUBLIC: tuple[str, ...] = (
    "attributions",
    "deliver",
    "delivery_log",
    "golden",
    "library_check",
    "predictor",
    "publication",
    "score",
    "scores",
)
"""The modules that other rooms may import."""
