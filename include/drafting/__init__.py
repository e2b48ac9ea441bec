"""Drafting: a first `model.yaml` from a file, for a person to read and correct.

Not here: the types of columns (`include.data.columns.conversion`).
"""

PUBLIC: tuple[str, ...] = ("draft",)
"""The modules that other rooms may import."""
