"""Drafting: a first `model.yaml` from a file and expectations from a window of rows, for a person to read and correct.

Not here: the types of columns (`include.data.columns.conversion`).
"""

PUBLIC: tuple[str, ...] = ("draft", "expectations")
"""The modules that other rooms may import."""
