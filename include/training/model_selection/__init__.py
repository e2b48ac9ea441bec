"""Model selection: search for settings, cross-validation, decision thresholds, and the choice of the challenger.

Not here: metrics (`include.training.metrics.definitions`), the comparison of the challenger with the incumbent (`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = (
    "candidate_selection",
    "search",
)
"""The modules that other rooms may import."""
