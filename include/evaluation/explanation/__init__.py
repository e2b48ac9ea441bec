"""Explanation: what a model learned. Importance, partial dependence, coefficients, behaviour, learning curve, overfitting.

Not here: how the model card shows it (`include.evaluation.report`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
