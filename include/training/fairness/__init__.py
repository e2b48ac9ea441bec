"""Fairness: classifiers that Fairlearn's mitigations give, and the effect of a mitigation.

Not here: weights by group (`include.training.sample_weight`), disparities on the holdout (`include.evaluation.metrics.fairness`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
