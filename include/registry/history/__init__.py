"""History: what is on record about versions, gathered for people: summaries, charts, differences, cards, approval forms.

Not here: anything that changes a ledger (`include.registry.ledger`).
"""

PUBLIC: tuple[str, ...] = (
    "approval_form",
    "card_files",
    "champion_changes",
    "charts",
    "policy_replay",
    "recorded_measures",
    "summary",
    "trained_on",
    "version_details",
    "version_differences",
)
"""The modules that other rooms may import."""
