"""Gate: the verdicts of a policy on evidence, and the outcome that follows from them.

Here are the rules and their verdicts. Not here: the measurement of evidence (`include.evaluation`), the record of a decision
and the approval of it (`include.registry`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
