"""Gate: the verdicts of a policy on evidence, and the outcome that follows from them.

Here are the rules, their verdicts, and the error budget of `gate.lifetime`. Not here: the measurement of evidence (`include.evaluation`), the record of a decision
and the approval of it (`include.registry`).
"""

PUBLIC: tuple[str, ...] = ("required_rows",)
"""The modules that other rooms may import."""
