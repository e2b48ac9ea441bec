"""Sketches: mergeable counts of the rows of a period, without any single row.

Not here: what differs between two sketches (`include.monitoring.drift`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
