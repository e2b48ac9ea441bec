"""Retention: find and remove objects that nothing needs, and erase people's rows.

Not here: tombstones, and the removal of a single object (`include.storage.tombstones`).
"""

PUBLIC: tuple[str, ...] = ("erase", "people", "stored_bytes", "tidy")
"""The modules that other rooms may import."""
