"""Persistence: model files, the types that they may hold, and the names under which those are stored.

Not here: the store (`include.storage`), the record of a fit (`include.training.fit_record`).
"""

PUBLIC: tuple[str, ...] = ("model_file",)
"""The modules that other rooms may import."""
