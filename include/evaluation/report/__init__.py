"""Report: the model card, figures, plots, and labels for what is on record.

Not here: any measurement; everything shown is read from evidence.
"""

PUBLIC: tuple[str, ...] = (
    "card",
    "figures",
    "forest",
    "labels",
    "scales",
    "score_tables",
)
"""The modules that other rooms may import."""
