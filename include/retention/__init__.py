"""Retention: what of a store nothing needs any more, what must be forgotten, and its removal.

Here is what is needed of a model's objects, and tidying up the rest, and the erasure of people. Not here: tombstones and the removal of an object, which
are the store's (`include.storage.tombstones`).
"""

PUBLIC: tuple[str, ...] = ("erase", "people", "stored_bytes", "tidy")
"""The modules that other rooms may import."""
