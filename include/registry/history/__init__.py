"""History: what is on record about versions, gathered for people: summaries, charts, differences, cards, approval forms.

Not here: anything that changes a ledger (`include.registry.ledger`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
