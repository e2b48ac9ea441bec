"""Sketches: the rows of a stretch of time, counted under a layout, without any row; they merge exactly.

Not here: what differs between two sketches (`include.monitoring.drift`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
