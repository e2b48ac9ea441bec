"""Retention: what of a store nothing needs any more, and its removal.

Here is what is needed of a model's objects, and tidying up the rest. Not here: tombstones and the removal of an object, which
are the store's (`include.storage.tombstones`).
"""

PUBLIC: tuple[str, ...] = ("tidy",)
"""The modules that other rooms may import."""
