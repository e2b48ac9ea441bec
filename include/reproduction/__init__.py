"""Reproduction: train a version again from its record, and name every difference.

Not here: the record itself (`include.training.fit_record`, `include.registry.versions`).
"""

PUBLIC: tuple[str, ...] = (
    "page",
    "rebuild",
    "reproduce",
)
"""The modules that other rooms may import."""
