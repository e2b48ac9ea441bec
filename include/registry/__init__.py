"""Registry: the ledger of a model's versions, the gate's policy, and who is champion when.

Here are facts and the rules that follow from them. Reports for people are in `history`. Not here: the measurement of evidence
(`include.evaluation`), what happens after promotion (`include.monitoring`).
"""

PUBLIC: tuple[str, ...] = (
    "approval",
    "challenger_selection",
    "decisions",
    "evaluator",
    "ledger",
    "rollback",
    "statements",
    "timeline",
    "verification",
    "version_states",
    "versions",
)
"""The modules that other rooms may import."""
